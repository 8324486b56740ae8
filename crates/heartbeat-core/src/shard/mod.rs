//! The schedule and the states of a set of checks.
//!
//! A shard is a value that is told what happened and says what to do: no clock, no tasks, no channels. There may be many,
//! each on its own thread, for no check knows of another.
//!
//! A check is *idle* until its timer rings, then *queued* until there is a place for one more probe, then *probing* until
//! an outcome arrives that carries the number of the attempt; then it is idle again. So there is never more than one
//! attempt per check, and whatever comes late (after its deadline, a removal, a change of target) finds its number gone.
//!
//! A scheduler that stood still (a suspend, a stopped process) notices it when it is woken more than a second late. What
//! was in flight meanwhile can only pass: its timeouts are ours, not the target's. What was missed is spread like the first
//! probes after a start, or left out if a whole interval has gone by.

use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::time::Duration;

use crate::intent::Transition;
use crate::lateness::Lateness;
use crate::outcome::{Fault, Outcome, Verdict};
use crate::policy::{Limits, Policy};
use crate::record::CheckRecord;
use crate::schedule::Grid;
use crate::state::{is_counting, retarget, step};
use crate::timers::Timers;
use crate::turns::{Host, Turns};
use crate::{Id, Mono, Now};

/// An outcome may need this long from the prober to here. After that the attempt counts as timed out, answered or not.
pub const GRACE: Duration = Duration::from_secs(1);

/// A wake-up that is later than this means that the scheduler stood still.
pub const STANDSTILL: Duration = Duration::from_secs(1);

/// A check as this shard knows it: stable for an id as long as that is planned, then given to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CheckKey(pub u32);

/// What a shard must know of a check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckSpec {
    /// Its name; no other check has it.
    pub id: Id,
    /// A number of the planner's, which comes back with every probe: where it finds what probes this check.
    pub place: u32,
    /// How it is scheduled and judged.
    pub policy: Arc<Policy>,
    /// The address and port that [`Limits::per_host`] counts by; `None`: not limited so.
    pub host: Option<Arc<str>>,
    /// A fingerprint of kind and target: with another one, what was counted does not count any more.
    pub target: u64,
    /// A fingerprint of all that a probe does: with another one, the attempt in flight does not count.
    pub manner: u64,
}

/// How long a shard lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// For ever: every check at its times.
    Daemon,
    /// One round: every check of the first plan exactly once, as soon as the limits allow; staleness is not judged.
    Once,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    /// [`Shard::next_wake`] has come.
    Wake,
    /// A probe has ended.
    Probed {
        /// Of this check.
        check: CheckKey,
        /// The attempt that it answers.
        attempt: u64,
        /// What it found.
        outcome: Outcome,
    },
    /// There is a new plan.
    Replanned {
        /// All checks of this shard.
        checks: Vec<CheckSpec>,
        /// Bounds on probes in flight.
        limits: Limits,
        /// What the store remembers. A check that is known already keeps its own record.
        records: BTreeMap<Id, Arc<CheckRecord>>,
    },
    /// Nothing is to start any more; what is in flight is abandoned.
    Stop,
}

/// What to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Start a probe now, and answer with [`Input::Probed`].
    Probe {
        /// Of this check.
        check: CheckKey,
        /// Its name.
        id: Id,
        /// The planner's number for it.
        place: u32,
        /// The number that the answer must carry; unique in this shard.
        attempt: u64,
        /// It must have ended by then.
        deadline: Mono,
        /// How late it starts.
        late: Duration,
    },
    /// End this probe; nobody wants its answer.
    Abandon {
        /// Of this check.
        check: CheckKey,
        /// The attempt.
        attempt: u64,
    },
    /// An outcome counts.
    Reported(Report),
    /// No probe of this check has been completed for too long.
    Stale {
        /// The check.
        id: Id,
    },
    /// A stale check has been probed again; its report follows.
    Fresh {
        /// The check.
        id: Id,
    },
    /// A check is no longer planned; its key is free.
    Removed {
        /// Its key so far.
        check: CheckKey,
        /// The check.
        id: Id,
    },
}

