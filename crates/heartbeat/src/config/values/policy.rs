//! How decisions are configured: reminders, limits, retries, and the words of the policies.

use std::time::Duration;

use heartbeat_core::policy::{DownWhen, Guarantee, Limit, OnStart, Remind, Retry};

use super::words;
use crate::config::node::Body;
use crate::config::{Context, FieldDoc, Fields, Node, Problem, Shape, Value};

words!(OnStart { "adopt" => Adopt, "run" => Run });
words!(Guarantee { "at_least_once" => AtLeastOnce, "at_most_once" => AtMostOnce });

const REMIND: &str = "a duration such as `1h`, or `never`";

impl Value for Remind {
    fn shape() -> Shape {
        Shape::Either(vec![Duration::shape(), Shape::Word(&["never"])])
    }

    fn decode(node: &Node, context: &mut Context<'_>) -> Option<Self> {
        if node.as_text() == Some("never") {
            return Some(Self::Never);
        }
        match node.as_text() {
            // A number without its unit has a help of its own.
            Some(text) if !text.starts_with(|c: char| c.is_ascii_digit()) => {
                let pace = super::duration::parse(&context.text(REMIND, node)?).map(Self::Every);
                pace.or_else(|| context.expected(REMIND, node))
            }
            _ => Duration::decode(node, context).map(Self::Every),
        }
    }

    fn show(&self) -> Node {
        match self {
            Self::Never => Node::text("never"),
            Self::Every(pace) => pace.show(),
        }
    }
}

/// A limit, or none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AtMost(pub Option<Limit>);

const LIMIT: &str = "a limit such as `5 per 10m`, or `none`";

impl Value for AtMost {
    fn shape() -> Shape {
        let limit = Shape::Text {
            noun: "a limit such as `5 per 10m`",
            pattern: Some(r"^[0-9]+ per ([0-9]+(\.[0-9]+)?(d|h|m|s|ms))+$"),
        };
        Shape::Either(vec![limit, Shape::Word(&["none"])])
    }

    fn decode(node: &Node, context: &mut Context<'_>) -> Option<Self> {
        let text = context.text(LIMIT, node)?;
        if text == "none" {
            return Some(Self(None));
        }
        let limit = text.split_once(" per ").and_then(|(count, window)| {
            let count = count.trim().parse().ok().filter(|count| *count > 0)?;
            let window = super::duration::parse(window.trim()).filter(|window| !window.is_zero())?;
            Some(Limit { count, window })
        });
        match limit {
            Some(limit) => Some(Self(Some(limit))),
            None => context.expected(LIMIT, node),
        }
    }

    fn show(&self) -> Node {
        match self.0 {
            Some(limit) => Node::text(format!("{} per {}", limit.count, super::duration::format(limit.window))),
            None => Node::text("none"),
        }
    }
}

impl Value for Retry {
    fn shape() -> Shape {
        let every = FieldDoc {
            key: "every",
            doc: "Try again at this pace, without end.",
            shape: Duration::shape(),
            required: true,
            default: None,
        };
        Shape::Either(vec![u32::shape(), Shape::Section(vec![every])])
    }

    fn decode(node: &Node, context: &mut Context<'_>) -> Option<Self> {
        match &node.body {
            Body::Map(_) => {
                let (pace, _) = Fields::read(context, format_args!("`retry`"), node, |fields| {
                    fields.required::<Duration>("every", "Try again at this pace, without end.")
                });
                let pace = pace?;
                if pace.is_zero() {
                    return context.error(node.span, "`every` must be longer than `0s`");
                }
                Some(Self::Every(pace))
            }
            Body::Scalar(_) => u32::decode(node, context).map(|attempts| Self::Backoff { attempts }),
            _ => context.expected("a number of attempts, or `{ every: 60s }`", node),
        }
    }

    fn show(&self) -> Node {
        match self {
            Self::Backoff { attempts } => attempts.show(),
            Self::Every(pace) => Node::map([("every", pace.show())]),
        }
    }
}

const DOWN_WHEN: &str = "`any`, `all`, or a quorum such as `2 of 3`";

/// When a group is down, with the number of members that a quorum speaks of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quorum {
    /// The rule.
    pub rule: DownWhen,
    /// The `3` of `2 of 3`.
    pub members: Option<u32>,
}

impl Value for Quorum {
    fn shape() -> Shape {
        let quorum = Shape::Text { noun: "a quorum such as `2 of 3`", pattern: Some("^[0-9]+ of [0-9]+$") };
        Shape::Either(vec![Shape::Word(&["any", "all"]), quorum])
    }

    fn decode(node: &Node, context: &mut Context<'_>) -> Option<Self> {
        let text = context.text(DOWN_WHEN, node)?;
        match text.as_str() {
            "any" => return Some(Self { rule: DownWhen::Any, members: None }),
            "all" => return Some(Self { rule: DownWhen::All, members: None }),
            _ => {}
        }
        let numbers = text
            .split_once(" of ")
            .and_then(|(least, all)| Some((least.trim().parse::<u32>().ok()?, all.trim().parse::<u32>().ok()?)));
        match numbers {
            Some((least, all)) if least >= 1 && least <= all => {
                Some(Self { rule: DownWhen::AtLeast(least), members: Some(all) })
            }
            Some((least, all)) => {
                let help = format!("`N of {all}` wants an N from 1 to {all}");
                let problem = Problem::error(node.span, format!("`{least} of {all}` can never be")).help(help);
                context.problems.push(problem);
                None
            }
            None => context.expected(DOWN_WHEN, node),
        }
    }

    fn show(&self) -> Node {
        match (self.rule, self.members) {
            (DownWhen::Any, _) => Node::text("any"),
            (DownWhen::All, _) => Node::text("all"),
            (DownWhen::AtLeast(least), members) => Node::text(format!("{least} of {}", members.unwrap_or(least))),
        }
    }
}
