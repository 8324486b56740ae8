//! What an answer must look like, compiled when it is decoded.

use std::collections::BTreeMap;
use std::fmt;

use heartbeat_core::outcome::Fault;
use http::{HeaderMap, HeaderName, StatusCode};
use regex::bytes::Regex;
use serde_json_path::JsonPath;

use crate::config::node::Body as NodeBody;
use crate::config::values::Pattern;
use crate::config::{Context, FieldDoc, Fields, Node, Shape, Value};
use crate::probe::Failure;

/// The section `expect` as far as it concerns the answer itself.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Rules {
    /// The statuses that pass; none: 2xx.
    pub(super) status: Statuses,
    /// By name.
    pub(super) headers: Vec<(HeaderName, HeaderRule)>,
    /// What the body must hold.
    pub(super) body: BodyRules,
}

impl Rules {
    /// Reads the keys.
    pub(super) fn read(fields: &mut Fields<'_, '_, '_>) -> Option<Self> {
        let status = fields.or("status", "The statuses that pass, after redirects.", Statuses::default());
        let headers: Option<BTreeMap<String, HeaderRule>> =
            fields.optional("headers", "Headers of the answer: their exact value, or `contains`, `matches`, `absent`.");
        let body = fields.section("body", "What the body must hold; all of it.", BodyRules::read)?;
        let mut named = Vec::new();
        for (name, rule) in headers.unwrap_or_default() {
            match HeaderName::try_from(name.as_str()) {
                Ok(header) => named.push((header, rule)),
                Err(_) => fields.error("headers", format!("`{name}` cannot be the name of a header")),
            }
        }
        Some(Self { status, headers: named, body })
    }

    /// Whether a header of that name is judged, however its letters are written.
    pub(super) fn looks_at(&self, name: &str) -> bool {
        self.headers.iter().any(|(judged, _)| judged == name)
    }

    /// Judges status and headers.
    pub(super) fn judge_head(&self, status: StatusCode, headers: &HeaderMap) -> Result<(), Failure> {
        if !self.status.holds(status) {
            return Err(Failure::new(Fault::Status, format!("status {}, expected {}", status.as_u16(), self.status)));
        }
        self.headers.iter().try_for_each(|(name, rule)| rule.judge(name, headers))
    }
}

/// Some statuses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Statuses(Vec<Range>);

/// Statuses from one to another, both included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Range(u16, u16);

impl Default for Statuses {
    fn default() -> Self {
        Self(vec![Range(200, 299)])
    }
}

impl Statuses {
    /// Whether a status is one of them.
    pub(super) fn holds(&self, status: StatusCode) -> bool {
        self.0.iter().any(|range| (range.0..=range.1).contains(&status.as_u16()))
    }
}

impl Range {
    fn parse(text: &str) -> Option<Self> {
        let number = |text: &str| text.parse::<u16>().ok().filter(|number| (100..=599).contains(number));
        if let Some(class) = text.strip_suffix("xx") {
            let class = class.parse::<u16>().ok().filter(|class| (1..=5).contains(class))?;
            return Some(Self(class * 100, class * 100 + 99));
        }
        let (from, to) = text.split_once('-').unwrap_or((text, text));
        let (from, to) = (number(from.trim())?, number(to.trim())?);
        (from <= to).then_some(Self(from, to))
    }
}

impl fmt::Display for Range {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self(from, to) if from == to => write!(f, "{from}"),
            Self(from, to) if from.is_multiple_of(100) && to == from + 99 => write!(f, "{}xx", from / 100),
            Self(from, to) => write!(f, "{from}-{to}"),
        }
    }
}

impl fmt::Display for Statuses {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, range) in self.0.iter().enumerate() {
            write!(f, "{}{range}", if index == 0 { "" } else { " or " })?;
        }
        Ok(())
    }
}

impl Value for Statuses {
    fn shape() -> Shape {
        let one = Shape::Text {
            noun: "a status, a class or a range",
            pattern: Some("^([1-5]xx|[1-5][0-9]{2}(-[1-5][0-9]{2})?)$"),
        };
        let number = Shape::Integer { least: 100, greatest: 599 };
        let either = Shape::Either(vec![one, number]);
        Shape::Either(vec![either.clone(), Shape::List(Box::new(either))])
    }

    fn decode(node: &Node, context: &mut Context<'_>) -> Option<Self> {
        let noun = "a status such as `200`, `2xx` or `200-299`, or a list of them";
        let items = node.as_list().unwrap_or(std::slice::from_ref(node));
        if items.is_empty() {
            return context.expected(noun, node);
        }
        let ranges: Vec<_> = items
            .iter()
            .map(|item| {
                let text = context.text(noun, item)?;
                match Range::parse(&text) {
                    Some(range) => Some(range),
                    None => context.expected(noun, item),
                }
            })
            .collect();
        ranges.into_iter().collect::<Option<_>>().map(Self)
    }

