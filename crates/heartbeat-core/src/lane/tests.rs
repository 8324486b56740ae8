//! A lane in a world of its own: a store, processes, two clocks, and crashes between any two steps.

use std::collections::BTreeMap;
use std::string::{String, ToString};
use std::vec;
use std::vec::Vec;

use alloc::boxed::Box;
use alloc::format;
use alloc::sync::Arc;
use core::time::Duration;

use proptest::prelude::*;

use super::{Commands, Effect, End, Input, Lane, Mark, Promotions, STOP_KILL, STOP_TERM, Signal, Turn};
use crate::delivery::{Delivery, Running, Status};
use crate::fuse::Fuse;
use crate::intent::{Destination, Event, Facts, Intent};
use crate::ledger::Ledger;
use crate::policy::{ActionPolicy, Guarantee, Limit, Retry};
use crate::record::Direction;
use crate::{Id, Mono, Now, Wall};

const BOTH: Commands = Commands { promote: true, demote: true };

fn nginx() -> Id {
    Id::from("nginx")
}

const fn secs(n: u64) -> Duration {
    Duration::from_secs(n)
}

/// A process of the world.
#[derive(Clone, Debug)]
struct Process {
    key: Arc<str>,
    pid: u32,
}

/// What was run, and how it ended; `None`: it runs, or its end was seen by nobody.
#[derive(Clone, Debug, PartialEq)]
struct Run {
    key: String,
    direction: Direction,
    at: Mono,
    ok: Option<bool>,
    /// No change, but the repetition of what stands.
    repeats: bool,
}

struct World {
    policy: ActionPolicy,
    commands: Commands,
    now: Now,
    ledger: Ledger,
    lane: Lane,
    process: Option<Process>,
    runs: Vec<Run>,
    settled: BTreeMap<String, Status>,
    notices: Vec<String>,
    wished: Vec<(String, Direction)>,
    pids: u32,
    fuse: Fuse,
    store_works: bool,
    promotions: Promotions,
    signals: Vec<Signal>,
}

impl World {
    fn new(policy: ActionPolicy) -> Self {
        let now = Now { mono: Mono::from_origin(secs(100)), wall: Wall::from_unix_millis(1_764_000_000_000) };
        Self {
            policy,
            commands: BOTH,
            now,
            ledger: Ledger::default(),
            lane: Lane::new(nginx(), policy, BOTH, Default::default(), 1, now),
            process: None,
            runs: Vec::new(),
            settled: BTreeMap::new(),
            notices: Vec::new(),
            wished: Vec::new(),
            pids: 100,
            fuse: Fuse::default(),
            store_works: true,
            promotions: Promotions::Run,
            signals: Vec::new(),
        }
    }

    fn input(&mut self, input: Input) {
        if !self.fuse.is_blown() {
            let turn = self.lane.handle(self.now, input);
            self.carry_out(turn);
        }
    }

    fn carry_out(&mut self, turn: Turn) {
        let marked = if self.store_works { Mark::Durable } else { Mark::Volatile };
        if !self.fuse.survives() {
            return;
        }
        if self.store_works {
            self.ledger.apply(&turn.batch);
        }
        for delivery in turn.batch.deliveries.iter().filter(|delivery| !delivery.status.is_unsettled()) {
            let before = self.settled.insert(delivery.intent.key.to_string(), delivery.status.clone());
            assert_eq!(before, None, "settled twice: {delivery:?}");
        }
        self.notices.extend(turn.notices.into_iter().map(|notice| notice.key));
        for effect in turn.effects {
            if !self.fuse.survives() {
                return;
            }
            match effect {
                Effect::Mark => self.input(Input::Marked(marked)),
                Effect::Run(delivery) => self.run(&delivery),
                Effect::Adopt(running) => {
                    if self.process.as_ref().is_none_or(|process| process.pid != running.pid) {
                        self.input(Input::Gone);
                    }
                }
                Effect::Signal(signal) => self.signals.push(signal),
            }
        }
    }