/// One outcome and what it did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// The check.
    pub id: Id,
    /// Its record now.
    pub record: Arc<CheckRecord>,
    /// What was found.
    pub outcome: Outcome,
    /// The step that followed from it, if one did.
    pub transition: Option<Transition>,
}

/// Schedules and judges its checks. See the [module](self).
#[derive(Clone, Debug)]
pub struct Shard {
    mode: Mode,
    stopped: bool,
    slots: Vec<Option<Slot>>,
    free: Vec<u32>,
    timers: Timers,
    turns: Turns,
    attempts: u64,
    lateness: Lateness,
    standstills: u32,
    stood_still: Duration,
}

/// One check.
#[derive(Clone, Debug)]
struct Slot {
    spec: CheckSpec,
    record: Arc<CheckRecord>,
    grid: Grid,
    host: Host,
    phase: Phase,
    /// The start of the latest probe.
    last_start: Option<Mono>,
    /// The latest completed probe, or when the check was planned, less the standstills before.
    completed: Mono,
    stale: bool,
    /// The due probe has been put off after a standstill: once is enough.
    put_off: bool,
}

/// Where a check is in its round.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Its timer will ring.
    Idle { due: Mono },
    /// It waits for a place since then.
    Queued { due: Mono },
    /// An attempt is in flight.
    Probing { attempt: u64, deadline: Mono, standstills: u32 },
    /// Its only probe is over.
    Done,
}

impl Slot {
    /// The pace that it is probed at now.
    fn period(&self) -> Duration {
        let Policy { interval, fast_interval, .. } = *self.spec.policy;
        if is_counting(&self.record) { fast_interval.min(interval) } else { interval }
    }

    /// Without a completed probe for longer than this it is stale.
    fn patience(&self) -> Duration {
        self.spec.policy.interval.saturating_mul(3).saturating_add(self.spec.policy.timeout)
    }

    fn next_due(&self, now: Mono) -> Mono {
        self.grid.next(self.period(), self.last_start, now)
    }

    /// Whether it waits for a later time, after a probe.
    const fn has_place_on_grid(&self) -> bool {
        matches!(self.phase, Phase::Idle { .. }) && self.last_start.is_some()
    }
}

impl Shard {
    /// A shard without checks.
    pub fn new(mode: Mode) -> Self {
        Self {
            mode,
            stopped: false,
            slots: Vec::new(),
            free: Vec::new(),
            timers: Timers::default(),
            turns: Turns::new(Limits::default()),
            attempts: 0,
            lateness: Lateness::default(),
            standstills: 0,
            stood_still: Duration::ZERO,
        }
    }

    /// Takes notice of what happened and appends what is to be done.
    ///
    /// `now` never goes back. A call after [`next_wake`](Self::next_wake) does what was due as well, whatever its input.
    pub fn handle(&mut self, now: Now, input: Input, out: &mut Vec<Effect>) {
        self.notice_standstill(now.mono);
        match input {
            Input::Wake => {}
            Input::Probed { check, attempt, outcome } => self.probed(now, check.0, attempt, outcome, out),
            Input::Replanned { checks, limits, records } => self.replan(now.mono, checks, limits, records, out),
            Input::Stop => self.stop(out),
        }
        if !self.stopped {
            self.ring(now, out);
            self.start_waiting(now.mono, out);
        }
    }

    /// When to call [`handle`](Self::handle) with [`Input::Wake`] at the latest; `None`: when something happens.
    pub fn next_wake(&self) -> Option<Mono> {
        self.timers.earliest().map(|(at, _)| at)
    }

    /// Whether no probe is in flight and none waits for a place. After a round of [`Mode::Once`]: all is reported.
    pub fn is_idle(&self) -> bool {
        self.turns.in_flight() == 0
            && self.slots.iter().flatten().all(|slot| match slot.phase {
                Phase::Idle { .. } => self.mode == Mode::Daemon,
                Phase::Done => true,
                Phase::Queued { .. } | Phase::Probing { .. } => false,
            })
    }

