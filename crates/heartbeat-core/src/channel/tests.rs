//! A channel in a world of its own: a provider with moods, a store, two clocks, and crashes between any two steps.

use std::collections::{BTreeMap, BTreeSet};
use std::string::{String, ToString};
use std::vec::Vec;

use alloc::boxed::Box;
use alloc::format;
use alloc::sync::Arc;
use core::time::Duration;

use proptest::prelude::*;

use super::{Answer, Channel, Effect, GIVE_UP, IN_FLIGHT, Input, LONGEST_AFTER, Saying, Turn};
use crate::delivery::{Delivery, Status};
use crate::fuse::Fuse;
use crate::intent::{Destination, Event, Facts, Intent};
use crate::ledger::{Batch, Ledger};
use crate::pace::CEILING;
use crate::policy::{ChannelPolicy, Limit};
use crate::{Id, Mono, Now, Wall};

fn sms() -> Id {
    Id::from("sms")
}

const fn secs(n: u64) -> Duration {
    Duration::from_secs(n)
}

/// What the provider has seen: when, the key, what was said.
#[derive(Clone, Debug)]
struct Attempt {
    at: Mono,
    key: String,
    saying: Saying,
    accepted: bool,
}

struct World {
    policy: ChannelPolicy,
    now: Now,
    ledger: Ledger,
    channel: Channel,
    flying: Vec<(Delivery, Saying)>,
    attempts: Vec<Attempt>,
    settled: BTreeMap<String, (Status, String)>,
    notices: Vec<String>,
    wished: Vec<Delivery>,
    fuse: Fuse,
}

impl World {
    fn new(policy: ChannelPolicy) -> Self {
        let now = Now { mono: Mono::from_origin(secs(100)), wall: Wall::from_unix_millis(1_764_000_000_000) };
        Self {
            policy,
            now,
            ledger: Ledger::default(),
            channel: Channel::new(sms(), policy, Default::default(), 1, now),
            flying: Vec::new(),
            attempts: Vec::new(),
            settled: BTreeMap::new(),
            notices: Vec::new(),
            wished: Vec::new(),
            fuse: Fuse::default(),
        }
    }

    fn input(&mut self, input: Input) {
        if !self.fuse.is_blown() {
            let turn = self.channel.handle(self.now, input);
            self.carry_out(turn);
        }
    }

    fn carry_out(&mut self, turn: Turn) {
        if !self.fuse.survives() {
            return;
        }
        self.ledger.apply(&turn.batch);
        for delivery in turn.batch.deliveries.iter().filter(|delivery| !delivery.status.is_unsettled()) {
            let last = (delivery.status.clone(), delivery.answer.to_string());
            let before = self.settled.insert(delivery.intent.key.to_string(), last);
            assert_eq!(before, None, "settled twice: {delivery:?}");
        }
        self.notices.extend(turn.notices.into_iter().map(|notice| notice.key));
        for Effect::Send(delivery, saying) in turn.effects {
            if !self.fuse.survives() {
                return;
            }
            let thread = &delivery.intent.subject;
            assert!(
                self.flying.iter().all(|(other, _)| other.intent.subject != *thread),
                "two about the same in flight: {delivery:?}"
            );
            self.flying.push((*delivery, saying));
        }
    }

    fn message(&mut self, event: Event, subject: &str, incident: u64) -> Delivery {
        let sequence = self.ledger.next_sequence;
        let named = !matches!(event, Event::Notice | Event::Test);
        let intent = Intent {
            key: Arc::from(format!("{}.{subject}.{incident}.{sequence}", event.as_str())),
            at: self.now.wall,
            event,
            to: Destination::Alert(sms()),
            subject: named.then(|| Id::from(subject)),
            incident: (named && event != Event::Degraded).then_some(incident),
            facts: Facts { since: Some(self.now.wall), ..Facts::default() },
            message: Arc::from(format!("{subject} is {}", event.as_str())),
        };
        Delivery::new(intent, sequence)
    }

