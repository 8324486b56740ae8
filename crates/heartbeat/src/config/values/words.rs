//! Closed sets of words.

/// Implements [`Value`](crate::config::Value) for an enum whose variants are each one word.
macro_rules! words {
    ($type:ty { $($word:literal => $variant:ident),+ $(,)? }) => {
        impl $crate::config::Value for $type {
            fn shape() -> $crate::config::Shape {
                $crate::config::Shape::Word(&[$($word),+])
            }

            fn decode(node: &$crate::config::Node, context: &mut $crate::config::Context<'_>) -> Option<Self> {
                $crate::config::values::words::one_of(&[$(($word, Self::$variant)),+], node, context)
            }

            fn show(&self) -> $crate::config::Node {
                $crate::config::Node::text(match self { $(Self::$variant => $word),+ })
            }
        }
    };
}
pub(crate) use words;

use crate::config::problem::did_you_mean;
use crate::config::{Context, Node, Problem};

/// The value of the word that was written.
pub fn one_of<T: Copy>(table: &[(&'static str, T)], node: &Node, context: &mut Context<'_>) -> Option<T> {
    let names: Vec<_> = table.iter().map(|(word, _)| format!("`{word}`")).collect();
    let noun = match names.as_slice() {
        [] => String::new(),
        [only] => only.clone(),
        [first @ .., last] => format!("{} or {last}", first.join(", ")),
    };
    let text = context.text(&noun, node)?;
    if let Some((_, value)) = table.iter().find(|(word, _)| *word == text) {
        return Some(*value);
    }
    let mut problem = Problem::error(node.span, format!("expected {noun}, found {}", node.describe()));
    problem.help = did_you_mean(&text, table.iter().map(|(word, _)| *word));
    context.problems.push(problem);
    None
}