    fn show(&self) -> Node {
        match self.0.as_slice() {
            [one] => Node::text(one.to_string()),
            several => Node::list(several.iter().map(|range| Node::text(range.to_string()))),
        }
    }
}

/// What a header must be.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum HeaderRule {
    /// One of its values is just this.
    Is(String),
    /// One of its values holds this.
    Contains(String),
    /// One of its values matches.
    Matches(Pattern),
    /// It is not there.
    Absent,
}

impl HeaderRule {
    fn judge(&self, name: &HeaderName, headers: &HeaderMap) -> Result<(), Failure> {
        let values: Vec<_> = headers
            .get_all(name)
            .iter()
            .map(|value| String::from_utf8_lossy(value.as_bytes()).trim().to_owned())
            .collect();
        let (holds, expected) = match self {
            Self::Is(text) => (values.contains(text), format!("expected `{text}`")),
            Self::Contains(text) => (
                values.iter().any(|value| value.contains(text.as_str())),
                format!("expected one that contains `{text}`"),
            ),
            Self::Matches(pattern) => {
                let matches = values.iter().any(|value| pattern.0.is_match(value));
                (matches, format!("expected one that matches `{}`", pattern.0))
            }
            Self::Absent => (values.is_empty(), "expected none".to_owned()),
        };
        if holds {
            return Ok(());
        }
        let found = match values.first() {
            None => "is not there".to_owned(),
            Some(value) => format!("is `{}`", super::clip(value)),
        };
        Err(Failure::new(Fault::Header, format!("the header {name} {found}, {expected}")))
    }
}

const HEADER: &str = "text, `{ contains: … }`, `{ matches: … }` or `{ absent: true }`";

impl Value for HeaderRule {
    fn shape() -> Shape {
        let only = |key, doc, shape| Shape::Section(vec![FieldDoc { key, doc, shape, required: true, default: None }]);
        Shape::Either(vec![
            Shape::Text { noun: "the whole value", pattern: None },
            only("contains", "What the value must hold.", String::shape()),
            only("matches", "What the value must match.", Pattern::shape()),
            only("absent", "Whether the header must not be there.", bool::shape()),
        ])
    }

    fn decode(node: &Node, context: &mut Context<'_>) -> Option<Self> {
        match &node.body {
            NodeBody::Scalar(_) => context.text(HEADER, node).map(Self::Is),
            NodeBody::Map(entries) => match entries.as_slice() {
                [(key, value)] => match &*key.name {
                    "contains" => context.text("text", value).map(Self::Contains),
                    "matches" => Pattern::decode(value, context).map(Self::Matches),
                    "absent" => match bool::decode(value, context)? {
                        true => Some(Self::Absent),
                        false => context.expected("`true`", value),
                    },
                    _ => context.expected(HEADER, node),
                },
                _ => context.expected(HEADER, node),
            },
            _ => context.expected(HEADER, node),
        }
    }

    fn show(&self) -> Node {
        match self {
            Self::Is(text) => Node::text(text.as_str()),
            Self::Contains(text) => Node::map([("contains", Node::text(text.as_str()))]),
            Self::Matches(pattern) => Node::map([("matches", pattern.show())]),
            Self::Absent => Node::map([("absent", true.show())]),
        }
    }
}

/// What a body must hold.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct BodyRules {
    /// Texts, looked for while the body passes by.
    pub(super) contains: Vec<Needle>,
    /// Patterns, looked for in what was kept.
    pub(super) matches: Vec<Pattern>,
    /// Values in the JSON that the body is.
    pub(super) json: Vec<(JsonPath, Wanted)>,
}

impl BodyRules {
    fn read(fields: &mut Fields<'_, '_, '_>) -> Option<Self> {
        let contains: Option<Few<String>> = fields.optional("contains", "Text that it must hold; or several.");
        let matches: Option<Few<Pattern>> =
            fields.optional("matches", "A regular expression that must match; or several.");
        let json: Option<BTreeMap<String, Wanted>> = fields.optional(
            "json",
            "Values by their JSONPath (RFC 9535). Where a path leads to several, each must be equal.",
        );
        let mut paths = Vec::new();
        for (path, wanted) in json.unwrap_or_default() {
            match JsonPath::parse(&path) {
                Ok(path) => paths.push((path, wanted)),
                Err(error) => {
                    fields.error("json", format!("`{path}` is not a JSONPath (RFC 9535): {}", error.message()));
                }
            }
        }
        Some(Self {
            contains: contains.unwrap_or_default().0.into_iter().map(Needle::new).collect(),
            matches: matches.unwrap_or_default().0,
            json: paths,
        })
    }