    fn wish(&mut self, event: Event, subject: &str, incident: u64) -> String {
        let delivery = self.message(event, subject, incident);
        let key = delivery.intent.key.to_string();
        if self.fuse.survives() {
            let mut batch = Batch::default();
            batch.deliveries.push(delivery.clone());
            self.ledger.apply(&batch);
            self.wished.push(delivery.clone());
            self.input(Input::Wish(Box::new(delivery)));
        }
        key
    }

    fn answer(&mut self, answer: Answer) {
        if self.flying.is_empty() {
            return;
        }
        let (delivery, saying) = self.flying.remove(0);
        let key = delivery.intent.key.to_string();
        let accepted = matches!(answer, Answer::Accepted(_));
        self.attempts.push(Attempt { at: self.now.mono, key, saying, accepted });
        self.input(Input::Tried(delivery.intent.key, answer));
    }

    fn advance(&mut self, span: Duration) {
        let until = self.now.mono + span;
        while let Some(at) = self.channel.next_wake(self.now.mono).filter(|at| *at <= until) {
            self.move_to(at);
            self.input(Input::Wake);
            if self.fuse.is_blown() {
                return;
            }
            assert!(self.channel.next_wake(at).is_none_or(|next| next > at), "it wakes without end");
        }
        self.move_to(until);
    }

    /// Advances while the provider answers every attempt in the same way, after a second.
    fn advance_under(&mut self, span: Duration, answer: &Answer) {
        let until = self.now.mono + span;
        while self.now.mono < until {
            let next = self.channel.next_wake(self.now.mono).unwrap_or(until).min(until);
            let step = if self.flying.is_empty() { next.since(self.now.mono) } else { secs(1) };
            self.advance(step);
            while !self.flying.is_empty() {
                self.answer(answer.clone());
            }
        }
    }

    fn move_to(&mut self, at: Mono) {
        let span = at.since(self.now.mono);
        self.now = Now { mono: at, wall: self.now.wall + span };
    }

    fn restart(&mut self) {
        self.fuse = Fuse::default();
        self.flying.clear();
        let record = self.ledger.channels.get(&sms()).cloned().unwrap_or_default();
        self.channel = Channel::new(sms(), self.policy, record, 1, self.now);
        let owed = self.ledger.outbox.values().cloned().collect();
        let turn = self.channel.restore(self.now, owed);
        self.carry_out(turn);
    }

    fn come_to_rest(&mut self) {
        for _ in 0..2_000 {
            if self.fuse.is_blown() {
                self.restart();
            }
            self.fuse.remove();
            if !self.flying.is_empty() {
                self.answer(yes());
            } else if let Some(at) = self.channel.next_wake(self.now.mono) {
                self.advance(at.since(self.now.mono));
            } else {
                return;
            }
        }
        panic!("no rest: {:?}", self.channel);
    }

    fn status(&self, key: &str) -> &Status {
        &self.settled.get(key).unwrap_or_else(|| panic!("{key} is not settled: {:?}", self.settled)).0
    }

    fn flying(&self) -> Vec<&str> {
        self.flying.iter().map(|(delivery, _)| &*delivery.intent.key).collect()
    }

    fn said(&self) -> Vec<&Saying> {
        self.attempts.iter().filter(|attempt| attempt.accepted).map(|attempt| &attempt.saying).collect()
    }
}

fn yes() -> Answer {
    Answer::Accepted("250 ok".into())
}

fn later() -> Answer {
    Answer::ForNow { answer: "503".into(), after: None }
}

fn never() -> Answer {
    Answer::ForGood("400".into())
}

fn policy() -> ChannelPolicy {
    ChannelPolicy { limit: None, ..ChannelPolicy::default() }
}

#[test]
fn a_message_is_sent_and_done() {
    let mut world = World::new(policy());
    let key = world.wish(Event::Down, "web", 1);
    assert_eq!(world.flying(), [&key]);
    assert_eq!(world.flying[0].0.attempts, 1);
    world.answer(yes());
    assert_eq!(world.status(&key), &Status::Done(world.now.wall));
    assert_eq!(world.channel.next_wake(world.now.mono), None);
}

#[test]
fn what_concerns_one_check_goes_one_at_a_time_in_order() {
    let mut world = World::new(policy());
    let down = world.wish(Event::Down, "web", 1);
    let up = world.wish(Event::Up, "web", 1);
    let other = world.wish(Event::Down, "db", 1);
    assert_eq!(world.flying(), [&down, &other]);
    world.answer(yes());
    assert_eq!(world.flying(), [&other, &up]);
}

