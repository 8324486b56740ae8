//! When probes in flight must have ended.
//!
//! Probes with the same timeout come to their deadlines in the order in which they began. So there is a queue for every
//! timeout that is in use, mostly one, and no probe needs a timer of its own: that would cost more than the rest of its
//! bookkeeping, for a deadline that hardly ever comes.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use heartbeat_core::Mono;
use heartbeat_core::shard::CheckKey;

/// An attempt at a check.
pub(super) type Attempt = (CheckKey, u64);

/// The deadlines, by timeouts.
#[derive(Debug, Default)]
pub(super) struct Deadlines(BTreeMap<Duration, VecDeque<(Mono, Attempt)>>);

impl Deadlines {
    /// An attempt has begun that must end within `timeout`, which is at `deadline`.
    pub(super) fn set(&mut self, timeout: Duration, deadline: Mono, attempt: Attempt) {
        self.0.entry(timeout).or_default().push_back((deadline, attempt));
    }

    /// The earliest deadline of those attempts that run still. What has ended is forgotten as far as it stands before them.
    pub(super) fn earliest(&mut self, runs: impl Fn(Attempt) -> bool) -> Option<Mono> {
        let mut earliest = None;
        self.0.retain(|_, queue| {
            while queue.pop_front_if(|(_, attempt)| !runs(*attempt)).is_some() {}
            let first = queue.front().map(|(deadline, _)| *deadline);
            earliest = earliest.into_iter().chain(first).min();
            first.is_some()
        });
        earliest
    }

    /// Takes an attempt out whose deadline has passed, whether or not it runs still.
    pub(super) fn pop_due(&mut self, now: Mono) -> Option<Attempt> {
        let mut queues = self.0.values_mut();
        queues.find_map(|queue| queue.pop_front_if(|(deadline, _)| *deadline <= now)).map(|(_, attempt)| attempt)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::{prop_assert_eq, proptest};

    use super::*;

    proptest! {
        /// Attempts begin one after the other, with one of three timeouts; some end early; time goes on.
        #[test]
        fn all_are_due_in_time_and_none_is_forgotten(steps in proptest::collection::vec((0..3_u64, 0..4_u64, 0..9_u64), 0..80)) {
            let (mut deadlines, mut model, mut running) = (Deadlines::default(), BTreeSet::new(), BTreeSet::new());
            let at = |seconds| Mono::from_origin(Duration::from_secs(seconds));
            let mut now = 0;
            for (number, (timeout, passes, ends)) in (0..).zip(steps) {
                let (attempt, timeout) = ((CheckKey(number), u64::from(number)), 3 + 4 * timeout);
                deadlines.set(Duration::from_secs(timeout), at(now + timeout), attempt);
                model.insert((at(now + timeout), attempt));
                running.insert(attempt);
                running.remove(&(CheckKey(ends as u32), ends));
                now += passes;
                model.retain(|(_, attempt)| running.contains(attempt));
                let earliest = deadlines.earliest(|attempt| running.contains(&attempt));
                prop_assert_eq!(earliest, model.first().map(|(deadline, _)| *deadline));
                while let Some(attempt) = deadlines.pop_due(at(now)) {
                    running.remove(&attempt);
                }
                model.retain(|(deadline, _)| *deadline > at(now));
                prop_assert_eq!(&running, &model.iter().map(|(_, attempt)| *attempt).collect());
            }
        }
    }
}