    fn run(&mut self, delivery: &Delivery) {
        assert!(self.process.is_none(), "two at once: {delivery:?} beside {:?}", self.process);
        let (key, direction) = (delivery.intent.key.clone(), super::direction(delivery));
        if self.policy.delivery == Guarantee::AtMostOnce {
            assert!(self.runs.iter().all(|run| run.key != *key), "started twice: {key}");
            assert!(
                matches!(self.ledger.outbox[&key].status, Status::Started(_)),
                "its start was not durable: {:?}",
                self.ledger.outbox
            );
        }
        let repeats = self.runs.last().is_some_and(|last| last.direction == direction && last.ok == Some(true));
        self.runs.push(Run { key: key.to_string(), direction, at: self.now.mono, ok: None, repeats });
        self.pids += 1;
        self.process = Some(Process { key, pid: self.pids });
        if self.fuse.survives() {
            self.input(Input::Started(Running { at: self.now.wall, pid: self.pids, start_ticks: 7 }));
        }
        if self.fuse.is_blown() {
            // Its number is on no disk. The kernel cannot be asked for it, so the machine must have gone down too.
            self.process = None;
        }
    }

    fn wish(&mut self, direction: Direction) {
        let sequence = self.ledger.next_sequence;
        let delivery = wish(direction, sequence, self.now.wall);
        let key = delivery.intent.key.to_string();
        if !self.fuse.survives() {
            return;
        }
        let mut batch = crate::ledger::Batch::default();
        batch.deliveries.push(delivery.clone());
        self.ledger.apply(&batch);
        self.wished.push((key, direction));
        self.input(Input::Wish(Box::new(delivery)));
    }

    fn advance(&mut self, span: Duration) {
        let until = self.now.mono + span;
        while let Some(at) = self.lane.next_wake().filter(|at| *at <= until) {
            self.move_to(at);
            self.input(Input::Wake);
            if self.fuse.is_blown() {
                return;
            }
            assert!(self.lane.next_wake().is_none_or(|next| next > at), "it wakes without end");
        }
        self.move_to(until);
    }

    fn move_to(&mut self, at: Mono) {
        let span = at.since(self.now.mono);
        self.now = Now { mono: at, wall: self.now.wall + span };
    }

    fn end(&mut self, end: End) {
        let Some(process) = self.process.take() else { return };
        let run = self.runs.iter_mut().rev().find(|run| run.key == *process.key).expect("it was started");
        run.ok = Some(matches!(end, End::Done(_)));
        if self.lane_watches_a_stranger() {
            self.input(Input::Gone);
        } else {
            self.input(Input::Ended(end));
        }
    }

    fn lane_watches_a_stranger(&self) -> bool {
        matches!(self.lane.step, super::Step::Adopted { .. })
    }

    /// What a crash leaves: the store and, if the machine lives, the process.
    fn restart(&mut self, machine_lives: bool) {
        self.fuse = Fuse::default();
        if !machine_lives {
            self.process = None;
        }
        if let Some(process) = &self.process {
            let run = self.runs.iter_mut().rev().find(|run| run.key == *process.key).expect("it was started");
            run.ok = None;
        }
        let record = self.ledger.lanes.get(&nginx()).cloned().unwrap_or_default();
        self.lane = Lane::new(nginx(), self.policy, self.commands, record, 1, self.now);
        self.input(Input::Overlay(self.promotions));
        let owed = self.ledger.outbox.values().cloned().collect();
        let turn = self.lane.restore(self.now, owed);
        self.carry_out(turn);
    }

    /// Everything gets its time, and every command succeeds.
    fn come_to_rest(&mut self) {
        for _ in 0..200 {
            if self.fuse.is_blown() {
                self.restart(true);
            }
            self.fuse.remove();
            if self.process.is_some() {
                self.end(End::Done("exit 0".into()));
            } else if let Some(at) = self.lane.next_wake() {
                self.advance(at.since(self.now.mono));
            } else {
                return;
            }
        }
        panic!("no rest: {:?}", self.lane);
    }

    fn status(&self, key: &str) -> &Status {
        self.settled.get(key).unwrap_or_else(|| panic!("{key} is not settled: {:?}", self.settled))
    }

    fn directions(&self) -> Vec<Direction> {
        self.runs.iter().map(|run| run.direction).collect()
    }
}

fn wish(direction: Direction, sequence: u64, at: Wall) -> Delivery {
    let intent = Intent {
        key: Arc::from(format!("{}.{sequence}", direction.as_str())),
        at,
        event: Event::from(direction),
        to: Destination::Action(nginx()),
        subject: Some(Id::from("web")),
        incident: None,
        facts: Facts::default(),
        message: Arc::from(""),
    };
    Delivery::new(intent, sequence)
}

