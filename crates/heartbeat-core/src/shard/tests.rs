//! The shard by itself: answers that come late, twice, for others or never.

use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use core::time::Duration;
use std::vec::Vec;

use super::{CheckKey, CheckSpec, Effect, Input, Mode, Shard};
use crate::outcome::{Fault, Outcome, Verdict};
use crate::policy::{Limits, Policy};
use crate::{Id, Mono, Now, Wall};

const WEB: CheckKey = CheckKey(0);

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn at(millis: u64) -> Now {
    Now { mono: Mono::from_origin(ms(millis)), wall: Wall::default() + ms(millis) }
}

fn plan(ids: &[&str], probes: u32, target: u64) -> Input {
    plan_in_a_manner(ids, probes, target, 0)
}

fn plan_in_a_manner(ids: &[&str], probes: u32, target: u64, manner: u64) -> Input {
    let spec = |id: &&str| CheckSpec {
        id: Id::from(*id),
        place: 0,
        policy: Policy::default().into(),
        host: None,
        target,
        manner,
    };
    let limits = Limits { probes, per_host: 1 };
    Input::Replanned { checks: ids.iter().map(spec).collect(), limits, records: BTreeMap::new() }
}

fn handle(shard: &mut Shard, now: Now, input: Input) -> Vec<Effect> {
    let mut out = Vec::new();
    shard.handle(now, input, &mut out);
    out
}

fn answer(attempt: u64, outcome: Outcome) -> Input {
    Input::Probed { check: WEB, attempt, outcome }
}

fn refused() -> Outcome {
    Outcome::fault(Fault::Refused, "refused", ms(1))
}

/// A shard whose only check is being probed, with a deadline at 10 s.
fn probing() -> Shard {
    let mut shard = Shard::new(Mode::Daemon);
    let effects = handle(&mut shard, at(0), plan(&["web"], 10, 1));
    let [Effect::Probe { check: WEB, attempt: 1, deadline, late: Duration::ZERO, .. }] = &effects[..] else {
        panic!("{effects:?}")
    };
    assert_eq!(*deadline, at(10_000).mono);
    shard
}

fn verdicts(effects: &[Effect]) -> Vec<Verdict> {
    let verdict = |effect: &Effect| match effect {
        Effect::Reported(report) => Some(report.outcome.verdict),
        _ => None,
    };
    effects.iter().filter_map(verdict).collect()
}

#[test]
fn other_expectations_drop_the_attempt_in_flight_and_keep_what_was_counted() {
    let mut shard = probing();
    handle(&mut shard, at(1), answer(1, refused()));
    let again = shard.next_wake().expect("a failing check is probed again");
    let again = at(u64::try_from(again.since_origin().as_millis()).unwrap());
    let [Effect::Probe { attempt: 2, .. }] = handle(&mut shard, again, Input::Wake)[..] else { panic!("no probe") };
    assert_eq!(handle(&mut shard, again, plan(&["web"], 10, 1)), [], "the same plan changes nothing");
    let effects = handle(&mut shard, again, plan_in_a_manner(&["web"], 10, 1, 7));
    assert_eq!(effects, [Effect::Abandon { check: WEB, attempt: 2 }]);
    assert_eq!(handle(&mut shard, again, answer(2, refused())), [], "it was made under the old expectations");
    assert_eq!(shard.slot(0).record.fail_count, 1);
    assert!(shard.next_wake().is_some());
}

#[test]
fn only_the_attempt_in_flight_counts() {
    let mut shard = probing();
    assert_eq!(handle(&mut shard, at(5), answer(0, refused())), []);
    assert_eq!(handle(&mut shard, at(5), answer(2, refused())), []);
    assert_eq!(handle(&mut shard, at(5), Input::Probed { check: CheckKey(7), attempt: 1, outcome: refused() }), []);
    assert_eq!(verdicts(&handle(&mut shard, at(5), answer(1, refused()))), [Verdict::Fail]);
    assert_eq!(handle(&mut shard, at(6), answer(1, refused())), []);
}

#[test]
fn the_way_from_the_prober_may_take_a_second() {
    let pass = Outcome::pass(ms(9_999));
    assert_eq!(verdicts(&handle(&mut probing(), at(10_900), answer(1, pass.clone()))), [Verdict::Pass]);
    let slow = Outcome::pass(ms(10_001));
    assert_eq!(verdicts(&handle(&mut probing(), at(10_900), answer(1, slow))), [Verdict::Fail]);
    // Later than that the attempt has timed out already, whatever is said of it.
    let effects = handle(&mut probing(), at(11_500), answer(1, pass));
    assert_eq!(verdicts(&effects), [Verdict::Fail]);
    assert!(effects.contains(&Effect::Abandon { check: WEB, attempt: 1 }));
}

