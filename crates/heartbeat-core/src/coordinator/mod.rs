//! What follows from the states: groups, incidents, messages and commands.
//!
//! The coordinator hears every report of every shard and decides who is told and what is run. It delivers nothing: it
//! hands out [`Batch`]es, each one transaction, in which a transition and the intents that it calls for are never apart,
//! and hears what became of a message as [`Input::Settled`], because an outage that nobody heard of has no end to tell.
//!
//! It keeps what the store keeps (records, incidents, verdicts) and besides only an index of the wiring with counts, so
//! that a report costs the same among ten checks and among a hundred thousand.
//!
//! Absent on purpose: retries, limits, order and summaries of messages, the running of commands. That is delivery, and
//! happens after the commit.

mod groups;
mod messages;
mod notices;
mod verdicts;
mod wiring;

use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use alloc::vec::Vec;

use self::messages::OpenIncident;
pub use self::messages::REMOVED;
use self::notices::StaleNews;
use self::verdicts::Verdicts;
use self::wiring::Index;
pub use self::wiring::{ActionWiring, CheckWiring, GroupWiring, Wiring};
use crate::delivery::Delivery;
use crate::id::IdMap;
use crate::intent::{Destination, Event, Facts, Intent};
use crate::ledger::{Batch, Ledger, ResultRow};
use crate::outcome::Verdict;
use crate::record::{ActionRecord, CheckRecord, Incident, State};
use crate::shard::Report;
use crate::state::{is_failing, retarget};
use crate::tally::Standing;
use crate::{Id, Mono, Now, Wall};

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    /// [`Coordinator::next_wake`] has come.
    Wake,
    /// A shard reports an outcome. Reports of checks that are not in the wiring are ignored.
    Reported(Report),
    /// A shard has seen no completed probe of this check for too long.
    Stale(Id),
    /// A stale check has been probed again.
    Fresh(Id),
    /// There is a new plan. The coordinator is told before the shards are.
    Replanned(Wiring),
    /// An operator's word stands over the states, or does no more.
    Overlay(Option<Overlay>),
    /// A delivery is settled.
    Settled {
        /// Where it went.
        to: Destination,
        /// The check or group that it was about.
        subject: Option<Id>,
        /// The incident that it belonged to.
        incident: Option<u64>,
        /// Whether it was accepted, rather than given up or not needed any more.
        accepted: bool,
    },
    /// People should know something about heartbeat itself. Not for notices that could not be delivered: no end of it.
    Notice {
        /// What.
        text: Arc<str>,
        /// The channel that it is about, and does not go through.
        except: Option<Id>,
    },
}

/// An operator's word over the measured states: nothing is started while it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Overlay {
    /// What was said: `drain`, `maintenance`.
    pub word: Arc<str>,
    /// Since when.
    pub since: Wall,
    /// Why; may be empty.
    pub reason: Arc<str>,
}

/// What to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Store this in one transaction, then deliver what is new in it. An intent whose message is empty gets its text from
    /// the configuration before.
    Commit(Batch),
    /// A message is not sent, or a command not run, that otherwise would have been.
    Withheld {
        /// The check, group or action.
        subject: Id,
        /// What it would have been.
        event: Event,
        /// Why not.
        why: Arc<str>,
    },
}

/// Decides what follows from the states. See the [module](self).
#[derive(Clone, Debug)]
pub struct Coordinator {
    /// Of checks and groups.
    known: IdMap<Known>,
    incidents: BTreeMap<Id, OpenIncident>,
    verdicts: Verdicts,
    index: Index,
    overlay: Option<Overlay>,
    stale_news: StaleNews,
    next_sequence: u64,
}

/// What is known of a check or group.
#[derive(Clone, Debug, Default)]
struct Known {
    /// Nothing before the first verdict.
    record: Option<Arc<CheckRecord>>,
    /// No probe has been completed for too long.
    stale: bool,
    /// It has been judged in this process.
    heard: bool,
}

impl Known {
    fn remembered(record: &Arc<CheckRecord>) -> Self {
        Self { record: Some(record.clone()), ..Self::default() }
    }

