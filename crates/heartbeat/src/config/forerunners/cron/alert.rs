//! Alerts become alerts: every one of them receives every message, whatever their number.

use super::shell;
use super::{Item, expected};
use crate::config::forerunners::build::{self, Ids, Map};
use crate::config::node::{Body, Node};
use crate::config::problem::did_you_mean;
use crate::config::{Problem, Problems, Span};

/// The types of alerts.
pub const TYPES: [&str; 3] = ["gmail", "twilio", "shell"];

/// The settings of an alert of that type. They have the names of the native keys.
pub fn settings(kind: &str) -> &'static [&'static str] {
    match kind {
        "gmail" => &["sent_from", "gmail_password", "to", "subject"],
        "twilio" => &["account_sid", "auth_token", "from_number", "to_number"],
        _ => &["command"],
    }
}

/// Native keys that say where a provider is, for those who try the file out. No file of old has them.
const ELSEWHERE: [&str; 2] = ["endpoint", "ca"];

/// The alerts, each named after its type.
pub(super) fn alerts(nodes: &[&Node], top: Span, problems: &mut Problems) -> Map {
    let mut alerts = Map::new(top);
    let mut ids = Ids::default();
    for node in nodes {
        let Some(item) = Item::read(node, "alert", &TYPES, problems) else { continue };
        alerts.put(ids.unused(item.kind), item.at, alert(&item, problems).finish());
    }
    alerts
}

fn alert(item: &Item<'_>, problems: &mut Problems) -> Map {
    let mut map = Map::new(item.at);
    map.word("type", item.at, item.kind);
    let known = settings(item.kind);
    for (key, node) in &item.settings {
        let name = &*key.name;
        let is_known = known.contains(&name) || item.kind != "shell" && ELSEWHERE.contains(&name);
        if !is_known {
            let message = format!("unknown key `{name}` in this {} alert: it means nothing", item.kind);
            let mut problem = Problem::warning(key.span, message);
            problem.help = did_you_mean(name, known.iter().copied());
            problems.push(problem);
            continue;
        }
        let value = match &node.body {
            Body::Scalar(scalar) if name == "command" => command(&scalar.text, node.span, problems),
            Body::Scalar(scalar) => build::plain(&scalar.text, node.span),
            Body::List(items) if name == "to" && items.iter().all(|item| item.as_text().is_some()) => {
                let texts = items.iter().filter_map(|item| Some(build::plain(item.as_text()?, item.span)));
                build::list(texts.collect(), node.span)
            }
            _ => {
                expected(&format!("text for `{name}`"), node, problems);
                continue;
            }
        };
        map.put(name, key.span, value);
    }
    if item.kind == "shell" {
        map.word("surroundings", item.at, "launcher");
    }
    map.word("limit", item.at, "none");
    map
}

/// A command to which the message comes as the variable `message`, with the quotes that this asks for.
fn command(text: &str, at: Span, problems: &mut Problems) -> Node {
    match shell::rewrite(text) {
        Ok(rewritten) => {
            for warning in rewritten.warnings {
                problems.push(Problem::warning(at, warning.message).help(warning.help));
            }
            build::verbatim(rewritten.command, at)
        }
        Err(reason) => {
            let problem = Problem::error(at, format!("`$message` cannot be put into this command safely: {reason}"));
            problems.push(problem.help("move the command to a script: it finds the message in the variable `message`"));
            build::verbatim(text, at)
        }
    }
}
