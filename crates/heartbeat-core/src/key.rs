//! The keys of intents: equal for every attempt, unique for every intent.
//!
//! A key names what is owed: `down/web/7/1764000000000/oncall`. The time is in it because a store that remembers nothing
//! counts its epochs from 1 again after a restart. Receivers put keys into headers, Message-IDs and URLs, some with a limit of
//! 255 letters: so a key is printable ASCII without white space, and a long id in it is cut and completed by its hash.

use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;
use core::fmt::{Display, Write};

use crate::Wall;
use crate::hash::hash;
use crate::intent::Event;

/// An id is written out up to this many letters.
const LONGEST_ID: usize = 64;

/// The key of an intent: what, about whom, which of them, decided when, for whom.
pub(crate) fn key(event: Event, subject: &str, number: impl Display, at: Wall, to: &str) -> Arc<str> {
    let (event, at) = (event.as_str(), at.unix_millis());
    Arc::from(format!("{event}/{}/{number}/{at}/{}", escaped(subject), escaped(to)))
}

/// An id with everything but letters, digits, `-`, `_` and single dots percent-encoded (RFC 3986, section 2.1).
fn escaped(id: &str) -> String {
    let mut text = String::with_capacity(id.len());
    for byte in id.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' => text.push(char::from(byte)),
            // Two dots in a row, or one at the end, are not allowed in a Message-ID (RFC 5322, section 3.2.3).
            b'.' if !text.is_empty() && !text.ends_with('.') => text.push('.'),
            _ => write!(text, "%{byte:02X}").expect("a string takes everything"),
        }
    }
    if text.ends_with('.') {
        text.truncate(text.len() - 1);
        text.push_str("%2E");
    }
    if text.len() > LONGEST_ID {
        text.truncate(LONGEST_ID - 17);
        write!(text, "~{:016x}", hash(id.as_bytes())).expect("a string takes everything");
    }
    text
}

#[cfg(test)]
mod tests {
    use std::string::ToString;

    use super::{Event, Wall, escaped, key};

    #[test]
    fn names_what_is_owed() {
        let at = Wall::from_unix_millis(1_764_000_000_000);
        assert_eq!(&*key(Event::Down, "web", 7, at, "on call"), "down/web/7/1764000000000/on%20call");
    }

    #[test]
    fn is_fit_for_headers_and_message_ids() {
        assert_eq!(escaped("example.org:80/a b"), "example.org%3A80%2Fa%20b");
        assert_eq!(escaped("..a..b."), "%2E.a.%2Eb%2E");
        assert_eq!(escaped("ü\n"), "%C3%BC%0A");
        assert_eq!(escaped(""), "");
    }

    #[test]
    fn long_ids_are_cut_and_stay_different() {
        let long = "x".repeat(300);
        let (one, other) = (escaped(&long), escaped(&(long.to_string() + "y")));
        assert_eq!(one.len(), 64);
        assert_ne!(one, other);
        assert_eq!(escaped(&"x".repeat(64)), "x".repeat(64));
    }
}
