//! Pieces of native trees, and the numbers and hosts that both forerunners write.

use std::collections::HashSet;
use std::net::Ipv6Addr;
use std::sync::Arc;
use std::time::Duration;

use crate::config::node::{Body, Key, Scalar};
use crate::config::values::duration;
use crate::config::{Node, Span};

/// A map under construction.
pub(super) struct Map {
    span: Span,
    entries: Vec<(Key, Node)>,
}

impl Map {
    pub(super) fn new(span: Span) -> Self {
        Self { span, entries: Vec::new() }
    }

    /// Adds an entry whose key stands, or would stand, at `at`. The caller knows that it is new.
    pub(super) fn put(&mut self, key: impl Into<Arc<str>>, at: Span, value: Node) {
        self.entries.push((Key { name: key.into(), span: at }, value));
    }

    /// Adds a word that the native syntax defines.
    pub(super) fn word(&mut self, key: &str, at: Span, word: impl Into<Arc<str>>) {
        self.put(key, at, Node::text(word).at(at));
    }

    /// Adds a word whose key stands at `at` and whose value stands at `value_at`.
    pub(super) fn word_at(&mut self, key: &str, at: Span, word: impl Into<Arc<str>>, value_at: Span) {
        self.put(key, at, Node::text(word).at(value_at));
    }

    /// Adds the map, unless it is empty.
    pub(super) fn put_filled(&mut self, key: &str, map: Self) {
        if !map.entries.is_empty() {
            let span = map.span;
            self.put(key, span, map.finish());
        }
    }

    /// Adds the entries of another map. The caller knows that they are new.
    pub(super) fn extend(&mut self, other: Self) {
        self.entries.extend(other.entries);
    }

    pub(super) fn finish(self) -> Node {
        Node { span: self.span, body: Body::Map(self.entries) }
    }
}

/// Text in which the native decoder expands `${NAME}`: every dollar sign is doubled. Message templates, in which `$name`
/// means something, take the same to hold a literal text.
pub(super) fn plain(text: &str, at: Span) -> Node {
    verbatim(text.replace('$', "$$"), at)
}

/// Text that the native decoder leaves alone: commands and message templates.
pub(super) fn verbatim(text: impl Into<Arc<str>>, at: Span) -> Node {
    Node { span: at, body: Body::Scalar(Scalar { text: text.into(), quoted: false }) }
}

/// A list at a place.
pub(super) fn list(items: Vec<Node>, at: Span) -> Node {
    Node { span: at, body: Body::List(items) }
}

/// A duration as the native syntax writes it.
pub(super) fn span_of(time: Duration, at: Span) -> Node {
    Node::text(duration::format(time)).at(at)
}

/// A time in some unit that lasts `unit` seconds, rounded to the millisecond; `None` if it is no number, negative or
/// longer than a hundred years.
pub(super) fn time(text: &str, unit: f64) -> Option<Duration> {
    const LONGEST: f64 = 100.0 * 365.25 * 86_400.0;
    // Rust also reads `nan` and `inf`, which fail the comparison.
    let seconds = text.trim().parse::<f64>().ok()? * unit;
    (0.0..=LONGEST).contains(&seconds).then(|| Duration::from_millis((seconds * 1000.0).round() as u64))
}

/// A port that can be connected to.
pub(super) fn port(text: &str) -> Option<u16> {
    text.trim().parse().ok().filter(|port| *port > 0)
}

/// A host as it stands in a URL, an IPv6 address in brackets; `None` if it would break out of its place.
pub(super) fn host(text: &str) -> Option<String> {
    let text = text.trim();
    let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
    if bare.parse::<Ipv6Addr>().is_ok() {
        return Some(format!("[{bare}]"));
    }
    let fits = |c: char| c.is_alphanumeric() || matches!(c, '-' | '.' | '_');
    (!text.is_empty() && text.chars().all(fits)).then(|| text.to_owned())
}

/// A name made fit to be an id: on one line, of a bounded length.
pub(super) fn id(name: &str) -> String {
    const LONGEST: usize = 120;
    let words: Vec<_> = name.split(|c: char| c.is_whitespace() || c.is_control()).filter(|w| !w.is_empty()).collect();
    words.join(" ").chars().take(LONGEST).collect::<String>().trim_end().to_owned()
}

/// Names that are there once: a second `Google` becomes `Google-2`.
#[derive(Default)]
pub(super) struct Ids(HashSet<String>);

impl Ids {
    /// The name as an id that has not been given yet.
    pub(super) fn unused(&mut self, name: &str) -> String {
        let name = id(name);
        let name = if name.is_empty() { "-" } else { &name };
        let mut id = name.to_owned();
        let mut count = 1;
        while !self.0.insert(id.clone()) {
            count += 1;
            id = format!("{name}-{count}");
        }
        id
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_round_to_the_millisecond_and_refuse_nonsense() {
        assert_eq!(time("2.5", 1.0), Some(Duration::from_millis(2500)));
        assert_eq!(time(" 1.0 ", 3600.0), Some(Duration::from_secs(3600)));
        for text in ["", "-1", "nan", "inf", "1e300", "5s"] {
            assert_eq!(time(text, 1.0), None, "{text}");
        }
    }

    #[test]
    fn a_host_cannot_break_out_of_its_url() {
        assert_eq!(host("::1").as_deref(), Some("[::1]"));
        assert_eq!(host("[::1]").as_deref(), Some("[::1]"));
        assert_eq!(host("my_host.example.org").as_deref(), Some("my_host.example.org"));
        for text in ["", "a b", "a/b", "u@h", "h:80", "h?x", "h#x", "[::1", "a\nb"] {
            assert_eq!(host(text), None, "{text}");
        }
    }

    #[test]
    fn an_id_is_one_short_line() {
        assert_eq!(id(" a\n  b\u{7}c "), "a b c");
        assert_eq!(id(&"x".repeat(500)).len(), 120);
    }
}
