//! Checks that somebody has to write anew. Until then they fail: what was checked must not pass unseen.

use super::python::{Dict, Expr, Value};
use super::settings::Settings;
use crate::config::forerunners::build::{self, Map};
use crate::config::node::Node;
use crate::config::{Span, write};

/// So many values of a class's parameters are shown.
const MOST_VALUES: usize = 200;

/// A check that fails, and what its author should know.
pub(super) struct Skeleton {
    pub(super) map: Map,
    /// Lines to stand above it.
    pub(super) remarks: Vec<String>,
}

/// A check that could not be converted, and `why`, on one line.
pub(super) fn skeleton(settings: &mut Settings<'_>, at: Span, why: &str, parameters: Option<&Dict>) -> Skeleton {
    let mut remarks = vec![format!("To be written anew: {why}."), "Until then this check fails.".to_owned()];
    let parameters = parameters.map(|dict| plain_parameters(settings, dict, at)).unwrap_or_default();
    if !parameters.is_empty() {
        remarks.push("It had these parameters:".to_owned());
        remarks.extend(indented(&map_of(&parameters, at)));
    }
    if let Some((_, url)) = parameters.iter().find(|(name, _)| name == "url") {
        remarks.push("If what it asked answers in JSON over HTTP, this may be all, in place of `shell`:".to_owned());
        let mut expect = Map::new(at);
        let mut body = Map::new(at);
        let mut json = Map::new(at);
        json.word("$.status", at, "ok");
        body.put_filled("json", json);
        expect.put_filled("body", body);
        let mut check = Map::new(at);
        check.put("url", at, url.clone());
        check.put_filled("expect", expect);
        remarks.extend(indented(&check.finish()));
    }
    let mut map = Map::new(at);
    let command = format!("echo {} >&2; exit 1", shell_words::quote(&format!("to be written anew: {why}")));
    map.put("shell", at, build::verbatim(command, at));
    Skeleton { map, remarks }
}

/// The parameters of a class, without what all classes have.
fn plain_parameters(settings: &mut Settings<'_>, dict: &Dict, at: Span) -> Vec<(String, Node)> {
    let mut left = MOST_VALUES;
    let mut parameters = entries(settings, dict, at, &mut left);
    parameters.retain(|(name, _)| !matches!(&**name, "class" | "actions"));
    parameters
}

fn entries(settings: &mut Settings<'_>, dict: &Dict, at: Span, left: &mut usize) -> Vec<(String, Node)> {
    let named = dict.entries.iter().filter_map(|(key, value)| Some((key.as_plain()?, value))).take(*left);
    named.map(|(name, value)| (name.to_owned(), node(settings, value, at, left))).collect()
}

/// A value as it would stand in a native file. What names repeat in it without end is cut off.
fn node(settings: &mut Settings<'_>, value: &Expr, at: Span, left: &mut usize) -> Node {
    *left = left.saturating_sub(1);
    match &value.value {
        Value::None => Node::null(at),
        Value::Bool(yes) => Node::text(yes.to_string()),
        Value::Number(number) => Node::text(&**number),
        Value::Text(text) => {
            settings.tell_names(text, value.at);
            Node::text(text.native())
        }
        Value::List(list) => {
            let items = list.items.iter().take(*left);
            Node::list(items.map(|item| node(settings, item, at, left)).collect::<Vec<_>>())
        }
        Value::Dict(dict) => map_of(&entries(settings, dict, at, left), at),
        Value::Unknown(noun) => {
            let message = format!("expected a literal, found {noun}");
            settings.warn(value.at, message, "write what it comes to into the converted file");
            Node::text(format!("({noun})"))
        }
    }
}

fn map_of(entries: &[(String, Node)], at: Span) -> Node {
    let mut map = Map::new(at);
    for (name, value) in entries {
        map.put(name.as_str(), at, value.clone());
    }
    map.finish()
}

fn indented(node: &Node) -> Vec<String> {
    write::write(node).lines().map(|line| format!("  {line}")).collect()
}
