//! What providers say, made fit for logs, terminals and stores: one line, not without end, without our secrets.
//!
//! A provider may well repeat what it was sent (`unknown command AUTH PLAIN AGFi…`), so secrets are taken out of every
//! answer, in each form in which they go over the wire.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::config::values::secret::REDACTED;
use crate::message::one_line;

/// The longest answer, in characters.
const LONGEST: usize = 300;

/// Cleans the answers of one provider.
#[derive(Clone, Default)]
pub(super) struct Cleaner {
    secrets: Vec<String>,
}

impl Cleaner {
    /// A secret that no answer may hold.
    pub(super) fn hide(&mut self, secret: impl Into<String>) {
        let secret = secret.into();
        if !secret.is_empty() {
            self.secrets.push(secret);
            // A part of another must not be replaced first.
            self.secrets.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
        }
    }

    /// A user's password, in the forms that HTTP (RFC 7617) and SMTP (RFC 4954: PLAIN, LOGIN) send.
    pub(super) fn hide_password(&mut self, user: &str, password: &str) {
        self.hide(password);
        self.hide(STANDARD.encode(password));
        self.hide(STANDARD.encode(format!("{user}:{password}")));
        self.hide(STANDARD.encode(format!("\0{user}\0{password}")));
    }

    /// An answer as it may be shown.
    pub(super) fn clean(&self, answer: &str) -> String {
        let mut answer = one_line(answer);
        for secret in &self.secrets {
            answer = answer.replace(secret.as_str(), REDACTED);
        }
        let mut words = answer.split_whitespace().collect::<Vec<_>>().join(" ");
        if let Some((end, _)) = words.char_indices().nth(LONGEST) {
            words.truncate(end);
            words.push('…');
        }
        words
    }
}

impl fmt::Debug for Cleaner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Cleaner({} secrets)", self.secrets.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_one_short_line_without_secrets() {
        let mut cleaner = Cleaner::default();
        cleaner.hide("hunter2");
        cleaner.hide("hunter2-and-more");
        cleaner.hide("");
        cleaner.hide_password("me", "pass word");
        let answer = "a\r\n\tb\u{1b}[0m hunter2-and-more hunter2 pass word AUTH AG1lAHBhc3Mgd29yZA==";
        assert_eq!(cleaner.clean(answer), "a b[0m (redacted) (redacted) (redacted) AUTH (redacted)");
        assert_eq!(cleaner.clean(&"é".repeat(1000)), format!("{}…", "é".repeat(300)));
        assert!(!format!("{cleaner:?}").contains("hunter2"));
    }
}
