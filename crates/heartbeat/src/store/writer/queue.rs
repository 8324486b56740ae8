//! What waits for the writer: changes by key, so that it stays small however long the writer is away.

use std::collections::{BTreeMap, VecDeque};
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

/// Changes that wait to become one batch.
#[derive(Default)]
pub(super) struct Queue {
    checks: BTreeMap<Id, Option<Arc<CheckRecord>>>,
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

    /// Whether nothing waits.
    pub(super) fn is_empty(&self) -> bool {
        self.is_stateless() && self.results.is_empty()
    }

    fn is_stateless(&self) -> bool {
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
        let results = if hurry && !self.overtaken { 0 } else { self.results.len().min(RESULTS_AT_ONCE) };
        self.overtaken = results < self.results.len() && results == 0;
        let mut deliveries: Vec<Delivery> = std::mem::take(&mut self.deliveries).into_values().collect();
        deliveries.sort_by_key(|delivery| delivery.sequence);
        Batch {
            checks: std::mem::take(&mut self.checks).into_iter().collect(),
            incidents: std::mem::take(&mut self.incidents).into_iter().collect(),
            actions: std::mem::take(&mut self.actions).into_iter().collect(),
            lanes: std::mem::take(&mut self.lanes).into_iter().collect(),
            channels: std::mem::take(&mut self.channels).into_iter().collect(),
            deliveries,
            transitions: std::mem::take(&mut self.transitions),
            results: self.results.drain(..results).collect(),
        }
    }
}
