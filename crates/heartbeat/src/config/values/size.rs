//! Amounts of bytes: `512B`, `256KiB`, `1MB`.

use crate::config::{Context, Node, Problem, Shape, Value};

/// An amount of bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Size(pub u64);

/// Unit and its bytes; the greatest of each family first.
const UNITS: [(&str, u64); 7] = [
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("GB", 1_000_000_000),
    ("MB", 1_000_000),
    ("KB", 1_000),
    ("B", 1),
];

const NOUN: &str = "a size such as `256KiB` or `1MB`";

impl Value for Size {
    fn shape() -> Shape {
        Shape::Text { noun: "a size", pattern: Some("^[0-9]+ ?(B|KB|MB|GB|KiB|MiB|GiB)$") }
    }

    fn decode(node: &Node, context: &mut Context<'_>) -> Option<Self> {
        let text = context.text(NOUN, node)?;
        if let Some(size) = parse(&text) {
            return Some(size);
        }
        let mut problem = Problem::error(node.span, format!("expected {NOUN}, found {}", node.describe()));
        if text.parse::<u64>().is_ok() {
            problem = problem.help(format!("a number needs its unit: `{text}B`?"));
        }
        context.problems.push(problem);
        None
    }

    fn show(&self) -> Node {
        let exact = |unit: &(&str, u64)| self.0 >= unit.1 && self.0.is_multiple_of(unit.1);
        let (unit, bytes) = UNITS.iter().copied().find(exact).unwrap_or(("B", 1));
        Node::text(format!("{}{unit}", self.0 / bytes))
    }
}

/// Reads a size; `None` if it is not one.
fn parse(text: &str) -> Option<Size> {
    let digits = text.find(|c: char| !c.is_ascii_digit())?;
    let number: u64 = text[..digits].parse().ok()?;
    let unit = text[digits..].strip_prefix(' ').unwrap_or(&text[digits..]);
    let (_, bytes) = UNITS.iter().find(|(name, _)| *name == unit)?;
    number.checked_mul(*bytes).map(Size)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_it_shows() {
        for (text, bytes) in [("0B", 0), ("512B", 512), ("256KiB", 256 * 1024), ("1MB", 1_000_000), ("3GiB", 3 << 30)] {
            assert_eq!(parse(text), Some(Size(bytes)), "{text}");
            assert_eq!(Size(bytes).show().as_text(), Some(text));
        }
        assert_eq!(parse("1 MB"), Some(Size(1_000_000)));
    }

    #[test]
    fn refuses_what_is_no_size() {
        for text in ["", "1", "KiB", "-1B", "1.5MB", "1mb", "1MBs", "99999999999GiB"] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
