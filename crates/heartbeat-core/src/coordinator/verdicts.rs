//! What the states mean for actions.
//!
//! An action is *promoted* when all checks that name it are up or degraded, *demoted* when one is down, and otherwise
//! undetermined, which changes nothing. Only a change of the last determined verdict is an intent; so a restart, which
//! finds the verdict in the store, is never an event.
//!
//! What the store says of a check is true until the check has been heard of; it is enough to recognise a change, but not
//! to repeat a command, or to judge an action by a wiring that has just been changed: that waits until all its checks have
//! been heard of in this process.
//!
//! Under an overlay a promotion is not decided on at all, and so needs no memory: when the overlay lifts, the verdict of
//! that moment is compared with the last one that was acted on.

use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use alloc::vec::Vec;

use super::wiring::Index;
use super::{Coordinator, Draft, Overlay};
use crate::intent::{Destination, Facts, Intent};
use crate::key::key;
use crate::pace::Age;
use crate::policy::{ActionPolicy, OnStart};
use crate::record::{ActionRecord, Direction, State};
use crate::tally::{Standing, Tally};
use crate::timers::Timers;
use crate::{Id, Mono, Now};

/// An action of the plan, with the count of its checks.
#[derive(Clone, Debug)]
pub(super) struct Action {
    pub(super) checks: Vec<Id>,
    pub(super) tally: Tally,
    policy: ActionPolicy,
    timer: u32,
    /// A promotion waits for the overlay to lift, and that has been said.
    waits: bool,
}

impl Action {
    pub(super) fn new(timer: u32, policy: ActionPolicy) -> Self {
        Self { checks: Vec::new(), tally: Tally::default(), policy, timer, waits: false }
    }

    fn verdict(&self) -> Option<Direction> {
        match self.tally {
            Tally { down: 1.., .. } => Some(Direction::Demote),
            Tally { unknown: 1.., .. } | Tally { total: 0, .. } => None,
            _ => Some(Direction::Promote),
        }
    }
}

/// What was decided, and when it is to be repeated.
#[derive(Clone, Debug, Default)]
pub(super) struct Verdicts {
    decided: BTreeMap<Id, Decided>,
    timers: Timers,
    names: Vec<Id>,
}

#[derive(Clone, Debug)]
struct Decided {
    record: ActionRecord,
    /// The latest intent, or the adoption of a verdict without one.
    age: Age,
}

impl Verdicts {
    pub(super) fn remembered(records: &BTreeMap<Id, ActionRecord>, now: Now) -> Self {
        let remember = |record: &ActionRecord| {
            let at = record.last_intent.or(record.since).unwrap_or(now.wall);
            Decided { record: record.clone(), age: Age::of(at, now) }
        };
        let decided = records.iter().map(|(id, record)| (id.clone(), remember(record))).collect();
        Self { decided, ..Self::default() }
    }

    pub(super) fn record(&self, id: &str) -> Option<&ActionRecord> {
        self.decided.get(id).map(|decided| &decided.record)
    }

    pub(super) fn next_repeat(&self) -> Option<Mono> {
        self.timers.earliest().map(|(at, _)| at)
    }

    /// Forgets the actions that the plan no longer has.
    pub(super) fn retain(&mut self, index: &Index, draft: &mut Draft<'_>) {
        self.timers = Timers::default();
        self.names = index.actions.keys().cloned().collect();
        self.names.sort_by_key(|id| index.actions[id].timer);
        self.decided.retain(|id, _| {
            let planned = index.actions.contains_key(id);
            if !planned {
                draft.batch.actions.push((id.clone(), None));
            }
            planned
        });
    }
}

impl Coordinator {
    pub(super) fn recount_action(
        &mut self,
        id: &Id,
        before: Standing,
        after: Standing,
        cause: Option<(&Id, &Facts)>,
        draft: &mut Draft<'_>,
    ) {
        let Some(action) = self.index.actions.get_mut(id) else { return };
        action.tally.change(before, after);
        if before.state != after.state || action.tally.unheard == 0 {
            self.judge_action(id, cause, draft);
        }
    }

    pub(super) fn judge_all_actions(&mut self, draft: &mut Draft<'_>) {
        for id in self.index.actions.keys().cloned().collect::<Vec<Id>>() {
            if self.index.actions[&id].tally.unheard == 0 {
                self.judge_action(&id, None, draft);
            }
        }
    }

    pub(super) fn overlay(&mut self, overlay: Option<Overlay>, draft: &mut Draft<'_>) {
        self.overlay = overlay;
        self.judge_all_actions(draft);
    }

    pub(super) fn repeat_verdicts(&mut self, draft: &mut Draft<'_>) {
        while let Some(timer) = self.verdicts.timers.pop_due(draft.now.mono) {
            let id = self.verdicts.names[timer as usize].clone();
            if let Some(verdict) = self.repeatable(&id) {
                self.run(&id, verdict, None, draft);
            }
        }
    }

