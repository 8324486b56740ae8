//! The text for people, rendered once, when an intent is decided on.

use heartbeat_core::Wall;
use heartbeat_core::coordinator::REMOVED;
use heartbeat_core::intent::{Event, Intent};
use heartbeat_core::record::State;
use heartbeat_core::template::Template;

use super::names::Names;
use super::{About, Style, Texts};

/// The text of an intent.
///
/// A reminder and a demotion say what a down says, a promotion what an up says. `about` is `None` for a subject that the
/// plan no longer knows and for what concerns heartbeat itself.
pub fn render(intent: &Intent, about: Option<&About>, texts: &Texts, style: &Style, node: &str) -> String {
    let names = Names { intent, about, node, style, message: None };
    let facts = &intent.facts;
    let fixed = match intent.event {
        Event::Up if &*facts.reason == REMOVED => "$name was removed from the configuration while it was down",
        Event::Down | Event::Reminder | Event::Demote => return names.fill(&texts.down),
        Event::Promote if facts.duration.is_none() => "$name is up",
        Event::Up | Event::Promote => return names.fill(&texts.up),
        Event::Degraded if facts.state == State::Degraded => "$name is degraded: $reason",
        Event::Degraded => "$name is no longer degraded after $duration",
        Event::Notice => "$name on $node: $reason",
        Event::Test => "This is a test message from heartbeat on $node",
    };
    names.fill(&Template::parse(fixed).expect("the texts above are templates"))
}

/// The summary of an outage whose messages came too late: `webapp was down 02:10-02:25`.
pub fn was_down(name: &str, from: Wall, until: Wall, style: &Style) -> String {
    format!("{name} was down {}", style.span(from, until))
}
