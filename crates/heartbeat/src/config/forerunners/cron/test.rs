//! Tests become checks.

use std::time::Duration;

use super::message::{self, Own};
use super::{Item, expected};
use crate::config::forerunners::build::{self, Ids, Map};
use crate::config::node::{Body, Key, Node};
use crate::config::problem::did_you_mean;
use crate::config::{Problem, Problems, Span};

/// The types of tests.
pub const TYPES: [&str; 3] = ["http", "tcp", "shell"];

/// The settings of a test of that type, besides those that all share.
pub fn settings(kind: &str) -> &'static [&'static str] {
    match kind {
        "http" => &["url", "headers", "timeout"],
        "tcp" => &["host", "port", "timeout"],
        _ => &["command", "timeout"],
    }
}

/// The settings that all tests share.
pub const COMMON: [&str; 5] = ["name", "down_message", "up_message", "ignore_fail_count", "alert_period_hours"];

const HOUR: Duration = Duration::from_secs(3600);

/// The checks that tests stand for, by their names.
pub(super) fn checks(tests: &[&Node], top: Span, problems: &mut Problems) -> Map {
    let mut checks = Map::new(top);
    let mut ids = Ids::default();
    for node in tests {
        let Some(item) = Item::read(node, "test", &TYPES, problems) else { continue };
        let target = Target::of(&item, problems);
        let given = item.text("name", problems).map(|(_, text, at)| (text, at)).filter(|(text, _)| !text.is_empty());
        let (name, at) = match (given, &target) {
            (Some((name, at)), _) => (name.to_owned(), at),
            (None, Some(target)) => (target.name.clone(), item.at),
            (None, None) => (item.kind.to_owned(), item.at),
        };
        let id = ids.unused(&name);
        let check = check(&item, &id, &name, at, target, problems);
        checks.put(id, at, check.finish());
    }
    checks
}

/// What a test probes.
struct Target {
    /// What it is called if nobody names it.
    name: String,
    key: &'static str,
    value: Node,
}

impl Target {
    fn of(item: &Item<'_>, problems: &mut Problems) -> Option<Self> {
        match item.kind {
            "http" => Self::http(item, problems),
            "tcp" => Self::tcp(item, problems),
            _ => Self::shell(item, problems),
        }
    }

    fn http(item: &Item<'_>, problems: &mut Problems) -> Option<Self> {
        let (url, at) = required(item, "url", "the URL to query", problems)?;
        let scheme = url.split_once("://").map(|(scheme, _)| scheme.to_ascii_lowercase());
        if !matches!(scheme.as_deref(), Some("http" | "https")) {
            let message = format!("expected a URL that begins with `http://` or `https://`, found `{url}`");
            problems.push(Problem::error(at, message));
            return None;
        }
        Some(Self { name: without_password(url), key: "url", value: build::plain(url, at) })
    }

    fn tcp(item: &Item<'_>, problems: &mut Problems) -> Option<Self> {
        let host = required(item, "host", "the host to connect to", problems);
        let port = required(item, "port", "the port to open", problems);
        let ((host, host_at), (port, port_at)) = (host?, port?);
        let mut wrong = |at, what: &str, found: &str| {
            problems.push(Problem::error(at, format!("expected {what}, found `{found}`")));
        };
        let authority = build::host(host);
        if authority.is_none() {
            wrong(host_at, "a host name or an address", host);
        }
        let number = build::port(port);
        if number.is_none() {
            wrong(port_at, "a port from 1 to 65535", port);
        }
        let (authority, number) = (authority?, number?);
        let value = build::plain(&format!("tcp://{authority}:{number}"), host_at);
        Some(Self { name: format!("{host}:{port}"), key: "url", value })
    }

    fn shell(item: &Item<'_>, problems: &mut Problems) -> Option<Self> {
        let (command, at) = required(item, "command", "the command to run", problems)?;
        Some(Self { name: command.to_owned(), key: "shell", value: build::verbatim(command, at) })
    }
}

/// A URL as a name: names are shown everywhere.
fn without_password(url: &str) -> String {
    let start = url.find("://").map_or(0, |scheme| scheme + "://".len());
    let end = url[start..].find(['/', '?', '#']).map_or(url.len(), |length| start + length);
    match url[start..end].rsplit_once('@') {
        Some((user, host)) => {
            let user = user.split(':').next().unwrap_or_default();
            format!("{}{user}@{host}{}", &url[..start], &url[end..])
        }
        None => url.to_owned(),
    }
}

/// A setting that must be there, and where its value stands.
fn required<'d>(item: &Item<'d>, name: &str, what: &str, problems: &mut Problems) -> Option<(&'d str, Span)> {
    if item.get(name).is_none() {
        let problem = Problem::error(item.at, format!("this {} test lacks `{name}`", item.kind));
        problems.push(problem.help(format!("add `{name}:`, {what}")));
        return None;
    }
    let (key, text, at) = item.text(name, problems)?;
    if text.trim().is_empty() {
        problems.push(Problem::error(key.span, format!("`{name}` is empty")));
        return None;
    }
    Some((text, at))
}

