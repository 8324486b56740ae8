//! The outbox: carries out what has been decided and committed.
//!
//! The worker takes no instruction. It learns of unsettled deliveries from the ledger, once, and from what is committed
//! after that; the latter are hints, and one for a delivery in hand does nothing. What is tried, and when, is decided
//! by the [lanes](heartbeat_core::lane) of actions and the [channels](heartbeat_core::channel) of alerts, which are
//! pure; here are the clock, the tasks and the way to the store.
//!
//! Every attempt is a task of its own, so that a provider or command that hangs delays nobody else. Everything that a
//! decision writes goes to the store in the order in which it was decided, in one transaction with the notices that
//! follow from it; the coordinator hears of a settlement when the store has it.
//!
//! Deliberately absent: a queue of its own. After a crash the ledger alone says what is owed.

mod attempt;
mod commits;
mod dry;
mod roster;
mod text;
mod worker;

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use heartbeat_core::delivery::{Delivery, Running};
use heartbeat_core::lane::{End, Mark, Promotions, Signal};
use heartbeat_core::ledger::{Batch, Ledger};
use heartbeat_core::{Id, Now};
use tokio::sync::mpsc;

use crate::alert::Boxed;
use crate::message::Message;

pub use dry::dry;
pub use roster::{Roster, Subject};

/// Starts commands. One implementation is the real one, others are in tests.
pub trait Hands: Send + Sync {
    /// Starts the command that an action has for the message's event. It is ended at its timeout.
    ///
    /// # Errors
    /// Why it was not started: one line, without secrets.
    fn start(&self, order: &Message) -> Result<Started, String>;

    /// The process, if it is still the one that was started then. What is returned as its end does not matter, for the
    /// status of somebody else's child cannot be known.
    fn adopt(&self, running: Running) -> Option<Started>;
}

/// A command that runs.
pub struct Started {
    /// The process and its group.
    pub pid: u32,
    /// The kernel's start time of the process, in clock ticks since boot.
    pub start_ticks: u64,
    /// Ends its group.
    pub signal: Box<dyn Fn(Signal) + Send + Sync>,
    /// Resolves when it has ended. Dropped only when the program ends.
    pub end: Boxed<'static, End>,
}

/// The way to the store.
pub trait Ledgerman: Send + Sync {
    /// One transaction. Called by one task, which waits for each before the next.
    fn commit(&self, batch: Batch) -> Boxed<'_, Mark>;
}

/// How long the outbox works.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Until it is stopped.
    Steady,
    /// Until every delivery that is due has had one attempt, whatever its backoff, and [`Outbox::finish`] was called.
    Once,
}

/// What the outbox needs.
pub struct Setup {
    /// Starts commands.
    pub hands: Arc<dyn Hands>,
    /// Keeps what has changed.
    pub ledgerman: Arc<dyn Ledgerman>,
    /// Actions, alerts and what messages say of their subjects.
    pub roster: Roster,
    /// Hears of every delivery that was settled, after the store.
    pub settled: mpsc::UnboundedSender<Delivery>,
    /// How long it works.
    pub mode: Mode,
    /// Whether an overlay holds promotions back at the start.
    pub promotions: Promotions,
    /// For jitter.
    pub seed: u64,
    /// Reads both clocks.
    pub now: fn() -> Now,
}

/// A handle to the worker. When the last one is dropped, the worker stops as by [`Outbox::stop`].
#[derive(Clone, Debug)]
pub struct Outbox {
    orders: mpsc::UnboundedSender<Order>,
}

enum Order {
    Committed(Vec<Delivery>),
    Resume(Id),
    Overlay(Promotions),
    Replan(Arc<dyn Hands>, Roster),
    Finish(Duration),
    Stop,
}

impl Outbox {
    /// Prepares a worker for what `ledger` says is owed. The future is the worker; it resolves when everything is at
    /// rest after [`Outbox::stop`] or, in a single run, [`Outbox::finish`].
    pub fn new(setup: Setup, ledger: &Ledger) -> (Self, impl Future<Output = ()> + Send + use<>) {
        let (orders, inbox) = mpsc::unbounded_channel();
        let remembered = worker::Remembered::of(ledger);
        (Self { orders }, worker::run(setup, remembered, inbox))
    }

    /// Deliveries that have been committed. Those that are settled already are passed over.
    pub fn committed(&self, deliveries: Vec<Delivery>) {
        self.order(Order::Committed(deliveries));
    }

    /// Lifts an action's suspension.
    pub fn resume(&self, action: Id) {
        self.order(Order::Resume(action));
    }

    /// An overlay has begun or ended.
    pub fn overlay(&self, promotions: Promotions) {
        self.order(Order::Overlay(promotions));
    }

    /// Another configuration holds. Attempts under way end under the old one.
    pub fn replan(&self, hands: Arc<dyn Hands>, roster: Roster) {
        self.order(Order::Replan(hands, roster));
    }

    /// Ends a single run: when everything has been tried, or else after `longest`. Then messages under way are given up
    /// and stay due, and commands under way end as after [`Outbox::stop`], within 10 s.
    pub fn finish(&self, longest: Duration) {
        self.order(Order::Finish(longest));
    }

    /// Nothing starts any more. Messages under way have [`ALERT_GRACE`]; commands get TERM after 7 s and KILL after 9.
    pub fn stop(&self) {
        self.order(Order::Stop);
    }

    fn order(&self, order: Order) {
        // A worker that has ended needs to know nothing: what is owed is in the store.
        let _ = self.orders.send(order);
    }
}

/// After the stop a message under way may take so long; then it stays due.
pub const ALERT_GRACE: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests;