    /// Compares the verdict of now with the last one.
    fn judge_action(&mut self, id: &Id, cause: Option<(&Id, &Facts)>, draft: &mut Draft<'_>) {
        let action = self.index.actions.get_mut(id).expect("only planned actions are judged");
        let last = self.verdicts.record(id).and_then(|record| record.verdict);
        let verdict = action.verdict().filter(|verdict| Some(*verdict) != last);
        let Some(verdict) = verdict else {
            action.waits = false;
            self.arm(id);
            return;
        };
        let runs = match (last, verdict, action.policy.on_start) {
            (None, Direction::Promote, OnStart::Adopt) => false,
            (None, Direction::Promote, OnStart::Run) | (None, Direction::Demote, _) | (Some(_), ..) => true,
        };
        if !runs {
            self.decide(id, verdict, draft);
            self.arm(id);
        } else if verdict == Direction::Promote && self.overlay.is_some() {
            self.wait_for_overlay(id, draft);
        } else {
            self.decide(id, verdict, draft);
            self.run(id, verdict, cause, draft);
        }
    }

    fn wait_for_overlay(&mut self, id: &Id, draft: &mut Draft<'_>) {
        let Some(Overlay { word, .. }) = &self.overlay else { return };
        let action = self.index.actions.get_mut(id).expect("judged actions are planned");
        if !core::mem::replace(&mut action.waits, true) {
            draft.withhold(id, Direction::Promote.into(), Arc::from(alloc::format!("{word}: nothing is started")));
        }
    }

    /// Takes note of a verdict.
    fn decide(&mut self, id: &Id, verdict: Direction, draft: &mut Draft<'_>) {
        self.index.actions.get_mut(id).expect("judged actions are planned").waits = false;
        let new = || Decided { record: ActionRecord::default(), age: Age::of(draft.now.wall, draft.now) };
        let decided = self.verdicts.decided.entry(id.clone()).or_insert_with(new);
        decided.record.verdict = Some(verdict);
        decided.record.since = Some(draft.now.wall);
        decided.age = Age::of(draft.now.wall, draft.now);
        draft.batch.actions.push((id.clone(), Some(decided.record.clone())));
    }

    /// Owes a run of the command for the verdict that stands.
    fn run(&mut self, id: &Id, verdict: Direction, cause: Option<(&Id, &Facts)>, draft: &mut Draft<'_>) {
        let (subject, facts) = match cause {
            Some((check, facts)) => (Some(check.clone()), facts.clone()),
            None => self.standing_cause(id, verdict),
        };
        let at = draft.now.wall;
        let decided = self.verdicts.decided.get_mut(id).expect("a verdict is decided before it is run");
        decided.record.epoch += 1;
        decided.record.last_intent = Some(at);
        decided.age = Age::of(draft.now.wall, draft.now);
        let (event, epoch) = (verdict.into(), decided.record.epoch);
        draft.batch.actions.push((id.clone(), Some(decided.record.clone())));
        draft.owe(Intent {
            key: key(event, id, epoch, at, subject.as_deref().unwrap_or_default()),
            at,
            event,
            to: Destination::Action(id.clone()),
            incident: subject.as_ref().and_then(|subject| Some(self.incidents.get(subject)?.incident.epoch)),
            facts,
            subject,
            message: Arc::from(""),
        });
        self.arm(id);
    }

    /// A check that the verdict rests on, when no transition has just brought it about.
    fn standing_cause(&self, id: &Id, verdict: Direction) -> (Option<Id>, Facts) {
        let record = |check: &Id| self.record(check);
        let is_down = |check: &&Id| record(check).is_some_and(|record| record.state == State::Down);
        let checks = &self.index.actions[id].checks;
        let check = match verdict {
            Direction::Demote => checks.iter().find(is_down),
            Direction::Promote => checks.first(),
        };
        (check.cloned(), check.and_then(record).map(|record| Facts::of(record)).unwrap_or_default())
    }

    /// The verdict that stands and may be run again.
    fn repeatable(&self, id: &Id) -> Option<Direction> {
        let action = &self.index.actions[id];
        let verdict = action.verdict()?;
        let stands = self.verdicts.record(id)?.verdict == Some(verdict);
        let held = verdict == Direction::Promote && self.overlay.is_some();
        (stands && !held && action.tally.unheard == 0).then_some(verdict)
    }

    /// Sets the timer for the next repetition, if there is to be one.
    fn arm(&mut self, id: &Id) {
        let Action { policy, timer, .. } = &self.index.actions[id];
        let decided = self.verdicts.decided.get(id).filter(|_| self.repeatable(id).is_some());
        match policy.repeat.zip(decided) {
            Some((pace, decided)) => self.verdicts.timers.set(*timer, decided.age.reaches(pace)),
            None => self.verdicts.timers.clear(*timer),
        }
    }
}