    /// Whether the body matters at all.
    pub(super) fn is_empty(&self) -> bool {
        self.contains.is_empty() && !self.keeps()
    }

    /// Whether the body must be kept to be judged.
    pub(super) fn keeps(&self) -> bool {
        !(self.matches.is_empty() && self.json.is_empty())
    }
}

/// A text that is looked for in bytes.
#[derive(Clone, Debug)]
pub(super) struct Needle {
    /// The text.
    pub(super) text: String,
    finder: Regex,
}

impl PartialEq for Needle {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Needle {
    fn new(text: String) -> Self {
        // A literal is found by the fastest search that the engine has, and never too big for it.
        let finder =
            Regex::new(&format!("(?-u:{})", escape(text.as_bytes()))).expect("a literal is a regular expression");
        Self { text, finder }
    }

    /// Whether it is in there.
    pub(super) fn is_in(&self, bytes: &[u8]) -> bool {
        self.finder.is_match(bytes)
    }
}

fn escape(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("\\x{byte:02x}")).collect()
}

/// One value or a list of them.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Few<T>(pub Vec<T>);

impl<T> Default for Few<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T: Value> Value for Few<T> {
    fn shape() -> Shape {
        Shape::Either(vec![T::shape(), Shape::List(Box::new(T::shape()))])
    }

    fn decode(node: &Node, context: &mut Context<'_>) -> Option<Self> {
        match node.as_list() {
            Some(_) => Vec::decode(node, context).map(Self),
            None => T::decode(node, context).map(|one| Self(vec![one])),
        }
    }

    fn show(&self) -> Node {
        match self.0.as_slice() {
            [one] => one.show(),
            several => Node::list(several.iter().map(Value::show)),
        }
    }
}

/// What a JSON value must be: text, a number, `true`, `false` or `null`, all written as they are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Wanted(String);

impl Wanted {
    /// Whether a value of the document is equal: a text letter by letter, a number by its value.
    pub(super) fn is(&self, value: &serde_json::Value) -> bool {
        use serde_json::Value as Json;
        match value {
            Json::Null => self.0 == "null",
            Json::Bool(value) => self.0 == if *value { "true" } else { "false" },
            Json::String(text) => *text == self.0,
            Json::Number(number) => {
                number.to_string() == self.0 || self.0.parse().is_ok_and(|wanted: f64| number.as_f64() == Some(wanted))
            }
            Json::Array(_) | Json::Object(_) => false,
        }
    }
}

impl fmt::Display for Wanted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Value for Wanted {
    fn shape() -> Shape {
        Shape::Either(vec![String::shape(), Shape::Number, Shape::Bool])
    }

    fn decode(node: &Node, context: &mut Context<'_>) -> Option<Self> {
        match node.body {
            NodeBody::Null => Some(Self("null".to_owned())),
            _ => context.text("text, a number, `true`, `false` or `null`", node).map(Self),
        }
    }

    fn show(&self) -> Node {
        Node::text(self.0.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses_are_written_in_three_ways() {
        for (text, inside, outside) in
            [("200", 200, 201), ("2xx", 299, 300), ("200-204", 204, 205), ("301 - 308", 301, 300)]
        {
            let statuses = Statuses(vec![Range::parse(text).expect("a range")]);
            let holds = |number| statuses.holds(StatusCode::from_u16(number).expect("a status"));
            assert!(holds(inside) && !holds(outside), "{text}");
        }
        for text in ["", "20", "600", "6xx", "204-200", "2xx-3xx", "ok"] {
            assert_eq!(Range::parse(text), None, "{text}");
        }
        assert_eq!(
            Statuses(vec![Range(200, 299), Range(301, 301), Range(400, 404)]).to_string(),
            "2xx or 301 or 400-404"
        );
    }

    #[test]
    fn json_values_are_compared_by_what_they_are() {
        let is = |wanted: &str, json: serde_json::Value| Wanted(wanted.to_owned()).is(&json);
        assert!(is("ok", "ok".into()) && !is("ok", "OK".into()));
        assert!(is("1", 1.into()) && is("1.0", 1.into()) && is("1", 1.0.into()) && is("1", "1".into()));
        assert!(is("9007199254740993", 9_007_199_254_740_993_u64.into()));
        assert!(is("true", true.into()) && !is("true", false.into()) && !is("1", true.into()));
        assert!(is("null", serde_json::Value::Null) && !is("", serde_json::Value::Null));
        assert!(!is("[]", serde_json::json!([])));
    }

    #[test]
    fn a_needle_is_nothing_but_its_text() {
        let needle = Needle::new("a.b*[ü".to_owned());
        assert!(needle.is_in("xx a.b*[ü".as_bytes()));
        assert!(!needle.is_in("axb*[ü".as_bytes()));
    }
}