fn done() -> End {
    End::Done("exit 0".into())
}

fn failed() -> End {
    End::Failed("exit 1".into())
}

use Direction::{Demote, Promote};

fn policy() -> ActionPolicy {
    ActionPolicy { limit: None, ..ActionPolicy::default() }
}

#[test]
fn a_wish_runs_and_is_done() {
    let mut world = World::new(policy());
    world.wish(Demote);
    assert_eq!(world.directions(), [Demote]);
    let row = &world.ledger.outbox["demote.0"];
    assert_eq!(row.status, Status::Started(Running { at: world.now.wall, pid: 101, start_ticks: 7 }));
    assert_eq!(row.attempts, 1);
    world.end(done());
    assert_eq!(world.status("demote.0"), &Status::Done(world.now.wall));
    let last = world.ledger.lanes[&nginx()].last_run.clone().expect("it ran");
    assert_eq!((last.direction, last.ok, &*last.result), (Demote, true, "exit 0"));
    assert_eq!(world.lane.next_wake(), None);
}

#[test]
fn up_down_up_while_one_runs_collapses() {
    let mut world = World::new(policy());
    for direction in [Promote, Demote, Promote] {
        world.wish(direction);
    }
    assert!(matches!(world.status("demote.1"), Status::Superseded(_)));
    world.end(done());
    assert!(matches!(world.status("promote.2"), Status::Superseded(_)), "the promotion that ran is what is wished");
    assert_eq!(world.directions(), [Promote]);
}

#[test]
fn a_collapsed_pair_runs_after_a_failure() {
    let mut world = World::new(policy());
    for direction in [Promote, Demote, Promote] {
        world.wish(direction);
    }
    world.end(failed());
    assert_eq!(world.directions(), [Promote, Promote]);
    assert!(matches!(world.status("promote.0"), Status::Superseded(_)));
    world.end(done());
    assert!(matches!(world.status("promote.2"), Status::Done(_)));
}

#[test]
fn the_latest_wish_runs_next() {
    let mut world = World::new(policy());
    for direction in [Promote, Demote, Promote, Demote] {
        world.wish(direction);
    }
    world.end(done());
    assert_eq!(world.directions(), [Promote, Demote]);
    assert_eq!(world.runs[1].key, "demote.3");
}

#[test]
fn a_repetition_runs_again() {
    let mut world = World::new(ActionPolicy { limit: Some(Limit { count: 1, window: secs(600) }), ..policy() });
    for _ in 0..4 {
        world.wish(Promote);
        world.end(done());
    }
    assert_eq!(world.runs.len(), 4, "what stands already may be repeated beyond the limit");
}

#[test]
fn a_repetition_does_not_start_the_count_of_attempts_anew() {
    let mut world = World::new(ActionPolicy { retry: Retry::Backoff { attempts: 1 }, ..policy() });
    world.wish(Promote);
    world.end(failed());
    world.wish(Promote);
    assert!(matches!(world.status("promote.1"), Status::Superseded(_)));
    world.advance(secs(2));
    world.end(failed());
    assert!(matches!(world.status("promote.0"), Status::Dead(_)));
}

#[test]
fn failures_are_retried_later_and_later_and_then_given_up() {
    let mut world = World::new(policy());
    world.wish(Demote);
    for attempt in 1..=6u32 {
        assert_eq!(world.runs.len(), attempt as usize);
        let failed_at = world.now;
        world.end(failed());
        if attempt < 6 {
            let row = &world.ledger.outbox["demote.0"];
            let whole = secs(1 << (attempt - 1));
            let wait = row.not_before.since(failed_at.wall);
            assert!(wait >= whole / 2 && wait <= whole, "{attempt}: {wait:?}");
            assert_eq!((row.status.clone(), &*row.answer), (Status::Due, "exit 1"));
            world.advance(wait - Duration::from_millis(1));
            assert_eq!(world.runs.len(), attempt as usize, "too early");
            world.advance(Duration::from_millis(1));
        }
    }
    assert!(matches!(world.status("demote.0"), Status::Dead(_)));
    assert_eq!(world.notices, ["dead.demote.0"]);
    assert_eq!(world.lane.next_wake(), None);
}

