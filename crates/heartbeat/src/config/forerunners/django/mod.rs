//! The Django app's settings: what `HEARTBEAT = {…}` checked, as checks and a responder.
//!
//! A settings file is a program, so that it can be converted and never run as it stands: literals are read
//! ([`python`]), what only running them would tell becomes a variable of the environment, and every such place is told.
//! Nothing is lost on the way: a check that cannot be converted becomes one that fails until somebody writes it anew.
//!
//! The app checked at every poll, took one failure for the truth and answered at `/heartbeat/status/`; the defaults and
//! the responder here are that. One thing is different on purpose: its mail went out at every failing poll, ours at
//! transitions.

mod cache;
mod checks;
mod database;
mod location;
mod mail;
pub mod python;
mod settings;
mod skeleton;
#[cfg(test)]
mod tests;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use self::checks::{Actions, Draft, Entries, Flag};
use self::python::{Module, Text};
use self::settings::Settings;
use super::build::{self, Map};
use crate::config::node::Node;
use crate::config::write::Remarks;
use crate::config::{Problem, Problems, Span};

/// Where the responder listens unless somebody says otherwise.
const LISTEN: &str = "127.0.0.1:8811";

/// What the app could run within a poll is a hundredth of it.
const MOST_CHECKS: usize = 1000;

/// A native tree, and what its reader should know.
#[derive(Debug)]
pub struct Converted {
    /// The tree.
    pub node: Node,
    /// Comments, by the path of keys that they stand above.
    pub remarks: Remarks,
}

/// Whether a file is one of Python's, by its name, or the settings that hold `HEARTBEAT`, by its text.
pub fn recognise(name: &str, text: &str) -> bool {
    let assigns = |line: &str| {
        let value = line.strip_prefix("HEARTBEAT").and_then(|rest| rest.trim_start().strip_prefix('='));
        value.is_some_and(|value| ["{", "dict(", "\\"].iter().any(|start| value.trim_start().starts_with(start)))
    };
    name.ends_with(".py") || text.lines().any(assigns)
}

/// Converts a file; what of it has no equivalent is in `problems`, and so is why it is `None`.
pub fn convert(source: u16, text: &str, problems: &mut Problems) -> Option<Converted> {
    let module = match Module::read(source, text) {
        Ok(module) => module,
        Err(problem) => {
            problems.push(problem);
            return None;
        }
    };
    let top = Span { source, line: 1, column: 1 };
    let Some(heartbeat) = module.get("HEARTBEAT") else {
        let problem = Problem::error(Span { line: 0, ..top }, "there is no `HEARTBEAT = {…}` in this file");
        problems.push(match module.changes("HEARTBEAT").first() {
            Some((_, change)) => problem
                .also(change.at, format!("it is {} here", change.what))
                .help("what stands in a block or another file is not taken: convert a file that assigns it"),
            None => problem.help("convert the file of the settings that assigns it"),
        });
        return None;
    };
    let Some(entries) = heartbeat.as_dict() else {
        let message = format!("expected a dictionary for HEARTBEAT, found {}", heartbeat.describe());
        problems.push(Problem::error(heartbeat.at, message));
        return None;
    };
    if entries.entries.len() > MOST_CHECKS {
        let message = format!("expected at most {MOST_CHECKS} checks, found {}", entries.entries.len());
        problems.push(Problem::error(heartbeat.at, message));
        return None;
    }
    for sweep in &module.sweeps {
        let problem = Problem::warning(sweep.at, format!("{}: what it does to the settings is not taken", sweep.what));
        problems.push(problem.help("compare the converted file with what Django has"));
    }
    let mut settings = Settings::new(&module, problems);
    settings.get("HEARTBEAT");
    let entries = Entries::read(entries, &mut settings);
    Some(document(entries, heartbeat.at, &mut settings))
}

fn document(entries: Entries, at: Span, settings: &mut Settings<'_>) -> Converted {
    let Entries { flag, checks, .. } = entries;
    let mut all = flag.iter().map(|flag| flag.actions).chain(checks.iter().map(|check| check.actions));
    let admins = all.find_map(|actions| actions.mail).and_then(|asked| mail::alert(asked, settings));
    let mut remarks = Remarks::default();
    let mut document = Map::new(at);
    document.put_filled("defaults", defaults(at));
    let mut map = Map::new(at);
    for Draft { id, at, map: mut check, actions, remarks: lines } in checks {
        put_actions(&mut check, at, actions, admins.is_some());
        remarks.add(&["checks", &id], lines);
        map.put(id, at, check.finish());
    }
    document.put_filled("checks", map);
    let has_admins = admins.is_some();
    let alerts = match admins {
        Some(admins) => {
            let mut map = Map::new(at);
            map.put(mail::ID, admins.span, admins);
            map.finish()
        }
        None => build::list(Vec::new(), at),
    };
    document.put("alerts", at, alerts);
    let mut responder = Map::new(at);
    responder.word("listen", at, LISTEN);
    match flag {
        Some(Flag { at, file, actions }) => {
            let mut map = Map::new(at);
            map.put("file", file.span, file);
            put_actions(&mut map, at, actions, has_admins);
            responder.put_filled("flag", map);
        }
        None => settings.warn(at, "there is no flag: `heartbeat down` and `up` need one", "add `flag` to `responder`"),
    }
    remarks.add(
        &["responder"],
        [
            "/heartbeat/status/ is answered here now, and not by Django: let load balancers ask this port (of HAProxy,",
            "`check port 8811` and an address that it reaches), or the web server pass that path on.",
        ]
        .map(str::to_owned)
        .into(),
    );
    document.put_filled("responder", responder);
    Converted { node: document.finish(), remarks }
}

/// What holds for all checks: those who poll see what was so a few seconds ago at most, and one failure is enough.
fn defaults(at: Span) -> Map {
    let mut map = Map::new(at);
    map.word("interval", at, "5s");
    map.word("timeout", at, "5s");
    map.word("fall", at, "1");
    map.word("rise", at, "1");
    map
}

fn put_actions(map: &mut Map, at: Span, actions: Actions, has_admins: bool) {
    map.word("takedown", at, if actions.takedown { "true" } else { "false" });
    let told = actions.mail.filter(|_| has_admins).map(|at| Node::text(mail::ID).at(at));
    map.put("alerts", at, build::list(told.into_iter().collect(), at));
}

/// Text in which the native decoder expands nothing but what is a variable.
fn native(text: &Text, at: Span) -> Node {
    build::verbatim(text.native(), at)
}

/// What cannot stand in a component of a URL (RFC 3986, section 2): all but the unreserved characters.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Text as a component of a URL. Variables stay as they are.
fn encoded(text: &Text) -> String {
    text.written(|plain| utf8_percent_encode(plain, RESERVED).to_string())
}

/// The same for a path, whose slashes stay.
fn encoded_path(text: &Text) -> String {
    const IN_PATHS: &AsciiSet = &RESERVED.remove(b'/');
    text.written(|plain| utf8_percent_encode(plain, IN_PATHS).to_string())
}
