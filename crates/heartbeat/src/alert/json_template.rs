//! JSON with names in its texts: `{"text": "$message"}`.
//!
//! It is parsed as JSON first and filled in afterwards, inside its strings: so no value can break out of one, and the result
//! is JSON whatever the values hold.

use heartbeat_core::template::Template;
use serde_json::{Map, Value as Json};

use crate::config::{Context, Node, Problem, Shape, Value};
use crate::message::Message;

/// A parsed body.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct JsonTemplate {
    source: String,
    root: Part,
}

#[derive(Clone, Debug, PartialEq)]
enum Part {
    /// A number, a truth value, null.
    Fixed(Json),
    Text(Template),
    List(Vec<Part>),
    Map(Vec<(String, Part)>),
}

impl JsonTemplate {
    /// Every text with names.
    pub(super) fn templates(&self) -> impl Iterator<Item = &Template> {
        let mut found = Vec::new();
        self.root.collect(&mut found);
        found.into_iter()
    }

    /// The body for a message.
    pub(super) fn fill(&self, message: &Message) -> Json {
        self.root.fill(message)
    }
}

impl Part {
    fn parse(json: Json) -> Result<Self, String> {
        Ok(match json {
            Json::String(text) => Self::Text(Template::parse(text).map_err(|malformed| malformed.to_string())?),
            Json::Array(items) => Self::List(items.into_iter().map(Self::parse).collect::<Result<_, _>>()?),
            Json::Object(entries) => Self::Map(
                entries
                    .into_iter()
                    .map(|(key, value)| Ok((key, Self::parse(value)?)))
                    .collect::<Result<_, String>>()?,
            ),
            fixed => Self::Fixed(fixed),
        })
    }

    fn collect<'a>(&'a self, found: &mut Vec<&'a Template>) {
        match self {
            Self::Fixed(_) => {}
            Self::Text(template) => found.push(template),
            Self::List(items) => items.iter().for_each(|item| item.collect(found)),
            Self::Map(entries) => entries.iter().for_each(|(_, value)| value.collect(found)),
        }
    }

    fn fill(&self, message: &Message) -> Json {
        match self {
            Self::Fixed(json) => json.clone(),
            Self::Text(template) => Json::String(message.fill(template)),
            Self::List(items) => items.iter().map(|item| item.fill(message)).collect(),
            Self::Map(entries) => Json::Object(
                entries.iter().map(|(key, value)| (key.clone(), value.fill(message))).collect::<Map<_, _>>(),
            ),
        }
    }
}

const NOUN: &str = "JSON in whose texts `$name` stands for a value";

impl Value for JsonTemplate {
    fn shape() -> Shape {
        Shape::Text { noun: NOUN, pattern: None }
    }

    fn decode(node: &Node, context: &mut Context<'_>) -> Option<Self> {
        let source = context.verbatim_text(NOUN, node)?;
        let parsed = serde_json::from_str(&source).map_err(|error| error.to_string()).and_then(Part::parse);
        match parsed {
            Ok(root) => Some(Self { source, root }),
            Err(wrong) => {
                let problem = Problem::error(node.span, format!("expected {NOUN}: {wrong}"))
                    .help("names stand inside quotes: '{\"text\": \"$message\"}'");
                context.problems.push(problem);
                None
            }
        }
    }

    fn show(&self) -> Node {
        Node::text(self.source.as_str())
    }
}