#[test]
fn only_so_many_are_in_flight() {
    let mut world = World::new(policy());
    for n in 0..10 {
        world.wish(Event::Down, &n.to_string(), 1);
    }
    assert_eq!(world.flying.len(), IN_FLIGHT);
    assert_eq!(world.channel.next_wake(world.now.mono), None);
    world.come_to_rest();
    assert_eq!(world.attempts.len(), 10);
}

#[test]
fn retries_wait_longer_and_never_less_than_the_provider_asked_for() {
    let mut world = World::new(policy());
    let key = world.wish(Event::Down, "web", 1);
    world.answer(Answer::ForNow { answer: "429".into(), after: Some(secs(90)) });
    let row = &world.ledger.outbox[&*key];
    assert_eq!((row.attempts, &*row.answer, row.not_before), (1, "429", world.now.wall + secs(90)));
    world.advance(secs(89));
    assert!(world.flying.is_empty());
    world.advance(secs(1));
    assert_eq!(world.flying(), [&key]);
    world.answer(Answer::ForNow { answer: "429".into(), after: Some(secs(1_000_000)) });
    world.advance(LONGEST_AFTER);
    assert_eq!(world.flying(), [&key], "a provider cannot silence us for days");
}

#[test]
fn a_dead_provider_sees_one_attempt_in_five_minutes_however_much_is_owed() {
    let mut world = World::new(policy());
    for n in 0..50 {
        world.wish(Event::Down, &n.to_string(), 1);
    }
    world.advance_under(secs(1200), &later());
    let before = world.attempts.len();
    assert!(before < 30, "{before} attempts in the first twenty minutes");
    world.advance_under(secs(36_000), &later());
    let times: Vec<_> = world.attempts[before..].iter().map(|attempt| attempt.at).collect();
    assert!(times.len() > 90, "it goes on: {}", times.len());
    for pair in times.windows(2) {
        assert!(pair[1].since(pair[0]) >= CEILING, "{:?}", pair[1].since(pair[0]));
    }
    world.advance_under(secs(600), &yes());
    assert!(world.ledger.outbox.is_empty(), "all of it goes out when the provider is back");
}

#[test]
fn a_message_that_the_provider_chokes_on_does_not_stop_the_others() {
    let mut world = World::new(policy());
    let poison = world.wish(Event::Down, "poison", 1);
    let mut worst = Duration::ZERO;
    for n in 0..200u64 {
        let sent = world.now.mono;
        let key = world.wish(Event::Degraded, "web", n);
        for _ in 0..600 {
            if world.settled.contains_key(&key) {
                break;
            }
            while let Some(first) = world.flying().first().map(ToString::to_string) {
                world.answer(if first == poison { later() } else { yes() });
            }
            world.advance(secs(1));
        }
        assert!(world.settled.contains_key(&key), "{key} is stuck behind the poison");
        worst = worst.max(world.now.mono.since(sent));
        world.advance(secs(30));
    }
    assert!(worst <= secs(4), "{worst:?}");
    assert!(world.ledger.outbox.contains_key(&*poison));
}

#[test]
fn threads_take_turns() {
    let mut world = World::new(policy());
    world.wish(Event::Down, "a", 1);
    world.wish(Event::Down, "b", 1);
    world.advance_under(secs(7200), &later());
    let of_a = world.attempts.iter().filter(|attempt| attempt.key.contains(".a.")).count();
    let of_b = world.attempts.len() - of_a;
    assert!(of_a.abs_diff(of_b) <= 2, "{of_a} of one, {of_b} of the other");
}

#[test]
fn a_dead_letter_is_noticed_and_notices_make_no_notices() {
    let mut world = World::new(policy());
    let key = world.wish(Event::Down, "web", 1);
    world.answer(never());
    assert!(matches!(world.status(&key), Status::Dead(_)));
    assert_eq!(world.notices, [format!("dead.{key}")]);
    for event in [Event::Notice, Event::Test] {
        let key = world.wish(event, "", 0);
        world.answer(never());
        assert!(matches!(world.status(&key), Status::Dead(_)));
    }
    assert_eq!(world.notices.len(), 1);
}