#[test]
fn without_an_answer_it_times_out() {
    let mut shard = probing();
    assert_eq!(shard.next_wake(), Some(at(11_000).mono));
    assert_eq!(handle(&mut shard, at(10_999), Input::Wake), []);
    let effects = handle(&mut shard, at(11_000), Input::Wake);
    assert_eq!(verdicts(&effects), [Verdict::Fail]);
    assert_eq!(shard.in_flight(), 0);
}

#[test]
fn what_a_standstill_has_touched_can_only_pass() {
    assert_eq!(verdicts(&handle(&mut probing(), at(300_000), answer(1, refused()))), []);
    assert_eq!(verdicts(&handle(&mut probing(), at(300_000), Input::Wake)), []);
    // Another check should have been probed at 3 s at the latest, so a call at 9 s notices that nobody was there before.
    let two = || {
        let mut shard = Shard::new(Mode::Daemon);
        let Input::Replanned { mut checks, limits, records } = plan(&["web", "db"], 10, 1) else { unreachable!() };
        Arc::make_mut(&mut checks[1].policy).interval = ms(2_000);
        handle(&mut shard, at(0), Input::Replanned { checks, limits, records });
        handle(&mut shard, at(1), Input::Probed { check: CheckKey(1), attempt: 2, outcome: Outcome::pass(ms(1)) });
        shard
    };
    let pass = Outcome::pass(ms(1));
    assert_eq!(verdicts(&handle(&mut two(), at(9_000), answer(1, pass))), [Verdict::Pass]);
    assert_eq!(verdicts(&handle(&mut two(), at(9_000), answer(1, refused()))), []);
}

#[test]
fn nobody_is_put_off_for_ever() {
    let mut shard = probing();
    let Input::Replanned { mut checks, limits, records } = plan(&["web"], 10, 1) else { unreachable!() };
    Arc::make_mut(&mut checks[0].policy).interval = ms(500);
    handle(&mut shard, at(1), Input::Replanned { checks, limits, records });
    handle(&mut shard, at(2), answer(1, Outcome::pass(ms(1))));
    // A scheduler that is always seconds late must still do its work.
    let woken = [5_000, 10_000].map(|millis| handle(&mut shard, at(millis), Input::Wake));
    assert_eq!(woken[0], []);
    assert!(matches!(woken[1][..], [Effect::Probe { attempt: 2, .. }]), "{woken:?}");
}

#[test]
fn a_removed_check_leaves_its_key_but_not_its_attempt() {
    let mut shard = probing();
    let effects = handle(&mut shard, at(5), plan(&["db"], 10, 1));
    assert!(effects.contains(&Effect::Abandon { check: WEB, attempt: 1 }), "{effects:?}");
    assert!(effects.contains(&Effect::Removed { check: WEB, id: Id::from("web") }), "{effects:?}");
    assert_eq!(handle(&mut shard, at(6), answer(1, refused())), []);
}

#[test]
fn a_new_plan_keeps_the_places_in_the_queue() {
    let mut shard = Shard::new(Mode::Once);
    handle(&mut shard, at(0), plan(&["a", "b", "c"], 1, 1));
    assert_eq!(shard.in_flight(), 1);
    assert_eq!(handle(&mut shard, at(1), plan(&["c", "b", "a"], 1, 1)), []);
    for (n, wanted) in (1..).zip([Some("b"), Some("c"), None]) {
        let (check, outcome) = (CheckKey(n - 1), Outcome::pass(ms(1)));
        let effects = handle(&mut shard, at(2), Input::Probed { check, attempt: u64::from(n), outcome });
        let id = effects.iter().find_map(|effect| match effect {
            Effect::Probe { id, .. } => Some(id.as_str()),
            _ => None,
        });
        assert_eq!(id, wanted);
    }
    assert!(shard.is_idle());
}

#[test]
fn who_has_waited_longest_stays_first() {
    let mut shard = Shard::new(Mode::Once);
    handle(&mut shard, at(0), plan(&["a", "b", "x"], 1, 1));
    handle(&mut shard, at(1), plan(&["a", "x", "late"], 1, 1));
    handle(&mut shard, at(2), plan(&["a", "x", "late"], 1, 1));
    let effects = handle(&mut shard, at(3), answer(1, Outcome::pass(ms(1))));
    assert!(
        effects.iter().any(|effect| matches!(effect, Effect::Probe { id, .. } if id.as_str() == "x")),
        "{effects:?}"
    );
}

#[test]
fn after_the_stop_nothing_starts() {
    let mut shard = probing();
    assert!(!shard.is_idle());
    assert_eq!(handle(&mut shard, at(1), Input::Stop), [Effect::Abandon { check: WEB, attempt: 1 }]);
    assert!(shard.is_idle());
    assert_eq!((shard.next_wake(), shard.in_flight()), (None, 0));
    assert_eq!(handle(&mut shard, at(2), answer(1, refused())), []);
    assert_eq!(handle(&mut shard, at(200_000), Input::Wake), []);
}
