//! The YAML cron utility's file: tests, and alerts that are told of every change.
//!
//! A document is a map with `tests` and `alerts` or a list of such maps. An item names its type by a key, with the settings
//! as that key's siblings (`- http:` and `name:` in one column, as the README writes it) or nested below it. Values
//! stay as written: a telephone number keeps its `+`.

mod alert;
mod message;
mod shell;
mod test;

use super::build::{self, Map};
use crate::config::node::{Body, Key, Node};
use crate::config::problem::did_you_mean;
use crate::config::{Problem, Problems, Span};

pub use alert::{TYPES as ALERTS, settings as alert_settings};
pub use test::{COMMON, TYPES as TESTS, settings as test_settings};

/// Where the utility kept its state: beside its configuration.
const STATE_FILE: &str = ".heartbeat.state.json";

/// Whether a document is the cron utility's: it has a top-level `tests`.
pub fn recognise(document: &Node) -> bool {
    match &document.body {
        Body::List(items) => items.iter().any(|item| item.entry("tests").is_some()),
        _ => document.entry("tests").is_some(),
    }
}

/// Translates a document into a native tree; what is wrong with it is in `problems` then.
pub fn translate(document: &Node, problems: &mut Problems) -> Node {
    let top = document.span;
    let sections = Sections::of(document, problems);
    let mut native = Map::new(top);
    native.put("defaults", top, defaults(top));
    native.put_filled("checks", test::checks(&sections.tests, top, problems));
    if !sections.says_alerts {
        let problem = Problem::warning(top, "nobody is told: there are no alerts").help("add `alerts:`");
        problems.push(problem);
    }
    if sections.alerts.is_empty() {
        native.put("alerts", top, build::list(Vec::new(), top));
    }
    native.put_filled("alerts", alert::alerts(&sections.alerts, top, problems));
    native.word("storage", top, format!("file:{STATE_FILE}"));
    native.finish()
}

/// What holds for every test: the utility came by each minute, and one pass was enough.
fn defaults(top: Span) -> Node {
    let mut map = Map::new(top);
    map.word("interval", top, "1m");
    map.word("fast_interval", top, "1m");
    map.word("timeout", top, "10s");
    map.word("fall", top, "1");
    map.word("rise", top, "1");
    map.word("remind", top, "1h");
    map.put("down_message", top, build::verbatim("$name is down", top));
    map.put("up_message", top, build::verbatim("$name is up", top));
    let mut messages = Map::new(top);
    messages.word("times", top, "short");
    messages.word("states", top, "passing");
    map.put_filled("messages", messages);
    map.finish()
}

/// The items of a document, from all its parts.
#[derive(Default)]
struct Sections<'d> {
    tests: Vec<&'d Node>,
    alerts: Vec<&'d Node>,
    says_alerts: bool,
}

impl<'d> Sections<'d> {
    fn of(document: &'d Node, problems: &mut Problems) -> Self {
        let mut sections = Self::default();
        match &document.body {
            Body::Map(entries) => sections.take(entries, problems),
            Body::List(parts) => {
                for part in parts {
                    match part.as_map() {
                        Some(entries) => sections.take(entries, problems),
                        None => expected("`tests:` or `alerts:`", part, problems),
                    }
                }
            }
            _ => expected("`tests:` and `alerts:`", document, problems),
        }
        if let Some(tests) = Self::place(document, "tests")
            && let Some(checks) = Self::place(document, "checks")
        {
            let message = "`tests` and `checks` stand in one file: the first is the cron utility's, the second is ours";
            problems.push(Problem::error(checks, message).also(tests, "`tests` is here"));
        }
        sections
    }

    fn take(&mut self, entries: &'d [(Key, Node)], problems: &mut Problems) {
        for (key, node) in entries {
            let list = match &*key.name {
                "tests" => &mut self.tests,
                "alerts" => {
                    self.says_alerts = true;
                    &mut self.alerts
                }
                "checks" => continue,
                name => {
                    let mut problem =
                        Problem::warning(key.span, format!("unknown key `{name}`: it means nothing in this file"));
                    problem.help = did_you_mean(name, ["tests", "alerts"]).or_else(|| {
                        Some("`heartbeat config convert` makes a native file, which knows more keys".to_owned())
                    });
                    problems.push(problem);
                    continue;
                }
            };
            match &node.body {
                Body::List(items) => list.extend(items),
                Body::Null => {}
                _ => expected(&format!("a list for `{}`", key.name), node, problems),
            }
        }
    }

