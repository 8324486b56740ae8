//! One attempt: a message sent, a command run, a process of a former life watched.

use std::sync::Arc;
use std::time::Duration;

use heartbeat_core::Id;
use heartbeat_core::channel::Answer;
use heartbeat_core::delivery::Running;
use heartbeat_core::lane::{End, Signal};
use heartbeat_core::time::Wall;
use tokio::sync::mpsc;

use super::{Hands, Started};
use crate::alert::{Channel, Refused};
use crate::host::failpoint;
use crate::message::Message;

/// What a task reports.
#[derive(Debug)]
pub(super) enum Report {
    /// An action's command has a process.
    Started(Id, Running),
    /// An action's command has ended.
    Ended(Id, End),
    /// The process of a former life is not there, or not any more.
    Gone(Id),
    /// A message was tried.
    Tried(Id, Arc<str>, Answer),
}

/// Tries a message. Bounded by `timeout`.
pub(super) async fn send(alert: Id, channel: Arc<dyn Channel>, message: Message, timeout: Duration) -> Report {
    let answer = match tokio::time::timeout(timeout, channel.send(&message)).await {
        Ok(Ok(accepted)) => {
            failpoint::reach("after-yes");
            Answer::Accepted(accepted.answer.into())
        }
        Ok(Err(Refused::ForGood { answer })) => Answer::ForGood(answer.into()),
        Ok(Err(Refused::ForNow { answer, after })) => Answer::ForNow { answer: answer.into(), after },
        Err(_) => Answer::ForNow { answer: format!("no answer within {timeout:?}").into(), after: None },
    };
    Report::Tried(alert, message.intent.key, answer)
}

/// Runs a command to its end.
pub(super) async fn command(
    action: Id,
    hands: Arc<dyn Hands>,
    order: Message,
    at: Wall,
    signals: mpsc::UnboundedReceiver<Signal>,
    reports: mpsc::UnboundedSender<Report>,
) -> Report {
    failpoint::reach("before-start");
    match hands.start(&order) {
        Err(answer) => Report::Ended(action, End::NotStarted(answer.into())),
        Ok(started) => {
            failpoint::reach("after-start");
            let running = Running { at, pid: started.pid, start_ticks: started.start_ticks };
            // Nobody listens only when the program ends, and then the process is found again by nothing: it is ended.
            let _ = reports.send(Report::Started(action.clone(), running));
            Report::Ended(action, watch(started, signals).await)
        }
    }
}

/// Waits for the end of a process that a former life has started.
pub(super) async fn adopted(
    action: Id,
    hands: Arc<dyn Hands>,
    running: Running,
    signals: mpsc::UnboundedReceiver<Signal>,
) -> Report {
    if let Some(started) = hands.adopt(running) {
        watch(started, signals).await;
    }
    Report::Gone(action)
}

async fn watch(mut started: Started, mut signals: mpsc::UnboundedReceiver<Signal>) -> End {
    loop {
        tokio::select! {
            biased;
            end = &mut started.end => return end,
            Some(signal) = signals.recv() => (started.signal)(signal),
        }
    }
}