#[test]
fn an_up_whose_down_was_refused_is_not_sent() {
    let mut world = World::new(policy());
    world.wish(Event::Down, "web", 1);
    let waiting = world.wish(Event::Up, "web", 1);
    world.answer(never());
    assert!(matches!(world.status(&waiting), Status::Superseded(_)));
    world.wish(Event::Down, "web", 2);
    world.answer(never());
    let late = world.wish(Event::Up, "web", 2);
    assert!(matches!(world.status(&late), Status::Superseded(_)));
    assert!(world.flying.is_empty());
    world.wish(Event::Down, "web", 3);
    world.answer(never());
    world.wish(Event::Reminder, "web", 3);
    world.answer(yes());
    let heard = world.wish(Event::Up, "web", 3);
    assert_eq!(world.flying(), [&heard], "the reminder told of the outage");
}

#[test]
fn a_reminder_behind_an_undelivered_message_is_dropped() {
    let mut world = World::new(policy());
    let down = world.wish(Event::Down, "web", 1);
    let flying = world.wish(Event::Reminder, "web", 1);
    world.answer(later());
    let waiting = world.wish(Event::Reminder, "web", 1);
    for key in [flying, waiting] {
        assert!(matches!(world.status(&key), Status::Superseded(_)), "{key}");
    }
    world.come_to_rest();
    assert!(matches!(world.status(&down), Status::Done(_)));
    let reminder = world.wish(Event::Reminder, "web", 1);
    assert_eq!(world.flying(), [&reminder]);
}

#[test]
fn an_incident_that_is_stale_from_end_to_end_is_told_in_one() {
    let mut world = World::new(policy());
    let began = world.now.wall;
    let down = world.wish(Event::Down, "web", 1);
    world.advance_under(secs(900), &later());
    let ended = world.now.wall;
    let up = world.wish(Event::Up, "web", 1);
    let next = world.wish(Event::Down, "web", 2);
    world.advance_under(secs(86_400), &later());
    world.advance_under(secs(700), &yes());
    assert_eq!(
        world.said(),
        [&Saying::WasDown { from: began, to: ended }, &Saying::Late(world.wished[2].intent.at)],
        "and the one that goes on says so"
    );
    assert!(matches!(world.status(&down), Status::Superseded(_)));
    assert!(matches!(world.status(&up), Status::Done(_)));
    assert!(matches!(world.status(&next), Status::Done(_)));
}

#[test]
fn a_stale_down_before_a_fresh_up_is_late_and_not_folded() {
    let mut world = World::new(policy());
    world.wish(Event::Down, "web", 1);
    world.advance_under(secs(86_400), &later());
    world.wish(Event::Up, "web", 1);
    world.advance_under(secs(700), &yes());
    assert_eq!(world.said(), [&Saying::Late(world.wished[0].intent.at), &Saying::AsWritten]);
}

#[test]
fn a_summary_that_was_tried_keeps_what_it_says_and_loses_nothing() {
    let mut world = World::new(policy());
    let down = world.wish(Event::Down, "web", 1);
    let up = world.wish(Event::Up, "web", 1);
    world.flying.clear();
    world.now.wall = world.now.wall + secs(86_400);
    world.restart();
    assert_eq!(world.flying(), [&up]);
    world.answer(later());
    assert!(world.ledger.outbox.contains_key(&*down), "the folded one is still owed");
    let next = world.wish(Event::Down, "web", 2);
    assert!(world.flying.is_empty(), "{next} waits for its turn");
    world.advance(secs(10));
    assert!(matches!(world.flying[..], [(_, Saying::WasDown { .. })]));
    world.answer(never());
    assert!(matches!(world.status(&down), Status::Dead(_)));
    assert!(matches!(world.status(&up), Status::Dead(_)));
    assert_eq!(world.notices, [format!("dead.{up}")]);
    assert_eq!(world.flying(), [&next]);
}

