//! What waits for the writer. It stays small however long the writer is away: of two changes for one key the later is left.

use std::collections::{BTreeMap, HashSet, VecDeque};
use std::sync::Arc;

use heartbeat_core::Id;
use heartbeat_core::delivery::Delivery;
use heartbeat_core::intent::Transition;
use heartbeat_core::ledger::{Batch, ResultRow};
use heartbeat_core::record::{ActionRecord, ChannelRecord, CheckRecord, Incident, LaneRecord};

/// So many results may wait; then the oldest go.
pub(super) const WAITING_RESULTS: usize = 100_000;

/// So many results go into one transaction: a change of state that comes meanwhile waits for them.
const RESULTS_AT_ONCE: usize = 5_000;

/// Of so many records of checks the superseded ones are looked for.
const MANY_CHECKS: usize = 10_000;

/// Changes that wait to become one batch.
#[derive(Default)]
pub(super) struct Queue {
    /// In their order. They come with every result, and most of a transaction's are of different checks: sorting them in
    /// would cost their sender more than writing one twice costs the writer.
    checks: Vec<(Id, Option<Arc<CheckRecord>>)>,
    /// How many of them are of different checks, as far as was looked.
    different: usize,
    incidents: BTreeMap<Id, Option<Incident>>,
    actions: BTreeMap<Id, Option<ActionRecord>>,
    lanes: BTreeMap<Id, Option<LaneRecord>>,
    channels: BTreeMap<Id, Option<ChannelRecord>>,
    deliveries: BTreeMap<Arc<str>, Delivery>,
    transitions: Vec<Transition>,
    results: VecDeque<ResultRow>,
    /// Whether the last batch left results behind.
    overtaken: bool,
}

impl Queue {
    /// Takes a batch in and returns how many old results had to go for it.
    pub(super) fn add(&mut self, batch: Batch) -> usize {
        let Batch { checks, incidents, actions, lanes, channels, deliveries, transitions, results } = batch;
        self.checks.extend(checks);
        if self.checks.len() > 2 * self.different.max(MANY_CHECKS) {
            self.supersede();
        }
        self.incidents.extend(incidents);
        self.actions.extend(actions);
        self.lanes.extend(lanes);
        self.channels.extend(channels);
        self.deliveries.extend(deliveries.into_iter().map(|delivery| (delivery.intent.key.clone(), delivery)));
        self.transitions.extend(transitions);
        self.results.extend(results);
        let excess = self.results.len().saturating_sub(WAITING_RESULTS);
        self.results.drain(..excess);
        excess
    }

    /// Leaves only the latest record of each check.
    fn supersede(&mut self) {
        let mut seen = HashSet::new();
        let latest: Vec<bool> = self.checks.iter().rev().map(|(id, _)| seen.insert(id.clone())).collect();
        let mut latest = latest.into_iter().rev();
        self.checks.retain(|_| latest.next().unwrap_or(true));
        self.different = self.checks.len();
    }

    /// Whether nothing waits.
    pub(super) fn is_empty(&self) -> bool {
        self.is_stateless() && self.results.is_empty()
    }

    /// Whether there are results enough for a transaction of their own.
    pub(super) fn is_full(&self) -> bool {
        self.results.len() >= RESULTS_AT_ONCE
    }

    /// Whether nothing waits that is part of the ledger.
    pub(super) fn is_stateless(&self) -> bool {
        self.checks.is_empty()
            && self.incidents.is_empty()
            && self.actions.is_empty()
            && self.lanes.is_empty()
            && self.channels.is_empty()
            && self.deliveries.is_empty()
            && self.transitions.is_empty()
    }

    /// The next transaction: every change of state, and results if nobody waits for it (`hurry`). Results are let past by
    /// one hurried transaction at most.
    pub(super) fn take(&mut self, hurry: bool) -> Batch {
        let count = if hurry && !self.overtaken { 0 } else { self.results.len().min(RESULTS_AT_ONCE) };
        self.overtaken = count < self.results.len() && count == 0;
        let later = self.results.split_off(count);
        let results = std::mem::replace(&mut self.results, later).into();
        let mut deliveries: Vec<Delivery> = std::mem::take(&mut self.deliveries).into_values().collect();
        deliveries.sort_by_key(|delivery| delivery.sequence);
        Batch {
            checks: std::mem::take(&mut self.checks),
            incidents: std::mem::take(&mut self.incidents).into_iter().collect(),
            actions: std::mem::take(&mut self.actions).into_iter().collect(),
            lanes: std::mem::take(&mut self.lanes).into_iter().collect(),
            channels: std::mem::take(&mut self.channels).into_iter().collect(),
            deliveries,
            transitions: std::mem::take(&mut self.transitions),
            results,
        }
    }
}