    /// How late probes started.
    pub const fn lateness(&self) -> &Lateness {
        &self.lateness
    }

    /// For how long the scheduler stood still, in all.
    pub const fn stood_still(&self) -> Duration {
        self.stood_still
    }

    /// Probes in flight.
    pub const fn in_flight(&self) -> u32 {
        self.turns.in_flight()
    }

    fn probed(&mut self, now: Now, index: u32, attempt: u64, mut outcome: Outcome, out: &mut Vec<Effect>) {
        let Some(Some(slot)) = self.slots.get(index as usize) else { return };
        let Phase::Probing { attempt: wanted, deadline, standstills } = slot.phase else { return };
        if attempt != wanted || now.mono > deadline + GRACE {
            return;
        }
        let timeout = slot.spec.policy.timeout;
        let passed = matches!(outcome.verdict, Verdict::Pass | Verdict::Warn);
        if !passed && standstills != self.standstills {
            self.put_back(index, now.mono);
        } else {
            if passed && now.mono > deadline && outcome.latency > timeout {
                outcome = overdue(timeout, outcome.latency);
            }
            self.complete(index, now, outcome, out);
        }
    }

    /// An outcome counts: judge it, report it, and wait for the next time.
    fn complete(&mut self, index: u32, now: Now, outcome: Outcome, out: &mut Vec<Effect>) {
        let lived = self.lived(now.mono);
        let slot = self.slot_mut(index);
        if outcome.verdict != Verdict::Local {
            slot.completed = lived;
            if core::mem::take(&mut slot.stale) {
                out.push(Effect::Fresh { id: slot.spec.id.clone() });
            }
        }
        let id = slot.spec.id.clone();
        let (record, transition) = step(&id, &slot.record, &slot.spec.policy, &outcome, now.wall);
        let record = Arc::new(record);
        slot.record = record.clone();
        out.push(Effect::Reported(Report { id, record, outcome, transition }));
        match self.mode {
            Mode::Daemon => self.put_back(index, now.mono),
            Mode::Once => {
                self.release(index);
                self.slot_mut(index).phase = Phase::Done;
                self.timers.clear(index);
            }
        }
    }

    /// An attempt is over, judged or not: the check is idle until its next time, in a single round until now.
    fn put_back(&mut self, index: u32, now: Mono) {
        self.release(index);
        let due = match self.mode {
            Mode::Daemon => self.slot(index).next_due(now),
            Mode::Once => now,
        };
        self.slot_mut(index).phase = Phase::Idle { due };
        self.set_timer(index);
    }

    fn release(&mut self, index: u32) {
        self.turns.release(self.slot(index).host);
    }

    /// Does what the timers that have rung are for.
    fn ring(&mut self, now: Now, out: &mut Vec<Effect>) {
        // Every arm moves the timer, or takes it away.
        while let Some(index) = self.timers.due(now.mono) {
            let stale_at = self.stale_at(index);
            let slot = self.slot_mut(index);
            if stale_at.is_some_and(|at| at <= now.mono) {
                slot.stale = true;
                out.push(Effect::Stale { id: slot.spec.id.clone() });
            }
            match slot.phase {
                Phase::Idle { due } if due <= now.mono => {
                    slot.phase = Phase::Queued { due };
                    let host = slot.host;
                    self.turns.wait(host, index);
                    self.set_timer(index);
                }
                Phase::Probing { attempt, deadline, standstills } if deadline + GRACE <= now.mono => {
                    let timeout = slot.spec.policy.timeout;
                    out.push(Effect::Abandon { check: CheckKey(index), attempt });
                    if standstills == self.standstills {
                        self.complete(index, now, overdue(timeout, timeout), out);
                    } else {
                        self.put_back(index, now.mono);
                    }
                }
                _ => self.set_timer(index),
            }
        }
    }

