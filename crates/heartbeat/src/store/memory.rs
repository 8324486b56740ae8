//! The store that keeps nothing beyond the process: each start is a first one.
//!
//! It remembers a short history, for those who look while the process lives, and no ledger: its writer has one.

use std::collections::VecDeque;
use std::path::Path;

use heartbeat_core::delivery::Delivery;
use heartbeat_core::intent::Transition;
use heartbeat_core::ledger::{Batch, Ledger};

use super::{Flush, History, Opened, Snapshot, Store, StoreError, StoreFault};

/// How many entries of each list are kept.
const KEPT: usize = 1_000;

#[derive(Default)]
struct Memory {
    recent: Recent,
}

/// A bounded history, for the stores that keep one in memory.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Recent {
    pub(super) transitions: VecDeque<Transition>,
    pub(super) settled: VecDeque<Delivery>,
}

impl Recent {
    /// Adds what belongs to the history in `batch` and forgets what exceeds `kept`.
    pub(super) fn add(&mut self, batch: &Batch, kept: usize) {
        self.transitions.extend(batch.transitions.iter().cloned());
        for delivery in &batch.deliveries {
            self.settled.retain(|settled| settled.intent.key != delivery.intent.key);
            if !delivery.status.is_unsettled() {
                self.settled.push_back(delivery.clone());
            }
        }
        self.transitions.drain(..self.transitions.len().saturating_sub(kept));
        self.settled.drain(..self.settled.len().saturating_sub(kept));
    }

    /// The newest `limit` of each.
    pub(super) fn newest(&self, limit: usize) -> History {
        History {
            transitions: newest(&self.transitions, limit),
            settled: newest(&self.settled, limit),
            results: Vec::new(),
        }
    }
}

fn newest<T: Clone>(list: &VecDeque<T>, limit: usize) -> Vec<T> {
    list.iter().skip(list.len().saturating_sub(limit)).cloned().collect()
}

pub(super) fn open(_: &Path) -> Result<Opened, StoreError> {
    Ok(Opened {
        store: Box::new(Memory::default()),
        ledger: Ledger::default(),
        fresh: true,
        notices: Vec::new(),
        old: None,
        unwritable: None,
    })
}

pub(super) fn read(_: &Path, _: usize) -> Result<Snapshot, StoreError> {
    Err(StoreError::new(
        StoreFault::Missing,
        "`storage: memory` keeps nothing that another process could read; ask the running daemon, or use \
         `storage: sqlite:heartbeat.db`",
    ))
}

impl Store for Memory {
    fn commit(&mut self, batch: &Batch, _: Flush) -> Result<(), StoreError> {
        self.recent.add(batch, KEPT);
        Ok(())
    }

    fn replace(&mut self, _: &Ledger, missed: &Batch) -> Result<(), StoreError> {
        self.recent.add(missed, KEPT);
        Ok(())
    }

    fn history(&mut self, limit: usize) -> Result<History, StoreError> {
        Ok(self.recent.newest(limit))
    }

    fn location(&self) -> String {
        "memory".to_owned()
    }
}