#[test]
fn a_steady_pace_is_kept_without_end() {
    let mut world = World::new(ActionPolicy { retry: Retry::Every(secs(60)), ..policy() });
    world.wish(Demote);
    for _ in 0..50 {
        world.end(failed());
        world.advance(secs(60));
    }
    assert_eq!(world.runs.len(), 51);
    assert!(world.notices.is_empty());
}

#[test]
fn a_retry_that_waits_gives_way_to_the_opposite() {
    let mut world = World::new(policy());
    world.wish(Promote);
    world.end(done());
    world.wish(Demote);
    world.end(failed());
    world.wish(Promote);
    assert_eq!(world.directions(), [Promote, Demote, Promote], "the failed demotion may have done half its work");
    assert!(matches!(world.status("demote.1"), Status::Superseded(_)));
}

#[test]
fn at_most_once_waits_for_the_mark_and_is_never_repeated() {
    let mut world = World::new(ActionPolicy { delivery: Guarantee::AtMostOnce, ..policy() });
    world.wish(Demote);
    world.end(failed());
    assert!(matches!(world.status("demote.0"), Status::Dead(_)));
    assert_eq!(world.notices, ["dead.demote.0"]);
    world.advance(secs(3600));
    assert_eq!(world.runs.len(), 1);
}

#[test]
fn at_most_once_does_not_start_while_the_store_cannot_tell() {
    let mut world = World::new(ActionPolicy { delivery: Guarantee::AtMostOnce, ..ActionPolicy::default() });
    world.store_works = false;
    world.wish(Demote);
    world.advance(secs(60));
    assert!(world.runs.is_empty());
    assert_eq!(world.notices.len(), 1, "once is enough: {:?}", world.notices);
    world.store_works = true;
    world.advance(secs(5));
    assert_eq!(world.directions(), [Demote]);
    assert_eq!(world.ledger.lanes[&nginx()].starts.len(), 1, "tries that did not start are not counted");
    assert_eq!(world.ledger.outbox["demote.0"].attempts, 1);
}

#[test]
fn at_most_once_that_never_started_may_be_tried_again() {
    let mut world = World::new(ActionPolicy { delivery: Guarantee::AtMostOnce, ..policy() });
    world.wish(Demote);
    world.runs.clear(); // as if the world had refused
    world.end_unstarted();
    world.advance(secs(2));
    assert_eq!(world.directions(), [Demote]);
}

impl World {
    fn end_unstarted(&mut self) {
        self.process = None;
        self.input(Input::Ended(End::NotStarted("no such file".into())));
    }
}

#[test]
fn at_most_once_is_uncertain_after_a_crash() {
    let mut world = World::new(ActionPolicy { delivery: Guarantee::AtMostOnce, ..policy() });
    world.wish(Demote);
    world.restart(false);
    assert!(matches!(world.status("demote.0"), Status::Uncertain(_)));
    assert_eq!(world.notices, ["uncertain.demote.0"]);
    world.come_to_rest();
    assert_eq!(world.runs.len(), 1);
    assert!(!world.ledger.lanes[&nginx()].last_run.clone().expect("it may have run").ok);
}

#[test]
fn what_a_crash_left_running_is_waited_for_and_then_repeated() {
    let mut world = World::new(policy());
    world.wish(Demote);
    world.advance(secs(10));
    world.restart(true);
    assert!(world.process.is_some());
    world.wish(Promote);
    world.advance(secs(19));
    assert_eq!(world.directions(), [Demote], "nothing starts beside it");
    assert!(world.signals.is_empty());
    world.advance(secs(1));
    assert_eq!(world.signals, [Signal::Term], "its 30 seconds are over");
    world.advance(secs(5));
    assert_eq!(world.signals, [Signal::Term, Signal::Kill]);
    world.end(failed());
    assert_eq!(world.directions(), [Demote, Promote]);
    assert!(matches!(world.status("demote.0"), Status::Superseded(_)));
}

