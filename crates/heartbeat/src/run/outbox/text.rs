//! What a message says when it does not say what its intent says.

use std::sync::Arc;

use heartbeat_core::channel::Saying;
use heartbeat_core::delivery::Delivery;
use heartbeat_core::intent::{Event, Facts, Intent};

use super::roster::{Roster, Subject};
use crate::message::{Message, was_down};

/// A summary repeats so many texts; the rest is counted.
const TEXTS: usize = 10;

/// The message of one attempt.
pub(super) fn message(delivery: &Delivery, saying: &Saying, roster: &Roster) -> Message {
    let mut intent = delivery.intent.clone();
    let subject = intent.subject.as_ref().and_then(|id| (roster.subjects)(id));
    let (mut about, style) = match subject {
        Some(Subject { about, style }) => (Some(about), style),
        None => (None, roster.style.clone()),
    };
    match saying {
        Saying::AsWritten => {}
        Saying::Late(decided) => {
            let since = style.time(Some(*decided));
            intent.message = format!("{} (could not be delivered since {since})", intent.message).into();
        }
        Saying::WasDown { from, to } => {
            let id = intent.subject.as_deref().unwrap_or("heartbeat");
            let name = about.as_ref().map_or(id, |about| &about.name);
            intent.message = was_down(name, *from, *to, &style).into();
        }
        Saying::HeldBack { since, texts } => {
            let text: Arc<str> = held_back(&style.time(Some(*since)), texts).into();
            // It is about many checks, so it names none of them to a machine.
            about = None;
            intent = Intent {
                event: Event::Notice,
                subject: None,
                incident: None,
                facts: Facts { reason: text.clone(), ..Facts::default() },
                message: text,
                ..intent
            };
        }
    }
    Message { intent, about, node: roster.node.clone(), style, attempt: delivery.attempts }
}

fn held_back(since: &str, texts: &[Arc<str>]) -> String {
    let mut text = format!("{} messages were held back since {since}: ", texts.len());
    text.push_str(&texts.iter().take(TEXTS).map(|text| &**text).collect::<Vec<_>>().join("; "));
    match texts.len().saturating_sub(TEXTS) {
        0 => {}
        more => text.push_str(&format!("; and {more} more")),
    }
    text
}

/// The text of a notice about heartbeat itself.
pub(super) fn notice(text: &str, roster: &Roster) -> Arc<str> {
    format!("heartbeat on {}: {text}", roster.node).into()
}
