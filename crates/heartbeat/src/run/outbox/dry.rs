//! The dry run: everything is decided, nothing is run or sent.

use std::sync::Arc;

use heartbeat_core::delivery::Running;
use heartbeat_core::lane::End;

use super::{Hands, Roster, Started};
use crate::alert::{Accepted, Boxed, Channel, Refused};
use crate::message::Message;

/// Hands that only say what they would run, and a roster whose alerts only say what they would send.
///
/// What they are given counts as done, so the store beside them must be one that forgets.
pub fn dry(mut roster: Roster) -> (Arc<dyn Hands>, Roster) {
    for (id, (_, channel)) in &mut roster.alerts {
        *channel = Arc::new(Dry(id.to_string()));
    }
    (Arc::new(Dry(String::new())), roster)
}

/// The name of an alert, or nothing.
struct Dry(String);

impl Hands for Dry {
    fn start(&self, order: &Message) -> Result<Started, String> {
        tracing::info!("dry run: would run {}", order.intent.key);
        Ok(Started {
            pid: 0,
            start_ticks: 0,
            signal: Box::new(|_| {}),
            end: Box::pin(async { End::Done("dry run: not run".into()) }),
        })
    }

    fn adopt(&self, _: Running) -> Option<Started> {
        None
    }
}

impl Channel for Dry {
    fn send<'a>(&'a self, message: &'a Message) -> Boxed<'a, Result<Accepted, Refused>> {
        tracing::info!("dry run: would send to {}: {}", self.0, message.intent.message);
        Box::pin(async { Ok(Accepted { answer: "dry run: not sent".to_owned() }) })
    }
}