#[test]
fn what_a_crash_interrupted_is_repeated() {
    let mut world = World::new(ActionPolicy { retry: Retry::Backoff { attempts: 0 }, ..policy() });
    world.wish(Demote);
    world.restart(false);
    assert_eq!(world.directions(), [Demote, Demote], "a crash is no failure of the command");
    world.end(done());
    assert!(matches!(world.status("demote.0"), Status::Done(_)));
}

#[test]
fn after_an_interrupted_command_the_wish_runs_even_if_it_stood_before() {
    let mut world = World::new(policy());
    world.wish(Promote);
    world.end(done());
    world.wish(Demote);
    world.wish(Promote);
    world.restart(false);
    assert_eq!(world.directions(), [Promote, Demote, Promote]);
}

#[test]
fn beyond_its_limit_an_action_is_suspended_until_the_window_has_gone_by() {
    let limit = Limit { count: 2, window: secs(600) };
    let mut world = World::new(ActionPolicy { limit: Some(limit), ..policy() });
    for direction in [Promote, Demote, Promote, Demote] {
        world.wish(direction);
        world.end(done());
        world.advance(secs(1));
    }
    assert_eq!(world.directions(), [Promote, Demote]);
    assert_eq!(world.notices, ["suspended.promote.2"]);
    let suspended = world.ledger.lanes[&nginx()].suspended.expect("suspended");
    assert_eq!(world.now.wall.since(suspended), secs(2));
    assert!(matches!(world.status("demote.3"), Status::Superseded(_)), "the demotion stands");
    world.wish(Promote);
    world.advance(secs(597));
    assert_eq!(world.runs.len(), 2);
    world.advance(secs(1));
    assert_eq!(world.directions(), [Promote, Demote, Promote], "then the latest wish runs");
    assert_eq!(world.ledger.lanes[&nginx()].suspended, None);
    assert_eq!(world.notices.len(), 1);
}

#[test]
fn a_suspension_survives_a_restart_and_a_clock_that_is_set() {
    let limit = Limit { count: 1, window: secs(600) };
    let mut world = World::new(ActionPolicy { limit: Some(limit), ..policy() });
    world.wish(Promote);
    world.end(done());
    world.wish(Demote);
    world.advance(secs(100));
    world.restart(true);
    world.now.wall = world.now.wall + secs(86_400);
    world.advance(secs(499));
    assert_eq!(world.runs.len(), 1);
    world.advance(secs(1));
    assert_eq!(world.directions(), [Promote, Demote]);
}

#[test]
fn the_operator_lifts_a_suspension() {
    let limit = Limit { count: 1, window: secs(600) };
    let mut world = World::new(ActionPolicy { limit: Some(limit), ..policy() });
    world.wish(Promote);
    world.end(done());
    world.wish(Demote);
    world.input(Input::Resume);
    assert_eq!(world.directions(), [Promote, Demote]);
    assert_eq!(world.ledger.lanes[&nginx()].suspended, None);
}

#[test]
fn a_limit_that_is_gone_suspends_nobody() {
    let limit = Limit { count: 1, window: secs(600) };
    let mut world = World::new(ActionPolicy { limit: Some(limit), ..policy() });
    world.wish(Promote);
    world.end(done());
    world.wish(Demote);
    world.policy.limit = None;
    world.restart(true);
    assert_eq!(world.directions(), [Promote, Demote]);
    assert_eq!(world.ledger.lanes[&nginx()].suspended, None);
}

#[test]
fn promotions_wait_under_an_overlay_and_demotions_do_not() {
    let mut world = World::new(policy());
    world.input(Input::Overlay(Promotions::Wait));
    world.wish(Promote);
    assert!(world.runs.is_empty());
    assert_eq!(world.lane.next_wake(), None);
    world.wish(Demote);
    world.end(done());
    world.wish(Promote);
    world.wish(Demote);
    assert_eq!(world.directions(), [Demote], "the demotion stands");
    world.wish(Promote);
    world.input(Input::Overlay(Promotions::Run));
    assert_eq!(world.directions(), [Demote, Promote]);
}

#[test]
fn without_a_command_there_is_nothing_to_run() {
    let mut world = World::new(ActionPolicy { limit: Some(Limit { count: 2, window: secs(600) }), ..policy() });
    world.input(Input::Replanned(world.policy, Commands { promote: false, demote: true }));
    for direction in [Promote, Demote, Promote, Demote, Promote, Demote] {
        world.wish(direction);
        world.end(done());
    }
    assert_eq!(world.directions(), [Demote, Demote], "the limit counts what runs");
    assert_eq!(world.notices.len(), 1);
}

