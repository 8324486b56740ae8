//! Regular expressions.

use regex::{Regex, RegexBuilder};

use crate::config::{Context, Node, Problem, Shape, Value};

/// A compiled regular expression of linear running time. The environment is not expanded in it: its `$` is an anchor.
#[derive(Clone, Debug)]
pub struct Pattern(pub Regex);

/// By what was written.
impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.0.as_str() == other.0.as_str()
    }
}

/// The most memory that one compiled expression may take.
const SIZE_LIMIT: usize = 1 << 20;

impl Value for Pattern {
    fn shape() -> Shape {
        Shape::Text { noun: "a regular expression", pattern: None }
    }

    fn decode(node: &Node, context: &mut Context<'_>) -> Option<Self> {
        let text = context.verbatim_text("a regular expression", node)?;
        match RegexBuilder::new(&text).size_limit(SIZE_LIMIT).dfa_size_limit(SIZE_LIMIT).build() {
            Ok(regex) => Some(Self(regex)),
            Err(regex::Error::CompiledTooBig(_)) => {
                context.error(node.span, format!("the regular expression `{text}` is too big"))
            }
            Err(error) => {
                // The last line of the error says what is wrong; those before it draw the place.
                let reason = error.to_string();
                let reason = reason.lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned();
                let message = format!("the regular expression `{text}` is wrong: {reason}");
                context.problems.push(Problem::error(node.span, message));
                None
            }
        }
    }

    fn show(&self) -> Node {
        Node::text(self.0.as_str())
    }
}