#[test]
fn what_nobody_takes_is_given_up_in_the_end() {
    let mut world = World::new(policy());
    let key = world.wish(Event::Down, "web", 1);
    world.advance_under(world.policy.expire + GIVE_UP - secs(600), &later());
    assert!(!world.settled.contains_key(&key));
    world.advance_under(secs(1200), &later());
    assert!(matches!(world.status(&key), Status::Dead(_)));
    assert_eq!(world.notices.len(), 1);
}

#[test]
fn beyond_the_limit_one_summary_tells_what_was_held_back() {
    let limit = Limit { count: 3, window: secs(600) };
    let mut world = World::new(ChannelPolicy { limit: Some(limit), ..policy() });
    for n in 0..10 {
        world.wish(Event::Down, &format!("c{n}"), 1);
        if n == 5 {
            world.wish(Event::Up, "c5", 1);
        }
        while !world.flying.is_empty() {
            world.answer(yes());
        }
    }
    assert_eq!(world.attempts.len(), 3);
    let since = world.now.wall;
    world.advance_under(secs(599), &yes());
    assert_eq!(world.attempts.len(), 3);
    world.advance_under(secs(2), &yes());
    let texts: Vec<Arc<str>> = ["c3 is down", "c4 is down", "c5 is down", "c5 is up", "c6 is down", "c7 is down"]
        .into_iter()
        .chain(["c8 is down", "c9 is down"])
        .map(Arc::from)
        .collect();
    assert_eq!(world.said()[3..], [&Saying::HeldBack { since, texts }]);
    assert!(world.settled.values().all(|(status, _)| matches!(status, Status::Done(_))), "{:?}", world.settled);
    assert_eq!(world.ledger.channels[&sms()].accepted.len(), 1);
}

#[test]
fn a_single_message_that_was_held_back_is_sent_as_written() {
    let limit = Limit { count: 1, window: secs(600) };
    let mut world = World::new(ChannelPolicy { limit: Some(limit), ..policy() });
    world.wish(Event::Down, "a", 1);
    world.answer(yes());
    world.wish(Event::Down, "b", 1);
    world.advance_under(secs(601), &yes());
    assert_eq!(world.said(), [&Saying::AsWritten, &Saying::AsWritten]);
}

#[test]
fn the_limit_is_remembered_over_a_restart() {
    let limit = Limit { count: 1, window: secs(600) };
    let mut world = World::new(ChannelPolicy { limit: Some(limit), ..policy() });
    world.wish(Event::Down, "a", 1);
    world.answer(yes());
    world.restart();
    world.wish(Event::Down, "b", 1);
    world.advance(secs(599));
    assert!(world.flying.is_empty());
    world.advance(secs(1));
    assert_eq!(world.flying.len(), 1);
}

#[test]
fn a_clock_that_is_set_neither_frees_nor_freezes_a_backlog() {
    for set_by in [-86_400_000i64, 86_400_000] {
        let mut world = World::new(policy());
        let key = world.wish(Event::Down, "web", 1);
        world.answer(later());
        world.now.wall = Wall::from_unix_millis(world.now.wall.unix_millis() + set_by);
        world.input(Input::Wake);
        assert!(world.flying.is_empty(), "it bursts");
        world.advance(secs(2));
        assert_eq!(world.flying(), [&key], "it freezes");
        assert_eq!(world.flying[0].1, Saying::AsWritten, "it is two seconds old");
    }
}

#[test]
fn a_wait_that_a_clock_made_endless_is_bounded_after_a_restart() {
    let mut world = World::new(policy());
    let key = world.wish(Event::Down, "web", 1);
    world.answer(later());
    world.now.wall = world.now.wall - secs(86_400 * 365);
    world.restart();
    world.advance(LONGEST_AFTER);
    assert_eq!(world.flying(), [&key]);
}

#[test]
fn a_single_run_tries_everything_once_whatever_its_backoff() {
    let mut world = World::new(policy());
    for n in 0..20 {
        world.wish(Event::Down, &n.to_string(), 1);
    }
    world.advance_under(secs(600), &later());
    world.restart();
    let before = world.attempts.len();
    world.input(Input::Once);
    world.advance_under(secs(20), &later());
    let tried: BTreeSet<_> = world.attempts[before..].iter().map(|attempt| attempt.key.clone()).collect();
    assert_eq!((world.attempts.len() - before, tried.len()), (20, 20));
    assert!(world.channel.is_idle());
    assert_eq!(world.channel.next_wake(world.now.mono), None);
}