#[test]
fn a_stop_gives_the_command_seven_seconds_and_then_two() {
    for guarantee in [Guarantee::AtLeastOnce, Guarantee::AtMostOnce] {
        let mut world = World::new(ActionPolicy { delivery: guarantee, ..policy() });
        world.wish(Demote);
        world.advance(secs(1));
        world.input(Input::Stop);
        world.wish(Promote);
        world.advance(STOP_TERM - Duration::from_millis(1));
        assert!(world.signals.is_empty());
        world.advance(Duration::from_millis(1));
        assert_eq!(world.signals, [Signal::Term]);
        world.advance(STOP_KILL - STOP_TERM);
        assert_eq!(world.signals, [Signal::Term, Signal::Kill]);
        world.end(failed());
        assert!(world.lane.is_idle());
        match guarantee {
            Guarantee::AtLeastOnce => assert!(matches!(world.status("demote.0"), Status::Superseded(_))),
            Guarantee::AtMostOnce => assert!(matches!(world.status("demote.0"), Status::Uncertain(_))),
        }
        assert_eq!(world.ledger.outbox["promote.1"].status, Status::Due);
        assert_eq!(world.runs.len(), 1, "nothing starts any more");
    }
}

#[test]
fn a_command_that_the_stop_ended_stays_due() {
    let mut world = World::new(policy());
    world.wish(Demote);
    world.input(Input::Stop);
    world.advance(STOP_TERM);
    world.end(failed());
    let row = &world.ledger.outbox["demote.0"];
    assert_eq!((row.status.clone(), row.attempts), (Status::Due, 0));
    world.restart(true);
    assert_eq!(world.directions(), [Demote, Demote]);
}

#[test]
fn a_command_that_ends_well_within_the_stop_is_done() {
    let mut world = World::new(policy());
    world.wish(Demote);
    world.input(Input::Stop);
    world.advance(STOP_TERM);
    world.end(done());
    assert!(matches!(world.status("demote.0"), Status::Done(_)));
}

#[test]
fn a_single_run_tries_what_waits_and_nothing_twice() {
    let mut world = World::new(policy());
    world.wish(Demote);
    world.end(failed());
    world.restart(true);
    assert_eq!(world.runs.len(), 1, "its time has not come");
    world.input(Input::Once);
    assert_eq!(world.runs.len(), 2);
    world.end(failed());
    world.advance(secs(3600));
    assert_eq!(world.runs.len(), 2);
    assert_eq!(world.ledger.outbox["demote.0"].attempts, 2);
    world.wish(Promote);
    assert_eq!(world.directions(), [Demote, Demote, Promote]);
}

#[test]
fn what_is_no_longer_configured_is_not_run() {
    let mut world = World::new(policy());
    world.wish(Demote);
    world.wish(Promote);
    world.input(Input::Retired);
    world.wish(Demote);
    world.end(failed());
    for key in ["demote.0", "promote.1", "demote.2"] {
        assert!(matches!(world.status(key), Status::Superseded(_)), "{key}");
    }
    assert!(world.lane.is_idle());
}

#[test]
fn hints_that_come_twice_do_nothing() {
    let mut world = World::new(policy());
    world.wish(Demote);
    world.wish(Promote);
    for (direction, sequence) in [(Demote, 0), (Promote, 1)] {
        world.input(Input::Wish(Box::new(wish(direction, sequence, world.now.wall))));
    }
    assert!(world.settled.is_empty());
    world.end(done());
    assert_eq!(world.directions(), [Demote, Promote]);
    world.end(done());
    world.input(Input::Wish(Box::new(wish(Demote, 0, world.now.wall))));
    assert_eq!(world.directions(), [Demote, Promote], "an older wish never follows a later one");
}

/// What may happen to a lane.
#[derive(Clone, Debug)]
enum Happening {
    Wish(Direction),
    End(bool),
    Advance(u64),
    Overlay(bool),
    Resume,
    /// A crash after so many steps; whether the machine lives on.
    Crash(u32, bool),
    Clock(i64),
}