    /// Where a top-level key stands.
    fn place(document: &Node, name: &str) -> Option<Span> {
        let mut parts = document.as_list().unwrap_or(std::slice::from_ref(document)).iter();
        parts.find_map(|part| part.entry(name)).map(|(key, _)| key.span)
    }
}

/// An item of a list: its type, and its settings without the empty ones.
struct Item<'d> {
    kind: &'static str,
    at: Span,
    settings: Vec<(&'d Key, &'d Node)>,
}

impl<'d> Item<'d> {
    /// Reads an item of any shape; `noun` is `test` or `alert`. `None` has been reported.
    fn read(node: &'d Node, noun: &str, types: &[&'static str], problems: &mut Problems) -> Option<Self> {
        let Some(entries) = node.as_map() else {
            let mut problem = Problem::error(node.span, format!("expected a {noun}, found {}", node.describe()));
            problem.help = Some(format!("begin it with its type: {}", known(types)));
            problems.push(problem);
            return None;
        };
        let mut typed = entries.iter().filter_map(|(key, value)| {
            let kind = types.iter().find(|kind| **kind == &*key.name)?;
            Some((*kind, key, value))
        });
        let Some((kind, at, nested)) = typed.next() else {
            problems.push(unknown_type(node, entries, noun, types));
            return None;
        };
        if let Some((second, key, _)) = typed.next() {
            let message = format!("a {noun} has one type, and this one is both `{kind}` and `{second}`");
            problems
                .push(Problem::error(key.span, message).also(at.span, "the other one").help("begin a new item: `-`"));
            return None;
        }
        let nested = match &nested.body {
            Body::Map(nested) => nested.as_slice(),
            Body::Null => &[],
            _ => {
                let message = format!("expected the settings of the {noun}, found {}", nested.describe());
                problems.push(Problem::error(nested.span, message).help(format!("write `{kind}:` alone on its line")));
                return None;
            }
        };
        let mut settings: Vec<(&Key, &Node)> = Vec::new();
        let siblings = entries.iter().filter(|(key, _)| *key.name != *kind);
        for (key, value) in nested.iter().chain(siblings) {
            match settings.iter().find(|(known, _)| known.name == key.name) {
                Some((first, _)) => problems.push(
                    Problem::error(key.span, format!("`{}` stands twice in one {noun}", key.name))
                        .also(first.span, "the other one"),
                ),
                None => settings.push((key, value)),
            }
        }
        settings.retain(|(_, value)| !value.is_null());
        Some(Self { kind, at: at.span, settings })
    }

    /// A setting, whatever its form.
    fn get(&self, name: &str) -> Option<(&'d Key, &'d Node)> {
        self.settings.iter().find(|(key, _)| &*key.name == name).copied()
    }

    /// The text of a setting. `None` if it is absent; if it is no text, that has been reported.
    fn text(&self, name: &str, problems: &mut Problems) -> Option<(&'d Key, &'d str, Span)> {
        let (key, node) = self.get(name)?;
        match node.as_text() {
            Some(text) => Some((key, text, node.span)),
            None => {
                expected(&format!("text for `{name}`"), node, problems);
                None
            }
        }
    }
}

/// An item without a known type: the key that was probably meant to be one.
fn unknown_type(node: &Node, entries: &[(Key, Node)], noun: &str, types: &[&str]) -> Problem {
    let Some((key, _)) = entries.iter().find(|(_, value)| value.is_null()).or(entries.first()) else {
        return Problem::error(node.span, format!("this {noun} is empty"));
    };
    let mut problem = Problem::error(key.span, format!("there is no type of {noun} named `{}`", key.name));
    problem.help =
        did_you_mean(&key.name, types.iter().copied()).or_else(|| Some(format!("known are {}", known(types))));
    problem
}

fn known(types: &[&str]) -> String {
    types.iter().map(|kind| format!("`{kind}:`")).collect::<Vec<_>>().join(", ")
}

fn expected(what: &str, node: &Node, problems: &mut Problems) {
    problems.push(Problem::error(node.span, format!("expected {what}, found {}", node.describe())));
}