#[test]
fn a_single_run_goes_on_in_a_thread_after_a_success() {
    let mut world = World::new(policy());
    world.input(Input::Once);
    world.wish(Event::Down, "web", 1);
    let up = world.wish(Event::Up, "web", 1);
    world.answer(yes());
    assert_eq!(world.flying(), [&up]);
}

#[test]
fn after_the_stop_nothing_starts() {
    let mut world = World::new(policy());
    let first = world.wish(Event::Down, "web", 1);
    world.input(Input::Stop);
    world.wish(Event::Down, "db", 1);
    assert_eq!(world.flying(), [&first]);
    world.answer(yes());
    assert!(world.channel.is_idle());
    assert_eq!(world.channel.next_wake(world.now.mono), None);
}

#[test]
fn what_is_no_longer_configured_is_not_sent() {
    let mut world = World::new(policy());
    let flying = world.wish(Event::Down, "web", 1);
    let waiting = world.wish(Event::Up, "web", 1);
    world.input(Input::Retired);
    let after = world.wish(Event::Down, "db", 1);
    world.answer(later());
    for key in [flying, waiting, after] {
        assert!(matches!(world.status(&key), Status::Superseded(_)), "{key}");
    }
    assert!(world.channel.is_idle());
}

#[test]
fn hints_that_come_twice_do_nothing() {
    let mut world = World::new(policy());
    world.wish(Event::Down, "web", 1);
    let again = world.wished[0].clone();
    world.input(Input::Wish(Box::new(again)));
    world.answer(yes());
    assert!(world.flying.is_empty());
}

/// What may happen to a channel.
#[derive(Clone, Debug)]
enum Happening {
    /// The check goes down or up.
    Turn(u8),
    Remind(u8),
    Degraded(u8),
    Notice,
    Answer(Answer),
    Advance(u64),
    Crash(u32),
    Clock(i64),
}

