//! What the store holds, or would hold if it could, and of which checks it holds something older.
//!
//! A check that is up and passes again changes nothing but its counters and the time of its latest pass. Nothing will be
//! decided by them after a restart, so such a row is not written with every pass, but when it is [`LAG`] behind, when
//! something else of it changes, and at an orderly end.

use std::sync::Arc;
use std::time::Duration;

use heartbeat_core::Id;
use heartbeat_core::id::IdMap;
use heartbeat_core::ledger::{Batch, Ledger};
use heartbeat_core::record::{CheckRecord, State};

/// So much older than the truth a check's latest pass may be in the store.
pub(super) const LAG: Duration = Duration::from_secs(600);

/// The ledger, with its checks where they are found quickly.
#[derive(Debug, Default)]
pub(super) struct Mirror {
    checks: IdMap<Entry>,
    /// Without checks.
    others: Ledger,
}

#[derive(Debug)]
struct Entry {
    record: Arc<CheckRecord>,
    /// How much older the latest pass is that the store has, in milliseconds; 0 if the store has all of the record.
    behind: u32,
}

impl Mirror {
    /// The mirror of a store that holds exactly this.
    pub(super) fn of(mut ledger: Ledger) -> Self {
        let entry = |(id, record)| (id, Entry { record, behind: 0 });
        let checks = std::mem::take(&mut ledger.checks).into_iter().map(entry).collect();
        Self { checks, others: ledger }
    }

    /// Takes a batch over and takes out of it what the store need not have yet.
    pub(super) fn apply(&mut self, batch: &mut Batch) {
        batch.checks.retain(|(id, change)| match change {
            None => {
                self.checks.remove(id);
                true
            }
            Some(record) => self.put(id, record),
        });
        let checks = std::mem::take(&mut batch.checks);
        self.others.apply(batch);
        batch.checks = checks;
    }

    /// Whether the store must have it.
    fn put(&mut self, id: &Id, record: &Arc<CheckRecord>) -> bool {
        let Some(entry) = self.checks.get_mut(id) else {
            self.checks.insert(id.clone(), Entry { record: Arc::clone(record), behind: 0 });
            return true;
        };
        let step = passed_again(&entry.record, record);
        let behind = step.map_or(Duration::MAX, |step| Duration::from_millis(entry.behind.into()).saturating_add(step));
        entry.record = Arc::clone(record);
        let write = behind > LAG;
        // Two passes in one millisecond are no reason to forget that the store has only the first.
        entry.behind = if write { 0 } else { u32::try_from(behind.as_millis()).unwrap_or(u32::MAX).max(1) };
        write
    }

    /// What the store does not have yet.
    pub(super) fn rest(&self) -> Batch {
        let behind = self.checks.iter().filter(|(_, entry)| entry.behind > 0);
        Batch {
            checks: behind.map(|(id, entry)| (id.clone(), Some(entry.record.clone()))).collect(),
            ..Batch::default()
        }
    }

    /// The store has been made equal to this.
    pub(super) fn caught_up(&mut self) {
        for entry in self.checks.values_mut() {
            entry.behind = 0;
        }
    }

    /// Everything that is remembered.
    pub(super) fn ledger(&self) -> Ledger {
        let mut ledger = self.others.clone();
        ledger.checks = self.checks.iter().map(|(id, entry)| (id.clone(), entry.record.clone())).collect();
        ledger
    }

    /// Whether a delivery waits to be made.
    pub(super) fn owes(&self, key: &str) -> bool {
        self.others.outbox.contains_key(key)
    }
}

/// The time from pass to pass, if the only difference is that a check which is up has passed again.
fn passed_again(old: &CheckRecord, new: &CheckRecord) -> Option<Duration> {
    let (before, after) = (old.last_pass?, new.last_pass?);
    let CheckRecord { passes, cleans, last_pass, .. } = *new;
    let alike = new.state == State::Up
        && old.passes > 0
        && before <= after
        && *new == CheckRecord { passes, cleans, last_pass, ..old.clone() };
    alike.then(|| after.since(before))
}