    /// How a check counts for its groups and actions.
    fn standing(&self) -> Standing {
        let record = self.record.as_ref();
        let state = record.map_or(State::Unknown, |record| record.state);
        Standing {
            state: if self.stale { State::Unknown } else { state },
            failing: record.is_some_and(|record| is_failing(record)),
            unheard: !self.heard,
        }
    }
}

/// What one input leads to, as it takes shape.
struct Draft<'a> {
    now: Now,
    batch: Batch,
    out: &'a mut Vec<Effect>,
    next_sequence: &'a mut u64,
}

impl Draft<'_> {
    fn owe(&mut self, intent: Intent) {
        self.batch.deliveries.push(Delivery::new(intent, *self.next_sequence));
        *self.next_sequence += 1;
    }

    fn withhold(&mut self, subject: &Id, event: Event, why: Arc<str>) {
        self.out.push(Effect::Withheld { subject: subject.clone(), event, why });
    }
}

impl Coordinator {
    /// One that remembers what the store does, and knows of no plan yet.
    pub fn new(ledger: &Ledger, now: Now) -> Self {
        Self {
            known: ledger.checks.iter().map(|(id, record)| (id.clone(), Known::remembered(record))).collect(),
            incidents: OpenIncident::remembered(ledger, now),
            verdicts: Verdicts::remembered(&ledger.actions, now),
            index: Index::default(),
            overlay: None,
            stale_news: StaleNews::default(),
            next_sequence: ledger.next_sequence,
        }
    }

    /// Takes notice of what happened and appends what is to be done.
    ///
    /// `now` never goes back on the monotonic clock. A call after [`next_wake`](Self::next_wake) does what was due as well,
    /// whatever its input.
    pub fn handle(&mut self, now: Now, input: Input, out: &mut Vec<Effect>) {
        let mut next_sequence = self.next_sequence;
        let mut draft = Draft { now, batch: Batch::default(), out, next_sequence: &mut next_sequence };
        match input {
            Input::Wake => {}
            Input::Reported(report) => self.reported(report, &mut draft),
            Input::Stale(id) => self.stale(id, &mut draft),
            Input::Fresh(id) => self.fresh(&id, &mut draft),
            Input::Replanned(wiring) => self.replan(wiring, &mut draft),
            Input::Overlay(overlay) => self.overlay(overlay, &mut draft),
            Input::Settled {
                to: Destination::Alert(alert),
                subject: Some(subject),
                incident: Some(epoch),
                accepted,
            } => {
                self.settled(&alert, &subject, epoch, accepted, &mut draft);
            }
            Input::Settled { .. } => {}
            Input::Notice { text, except } => self.notify(&text, except.as_ref(), &mut draft),
        }
        self.repeat_verdicts(&mut draft);
        self.tell_stale_news(&mut draft);
        let Draft { batch, out, .. } = draft;
        if !batch.is_empty() {
            out.push(Effect::Commit(batch));
        }
        self.next_sequence = next_sequence;
    }

    /// When to call [`handle`](Self::handle) with [`Input::Wake`] at the latest; `None`: when something happens.
    pub fn next_wake(&self) -> Option<Mono> {
        self.verdicts.next_repeat().into_iter().chain(self.stale_news.due()).min()
    }

    /// What is known of a check or group.
    pub fn record(&self, id: &str) -> Option<&Arc<CheckRecord>> {
        self.known.get(id)?.record.as_ref()
    }

    /// The incident that is open for a check or group.
    pub fn incident(&self, id: &str) -> Option<&Incident> {
        self.incidents.get(id).map(|open| &open.incident)
    }

    /// What was decided for an action.
    pub fn action(&self, id: &str) -> Option<&ActionRecord> {
        self.verdicts.record(id)
    }

    /// Whether no probe of a check has been completed for too long, so that its state is not known any more.
    pub fn is_stale(&self, id: &str) -> bool {
        self.known.get(id).is_some_and(|known| known.stale)
    }