fn happening() -> impl Strategy<Value = Happening> {
    let answer = prop_oneof![
        5 => Just(yes()),
        4 => Just(later()),
        1 => (0u64..2_000_000).prop_map(|s| Answer::ForNow { answer: "429".into(), after: Some(secs(s)) }),
        1 => Just(never()),
    ];
    prop_oneof![
        8 => (0u8..6).prop_map(Happening::Turn),
        1 => (0u8..6).prop_map(Happening::Remind),
        1 => (0u8..6).prop_map(Happening::Degraded),
        1 => Just(Happening::Notice),
        8 => answer.prop_map(Happening::Answer),
        4 => (0u64..600).prop_map(Happening::Advance),
        1 => (0u64..200_000).prop_map(Happening::Advance),
        2 => (0u32..5).prop_map(Happening::Crash),
        1 => (-200_000i64..200_000).prop_map(Happening::Clock),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens(
        limit in proptest::option::of((1u32..4).prop_map(|count| Limit { count, window: secs(600) })),
        happenings in proptest::collection::vec(happening(), 1..80),
    ) {
        let mut world = World::new(ChannelPolicy { limit, ..policy() });
        let mut incidents = [(0u64, false); 6];
        let mut clock_was_set = false;
        for happening in happenings {
            match happening {
                Happening::Turn(check) => {
                    let (incident, down) = &mut incidents[usize::from(check)];
                    *incident += u64::from(!*down);
                    *down = !*down;
                    let event = if *down { Event::Down } else { Event::Up };
                    let incident = *incident;
                    world.wish(event, &format!("c{check}"), incident);
                }
                Happening::Remind(check) => {
                    if let (incident, true) = incidents[usize::from(check)] {
                        world.wish(Event::Reminder, &format!("c{check}"), incident);
                    }
                }
                Happening::Degraded(check) => {
                    world.wish(Event::Degraded, &format!("c{check}"), 0);
                }
                Happening::Notice => {
                    world.wish(Event::Notice, "", 0);
                }
                Happening::Answer(answer) => world.answer(answer),
                Happening::Advance(seconds) => world.advance(secs(seconds)),
                Happening::Crash(steps) => world.fuse.light(steps),
                Happening::Clock(seconds) => {
                    clock_was_set = true;
                    world.now.wall = Wall::from_unix_millis(world.now.wall.unix_millis() + seconds * 1000);
                }
            }
            if world.fuse.is_blown() {
                world.restart();
            }
            prop_assert!(world.flying.len() <= IN_FLIGHT);
        }
        world.come_to_rest();

        prop_assert!(world.ledger.outbox.is_empty(), "something is still owed: {:?}", world.ledger.outbox);
        let order = |key: &String| key.rsplit('.').next().and_then(|n| n.parse::<u64>().ok()).expect("a sequence");
        let subject = |key: &String| key.split('.').nth(1).map(ToString::to_string);
        let mut last: BTreeMap<Option<String>, u64> = BTreeMap::new();
        for (index, attempt) in world.attempts.iter().enumerate().filter(|(_, attempt)| attempt.accepted) {
            // A crash took the mark of a summary away, and a clock that was set back then made its messages young again.
            let repeated = || world.attempts[index + 1..].iter().any(|later| later.accepted && later.key == attempt.key);
            if clock_was_set && matches!(attempt.saying, Saying::WasDown { .. }) && repeated() {
                continue;
            }
            // A summary carries the key of its latest message; after a crash it may be told once more.
            if !matches!(attempt.saying, Saying::HeldBack { .. }) {
                let last = last.entry(subject(&attempt.key)).or_default();
                prop_assert!(order(&attempt.key) >= *last, "out of order: {:?}", world.attempts);
                *last = order(&attempt.key);
            }
        }
        for wished in &world.wished {
            let key = wished.intent.key.to_string();
            let Some((status, _)) = world.settled.get(&key) else {
                return Err(TestCaseError::fail(format!("{key} is lost")));
            };
            let accepted = world.attempts.iter().any(|attempt| attempt.accepted && attempt.key == key);
            let told = || {
                world.attempts.iter().filter(|attempt| attempt.accepted).any(|attempt| match &attempt.saying {
                    Saying::HeldBack { texts, .. } => texts.contains(&wished.intent.message),
                    Saying::WasDown { .. } => true,
                    _ => false,
                })
            };
            match status {
                Status::Done(_) => prop_assert!(accepted || told(), "{key} is not delivered: {:?}", world.attempts),
                Status::Superseded(_) => {
                    let foldable = matches!(wished.intent.event, Event::Down | Event::Reminder | Event::Degraded);
                    prop_assert!(wished.intent.event == Event::Up || foldable, "{key}");
                    if wished.intent.event == Event::Down {
                        prop_assert!(told(), "{key} was summarised nowhere: {:?}", world.attempts);
                    }
                }
                Status::Dead(_) => {
                    let news = !matches!(wished.intent.event, Event::Notice);
                    prop_assert!(!news || !world.notices.is_empty(), "nobody hears that {key} is dead");
                }
                other => return Err(TestCaseError::fail(format!("{key}: {other:?}"))),
            }
        }
        if let (Some(limit), false) = (limit, clock_was_set) {
            // What was accepted and not marked before a crash cannot be counted, so the ledger is asked.
            let marked: Vec<_> = world.ledger.channels.get(&sms()).map(|r| r.accepted.clone()).unwrap_or_default();
            prop_assert!(marked.len() <= limit.count as usize, "{marked:?}");
        }
    }

    #[test]
    fn the_limit_holds(count in 1u32..5, gaps in proptest::collection::vec((0u64..200, any::<bool>()), 1..120)) {
        let limit = Limit { count, window: secs(600) };
        let mut world = World::new(ChannelPolicy { limit: Some(limit), ..policy() });
        for (n, (gap, works)) in gaps.into_iter().enumerate() {
            world.wish(Event::Degraded, &format!("c{}", n % 7), 0);
            world.advance_under(secs(gap), &if works { yes() } else { later() });
        }
        world.come_to_rest();
        let accepted: Vec<_> = world.attempts.iter().filter(|a| a.accepted).map(|a| a.at).collect();
        for run in accepted.windows(count as usize + 1) {
            prop_assert!(run[run.len() - 1].since(run[0]) >= limit.window, "{accepted:?}");
        }
    }
}
