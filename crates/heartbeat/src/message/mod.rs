//! What alerts and commands are told about an event.
//!
//! A [`Message`] is an intent with what the configuration says about its subject. It speaks in four forms: the text for
//! people ([`render`], once, when the intent is decided on), a template of an alert filled in ([`Message::fill`]), a JSON
//! document ([`Message::document`]) and variables for a process ([`Message::environment`]). All of it is pure: no clock,
//! no environment. Who sends it, and when, is decided elsewhere.

mod document;
mod names;
mod text;
pub mod time;

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use heartbeat_core::Id;
use heartbeat_core::intent::Intent;
use heartbeat_core::template::Template;

use crate::config::values::{StateWords, Times};

use names::Names;
pub use names::{ALERT_NAMES, CHECK_NAMES, suggest_in_check, unknown_in_alert, unknown_in_check};
pub use text::{render, was_down};
pub use time::Style;

/// An intent with what the configuration says about its subject.
#[derive(Clone, Debug)]
pub struct Message {
    /// What is owed.
    pub intent: Intent,
    /// The check or group; `None` for a notice about heartbeat itself.
    pub about: Option<Arc<About>>,
    /// The name of this node.
    pub node: Arc<str>,
    /// How times and states are written in texts.
    pub style: Style,
    /// Which attempt this is, from 1.
    pub attempt: u32,
}

/// The subject of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct About {
    /// Its id.
    pub id: Id,
    /// Its name for people.
    pub name: String,
    /// Its kind; `group` for a group.
    pub kind: String,
    /// Its target without secrets.
    pub target: String,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Where to read what to do.
    pub runbook: Option<String>,
    /// The plain values of its configuration, for messages.
    pub values: BTreeMap<String, String>,
}

/// The message templates of a check, and how values look in them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Texts {
    /// For down and reminders.
    pub down: Template,
    /// For up.
    pub up: Template,
    /// How times look.
    pub times: Times,
    /// The words for states.
    pub states: StateWords,
}

impl Texts {
    /// The texts of whom the configuration gives no others.
    pub fn standard() -> &'static Self {
        static STANDARD: LazyLock<Texts> = LazyLock::new(|| {
            let parse = |text| Template::parse(text).expect("the defaults are templates");
            Texts {
                down: parse("$name is down: $reason"),
                up: parse("$name is up after $duration"),
                times: Times::Full,
                states: StateWords::Up,
            }
        });
        &STANDARD
    }
}

impl Message {
    /// A template of an alert (a subject, a body) with the values of this message.
    pub fn fill(&self, template: &Template) -> String {
        let message = Some(&*self.intent.message);
        Names { intent: &self.intent, about: self.about.as_deref(), node: &self.node, style: &self.style, message }
            .fill(template)
    }
}

/// A value on one line: control characters are taken out, those that separate words become a space.
pub(crate) fn one_line(text: &str) -> String {
    text.chars()
        .filter_map(|c| match c {
            '\t' | '\n' | '\r' | '\u{b}' | '\u{c}' | '\u{85}' | '\u{2028}' | '\u{2029}' => Some(' '),
            c if c.is_control() => None,
            c => Some(c),
        })
        .collect()
}

#[cfg(test)]
pub(crate) mod tests;