fn happening() -> impl Strategy<Value = Happening> {
    let direction = prop_oneof![Just(Promote), Just(Demote)];
    prop_oneof![
        6 => direction.prop_map(Happening::Wish),
        5 => any::<bool>().prop_map(Happening::End),
        4 => (0u64..90_000).prop_map(Happening::Advance),
        1 => any::<bool>().prop_map(Happening::Overlay),
        1 => Just(Happening::Resume),
        3 => (0u32..6, any::<bool>()).prop_map(|(steps, lives)| Happening::Crash(steps, lives)),
        1 => (-86_400i64..86_400).prop_map(Happening::Clock),
    ]
}

fn policies() -> impl Strategy<Value = ActionPolicy> {
    let guarantee = prop_oneof![Just(Guarantee::AtLeastOnce), Just(Guarantee::AtMostOnce)];
    let retry = prop_oneof![(0u32..3).prop_map(|attempts| Retry::Backoff { attempts }), Just(Retry::Every(secs(10)))];
    let limit = proptest::option::of((1u32..4).prop_map(|count| Limit { count, window: secs(60) }));
    (guarantee, retry, limit).prop_map(|(delivery, retry, limit)| ActionPolicy {
        delivery,
        retry,
        limit,
        ..ActionPolicy::default()
    })
}

/// More first attempts than the limit allows, within a window; the operator's word starts a new count.
fn exceeds(limit: Limit, firsts: &[Mono]) -> bool {
    firsts.windows(limit.count as usize + 1).any(|run| run[run.len() - 1].since(run[0]) < limit.window)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens(policy in policies(), happenings in proptest::collection::vec(happening(), 1..60)) {
        let mut world = World::new(policy);
        let mut machine_lives = true;
        let mut since_resume = 0;
        for happening in happenings {
            match happening {
                Happening::Wish(direction) => world.wish(direction),
                Happening::End(true) => world.end(done()),
                Happening::End(false) => world.end(failed()),
                Happening::Advance(millis) => world.advance(Duration::from_millis(millis)),
                Happening::Overlay(holds) => {
                    world.promotions = if holds { Promotions::Wait } else { Promotions::Run };
                    world.input(Input::Overlay(world.promotions));
                }
                Happening::Resume => {
                    since_resume = world.runs.len();
                    world.input(Input::Resume);
                }
                Happening::Crash(steps, lives) => {
                    world.fuse.light(steps);
                    machine_lives = lives;
                }
                // A clock that moves while nobody runs can only be taken at its word, so it moves while we do.
                Happening::Clock(seconds) => {
                    let moved = world.now.wall.unix_millis() + seconds * 1000;
                    if policy.limit.is_none() {
                        world.now.wall = Wall::from_unix_millis(moved);
                    }
                }
            }
            if world.fuse.is_blown() {
                world.restart(machine_lives);
            }
            if let Some(limit) = policy.limit {
                let mut seen: Vec<&str> = vec![];
                let mut firsts = vec![];
                for (n, run) in world.runs.iter().enumerate() {
                    if n >= since_resume && !seen.contains(&&*run.key) && !run.repeats {
                        firsts.push(run.at);
                    }
                    seen.push(&run.key);
                }
                prop_assert!(!exceeds(limit, &firsts), "{:?}", world.runs);
            }
        }
        world.promotions = Promotions::Run;
        world.fuse.remove();
        world.input(Input::Overlay(Promotions::Run));
        world.come_to_rest();

        prop_assert!(world.ledger.outbox.is_empty(), "something is still owed: {:?}", world.ledger.outbox);
        for (key, _) in &world.wished {
            prop_assert!(world.settled.contains_key(key), "{key} is lost");
        }
        if let Some((key, wished)) = world.wished.last() {
            let uncertain = matches!(world.settled[key], Status::Uncertain(_));
            let last = world.runs.last().map(|run| run.direction);
            prop_assert!(uncertain || last == Some(*wished), "{key} {:?}: {:?}", world.settled, world.runs);
        }
        for (key, status) in &world.settled {
            let told = |class: &str| world.notices.contains(&format!("{class}.{key}"));
            prop_assert_eq!(matches!(status, Status::Dead(_)), told("dead"));
            prop_assert_eq!(matches!(status, Status::Uncertain(_)), told("uncertain"));
        }
    }
}