#[cfg(test)]
mod tests {
    use heartbeat_core::outcome::{Fault, Outcome};
    use heartbeat_core::policy::Policy;
    use heartbeat_core::state::step;
    use heartbeat_core::{Id, Wall};
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    fn put(id: &str, record: &CheckRecord) -> Batch {
        Batch { checks: vec![(Id::from(id), Some(Arc::new(record.clone())))], ..Batch::default() }
    }

    /// What a mirror hands on of a check's records, one after the other.
    fn written(mirror: &mut Mirror, records: &[CheckRecord]) -> Vec<CheckRecord> {
        let mut written = Vec::new();
        for record in records {
            let mut batch = put("web", record);
            mirror.apply(&mut batch);
            written.extend(batch.checks.into_iter().filter_map(|(_, record)| record).map(Arc::unwrap_or_clone));
        }
        written
    }

    fn up(passes: u32) -> CheckRecord {
        CheckRecord {
            state: State::Up,
            epoch: 1,
            passes,
            cleans: passes,
            first_pass: Some(Wall::from_unix_millis(60_000)),
            last_pass: Some(Wall::from_unix_millis(60_000 * i64::from(passes))),
            ..CheckRecord::default()
        }
    }

    #[test]
    fn passes_of_a_check_that_is_up_are_written_now_and_then() {
        let mut mirror = Mirror::default();
        let records: Vec<_> = (1..=24).map(up).collect();
        assert_eq!(written(&mut mirror, &records), [up(1), up(12), up(23)]);
        assert_eq!(mirror.rest(), put("web", &up(24)));
        assert_eq!(*mirror.ledger().checks["web"], up(24));
        mirror.caught_up();
        assert!(mirror.rest().is_empty());
        assert!(Mirror::of(mirror.ledger()).rest().is_empty());
    }

    #[test]
    fn a_clock_that_was_set_back_is_written() {
        let mut mirror = Mirror::default();
        let back = CheckRecord { last_pass: Some(Wall::from_unix_millis(5)), ..up(3) };
        assert_eq!(written(&mut mirror, &[up(1), up(2), back.clone()]), [up(1), back]);
        assert!(mirror.rest().is_empty());
    }

    #[test]
    fn a_removed_check_is_not_written_again() {
        let mut mirror = Mirror::default();
        written(&mut mirror, &[up(1), up(2)]);
        let mut batch = Batch { checks: vec![(Id::from("web"), None)], ..Batch::default() };
        mirror.apply(&mut batch);
        assert_eq!(batch.checks.len(), 1);
        assert!(mirror.rest().is_empty());
    }

    fn outcome() -> impl Strategy<Value = Outcome> {
        prop_oneof![
            4 => Just(Outcome::pass(Duration::ZERO)),
            1 => Just(Outcome::warn(Fault::Latency, "slow", Duration::ZERO)),
            1 => Just(Outcome::fault(Fault::Refused, "refused", Duration::ZERO)),
        ]
    }

    proptest! {
        /// Whenever the process is killed, what is decided afterwards is the same, and the latest pass is not far away.
        #[test]
        fn what_the_store_has_decides_like_the_truth(
            outcomes in vec((outcome(), 0..400_000_i64), 1..40),
            after in vec(outcome(), 0..12),
        ) {
            let policy = Policy::default();
            let id = Id::from("web");
            let (mut mirror, mut truth, mut stored, mut now) = (Mirror::default(), CheckRecord::default(), None, 0);
            for (outcome, pause) in outcomes {
                now += pause;
                (truth, _) = step(&id, &truth, &policy, &outcome, Wall::from_unix_millis(now));
                stored = written(&mut mirror, std::slice::from_ref(&truth)).pop().or(stored);
            }
            let mut stored = stored.expect("the first is always written");
            let lag = truth.last_pass.unwrap_or_default().since(stored.last_pass.unwrap_or_default());
            prop_assert!(lag <= LAG, "{lag:?}");
            for outcome in after {
                let at = Wall::from_unix_millis(now);
                let (next, transition) = step(&id, &truth, &policy, &outcome, at);
                let (also, same) = step(&id, &stored, &policy, &outcome, at);
                prop_assert_eq!(transition, same);
                (truth, stored) = (next, also);
            }
        }
    }
}
