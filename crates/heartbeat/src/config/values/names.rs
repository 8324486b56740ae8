//! Ids, and references to them.

use heartbeat_core::Id;

use crate::config::node::Body;
use crate::config::{Context, Node, Shape, Span, Value};

/// The longest id, in characters: it stands in keys, headers and columns.
pub(crate) const LONGEST: usize = 200;

/// Checks a text that becomes an id.
pub fn id(text: &str, at: Span, context: &mut Context<'_>) -> Option<Id> {
    if text.trim().is_empty() {
        return context.error(at, "an id must not be empty");
    }
    if text.trim() != text {
        return context.error(at, format!("the id `{text}` begins or ends with white space"));
    }
    if text.chars().any(char::is_control) {
        return context.error(at, format!("the id `{}` holds a control character", text.escape_debug()));
    }
    let length = text.chars().count();
    if length > LONGEST {
        return context.error(at, format!("an id has at most {LONGEST} characters, this one has {length}"));
    }
    Some(Id::from(text))
}

/// References to checks, groups, actions or alerts: one name or a list of them, each with its place.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Names(pub Vec<(Id, Span)>);

impl Value for Names {
    fn shape() -> Shape {
        let name = || Shape::Text { noun: "a name", pattern: None };
        Shape::Either(vec![Shape::List(Box::new(name())), name()])
    }

    fn decode(node: &Node, context: &mut Context<'_>) -> Option<Self> {
        let items = match &node.body {
            Body::List(items) => items.as_slice(),
            Body::Scalar(_) => std::slice::from_ref(node),
            _ => return context.expected("a list of names", node),
        };
        let mut names = Self::default();
        for item in items {
            let name = Id::from(context.text("a name", item)?.as_str());
            // Naming something twice is the same as naming it once.
            if names.0.iter().all(|(known, _)| *known != name) {
                names.0.push((name, item.span));
            }
        }
        Some(names)
    }

    fn show(&self) -> Node {
        Node::list(self.0.iter().map(|(name, _)| Node::text(name.as_str())))
    }
}
