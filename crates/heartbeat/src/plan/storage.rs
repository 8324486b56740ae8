//! Where the state is kept.

use super::Storage;
use crate::config::{Context, Node, Shape, Value};

const NOUN: &str = "`sqlite:PATH`, `file:PATH` or `memory`";

impl Value for Storage {
    fn shape() -> Shape {
        Shape::Text { noun: "where the state is kept", pattern: Some("^(memory|(sqlite|file):.+)$") }
    }

    fn decode(node: &Node, context: &mut Context<'_>) -> Option<Self> {
        let text = context.text(NOUN, node)?;
        if text == "memory" {
            return Some(Self::Memory);
        }
        match text.split_once(':') {
            Some(("sqlite", path)) if !path.is_empty() => Some(Self::Sqlite(context.path(path, node.span))),
            Some(("file", path)) if !path.is_empty() => Some(Self::File(context.path(path, node.span))),
            Some(("postgres" | "postgresql", _)) => {
                // The URL may hold a password.
                context.error(node.span, "storage in PostgreSQL is not in this version")
            }
            _ => context.expected(NOUN, node),
        }
    }

    fn show(&self) -> Node {
        Node::text(match self {
            Self::Memory => "memory".to_owned(),
            Self::File(path) => format!("file:{}", path.display()),
            Self::Sqlite(path) => format!("sqlite:{}", path.display()),
        })
    }
}
