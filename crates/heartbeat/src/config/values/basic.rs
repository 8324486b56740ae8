//! Text, numbers, words, lists and maps.

use std::collections::BTreeMap;

use crate::config::{Context, Node, Problem, Shape, Value};

impl Value for String {
    fn shape() -> Shape {
        Shape::Text { noun: "text", pattern: None }
    }

    fn decode(node: &Node, context: &mut Context<'_>) -> Option<Self> {
        context.text("text", node)
    }

    fn show(&self) -> Node {
        Node::text(self.as_str())
    }
}

impl Value for bool {
    fn shape() -> Shape {
        Shape::Bool
    }

    fn decode(node: &Node, context: &mut Context<'_>) -> Option<Self> {
        match &*context.word("`true` or `false`", node)? {
            "true" | "True" | "TRUE" => Some(true),
            "false" | "False" | "FALSE" => Some(false),
            other => {
                let found = node.describe();
                let mut problem = Problem::error(node.span, format!("expected `true` or `false`, found {found}"));
                let meant = match other.to_ascii_lowercase().as_str() {
                    "yes" | "on" | "1" => Some("true"),
                    "no" | "off" | "0" => Some("false"),
                    _ => None,
                };
                problem.help = meant.map(|meant| format!("did you mean `{meant}`?"));
                context.problems.push(problem);
                None
            }
        }
    }

    fn show(&self) -> Node {
        Node::text(if *self { "true" } else { "false" })
    }
}

macro_rules! whole_number {
    ($type:ty, $least:expr, $greatest:expr) => {
        impl Value for $type {
            fn shape() -> Shape {
                Shape::Integer { least: $least, greatest: $greatest }
            }

            fn decode(node: &Node, context: &mut Context<'_>) -> Option<Self> {
                let noun = concat!("a whole number from ", $least, " to ", $greatest);
                let text = context.word(noun, node)?;
                match text.parse::<Self>() {
                    Ok(number) => Some(number),
                    Err(_) => context.expected(noun, node),
                }
            }

            fn show(&self) -> Node {
                Node::text(self.to_string())
            }
        }
    };
}

whole_number!(u16, 0, 65535);
whole_number!(u32, 0, 4_294_967_295);

impl<T: Value> Value for Vec<T> {
    fn shape() -> Shape {
        Shape::List(Box::new(T::shape()))
    }

    fn decode(node: &Node, context: &mut Context<'_>) -> Option<Self> {
        let Some(items) = node.as_list() else { return context.expected("a list", node) };
        let decoded: Vec<_> = items.iter().map(|item| T::decode(item, context)).collect();
        decoded.into_iter().collect()
    }

    fn show(&self) -> Node {
        Node::list(self.iter().map(Value::show))
    }

    fn redact(written: &Node) -> Node {
        match written.as_list() {
            Some(items) => Node::list(items.iter().map(T::redact)).at(written.span),
            None => written.clone(),
        }
    }
}

impl<T: Value> Value for BTreeMap<String, T> {
    fn shape() -> Shape {
        Shape::Map(Box::new(T::shape()))
    }

    fn decode(node: &Node, context: &mut Context<'_>) -> Option<Self> {
        let Some(entries) = node.as_map() else { return context.expected("a map", node) };
        let decoded: Vec<_> =
            entries.iter().map(|(key, value)| Some((key.name.to_string(), T::decode(value, context)?))).collect();
        decoded.into_iter().collect()
    }

    fn show(&self) -> Node {
        Node::map(self.iter().map(|(key, value)| (key.as_str(), value.show())))
    }

    fn redact(written: &Node) -> Node {
        match written.as_map() {
            Some(entries) => Node {
                span: written.span,
                body: crate::config::node::Body::Map(
                    entries.iter().map(|(key, value)| (key.clone(), T::redact(value))).collect(),
                ),
            },
            None => written.clone(),
        }
    }
}

/// A number of things of which there must be one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Count(pub u32);

impl Value for Count {
    fn shape() -> Shape {
        Shape::Integer { least: 1, greatest: 4_294_967_295 }
    }

    fn decode(node: &Node, context: &mut Context<'_>) -> Option<Self> {
        let noun = "a whole number from 1 to 4294967295";
        match context.word(noun, node)?.parse() {
            Ok(number) if number > 0 => Some(Self(number)),
            _ => context.expected(noun, node),
        }
    }

    fn show(&self) -> Node {
        self.0.show()
    }
}
