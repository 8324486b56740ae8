//! The parts of a running program, put together: store, outbox, committer, driver.
//!
//! A session lives inside an asynchronous runtime. The daemon, a single round and the demonstration differ only in what
//! they do between [`Session::begin`] and [`Session::stop`] or [`Session::finish`].

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use heartbeat_core::Id;
use heartbeat_core::coordinator;
use heartbeat_core::delivery::{Delivery, Status};
use heartbeat_core::lane::{Mark, Promotions};
use heartbeat_core::ledger::{self, Batch};
use heartbeat_core::record::CheckRecord;
use heartbeat_core::shard::Mode;
use heartbeat_responder::flag;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::build::Built;
use super::committer::Committer;
use super::drained;
use super::driver::Driver;
use super::hands::Hands;
use super::outbox::{self, Ledgerman, Outbox, Roster, Setup};
use super::pool::{Done, Pool};
use super::responding::not_looked_yet;
use crate::alert::Boxed;
use crate::host::{clock, hostname, random, zone};
use crate::message::Style;
use crate::plan::Plan;
use crate::store::Opened;
use crate::store::writer::{Durability, Writer};

/// The store has this long to take the last batches in.
const LAST_COMMITS: Duration = Duration::from_secs(5);

/// Whether intents are carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effects {
    /// Commands are run, messages are sent.
    Real,
    /// They are only logged.
    Dry,
}

/// A running program.
pub struct Session {
    /// The engine and its hands.
    pub driver: Driver,
    /// Probes that have ended.
    pub probed: mpsc::UnboundedReceiver<Done>,
    /// Deliveries that are settled.
    pub settled: mpsc::UnboundedReceiver<Delivery>,
    /// The worker that acts and alerts.
    pub outbox: Outbox,
    /// The store.
    pub writer: Writer,
    /// What the opening of the store has to tell people.
    notices: Vec<String>,
    working: JoinHandle<()>,
    committing: JoinHandle<()>,
    node: Arc<str>,
    effects: Effects,
}

impl Session {
    /// Puts everything together over what the store remembers. Nothing is probed before the driver
    /// [begins](Driver::begin).
    ///
    /// # Errors
    /// If the operating system gives the store no thread.
    pub fn start(built: Built, opened: Opened, mode: Mode, effects: Effects) -> std::io::Result<Self> {
        let (ledger, notices) = (opened.ledger.clone(), opened.notices.clone());
        let node = node(&built.plan);
        let writer = Writer::start(opened)?;
        let (settled_in, settled) = mpsc::unbounded_channel();
        let (hands, roster) = hands(&built, &node, effects);
        let (outbox, work) = Outbox::new(
            Setup {
                hands,
                ledgerman: Arc::new(Ledger(writer.clone())),
                roster,
                settled: settled_in,
                mode: match mode {
                    Mode::Daemon => outbox::Mode::Steady,
                    Mode::Once => outbox::Mode::Once,
                },
                // Until the flag has been looked at, it may be up.
                promotions: if drains(&built.plan) { Promotions::Wait } else { Promotions::Run },
                seed: random::seed(),
                now: clock::now,
            },
            &ledger,
        );
        let working = tokio::spawn(work);
        let (committer, committing) = Committer::start(writer.clone(), outbox.clone());
        let (pool, probed) = Pool::new();
        let driver = Driver::new(mode, built, &ledger, pool, committer, Arc::clone(&node));
        Ok(Self { driver, probed, settled, outbox, writer, notices, working, committing, node, effects })
    }

    /// Begins to work. `records` is what the store remembers of the checks.
    pub fn begin(&mut self, records: BTreeMap<Id, Arc<CheckRecord>>) {
        if drains(self.driver.plan()) {
            self.hold(Some(&not_looked_yet()));
        }
        self.driver.begin(records);
        for text in std::mem::take(&mut self.notices) {
            self.driver.coordinate(coordinator::Input::Notice { text: text.into(), except: None });
        }
    }

