//! Where the check of an id stands in a plan: an index of numbers alone, for the ids are in the plan already.

use std::hash::{BuildHasher as _, BuildHasherDefault};
use std::sync::Arc;

use hashbrown::HashTable;
use heartbeat_core::id::IdHasher;

use super::Check;

/// The places of checks by their ids. It is asked about the very checks that it was made of.
#[derive(Debug)]
pub(super) struct Places(HashTable<u32>);

impl Places {
    /// An index of these checks.
    pub(super) fn of(checks: &[Arc<Check>]) -> Self {
        let mut table = HashTable::with_capacity(checks.len());
        for (place, check) in (0..).zip(checks) {
            table.insert_unique(hash(&check.id), place, |other: &u32| hash(&checks[*other as usize].id));
        }
        Self(table)
    }

    /// The place of the check with that id.
    pub(super) fn find(&self, id: &str, checks: &[Arc<Check>]) -> Option<usize> {
        self.0.find(hash(id), |place| *checks[*place as usize].id == *id).map(|place| *place as usize)
    }
}

fn hash(id: &str) -> u64 {
    BuildHasherDefault::<IdHasher>::default().hash_one(id)
}
