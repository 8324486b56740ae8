//! Everything that must survive: the value that stores load and keep.
//!
//! A [`Batch`] is one transaction: transitions and the intents that they call for are never apart.

use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use crate::delivery::Delivery;
use crate::intent::Transition;
use crate::outcome::Outcome;
use crate::record::{ActionRecord, ChannelRecord, CheckRecord, Incident, LaneRecord};
use crate::{Id, Wall};

/// The remembered state of one installation.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ledger {
    /// Checks and groups.
    pub checks: BTreeMap<Id, Arc<CheckRecord>>,
    /// Open incidents, by check or group.
    pub incidents: BTreeMap<Id, Incident>,
    /// Verdicts of actions.
    pub actions: BTreeMap<Id, ActionRecord>,
    /// Workers of actions.
    pub lanes: BTreeMap<Id, LaneRecord>,
    /// Workers of alerts.
    #[serde(default)]
    pub channels: BTreeMap<Id, ChannelRecord>,
    /// Unsettled deliveries, by key.
    pub outbox: BTreeMap<Arc<str>, Delivery>,
    /// The sequence of the next delivery.
    pub next_sequence: u64,
}

/// One probe's result for the history.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResultRow {
    /// The check.
    pub check: Id,
    /// When the probe ended.
    pub at: Wall,
    /// What it found.
    pub outcome: Outcome,
}

/// One transaction. An entry replaces what stood under its key; `None` removes it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Batch {
    /// Checks and groups whose record changed.
    pub checks: Vec<(Id, Option<Arc<CheckRecord>>)>,
    /// Incidents opened, changed or closed.
    pub incidents: Vec<(Id, Option<Incident>)>,
    /// Verdicts that changed.
    pub actions: Vec<(Id, Option<ActionRecord>)>,
    /// Workers whose memory changed.
    pub lanes: Vec<(Id, Option<LaneRecord>)>,
    /// Workers of alerts whose memory changed.
    pub channels: Vec<(Id, Option<ChannelRecord>)>,
    /// Deliveries that are new or have moved; settled ones leave the outbox for the history.
    pub deliveries: Vec<Delivery>,
    /// For the history.
    pub transitions: Vec<Transition>,
    /// For the history.
    pub results: Vec<ResultRow>,
}

impl Batch {
    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.checks.is_empty()
            && self.incidents.is_empty()
            && self.actions.is_empty()
            && self.lanes.is_empty()
            && self.channels.is_empty()
            && self.deliveries.is_empty()
            && self.transitions.is_empty()
            && self.results.is_empty()
    }

    /// Whether it must reach the disk before anything is sent: it holds a transition or a delivery.
    pub fn is_urgent(&self) -> bool {
        !self.transitions.is_empty() || !self.deliveries.is_empty()
    }

    /// Appends what another batch holds; of two entries for one key the later one counts.
    pub fn append(&mut self, later: Self) {
        join(&mut self.checks, later.checks);
        join(&mut self.incidents, later.incidents);
        join(&mut self.actions, later.actions);
        join(&mut self.lanes, later.lanes);
        join(&mut self.channels, later.channels);
        join(&mut self.deliveries, later.deliveries);
        join(&mut self.transitions, later.transitions);
        join(&mut self.results, later.results);
    }
}

impl Ledger {
    /// Takes a batch over, as a store would. The history is not part of the ledger.
    pub fn apply(&mut self, batch: &Batch) {
        put(&mut self.checks, &batch.checks);
        put(&mut self.incidents, &batch.incidents);
        put(&mut self.actions, &batch.actions);
        put(&mut self.lanes, &batch.lanes);
        put(&mut self.channels, &batch.channels);
        for delivery in &batch.deliveries {
            self.next_sequence = self.next_sequence.max(delivery.sequence.saturating_add(1));
            let key = delivery.intent.key.clone();
            if delivery.status.is_unsettled() {
                self.outbox.insert(key, delivery.clone());
            } else {
                self.outbox.remove(&key);
            }
        }
    }

    /// The batch that makes an empty ledger equal to this one, but for the sequence where no delivery is left of it.
    pub fn to_batch(&self) -> Batch {
        Batch {
            checks: all(&self.checks),
            incidents: all(&self.incidents),
            actions: all(&self.actions),
            lanes: all(&self.lanes),
            channels: all(&self.channels),
            deliveries: self.outbox.values().cloned().collect(),
            ..Batch::default()
        }
    }
}

/// Most batches hold hardly anything: one result of one check.
fn join<T>(earlier: &mut Vec<T>, mut later: Vec<T>) {
    if earlier.is_empty() {
        *earlier = later;
    } else if !later.is_empty() {
        earlier.append(&mut later);
    }
}

fn all<T: Clone>(map: &BTreeMap<Id, T>) -> Vec<(Id, Option<T>)> {
    map.iter().map(|(id, record)| (id.clone(), Some(record.clone()))).collect()
}

fn put<T: Clone>(map: &mut BTreeMap<Id, T>, changes: &[(Id, Option<T>)]) {
    for (id, change) in changes {
        match change {
            Some(record) => map.insert(id.clone(), record.clone()),
            None => map.remove(id),
        };
    }
}
