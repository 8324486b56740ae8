//! String literals (The Python Language Reference, section 2.5): every prefix, every kind of quotes, every escape.

/// What a string says, as far as a literal can.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Literal {
    /// Text.
    Text(String),
    /// It is text to Python, and not to us; with the noun for it.
    Opaque(&'static str),
}

/// A string that is never closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Endless;

/// Strings within the fields of an f-string, within each other.
const DEEPEST: usize = 8;

/// Reads the string at the start of a text, with its length in bytes; `None` if there is none.
pub(super) fn read(text: &str) -> Option<Result<(Literal, usize), Endless>> {
    let opening = Opening::of(text)?;
    let inner = &text[opening.length..];
    let end = match opening.is_formatted {
        // Since Python 3.12 the fields of an f-string may hold its own quotes. What cannot be read that way is older.
        true => formatted_end(inner, opening, DEEPEST).or_else(|| plain_end(inner, opening)),
        false => plain_end(inner, opening),
    };
    let Some(end) = end else { return Some(Err(Endless)) };
    let body = &inner[..end];
    let literal = match opening {
        Opening { is_formatted: true, .. } => Literal::Opaque("an f-string"),
        Opening { is_bytes: true, .. } => Literal::Opaque("a string of bytes"),
        Opening { is_raw: true, .. } => Literal::Text(with_newlines(body)),
        _ => unescape(&with_newlines(body)).map_or(Literal::Opaque("a string with an escape by name"), Literal::Text),
    };
    Some(Ok((literal, opening.length + end + opening.quotes.len())))
}

/// How a string begins.
#[derive(Clone, Copy)]
struct Opening<'t> {
    /// The prefix and the quotes, in bytes.
    length: usize,
    /// What closes it again.
    quotes: &'t str,
    is_raw: bool,
    is_bytes: bool,
    is_formatted: bool,
}

impl<'t> Opening<'t> {
    fn of(text: &'t str) -> Option<Self> {
        let prefix = text.bytes().take(3).position(|byte| matches!(byte, b'"' | b'\''))?;
        let letters = text[..prefix].to_ascii_lowercase();
        if !matches!(&*letters, "" | "r" | "u" | "b" | "f" | "t" | "br" | "rb" | "fr" | "rf" | "tr" | "rt") {
            return None;
        }
        let rest = &text[prefix..];
        let quotes = if rest.starts_with("\"\"\"") || rest.starts_with("'''") { &rest[..3] } else { &rest[..1] };
        Some(Self {
            length: prefix + quotes.len(),
            quotes,
            is_raw: letters.contains('r'),
            is_bytes: letters.contains('b'),
            // A template string (PEP 750) has fields like an f-string's.
            is_formatted: letters.contains(['f', 't']),
        })
    }

    /// Whether a newline ends it too early.
    fn is_short(&self) -> bool {
        self.quotes.len() == 1
    }
}

/// The offset of the closing quotes. A backslash keeps what follows it from closing, in raw strings too.
fn plain_end(inner: &str, opening: Opening<'_>) -> Option<usize> {
    let mut characters = inner.char_indices();
    while let Some((at, c)) = characters.next() {
        match c {
            '\\' => {
                let (_, escaped) = characters.next()?;
                // A newline that is written as two characters is escaped as a whole.
                if escaped == '\r' && characters.as_str().starts_with('\n') {
                    characters.next();
                }
            }
            '\n' | '\r' if opening.is_short() => return None,
            _ if inner[at..].starts_with(opening.quotes) => return Some(at),
            _ => {}
        }
    }
    None
}

/// The same for a string whose fields in braces may hold strings of their own.
fn formatted_end(inner: &str, opening: Opening<'_>, depth: usize) -> Option<usize> {
    let mut at = 0;
    let mut fields = 0_usize;
    while let Some(c) = inner[at..].chars().next() {
        let rest = &inner[at..];
        if fields == 0 && rest.starts_with(opening.quotes) {
            return Some(at);
        }
        at += match c {
            '\\' => 1 + rest[1..].chars().next().map_or(0, char::len_utf8),
            '\n' | '\r' if opening.is_short() => return None,
            '{' if fields == 0 && rest.starts_with("{{") => 2,
            '{' => {
                fields += 1;
                1
            }
            '}' => {
                fields = fields.saturating_sub(1);
                1
            }
            '"' | '\'' if fields > 0 => {
                let nested = Opening::of(rest)?;
                let inside = &rest[nested.length..];
                // Its prefix is behind us: taken for one with fields it is read rightly either way.
                let end = if depth > 0 { formatted_end(inside, nested, depth - 1)? } else { return None };
                nested.length + end + nested.quotes.len()
            }
            c => c.len_utf8(),
        };
    }
    None
}

