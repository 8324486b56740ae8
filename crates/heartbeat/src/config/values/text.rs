//! Kinds of text.

use std::path::PathBuf;

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

/// A path, relative to the folder of the file that holds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FilePath(pub PathBuf);

impl Value for FilePath {
    fn shape() -> Shape {
        Shape::Text { noun: "a path", pattern: None }
    }

    fn decode(node: &Node, context: &mut Context<'_>) -> Option<Self> {
        let text = context.text("a path", node)?;
        match text.is_empty() || text.contains('\0') {
            true => context.expected("a path", node),
            false => Some(Self(context.path(&text, node.span))),
        }
    }

    fn show(&self) -> Node {
        Node::text(self.0.display().to_string())
    }
}

/// How times look in messages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Times {
    /// Local, with the date and the offset.
    #[default]
    Full,
    /// `11/21 07:15`, in UTC.
    Short,
}

/// The words for states in messages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum StateWords {
    /// `up`, `degraded`, `down`, `unknown`.
    #[default]
    Up,
    /// `passing` and `failing`.
    Passing,
}

super::words!(Times { "full" => Full, "short" => Short });
super::words!(StateWords { "up" => Up, "passing" => Passing });
