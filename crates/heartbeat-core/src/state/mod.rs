//! The step of one check from state to state: a pure function of (record, policy, outcome, now).
//!
//! ```text
//! unknown ── first pass ──────────────────────────▶ up ◀── rise clean passes ── degraded
//!    │                                            │ ▲ └───── fall warnings ────────▶ │
//!    └── fall failures ──▶ down ◀── fall failures ┘ │                                │
//!                           │ ▲ └── rise passes ────┘                                │
//!                           │ └────────────────────────────────── fall failures ─────┘
//! ```
//!
//! All counts are of results *in a row*. A warning is a pass, a local fault is nothing at all. There is one step per
//! result: a first result that warns leads to up, and only the next one may lead on to degraded.

use crate::intent::Transition;
use crate::outcome::{Outcome, Verdict};
use crate::policy::Policy;
use crate::record::{CheckRecord, State};
use crate::{Id, Wall};

/// What the record becomes by one outcome, and the transition that this is, if it is one.
pub fn step(
    id: &Id,
    record: &CheckRecord,
    policy: &Policy,
    outcome: &Outcome,
    at: Wall,
) -> (CheckRecord, Option<Transition>) {
    let counted = count(record.clone(), outcome, at);
    let to = decide(&counted, policy);
    if to == counted.state {
        return (counted, None);
    }
    let mut record = counted;
    let transition = enter(id, &mut record, to, outcome.reason.clone(), at);
    if to == State::Up {
        record.fail_count = 0;
    }
    (record, Some(transition))
}

/// Moves a record to another state and numbers the move.
pub(crate) fn enter(
    subject: &Id,
    record: &mut CheckRecord,
    to: State,
    reason: alloc::sync::Arc<str>,
    at: Wall,
) -> Transition {
    let from = record.state;
    record.state = to;
    record.since = Some(at);
    record.epoch += 1;
    Transition { subject: subject.clone(), epoch: record.epoch, at, from, to, reason }
}

/// Counts one outcome, without judging.
fn count(mut record: CheckRecord, outcome: &Outcome, at: Wall) -> CheckRecord {
    match outcome.verdict {
        Verdict::Local => return record,
        Verdict::Fail => {
            if record.passes > 0 || record.fail_count == 0 {
                record.first_fail = Some(at);
            }
            // An outage is one, even if single passes interrupt it before the rise is complete: only a pass of a check that is
            // not down begins a new count.
            record.fail_count = record.fail_count.saturating_add(1);
            record.passes = 0;
            record.warns = 0;
            record.cleans = 0;
            record.last_fail = Some(at);
        }
        Verdict::Pass | Verdict::Warn => {
            if record.passes == 0 {
                record.first_pass = Some(at);
            }
            if record.state != State::Down {
                record.fail_count = 0;
            }
            record.passes = record.passes.saturating_add(1);
            if outcome.verdict == Verdict::Warn {
                record.warns = record.warns.saturating_add(1);
                record.cleans = 0;
            } else {
                record.cleans = record.cleans.saturating_add(1);
                record.warns = 0;
            }
            record.last_pass = Some(at);
        }
    }
    record.reason = outcome.reason.clone();
    record
}

/// Where the counts lead to.
fn decide(record: &CheckRecord, policy: &Policy) -> State {
    let failed = is_failing(record) && record.fail_count >= policy.fall;
    match record.state {
        State::Unknown if failed => State::Down,
        State::Unknown if record.passes > 0 => State::Up,
        State::Up if failed => State::Down,
        State::Up if record.warns >= policy.fall => State::Degraded,
        State::Degraded if failed => State::Down,
        State::Degraded if record.cleans >= policy.rise => State::Up,
        State::Down if record.passes >= policy.rise => State::Up,
        same => same,
    }
}

/// Whether the latest result was a failure, whatever the state.
pub const fn is_failing(record: &CheckRecord) -> bool {
    record.fail_count > 0 && record.passes == 0
}

/// Whether a fall or a rise is under way: the next results may bring a transition, so they are wanted soon.
pub const fn is_counting(record: &CheckRecord) -> bool {
    match record.state {
        State::Unknown => is_failing(record),
        State::Up => is_failing(record) || record.warns > 0,
        State::Degraded => is_failing(record) || record.cleans > 0,
        State::Down => record.passes > 0,
    }
}

/// The record under a changed kind or target: the state stands until the new target has been judged, what was counted of the
/// old one does not. The length of an outage goes on.
pub fn retarget(record: CheckRecord, target: u64) -> CheckRecord {
    if record.target == target {
        return record;
    }
    let fail_count = if record.state == State::Down { record.fail_count } else { 0 };
    CheckRecord { fail_count, passes: 0, warns: 0, cleans: 0, target, ..record }
}

#[cfg(test)]
mod tests;