/// Python reads every kind of newline as one character.
fn with_newlines(text: &str) -> String {
    text.replace("\r\n", "\n").replace('\r', "\n")
}

/// Resolves escapes; `None` if one names a character, which takes a table that nobody wants to carry, or half of one.
fn unescape(text: &str) -> Option<String> {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(backslash) = rest.find('\\') {
        out.push_str(&rest[..backslash]);
        rest = &rest[backslash + 1..];
        let escaped = rest.chars().next()?;
        let after = &rest[escaped.len_utf8()..];
        let simple = match escaped {
            '\n' => None,
            '\\' | '\'' | '"' => Some(escaped),
            'a' => Some('\u{7}'),
            'b' => Some('\u{8}'),
            'f' => Some('\u{c}'),
            'n' => Some('\n'),
            'r' => Some('\r'),
            't' => Some('\t'),
            'v' => Some('\u{b}'),
            'x' | 'u' | 'U' => {
                let digits = match escaped {
                    'x' => 2,
                    'u' => 4,
                    _ => 8,
                };
                let digits = after.get(..digits).filter(|text| text.bytes().all(|byte| byte.is_ascii_hexdigit()))?;
                out.push(char::from_u32(u32::from_str_radix(digits, 16).ok()?)?);
                rest = &after[digits.len()..];
                continue;
            }
            '0'..='7' => {
                let length = rest.bytes().take(3).take_while(|byte| matches!(byte, b'0'..=b'7')).count();
                out.push(char::from_u32(u32::from_str_radix(&rest[..length], 8).ok()?)?);
                rest = &rest[length..];
                continue;
            }
            'N' => return None,
            // What is no escape stands as it is, with its backslash.
            other => {
                out.push('\\');
                Some(other)
            }
        };
        out.extend(simple);
        rest = after;
    }
    out.push_str(rest);
    Some(out)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{Endless, Literal, read};

    fn text(source: &str) -> String {
        match read(source) {
            Some(Ok((Literal::Text(text), length))) if length == source.len() => text,
            other => panic!("{source}: {other:?}"),
        }
    }

    #[test]
    fn every_form_of_text_is_read() {
        for (source, expected) in [
            ("''", ""),
            ("'a'", "a"),
            ("\"it's\"", "it's"),
            ("u'a'", "a"),
            ("U\"a\"", "a"),
            (r"'it\'s'", "it's"),
            (r"r'a\n\'b'", r"a\n\'b"),
            (r"R'\d'", r"\d"),
            ("''''a' \"b\"'''", "'a' \"b\""),
            ("\"\"\"a\nb\r\nc\rd\"\"\"", "a\nb\nc\nd"),
            ("'a\\\nb\\\r\nc'", "abc"),
            (r"'\a\b\f\n\r\t\v\\\''", "\u{7}\u{8}\u{c}\n\r\t\u{b}\\'"),
            (r"'\x41\u00e9\U0001F600\101\0\60x\08'", "Aé😀A\u{0}0x\u{0}8"),
            (r"'\d\ü'", r"\d\ü"),
            (r"'''\''''", "'"),
        ] {
            assert_eq!(text(source), expected, "{source}");
        }
    }

    #[test]
    fn what_is_no_text_is_told_with_its_end() {
        for (source, length) in [
            ("b'a' + c", 4),
            ("Rb'\\'' + c", 6),
            ("f'{a}' + c", 6),
            (r#"f"{a["b"]}" + c"#, 11),
            (r#"f"{a['}']}" + c"#, 11),
            (r#"rf"{f"{b}"}" + c"#, 12),
            (r#"f"{{" + c"#, 5),
            (r#"f"{{'" + "'}}""#, 6),
            // It was a string before Python 3.12, and it cannot have been one with fields.
            ("f'{' + c", 4),
            ("t'{a}' + c", 6),
            (r"'\N{BULLET}' + c", 12),
            (r"'\ud800' + c", 8),
            (r"'\x4' + c", 5),
        ] {
            let read = read(source);
            assert!(matches!(read, Some(Ok((Literal::Opaque(_), found))) if found == length), "{source}: {read:?}");
        }
        for source in ["'a\nb'", "'a", "'''a''", "\"a\\", "r'\\'"] {
            assert_eq!(read(source), Some(Err(Endless)), "{source}");
        }
        for source in ["", "a", "ab'c'", "bu'c'", "rrr'c'", "é'c'"] {
            assert_eq!(read(source), None, "{source}");
        }
    }

    proptest! {
        #[test]
        fn no_text_panics_and_no_string_is_longer_than_its_text(source in "[rRbBfFuUtT]{0,2}['\"]{1,3}[\\PC\n\r\\\\'\"{}xuUN0-9]{0,40}") {
            if let Some(Ok((_, length))) = read(&source) {
                prop_assert!(source.get(..length).is_some());
            }
        }
    }
}
