//! The outbox's hands: actions as they are configured, run for real.

use std::collections::BTreeMap;
use std::sync::Arc;

use heartbeat_core::Id;
use heartbeat_core::delivery::Running;
use heartbeat_core::intent::{Destination, Event};
use heartbeat_core::lane::{End, Signal};
use heartbeat_core::record::Direction;

use super::outbox::{Hands as OutboxHands, Started};
use crate::action::{self, Runner};
use crate::message::Message;

/// The runners of a plan's actions.
#[derive(Debug)]
pub struct Hands {
    runners: BTreeMap<Id, Arc<Runner>>,
}

impl Hands {
    /// The hands that run these actions.
    pub const fn new(runners: BTreeMap<Id, Arc<Runner>>) -> Self {
        Self { runners }
    }
}

impl OutboxHands for Hands {
    fn start(&self, order: &Message) -> Result<Started, String> {
        let Destination::Action(id) = &order.intent.to else {
            return Err("an alert is not a command".to_owned());
        };
        let runner = self.runners.get(id).ok_or_else(|| format!("the action `{id}` is no longer configured"))?;
        let direction = match order.intent.event {
            Event::Promote => Direction::Promote,
            Event::Demote => Direction::Demote,
            other => return Err(format!("an action has no command for {}", other.as_str())),
        };
        let run = runner.start(direction, order).map_err(|end| end.answer().to_string())?;
        let killer = run.killer();
        let running = run.running();
        Ok(Started {
            pid: running.pid,
            start_ticks: running.start_ticks,
            signal: Box::new(move |signal| match signal {
                Signal::Term => killer.term(),
                Signal::Kill => killer.kill(),
            }),
            end: Box::pin(run.end()),
        })
    }

    fn adopt(&self, running: Running) -> Option<Started> {
        let adopted = Arc::new(action::adopt(running)?);
        let signalled = Arc::clone(&adopted);
        Some(Started {
            pid: running.pid,
            start_ticks: running.start_ticks,
            signal: Box::new(move |signal| match signal {
                Signal::Term => signalled.term(),
                Signal::Kill => signalled.kill(),
            }),
            end: Box::pin(async move {
                // The lane knows the deadline and signals at it.
                adopted.ended().await;
                End::Done("it has ended".into())
            }),
        })
    }
}
