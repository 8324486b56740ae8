//! The names that texts may use, and their values.

use std::borrow::Cow;

use heartbeat_core::intent::Intent;
use heartbeat_core::template::Template;

use super::time::{lasted, latency};
use super::{About, Style, one_line};
use crate::config::problem::did_you_mean;

/// The names that every check's texts may use, besides the check's own values and `labels.NAME`.
pub const CHECK_NAMES: &[&str] = &[
    "id",
    "name",
    "kind",
    "target",
    "state",
    "previous_state",
    "fail_count",
    "first_pass_time",
    "last_pass_time",
    "first_fail_time",
    "last_fail_time",
    "since",
    "duration",
    "reason",
    "latency",
    "node",
    "runbook",
    "event",
];

/// What the texts of an alert (a subject, a body) know besides: the check's text, and the key of the delivery.
pub const ALERT_NAMES: &[&str] = &["message", "key"];

/// The names in a check's text that nothing defines.
pub fn unknown_in_check<'t>(template: &'t Template, about: &About) -> Vec<&'t str> {
    let known = |name: &str| {
        CHECK_NAMES.contains(&name)
            || about.values.contains_key(name)
            || name.strip_prefix("labels.").is_some_and(|label| about.labels.contains_key(label))
    };
    template.names().map(|(_, name)| name).filter(|name| !known(name)).collect()
}

/// The help for a name that [`unknown_in_check`] has found.
pub fn suggest_in_check(name: &str, about: &About) -> Option<String> {
    let values = about.values.keys().map(String::as_str);
    did_you_mean(name, CHECK_NAMES.iter().copied().chain(values))
}

/// The names in an alert's text that not every check has. A label is what some checks have: it is nothing for the others.
pub fn unknown_in_alert(template: &Template) -> Vec<&str> {
    let known = |name: &str| CHECK_NAMES.contains(&name) || ALERT_NAMES.contains(&name) || name.starts_with("labels.");
    template.names().map(|(_, name)| name).filter(|name| !known(name)).collect()
}

/// Where the values of the names come from.
pub(super) struct Names<'a> {
    pub(super) intent: &'a Intent,
    pub(super) about: Option<&'a About>,
    pub(super) node: &'a str,
    pub(super) style: &'a Style,
    /// The text for people, once there is one.
    pub(super) message: Option<&'a str>,
}

impl<'a> Names<'a> {
    /// A template with these values.
    pub(super) fn fill(&self, template: &Template) -> String {
        template.render(|name| self.get(name))
    }

    /// The value of a name on one line; `None` for a name that nothing defines.
    ///
    /// Only the finished message may have several lines: its author wrote them.
    fn get(&self, name: &str) -> Option<Cow<'a, str>> {
        if name == "message" {
            return self.message.map(Cow::Borrowed);
        }
        let facts = &self.intent.facts;
        let value: Cow<'a, str> = match name {
            "id" => self.id().into(),
            "name" => self.name().into(),
            "kind" => self.about.map_or("", |about| &about.kind).into(),
            "target" => self.about.map_or("", |about| &about.target).into(),
            "state" => self.style.state(facts.state).into(),
            "previous_state" => self.style.state(facts.previous_state).into(),
            "fail_count" => facts.fail_count.to_string().into(),
            "first_pass_time" => self.style.time(facts.first_pass).into(),
            "last_pass_time" => self.style.time(facts.last_pass).into(),
            "first_fail_time" => self.style.time(facts.first_fail).into(),
            "last_fail_time" => self.style.time(facts.last_fail).into(),
            "since" => self.style.time(facts.since).into(),
            "duration" => facts.duration.map(lasted).unwrap_or_default().into(),
            "reason" => (&*facts.reason).into(),
            "latency" => facts.latency.map(latency).unwrap_or_default().into(),
            "node" => self.node.into(),
            "runbook" => self.about.and_then(|about| about.runbook.as_deref()).unwrap_or_default().into(),
            "event" => self.intent.event.as_str().into(),
            "key" => (&*self.intent.key).into(),
            other => self.configured(other)?.into(),
        };
        Some(one_line(&value).into())
    }

    /// A value or a label of the check's own configuration.
    fn configured(&self, name: &str) -> Option<&'a str> {
        let about = self.about?;
        let found = match name.strip_prefix("labels.") {
            Some(label) => about.labels.get(label),
            None => about.values.get(name),
        };
        found.map(String::as_str)
    }

    fn id(&self) -> &'a str {
        match (self.about, &self.intent.subject) {
            (Some(about), _) => &about.id,
            (None, Some(id)) => id,
            (None, None) => "heartbeat",
        }
    }

    fn name(&self) -> &'a str {
        self.about.map_or_else(|| self.id(), |about| &about.name)
    }
}
