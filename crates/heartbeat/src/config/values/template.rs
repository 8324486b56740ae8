//! Message templates: left alone by the expansion of `${NAME}`, for in them `$name` has a meaning of its own.

use heartbeat_core::template::Template;

use crate::config::{Context, Node, Problem, Shape, Value};

const NOUN: &str = "a text in which `$name` stands for a value";

impl Value for Template {
    fn shape() -> Shape {
        Shape::Text { noun: NOUN, pattern: None }
    }

    fn decode(node: &Node, context: &mut Context<'_>) -> Option<Self> {
        let text = context.verbatim_text(NOUN, node)?;
        match Self::parse(text.as_str()) {
            Ok(template) => Some(template),
            Err(malformed) => {
                let message = format!("{} in `{}`", malformed.what, &text[malformed.at..]);
                context.problems.push(
                    Problem::error(node.span, message).help("write `${name}`, or `$$` where a dollar sign is meant"),
                );
                None
            }
        }
    }

    fn show(&self) -> Node {
        Node::text(self.source())
    }
}