    fn start_waiting(&mut self, now: Mono, out: &mut Vec<Effect>) {
        while let Some(index) = self.turns.next() {
            self.attempts += 1;
            let (attempt, standstills) = (self.attempts, self.standstills);
            let slot = self.slot_mut(index);
            let Phase::Queued { due } = slot.phase else { unreachable!("only queued checks wait for a turn") };
            let deadline = now + slot.spec.policy.timeout;
            slot.phase = Phase::Probing { attempt, deadline, standstills };
            slot.last_start = Some(now);
            slot.put_off = false;
            let (id, place, late) = (slot.spec.id.clone(), slot.spec.place, now.since(due));
            self.lateness.note(late);
            out.push(Effect::Probe { check: CheckKey(index), id, place, attempt, deadline, late });
            self.set_timer(index);
        }
    }

    /// Whether the scheduler stood still until now. If so, what it has missed is planned anew.
    fn notice_standstill(&mut self, now: Mono) {
        let Some(wanted) = self.next_wake() else { return };
        let missed = now.since(wanted);
        if missed <= STANDSTILL {
            return;
        }
        self.standstills += 1;
        self.stood_still += missed;
        if self.mode == Mode::Once {
            return;
        }
        let overdue: Vec<u32> = (0..)
            .zip(&self.slots)
            .filter_map(|(index, slot)| Some((index, slot.as_ref()?)))
            .filter(|(_, slot)| !slot.put_off && matches!(slot.phase, Phase::Idle { due } if due <= now))
            .map(|(index, _)| index)
            .collect();
        for &index in &overdue {
            let slot = self.slot_mut(index);
            let Phase::Idle { due } = slot.phase else { unreachable!("filtered above") };
            let period = slot.period();
            let due =
                if now.since(due) > period { slot.next_due(now) } else { slot.grid.first(now, period, overdue.len()) };
            slot.phase = Phase::Idle { due };
            slot.put_off = true;
            self.set_timer(index);
        }
    }

    fn replan(
        &mut self,
        now: Mono,
        checks: Vec<CheckSpec>,
        limits: Limits,
        mut records: BTreeMap<Id, Arc<CheckRecord>>,
        out: &mut Vec<Effect>,
    ) {
        self.turns = Turns::new(limits);
        let mut gone: BTreeMap<Id, u32> = self.planned().map(|(index, slot)| (slot.spec.id.clone(), index)).collect();
        let added = checks.iter().filter(|spec| !gone.contains_key(&spec.id)).count();
        let new = added.saturating_sub(self.free.len());
        self.slots.reserve_exact(new);
        self.timers.reserve(self.slots.len() + new);
        for spec in checks {
            match gone.remove(&spec.id) {
                Some(index) => self.change(index, spec, now, out),
                None => {
                    let record = records.remove(&spec.id).unwrap_or_default();
                    self.add(spec, record, added, now);
                }
            }
        }
        for (id, index) in gone {
            self.abandon(index, out);
            self.slots[index as usize] = None;
            self.timers.clear(index);
            self.free.push(index);
            out.push(Effect::Removed { check: CheckKey(index), id });
        }
        self.take_turns_anew();
    }

    /// Its checks, in the order of their keys.
    fn planned(&self) -> impl Iterator<Item = (u32, &Slot)> {
        (0..).zip(&self.slots).filter_map(|(index, slot)| Some((index, slot.as_ref()?)))
    }

    fn add(&mut self, spec: CheckSpec, record: Arc<CheckRecord>, added: usize, now: Mono) {
        let grid = Grid::of(&spec.id);
        let due = match self.mode {
            Mode::Daemon => grid.first(now, spec.policy.interval, added),
            Mode::Once => now,
        };
        let slot = Slot {
            record: aim(record, spec.target),
            grid,
            host: self.turns.host(spec.host.as_ref()),
            phase: Phase::Idle { due },
            last_start: None,
            completed: self.lived(now),
            stale: false,
            put_off: false,
            spec,
        };
        let index = self.free.pop().unwrap_or_else(|| {
            self.slots.push(None);
            u32::try_from(self.slots.len() - 1).expect("fewer than 2^32 checks")
        });
        self.slots[index as usize] = Some(slot);
        self.set_timer(index);
    }

