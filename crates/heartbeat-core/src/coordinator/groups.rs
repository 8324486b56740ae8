//! Groups: states that are derived from members.
//!
//! A group is judged when its verdict is certain: down as soon as enough members are, healthy as soon as the members that
//! are unknown could not bring it down any more. In between it keeps the state that it had, as an action keeps its
//! verdict. A healthy group is degraded while a member is degraded or down: redundancy is lost.

use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::time::Duration;

use super::{Coordinator, Draft};
use crate::Id;
use crate::policy::DownWhen;
use crate::record::{CheckRecord, State};
use crate::state::enter;
use crate::tally::{Standing, Tally};

/// So many members are named in a reason.
const NAMED: usize = 5;

/// A group and its count.
#[derive(Clone, Debug)]
pub(super) struct Group {
    checks: Vec<Id>,
    down_when: DownWhen,
    pub(super) tally: Tally,
}

impl Group {
    pub(super) fn new(checks: Vec<Id>, down_when: DownWhen) -> Self {
        Self { checks, down_when, tally: Tally::default() }
    }

    /// So many members down, and the group is.
    fn enough(&self) -> u32 {
        match self.down_when {
            DownWhen::Any => 1,
            DownWhen::All => self.tally.total,
            DownWhen::AtLeast(least) => least.clamp(1, self.tally.total.max(1)),
        }
    }

    /// The state that follows from the members, if it is certain.
    fn state(&self) -> Option<State> {
        let Tally { total, unknown, degraded, down, .. } = self.tally;
        if total == 0 {
            None
        } else if down >= self.enough() {
            Some(State::Down)
        } else if down + unknown >= self.enough() {
            None
        } else if down + degraded > 0 {
            Some(State::Degraded)
        } else {
            Some(State::Up)
        }
    }

    /// Whether it would be down if every failing member were.
    pub(super) fn is_failing(&self) -> bool {
        self.tally.total > 0 && self.tally.down + self.tally.failing >= self.enough()
    }
}

impl Coordinator {
    pub(super) fn recount_group(&mut self, id: &Id, before: Standing, after: Standing, draft: &mut Draft<'_>) {
        let Some(group) = self.index.groups.get_mut(id) else { return };
        group.tally.change(before, after);
        self.judge_group(id, draft);
    }

    pub(super) fn judge_all_groups(&mut self, draft: &mut Draft<'_>) {
        for id in self.index.groups.keys().cloned().collect::<Vec<Id>>() {
            self.judge_group(&id, draft);
        }
    }

    fn judge_group(&mut self, id: &Id, draft: &mut Draft<'_>) {
        let Some(state) = self.index.groups[id].state() else { return };
        let old = self.record(id).cloned().unwrap_or_default();
        if state == old.state {
            return;
        }
        let mut record = CheckRecord::clone(&old);
        let reason = self.why_group(id, state);
        record.reason = reason.clone().into();
        let transition = enter(id, &mut record, state, reason.into(), draft.now.wall);
        let record = Arc::new(record);
        draft.batch.checks.push((id.clone(), Some(record.clone())));
        self.known.entry_ref(id).or_default().record = Some(record);
        self.moved(&transition, &old, Duration::ZERO, draft);
    }

    fn why_group(&self, id: &Id, state: State) -> String {
        if state == State::Up {
            return String::new();
        }
        let group = &self.index.groups[id];
        let bad = |state: State| matches!(state, State::Down | State::Degraded);
        let named: Vec<_> = group.checks.iter().filter(|id| bad(self.standing(id).state)).collect();
        let mut reason = format!("{} of {} down", group.tally.down, group.tally.total);
        for (n, id) in named.iter().take(NAMED).enumerate() {
            reason.push_str(if n == 0 { ": " } else { ", " });
            reason.push_str(id);
            if self.standing(id).state == State::Degraded {
                reason.push_str(" (degraded)");
            }
        }
        if named.len() > NAMED {
            reason.push_str(&format!(" and {} more", named.len() - NAMED));
        }
        reason
    }
}
