//! Kinds of text.

use crate::config::{Context, Node, Shape, Value};

/// Text in which `$` has a meaning of its own, and no environment is expanded: message templates.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verbatim(pub String);

impl Value for Verbatim {
    fn shape() -> Shape {
        Shape::Text { noun: "text with `$name` for values", pattern: None }
    }

    fn decode(node: &Node, context: &mut Context<'_>) -> Option<Self> {
        context.verbatim_text("text", node).map(Self)
    }

    fn show(&self) -> Node {
        Node::text(self.0.as_str())
    }
}
