//! Text that may hold any byte, as it is written in a configuration.

use std::fmt;

use crate::config::values::Secret;
use crate::config::values::secret::REDACTED;
use crate::config::{Context, Node, Problem, Shape, Value};

/// Bytes, written as text with `\r`, `\n`, `\t`, `\0`, `\\` and `\xHH`.
#[derive(Clone, PartialEq, Eq)]
pub struct Escaped(pub Vec<u8>);

impl Escaped {
    /// Reads the escapes.
    ///
    /// # Errors
    /// The escape that makes no sense.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut bytes = Vec::with_capacity(text.len());
        let mut rest = text.as_bytes();
        while let [first, after @ ..] = rest {
            if *first != b'\\' {
                bytes.push(*first);
                rest = after;
                continue;
            }
            let (byte, length) = match after.first() {
                Some(b'r') => (b'\r', 1),
                Some(b'n') => (b'\n', 1),
                Some(b't') => (b'\t', 1),
                Some(b'0') => (0, 1),
                Some(b'\\') => (b'\\', 1),
                Some(b'x') => match after.get(1..3).and_then(hex) {
                    Some(byte) => (byte, 3),
                    None => return Err("`\\x` needs two hexadecimal digits".to_owned()),
                },
                _ => {
                    let shown: String = String::from_utf8_lossy(rest).chars().take(2).collect();
                    return Err(format!("`{shown}` is no escape; a backslash itself is written `\\\\`"));
                }
            };
            bytes.push(byte);
            rest = &after[length..];
        }
        Ok(Self(bytes))
    }
}

fn hex(digits: &[u8]) -> Option<u8> {
    digits.iter().try_fold(0, |number: u8, digit| {
        let value = (*digit as char).to_digit(16)?;
        Some(number << 4 | u8::try_from(value).ok()?)
    })
}

impl fmt::Debug for Escaped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}`", self.0.escape_ascii())
    }
}

impl Value for Escaped {
    fn shape() -> Shape {
        Shape::Text { noun: "text with `\\r`, `\\n`, `\\t`, `\\0`, `\\\\` and `\\xHH`", pattern: None }
    }

    fn decode(node: &Node, context: &mut Context<'_>) -> Option<Self> {
        let text = context.text("text", node)?;
        match Self::parse(&text) {
            Ok(bytes) => Some(bytes),
            Err(wrong) => {
                context.problems.push(Problem::error(node.span, wrong));
                None
            }
        }
    }

    fn show(&self) -> Node {
        Node::text(self.0.escape_ascii().to_string())
    }
}

/// [`Escaped`] text that may be a secret, and may stand in a file.
#[derive(Clone, Debug)]
pub struct EscapedSecret(Secret);

impl EscapedSecret {
    /// Fetches the text and reads its escapes. What stands in a file is sent as it is.
    ///
    /// # Errors
    /// A sentence that says where it was looked for.
    pub fn reveal(&self) -> Result<Vec<u8>, String> {
        let text = self.0.reveal(&crate::host::env::variable)?;
        match &self.0 {
            Secret::Literal(_) => Escaped::parse(&text).map(|bytes| bytes.0),
            _ => Ok(text.into_bytes()),
        }
    }
}

impl Value for EscapedSecret {
    fn shape() -> Shape {
        Secret::shape()
    }

    fn decode(node: &Node, context: &mut Context<'_>) -> Option<Self> {
        let secret = Secret::decode(node, context)?;
        if let Secret::Literal(text) = &secret
            && let Err(wrong) = Escaped::parse(text)
        {
            return context.error(node.span, wrong);
        }
        Some(Self(secret))
    }

    fn show(&self) -> Node {
        Node::text(REDACTED)
    }

    fn redact(written: &Node) -> Node {
        Secret::redact(written)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_are_bytes() {
        let parse = |text: &str| Escaped::parse(text).map(|bytes| bytes.0);
        assert_eq!(parse(r"PING\r\n").as_deref(), Ok(&b"PING\r\n"[..]));
        assert_eq!(parse(r"\x00\xfF\0\t\\x").as_deref(), Ok(&b"\x00\xff\0\t\\x"[..]));
        assert_eq!(parse("ü").as_deref(), Ok("ü".as_bytes()));
        for wrong in [r"\", r"\q", r"\x", r"\x0", r"\xzz", r"\ü"] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }
}
