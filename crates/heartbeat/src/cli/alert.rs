//! `heartbeat alert test`: a real message, and what the provider said.

use std::sync::Arc;

use heartbeat_core::intent::{Destination, Event, Facts, Intent};
use jiff::tz::TimeZone;
use serde_json::json;

use super::args::Global;
use super::screen::Screen;
use super::{configuration, help_for, load, runtime};
use crate::alert::{Accepted, Refused};
use crate::config::values::duration;
use crate::exit::Exit;
use crate::host::clock;
use crate::message::{self, Message, Style, Texts};
use crate::run::session::node;

/// Sends one test message through the alert of that id.
pub fn test(global: &Global, screen: Screen, id: &str) -> Exit {
    send(global, screen, id).unwrap_or_else(|exit| exit)
}

fn send(global: &Global, screen: Screen, id: &str) -> Result<Exit, Exit> {
    let plan = load(screen, &configuration(global, screen)?)?;
    let refuse = |exit, message: &dyn std::fmt::Display| {
        screen.error(message);
        exit
    };
    let Some(alert) = plan.alerts.iter().find(|alert| &*alert.id == id) else {
        let help = help_for(id, plan.alerts.iter().map(|alert| alert.id.as_str()));
        return Err(refuse(Exit::Usage, &format_args!("no alert has the id `{id}`{help}")));
    };
    let channel = alert.spec.build().map_err(|problem| refuse(Exit::Config, &problem))?;
    let message = test_message(alert.id.clone(), node(&plan));
    if screen.is_interactive() {
        screen.say(format_args!("sending a test message to {} …", alert.spec.target()));
    }
    let attempt = async { tokio::time::timeout(alert.policy.timeout, channel.send(&message)).await };
    let sent = runtime::block_on(attempt).map_err(|error| refuse(Exit::Fault, &error))?;
    let delivered = matches!(sent, Ok(Ok(_)));
    let report = match sent {
        Ok(Ok(Accepted { answer })) => format!("delivered: {answer}"),
        Ok(Err(Refused::ForGood { answer })) => format!("refused for good: {answer}"),
        Ok(Err(Refused::ForNow { answer, .. })) => format!("not delivered, would be tried again: {answer}"),
        Err(_) => format!("no answer within {}", duration::format(alert.policy.timeout)),
    };
    if screen.wants_json() {
        screen.data(json!({ "alert": id, "delivered": delivered, "answer": report }));
    } else if delivered {
        screen.data(report);
    } else {
        screen.error(report);
    }
    Ok(if delivered { Exit::Done } else { Exit::Failed })
}

fn test_message(alert: heartbeat_core::Id, node: Arc<str>) -> Message {
    let at = clock::wall();
    let style = Style::full(TimeZone::system());
    let mut intent = Intent {
        key: format!("test-{}-{}", alert.escape_default().to_string().replace(' ', "-"), at.unix_millis()).into(),
        at,
        event: Event::Test,
        to: Destination::Alert(alert),
        subject: None,
        incident: None,
        facts: Facts::default(),
        message: "".into(),
    };
    intent.message = message::render(&intent, None, Texts::standard(), &style, &node).into();
    Message { intent, about: None, node, style, attempt: 1 }
}