fn check(item: &Item<'_>, id: &str, name: &str, at: Span, target: Option<Target>, problems: &mut Problems) -> Map {
    let mut map = Map::new(item.at);
    if id != name {
        map.put("name", at, build::plain(name, at));
    }
    if let Some(target) = target {
        let span = target.value.span;
        map.put(target.key, span, target.value);
    }
    if item.kind == "http" {
        let mut expect = Map::new(item.at);
        expect.word("status", item.at, "200");
        map.put_filled("expect", expect);
        if let Some(headers) = item.get("headers") {
            put_headers(headers, &mut map, problems);
        }
    }
    if item.kind == "shell" {
        map.word("surroundings", item.at, "launcher");
    }
    put_policy(item, &mut map, problems);
    let own = own_values(item);
    for key in ["down_message", "up_message"] {
        if let Some((key, text, at)) = item.text(key, problems) {
            map.put(&*key.name, key.span, build::verbatim(message::translate(text, at, &own, problems), at));
        }
    }
    warn_of_unknown(item, problems);
    map
}

/// How the test is judged, as far as it differs from the defaults.
fn put_policy(item: &Item<'_>, map: &mut Map, problems: &mut Problems) {
    let mut wrong = |at, what: &str, found: &str| {
        problems.push(Problem::error(at, format!("expected {what}, found `{found}`")));
    };
    if let Some((key, node)) = item.get("timeout") {
        match node.as_text().and_then(|text| build::time(text, 1.0)).filter(|timeout| !timeout.is_zero()) {
            Some(timeout) => map.put("timeout", key.span, build::span_of(timeout, node.span)),
            None => wrong(node.span, "a number of seconds above 0", node.as_text().unwrap_or("no number")),
        }
    }
    if let Some((key, node)) = item.get("ignore_fail_count") {
        match node.as_text().and_then(|text| text.trim().parse::<u32>().ok()).and_then(|n| n.checked_add(1)) {
            Some(fall) => map.word_at("fall", key.span, fall.to_string(), node.span),
            None => wrong(node.span, "a whole number from 0", node.as_text().unwrap_or("no number")),
        }
    }
    if let Some((key, node)) = item.get("alert_period_hours") {
        let text = node.as_text().unwrap_or("no number");
        match build::time(text, HOUR.as_secs_f64()) {
            _ if matches!(text, ".inf" | "+.inf" | ".Inf" | ".INF") => {
                map.word_at("remind", key.span, "never", node.span);
            }
            Some(HOUR) => {}
            Some(period) => map.put("remind", key.span, build::span_of(period, node.span)),
            None => wrong(node.span, "a number of hours", text),
        }
    }
}

/// Headers as the native key takes them. One without a value was not sent.
fn put_headers((key, node): (&Key, &Node), map: &mut Map, problems: &mut Problems) {
    let Some(entries) = node.as_map() else { return expected("a map of headers", node, problems) };
    let mut headers = Map::new(node.span);
    for (name, value) in entries {
        match &value.body {
            Body::Scalar(scalar) => headers.put(name.name.clone(), name.span, build::plain(&scalar.text, value.span)),
            Body::Null => {}
            _ => expected("the value of a header", value, problems),
        }
    }
    map.put("headers", key.span, headers.finish());
}

/// What the messages of a test may name, besides what the native file knows.
fn own_values<'d>(item: &Item<'d>) -> Own<'d> {
    let mut own = Own::default();
    for (name, default) in [("ignore_fail_count", "0"), ("alert_period_hours", "1.0"), ("timeout", "10")] {
        own.set(name, default);
    }
    for (key, node) in &item.settings {
        match node.as_text() {
            Some(text) => own.set(&key.name, text),
            None => own.hide(&key.name),
        }
    }
    // The native file has these two itself, and there the URL comes without its password.
    own.native("name");
    if item.kind == "http" {
        own.native("url");
    }
    own
}

fn warn_of_unknown(item: &Item<'_>, problems: &mut Problems) {
    let known = || COMMON.iter().chain(settings(item.kind)).copied();
    for (key, node) in item.settings.iter().filter(|(key, _)| !known().any(|name| name == &*key.name)) {
        let consequence = match node.as_text() {
            Some(_) => "it only serves as a value for the test's messages",
            None => "it means nothing",
        };
        let message = format!("unknown key `{}` in this {} test: {consequence}", key.name, item.kind);
        let mut problem = Problem::warning(key.span, message);
        problem.help = did_you_mean(&key.name, known());
        problems.push(problem);
    }
}
