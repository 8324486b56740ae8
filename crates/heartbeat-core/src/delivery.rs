//! What has become of an intent: a row of the outbox.

use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use crate::intent::{Destination, Event, Facts, Intent};
use crate::key::key;
use crate::ledger::Batch;
use crate::{Id, Wall};

/// An intent on its way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delivery {
    /// What is owed.
    pub intent: Intent,
    /// The order of creation, over all intents of one store.
    pub sequence: u64,
    /// Where it stands.
    pub status: Status,
    /// Attempts made so far.
    pub attempts: u32,
    /// No attempt before this.
    pub not_before: Wall,
    /// What the last attempt said: the provider's answer, the command's end.
    pub answer: Arc<str>,
    /// Whether the store knew of it before the first attempt. A store that cannot be written makes it false.
    pub durable: bool,
}

impl Delivery {
    /// A fresh row for an intent.
    pub fn new(intent: Intent, sequence: u64) -> Self {
        let not_before = intent.at;
        Self { intent, sequence, status: Status::Due, attempts: 0, not_before, answer: Arc::from(""), durable: true }
    }
}

/// Where a delivery stands. `Due` and `Started` are unsettled; the rest is final.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// To be tried.
    Due,
    /// A command is running, or was when we crashed.
    Started(Running),
    /// Accepted by the provider, or the command ended with success.
    Done(Wall),
    /// Given up: refused for good, or retries exhausted. A dead letter.
    Dead(Wall),
    /// An at-most-once command of which nobody knows whether it took effect.
    Uncertain(Wall),
    /// Not needed any more: a later wish, a summary or a removal took its place. The answer says which.
    Superseded(Wall),
}

impl Status {
    /// Whether something remains to be done.
    pub const fn is_unsettled(&self) -> bool {
        matches!(self, Self::Due | Self::Started(_))
    }
}

/// A process that runs a command. Its start time tells it from a later one with the same number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Running {
    /// When the command was started.
    pub at: Wall,
    /// The process and its group; 0 between "it shall start" and "it has started".
    pub pid: u32,
    /// The kernel's start time of the process, in clock ticks since boot (proc(5), `stat`, field 22).
    pub start_ticks: u64,
}

/// Something about heartbeat itself that people must be told, committed together with what it is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// Tells it from every other notice, and is the same when it is decided on again after a crash.
    pub key: String,
    /// When the delivery was decided on.
    pub at: Wall,
    /// The delivery's place in the order: its notice takes the same.
    pub sequence: u64,
    /// One line.
    pub text: String,
}

impl Notice {
    /// What is owed to an alert because of this. `message` is the text for people.
    pub fn delivery(&self, to: &Id, message: Arc<str>, now: Wall) -> Delivery {
        let intent = Intent {
            key: key(Event::Notice, &self.key, self.sequence, self.at, to),
            at: now,
            event: Event::Notice,
            to: Destination::Alert(to.clone()),
            subject: None,
            incident: None,
            facts: Facts { reason: Arc::from(self.text.as_str()), ..Facts::default() },
            message,
        };
        Delivery::new(intent, self.sequence)
    }
}

/// A line for the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Note {
    /// What was done, or why something was not.
    Told(String),
    /// Something that an operator may want to mend.
    Warned(String),
}

/// What a worker answers to one input. The batch and the notices are one transaction, and it is on its way to the store
/// before the effects are carried out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Turn<E> {
    /// What changed.
    pub batch: Batch,
    /// What people must be told of it.
    pub notices: Vec<Notice>,
    /// What to do, in this order.
    pub effects: Vec<E>,
    /// What to log.
    pub notes: Vec<Note>,
}

impl<E> Default for Turn<E> {
    fn default() -> Self {
        Self { batch: Batch::default(), notices: Vec::new(), effects: Vec::new(), notes: Vec::new() }
    }
}

impl<E> Turn<E> {
    /// Puts a delivery's row into the batch.
    pub fn write(&mut self, delivery: &Delivery) {
        self.batch.deliveries.push(delivery.clone());
    }

    /// Gives a delivery its last status and the reason for it.
    pub fn settle(&mut self, mut delivery: Delivery, status: Status, answer: impl Into<Arc<str>>) {
        delivery.status = status;
        delivery.answer = answer.into();
        self.batch.deliveries.push(delivery);
    }
}