    /// The plan says something else of a check. Its state and, where the interval is the same, its times stay.
    fn change(&mut self, index: u32, spec: CheckSpec, now: Mono, out: &mut Vec<Effect>) {
        let host = self.turns.host(spec.host.as_ref());
        let old = &self.slot(index).spec;
        let outdated = (old.target, old.manner) != (spec.target, spec.manner);
        if outdated {
            self.abandon(index, out);
        }
        let lived = self.lived(now);
        let slot = self.slot_mut(index);
        let (period, patience) = (slot.period(), slot.patience());
        slot.host = host;
        slot.record = aim(slot.record.clone(), spec.target);
        slot.spec = spec;
        if slot.patience() != patience {
            slot.completed = lived;
        }
        let dropped = outdated && matches!(slot.phase, Phase::Probing { .. });
        if dropped || (slot.has_place_on_grid() && slot.period() != period) {
            slot.phase = Phase::Idle { due: slot.next_due(now) };
        }
        self.set_timer(index);
    }

    /// Whoever waited or was in flight before a new plan still does, under its limits.
    fn take_turns_anew(&mut self) {
        let mut waiting = Vec::new();
        let mut in_flight = Vec::new();
        for (index, slot) in self.planned() {
            match slot.phase {
                Phase::Probing { .. } => in_flight.push(slot.host),
                Phase::Queued { due } => waiting.push((due, index, slot.host)),
                Phase::Idle { .. } | Phase::Done => {}
            }
        }
        in_flight.into_iter().for_each(|host| self.turns.take(host));
        waiting.sort_unstable_by_key(|&(due, index, _)| (due, index));
        for (_, index, host) in waiting {
            self.turns.wait(host, index);
        }
    }

    fn stop(&mut self, out: &mut Vec<Effect>) {
        self.stopped = true;
        for index in self.planned().map(|(index, _)| index).collect::<Vec<u32>>() {
            self.abandon(index, out);
            self.slot_mut(index).phase = Phase::Done;
        }
        self.turns = Turns::new(Limits::default());
        self.timers = Timers::default();
    }

    fn abandon(&self, index: u32, out: &mut Vec<Effect>) {
        if let Some(Slot { phase: Phase::Probing { attempt, .. }, .. }) = self.slots[index as usize] {
            out.push(Effect::Abandon { check: CheckKey(index), attempt });
        }
    }

    /// Sets the timer of a check for whatever comes first.
    fn set_timer(&mut self, index: u32) {
        let own = match self.slot(index).phase {
            Phase::Idle { due } => Some(due),
            Phase::Probing { deadline, .. } => Some(deadline + GRACE),
            Phase::Queued { .. } | Phase::Done => None,
        };
        match own.into_iter().chain(self.stale_at(index)).min() {
            Some(at) => self.timers.set(index, at),
            None => self.timers.clear(index),
        }
    }

    /// When the check becomes stale, if no probe of it is completed before.
    fn stale_at(&self, index: u32) -> Option<Mono> {
        let slot = self.slot(index);
        let judged = self.mode == Mode::Daemon && !slot.stale;
        judged.then(|| slot.completed + slot.patience() + self.stood_still)
    }

    /// The time that the scheduler has lived: the clock less the standstills.
    fn lived(&self, now: Mono) -> Mono {
        Mono::from_origin(now.since_origin().saturating_sub(self.stood_still))
    }

    fn slot(&self, index: u32) -> &Slot {
        self.slots[index as usize].as_ref().expect("the index of a planned check")
    }

    fn slot_mut(&mut self, index: u32) -> &mut Slot {
        self.slots[index as usize].as_mut().expect("the index of a planned check")
    }
}

/// A record for this target.
fn aim(record: Arc<CheckRecord>, target: u64) -> Arc<CheckRecord> {
    if record.target == target { record } else { Arc::new(retarget(CheckRecord::clone(&record), target)) }
}

/// The outcome of a probe that should have ended long ago.
fn overdue(timeout: Duration, latency: Duration) -> Outcome {
    Outcome::fault(Fault::Timeout, alloc::format!("no answer within {timeout:?}"), latency)
}

#[cfg(test)]
mod tests;
