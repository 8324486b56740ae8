//! Message templates: a test's own values are put in here, the rest is left to the native template.
//!
//! What a test says of itself never changes, so that its values can stand in the text itself. They come before the
//! names that the program defines, as they did in the utility, and a value is never looked through for further names.

use std::collections::BTreeMap;

use heartbeat_core::template::Template;

use crate::config::{Problem, Problems, Span};

/// The values of a test that its messages may name.
#[derive(Debug, Default)]
pub(super) struct Own<'d>(BTreeMap<&'d str, Value<'d>>);

#[derive(Debug)]
enum Value<'d> {
    /// It is put in.
    Text(&'d str),
    /// The native check has a value of that name too.
    Native,
    /// It is no plain value, and may hold secrets.
    Hidden,
}

impl<'d> Own<'d> {
    pub(super) fn set(&mut self, name: &'d str, text: &'d str) {
        self.0.insert(name, Value::Text(text));
    }

    pub(super) fn hide(&mut self, name: &'d str) {
        self.0.insert(name, Value::Hidden);
    }

    pub(super) fn native(&mut self, name: &'d str) {
        self.0.insert(name, Value::Native);
    }
}

/// The native template. A malformed one is left as it is: the decoder reports it.
pub(super) fn translate(text: &str, at: Span, own: &Own<'_>, problems: &mut Problems) -> String {
    let Ok(template) = Template::parse(text) else { return text.to_owned() };
    let mut out = String::new();
    let mut copied = 0;
    for (start, name) in template.names() {
        let braced = text[..start].ends_with('{');
        let (from, to) = match braced {
            true => (start - "${".len(), start + name.len() + "}".len()),
            false => (start - "$".len(), start + name.len()),
        };
        out.push_str(&text[copied..from]);
        copied = to;
        match own.0.get(name) {
            Some(Value::Text(value)) => push_value(value, &mut out),
            Some(Value::Hidden) => {
                let message =
                    format!("`${name}` is no plain value, and may hold secrets: it cannot stand in a message");
                problems.push(Problem::error(at, message));
            }
            // Braces, for what comes next may be a value that continues the name.
            Some(Value::Native) | None if text[to..].starts_with('$') => {
                out.push_str("${");
                out.push_str(name);
                out.push('}');
            }
            Some(Value::Native) | None => out.push_str(&text[from..to]),
        }
    }
    out.push_str(&text[copied..]);
    out
}

/// A value on one line, its dollar signs doubled so that the native template takes them for text.
fn push_value(value: &str, out: &mut String) {
    for c in value.chars() {
        match c {
            '$' => out.push_str("$$"),
            '\n' | '\r' | '\t' => out.push(' '),
            c if c.is_control() => {}
            c => out.push(c),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn translated(text: &str) -> (String, Problems) {
        let mut own = Own::default();
        own.set("host", "my.server.io");
        own.set("cost", "$name\n$$");
        own.set("state", "Ohio");
        own.hide("headers");
        own.native("name");
        let mut problems = Problems::default();
        (translate(text, Span::default(), &own, &mut problems), problems)
    }

    #[test]
    fn own_values_are_put_in_and_never_looked_through() {
        for (text, expected) in [
            (
                "$name ($host) has been down since $last_pass_time.",
                "$name (my.server.io) has been down since $last_pass_time.",
            ),
            ("${host}s", "my.server.ios"),
            ("$hosts", "$hosts"),
            ("$cost", "$$name $$$$"),
            ("$name$host", "${name}my.server.io"),
            ("$state", "Ohio"),
            ("$$host costs $5", "$$host costs $5"),
            ("${name}$$", "${name}$$"),
            ("${name", "${name"),
        ] {
            let (found, problems) = translated(text);
            assert_eq!(found, expected, "{text}");
            assert!(!problems.has_errors(), "{}", problems.render());
        }
    }

    #[test]
    fn what_is_no_plain_value_is_refused() {
        let (_, problems) = translated("$headers");
        assert!(problems.has_errors());
    }
}
