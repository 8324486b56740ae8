//! A message for machines: one JSON document, or variables for a process.

use heartbeat_core::Wall;
use heartbeat_core::intent::Destination;
use serde_json::{Value, json};

use super::time::rfc3339;
use super::{Message, one_line};

/// The version of the document. It changes when a key changes its meaning or goes; new keys may come at any time.
const VERSION: u32 = 1;

/// The longest value of a variable in bytes. Linux refuses to start a program when one is longer than 128 KiB
/// (execve(2), `MAX_ARG_STRLEN`).
const LONGEST_VARIABLE: usize = 32 * 1024;

impl Message {
    /// The event as JSON: the body of a webhook, the standard input of a command. Times are RFC 3339 in UTC; what is not
    /// known is `null`.
    pub fn document(&self) -> Value {
        let intent = &self.intent;
        let facts = &intent.facts;
        let time = |at: Option<Wall>| at.map(rfc3339);
        let subject = intent.subject.is_some() || self.about.is_some();
        json!({
            "version": VERSION,
            "key": &*intent.key,
            "event": intent.event.as_str(),
            "message": &*intent.message,
            "node": &*self.node,
            "check": self.check(),
            "state": subject.then(|| facts.state.as_str()),
            "previous_state": subject.then(|| facts.previous_state.as_str()),
            "since": time(facts.since),
            "reason": &*facts.reason,
            "fail_count": facts.fail_count,
            "last_pass_time": time(facts.last_pass),
            "last_fail_time": time(facts.last_fail),
            "incident": intent.incident,
        })
    }

    fn check(&self) -> Value {
        match (&self.about, &self.intent.subject) {
            (Some(about), _) => json!({
                "id": about.id.as_str(),
                "name": about.name,
                "kind": about.kind,
                "target": about.target,
                "labels": about.labels,
                "runbook": about.runbook,
            }),
            // The configuration has forgotten it since.
            (None, Some(id)) => json!({
                "id": id.as_str(),
                "name": id.as_str(),
                "kind": null,
                "target": null,
                "labels": {},
                "runbook": null,
            }),
            (None, None) => Value::Null,
        }
    }

    /// The event as variables. All of them are always set, so that a script under `set -u` need not ask; control
    /// characters are taken out of every value.
    pub fn environment(&self) -> Vec<(&'static str, String)> {
        let intent = &self.intent;
        let facts = &intent.facts;
        let destination = match &intent.to {
            Destination::Action(id) => ("HEARTBEAT_ACTION", id.as_str()),
            Destination::Alert(id) => ("HEARTBEAT_ALERT", id.as_str()),
        };
        let (fail_count, attempt) = (facts.fail_count.to_string(), self.attempt.to_string());
        let since = facts.since.map(rfc3339).unwrap_or_default();
        [
            ("HEARTBEAT_EVENT", intent.event.as_str()),
            destination,
            ("HEARTBEAT_CHECK", intent.subject.as_ref().map_or("", |id| id.as_str())),
            ("HEARTBEAT_STATE", facts.state.as_str()),
            ("HEARTBEAT_PREVIOUS_STATE", facts.previous_state.as_str()),
            ("HEARTBEAT_REASON", &*facts.reason),
            ("HEARTBEAT_MESSAGE", &*intent.message),
            ("HEARTBEAT_FAIL_COUNT", fail_count.as_str()),
            ("HEARTBEAT_SINCE", since.as_str()),
            ("HEARTBEAT_KEY", &*intent.key),
            ("HEARTBEAT_ATTEMPT", attempt.as_str()),
        ]
        .map(|(name, value)| (name, variable(value)))
        .into()
    }
}

/// A value that fits into an environment.
fn variable(value: &str) -> String {
    let mut value = one_line(value);
    value.truncate(value.floor_char_boundary(LONGEST_VARIABLE));
    value
}
