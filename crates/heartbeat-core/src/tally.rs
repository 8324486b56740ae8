//! Counts of states over a set of checks, so that a change of one check costs the same in a set of any size.

use crate::record::State;

/// What one check is counted as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Standing {
    /// Its state; unknown while it is stale, where that matters.
    pub(crate) state: State,
    /// Its latest result was a failure.
    pub(crate) failing: bool,
    /// It has not been heard of in this process.
    pub(crate) unheard: bool,
}

/// How many checks of a set stand how.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) total: u32,
    pub(crate) unknown: u32,
    pub(crate) degraded: u32,
    pub(crate) down: u32,
    /// Not down, but failing.
    pub(crate) failing: u32,
    pub(crate) unheard: u32,
}

impl Tally {
    /// Counts a check.
    pub(crate) fn add(&mut self, standing: Standing) {
        self.total += 1;
        for count in self.counts(standing).into_iter().flatten() {
            *count += 1;
        }
    }

    /// Counts a check that was counted differently before.
    pub(crate) fn change(&mut self, before: Standing, after: Standing) {
        for count in self.counts(before).into_iter().flatten() {
            *count -= 1;
        }
        for count in self.counts(after).into_iter().flatten() {
            *count += 1;
        }
    }

    fn counts(&mut self, standing: Standing) -> [Option<&mut u32>; 3] {
        let failing = standing.failing && standing.state != State::Down;
        let by_state = match standing.state {
            State::Unknown => Some(&mut self.unknown),
            State::Up => None,
            State::Degraded => Some(&mut self.degraded),
            State::Down => Some(&mut self.down),
        };
        [by_state, failing.then_some(&mut self.failing), standing.unheard.then_some(&mut self.unheard)]
    }
}