    /// Works by another plan from now on.
    pub fn replan(&mut self, built: Built) {
        let (hands, roster) = hands(&built, &self.node, self.effects);
        let held = drains(self.driver.plan());
        self.outbox.replan(hands, roster);
        self.driver.replan(built);
        if held && !drains(self.driver.plan()) {
            self.hold(None);
        }
    }

    /// Works under the word of the flag.
    pub fn flagged(&mut self, state: &flag::State) {
        let drain = match state {
            flag::State::Up => None,
            flag::State::Down(drain) => Some(drain),
        };
        self.driver.flagged(drain);
        let drains = drains(self.driver.plan());
        self.hold(drain.filter(|_| drains));
    }

    /// Starts nothing that is promoted while this stands.
    pub fn hold(&mut self, drain: Option<&flag::Drain>) {
        self.outbox.overlay(if drain.is_some() { Promotions::Wait } else { Promotions::Run });
        let overlay = drain.map(|drain| drained::overlay(drain, clock::wall()));
        self.driver.coordinate(coordinator::Input::Overlay(overlay));
    }

    /// Tells the coordinator of a delivery that is settled.
    pub fn settle(&mut self, delivery: Delivery) {
        let accepted = matches!(delivery.status, Status::Done(_));
        let intent = delivery.intent;
        self.driver.coordinate(coordinator::Input::Settled {
            to: intent.to,
            subject: intent.subject,
            incident: intent.incident,
            accepted,
        });
    }

    /// The end of a single round: what is due has its attempt, for at most `longest`, then everything is put away.
    pub async fn finish(self, longest: Duration) -> (Durability, ledger::Ledger) {
        self.driver.settle_commits().await;
        self.outbox.finish(longest);
        self.put_away().await
    }

    /// The orderly end of a daemon: nothing starts any more, what is under way comes to rest, everything is put away.
    pub async fn stop(mut self) -> (Durability, ledger::Ledger) {
        self.driver.stop();
        self.driver.settle_commits().await;
        self.outbox.stop();
        self.put_away().await
    }

    async fn put_away(mut self) -> (Durability, ledger::Ledger) {
        // What was accepted counts for its incident, to the last message.
        loop {
            tokio::select! {
                biased;
                Some(delivery) = self.settled.recv() => self.settle(delivery),
                _ = &mut self.working => break,
            }
        }
        while let Ok(delivery) = self.settled.try_recv() {
            self.settle(delivery);
        }
        let Self { driver, outbox, writer, committing, .. } = self;
        drop((driver, outbox));
        // It has nothing left to wait for but the store, and that is waited for below.
        let _ = committing.await;
        // A disk that hangs must not hold the end.
        let remembered = tokio::time::timeout(LAST_COMMITS, writer.ledger()).await.unwrap_or_default();
        (writer.shutdown(LAST_COMMITS).await, remembered)
    }
}

/// Whether the flag takes this server out of service.
fn drains(plan: &Plan) -> bool {
    plan.flag().is_some_and(|flag| flag.takedown)
}

/// What acts and alerts by a plan.
fn hands(built: &Built, node: &Arc<str>, effects: Effects) -> (Arc<dyn outbox::Hands>, Roster) {
    let style = Style::full(zone::local());
    let roster = Roster::new(&built.plan, &built.channels, Arc::clone(node), style);
    match effects {
        Effects::Real => (Arc::new(Hands::new(built.runners.clone())), roster),
        Effects::Dry => outbox::dry(roster),
    }
}

/// The outbox's way to the store.
struct Ledger(Writer);

impl Ledgerman for Ledger {
    fn commit(&self, batch: Batch) -> Boxed<'_, Mark> {
        let verdict = self.0.commit(batch);
        Box::pin(async move {
            match verdict.await {
                Durability::Durable => Mark::Durable,
                Durability::Volatile(_) => Mark::Volatile,
            }
        })
    }
}

/// The name of this node.
pub fn node(plan: &Plan) -> Arc<str> {
    plan.node.clone().unwrap_or_else(hostname::hostname).into()
}