    fn reported(&mut self, report: Report, draft: &mut Draft<'_>) {
        let Report { id, record, outcome, transition } = report;
        if !self.index.checks.contains_key(&id) {
            return;
        }
        let (verdict, latency) = (outcome.verdict, outcome.latency);
        draft.batch.results.push(ResultRow { check: id.clone(), at: draft.now.wall, outcome });
        if verdict == Verdict::Local {
            return;
        }
        let known = self.known.entry_ref(&id).or_default();
        let before = known.standing();
        let old = known.record.replace(record.clone()).unwrap_or_default();
        known.heard = true;
        let after = known.standing();
        draft.batch.checks.push((id.clone(), Some(record.clone())));
        let cause = match &transition {
            Some(transition) => Some(self.moved(transition, &old, latency, draft)),
            None => {
                if record.state == State::Down && verdict == Verdict::Fail {
                    self.still_down(&id, latency, draft);
                }
                None
            }
        };
        self.recount(&id, before, after, cause.as_ref(), draft);
    }

    fn stale(&mut self, id: Id, draft: &mut Draft<'_>) {
        if !self.index.checks.contains_key(&id) {
            return;
        }
        self.stale_news.gather(id.clone(), draft.now.mono);
        self.age(&id, true, draft);
    }

    fn fresh(&mut self, id: &Id, draft: &mut Draft<'_>) {
        self.stale_news.forget(id);
        self.age(id, false, draft);
    }

    /// A check becomes stale, or is so no more.
    fn age(&mut self, id: &Id, stale: bool, draft: &mut Draft<'_>) {
        let known = self.known.entry_ref(id).or_default();
        let before = known.standing();
        known.stale = stale;
        let after = known.standing();
        self.recount(id, before, after, None, draft);
    }

    fn standing(&self, id: &Id) -> Standing {
        self.known.get(id).map_or_else(|| Known::default().standing(), Known::standing)
    }

    /// Counts a check anew where it is a member, and judges what that may have moved; `cause` tells of its transition.
    fn recount(&mut self, id: &Id, before: Standing, after: Standing, cause: Option<&Facts>, draft: &mut Draft<'_>) {
        if before == after {
            return;
        }
        let Some(check) = self.index.checks.get(id) else { return };
        let (groups, actions) = (check.groups.clone(), check.actions.clone());
        for group in &groups {
            self.recount_group(group, before, after, draft);
        }
        for action in &actions {
            self.recount_action(action, before, after, cause.map(|facts| (id, facts)), draft);
        }
    }

    fn replan(&mut self, wiring: Wiring, draft: &mut Draft<'_>) {
        let targets: Vec<(Id, u64)> = wiring.checks.iter().map(|check| (check.id.clone(), check.target)).collect();
        self.index = Index::of(wiring);
        self.forget_unplanned(draft);
        for (id, target) in targets {
            let Some(Known { record: Some(record), .. }) = self.known.get_mut(&id) else { continue };
            if record.target != target {
                *record = Arc::new(retarget(CheckRecord::clone(record), target));
                draft.batch.checks.push((id, Some(record.clone())));
            }
        }
        self.count_all();
        self.reopen_incidents(draft.now);
        self.judge_all_groups(draft);
        self.judge_all_actions(draft);
    }

    /// What the plan no longer has is forgotten; an incident that people have heard of ends with a word about it.
    fn forget_unplanned(&mut self, draft: &mut Draft<'_>) {
        let is_gone = |id: &Id, _: &mut Known| !self.index.is_subject(id);
        let mut gone: Vec<(Id, Known)> = self.known.extract_if(is_gone).collect();
        gone.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
        for (id, known) in gone {
            let Some(record) = known.record else { continue };
            self.close_removed(&id, &record, draft);
            draft.batch.checks.push((id, None));
        }
        self.stale_news.retain(|id| self.index.checks.contains_key(id));
        self.verdicts.retain(&self.index, draft);
    }

    fn count_all(&mut self) {
        let ids: Vec<Id> = self.index.checks.keys().cloned().collect();
        for id in ids {
            let standing = self.standing(&id);
            let check = &self.index.checks[&id];
            for group in &check.groups {
                self.index.groups.get_mut(group).expect("the index is its own inverse").tally.add(standing);
            }
            for action in &check.actions {
                if let Some(action) = self.index.actions.get_mut(action) {
                    action.tally.add(standing);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
