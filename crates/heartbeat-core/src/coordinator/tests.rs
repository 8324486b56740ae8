//! The coordinator by itself: what scenarios do not show.

use alloc::sync::Arc;
use core::time::Duration;
use std::vec;
use std::vec::Vec;

use super::{CheckWiring, Coordinator, Effect, Input, Wiring};
use crate::intent::{Destination, Event};
use crate::ledger::{Batch, Ledger};
use crate::outcome::{Fault, Outcome};
use crate::policy::{Policy, Remind};
use crate::shard::Report;
use crate::state::step;
use crate::{Id, Mono, Now, Wall};

fn now(seconds: u64) -> Now {
    let at = Duration::from_secs(seconds);
    Now { mono: Mono::from_origin(at), wall: Wall::from_unix_millis(1_764_000_000_000) + at }
}

fn wiring(alerts: &[&str]) -> Wiring {
    let alerts: Vec<Id> = alerts.iter().map(|alert| Id::from(*alert)).collect();
    let web = CheckWiring {
        id: Id::from("web"),
        target: 0,
        actions: Vec::new(),
        alerts: alerts.clone(),
        depends_on: Vec::new(),
        remind: Remind::Every(Duration::from_secs(60)),
    };
    Wiring { checks: vec![web], alerts, ..Wiring::default() }
}

/// One process over a store.
struct Life {
    coordinator: Coordinator,
    ledger: Ledger,
    /// What was owed in the latest step.
    owed: Vec<(Event, Destination)>,
}

impl Life {
    fn over(ledger: Ledger, at: Now, wiring: Wiring) -> Self {
        let mut life = Self { coordinator: Coordinator::new(&ledger, at), ledger, owed: Vec::new() };
        life.hear(at, Input::Replanned(wiring));
        life
    }

    fn hear(&mut self, at: Now, input: Input) -> Vec<Batch> {
        let mut out = Vec::new();
        self.coordinator.handle(at, input, &mut out);
        let batch = |effect| match effect {
            Effect::Commit(batch) => Some(batch),
            Effect::Withheld { .. } => None,
        };
        let batches: Vec<Batch> = out.into_iter().filter_map(batch).collect();
        batches.iter().for_each(|batch| self.ledger.apply(batch));
        let deliveries = batches.iter().flat_map(|batch| &batch.deliveries);
        self.owed = deliveries.map(|delivery| (delivery.intent.event, delivery.intent.to.clone())).collect();
        batches
    }

    fn probed(&mut self, at: Now, outcome: Outcome) -> Vec<Batch> {
        let id = Id::from("web");
        let policy = Policy { fall: 1, rise: 1, ..Policy::default() };
        let record = self.ledger.checks.get(&id).cloned().unwrap_or_default();
        let (record, transition) = step(&id, &record, &policy, &outcome, at.wall);
        self.hear(at, Input::Reported(Report { id, record: record.into(), outcome, transition }))
    }
}

fn refused() -> Outcome {
    Outcome::fault(Fault::Refused, "refused", Duration::ZERO)
}

fn to(event: Event, alert: &str) -> (Event, Destination) {
    (event, Destination::Alert(Id::from(alert)))
}

#[test]
fn a_fall_commits_transition_and_message_together() {
    let mut life = Life::over(Ledger::default(), now(0), wiring(&["oncall"]));
    let batches = life.probed(now(1), refused());
    let [batch] = &batches[..] else { panic!("one transaction: {batches:?}") };
    assert!(batch.is_urgent());
    assert_eq!((batch.transitions.len(), batch.deliveries.len(), batch.results.len()), (1, 1, 1));
    assert_eq!((batch.checks.len(), batch.incidents.len()), (1, 1));
    assert_eq!(life.owed, [to(Event::Down, "oncall")]);
    assert_eq!(life.ledger.next_sequence, 1);
}

#[test]
fn a_message_that_was_settled_in_the_moment_of_a_crash_counts_as_heard() {
    let mut life = Life::over(Ledger::default(), now(0), wiring(&["oncall"]));
    life.probed(now(1), refused());
    let mut ledger = life.ledger.clone();
    ledger.outbox.clear();
    let mut next = Life::over(ledger, now(10), wiring(&["oncall"]));
    next.probed(now(70), refused());
    assert_eq!(next.owed, [to(Event::Reminder, "oncall")]);
    assert_eq!(next.coordinator.incident("web").map(|incident| incident.reminders), Some(1));
    next.ledger.outbox.clear();
    let mut next = Life::over(next.ledger, now(80), wiring(&["oncall"]));
    next.probed(now(81), Outcome::pass(Duration::ZERO));
    assert_eq!(next.owed, [to(Event::Up, "oncall")]);
    let mut next = Life::over(life.ledger, now(10), wiring(&["oncall"]));
    next.probed(now(70), refused());
    assert_eq!(next.owed, [], "the down is still in the outbox");
    next.probed(now(71), Outcome::pass(Duration::ZERO));
    assert_eq!(next.owed, [to(Event::Up, "oncall")]);
}

#[test]
fn what_became_of_an_older_incident_says_nothing_of_this_one() {
    let mut life = Life::over(Ledger::default(), now(0), wiring(&["oncall"]));
    life.probed(now(1), refused());
    life.probed(now(2), Outcome::pass(Duration::ZERO));
    life.probed(now(3), refused());
    let settled = |incident| Input::Settled {
        to: Destination::Alert(Id::from("oncall")),
        subject: Some(Id::from("web")),
        incident: Some(incident),
        accepted: false,
    };
    assert_eq!(life.hear(now(4), settled(1)), []);
    assert_eq!(life.coordinator.incident("web").map(|incident| incident.told["oncall"].pending), Some(1));
    life.hear(now(4), settled(3));
    life.probed(now(5), Outcome::pass(Duration::ZERO));
    assert_eq!(life.owed, [], "nobody was told of it");
}

#[test]
fn an_alert_that_is_gone_hears_nothing_more() {
    let mut life = Life::over(Ledger::default(), now(0), wiring(&["oncall", "sms"]));
    life.probed(now(1), refused());
    life.hear(now(2), Input::Replanned(wiring(&["oncall"])));
    life.probed(now(3), Outcome::pass(Duration::ZERO));
    assert_eq!(life.owed, [to(Event::Up, "oncall")]);
}

#[test]
fn a_notice_spares_the_channel_that_it_is_about() {
    let mut life = Life::over(Ledger::default(), now(0), wiring(&["oncall", "sms"]));
    life.hear(now(1), Input::Notice { text: Arc::from("sms is dead"), except: Some(Id::from("sms")) });
    assert_eq!(life.owed, [to(Event::Notice, "oncall")]);
}

#[test]
fn a_down_record_of_another_program_has_a_silent_incident() {
    let mut life = Life::over(Ledger::default(), now(0), wiring(&["oncall"]));
    life.probed(now(1), refused());
    let ledger = Ledger { checks: life.ledger.checks, ..Ledger::default() };
    let mut next = Life::over(ledger, now(10), wiring(&["oncall"]));
    next.probed(now(20), refused());
    assert_eq!(next.owed, []);
    next.probed(now(61), refused());
    assert_eq!(next.owed, [to(Event::Reminder, "oncall")]);
}

#[test]
fn strangers_are_ignored() {
    let mut life = Life::over(Ledger::default(), now(0), Wiring::default());
    assert_eq!(life.probed(now(1), refused()), []);
    assert_eq!(life.hear(now(1), Input::Stale(Id::from("web"))), []);
    assert_eq!(life.hear(now(1), Input::Fresh(Id::from("web"))), []);
    assert_eq!(life.coordinator.next_wake(), None);
}

#[test]
fn a_stale_check_that_is_removed_is_no_news() {
    let mut life = Life::over(Ledger::default(), now(0), wiring(&["oncall"]));
    life.hear(now(1), Input::Stale(Id::from("web")));
    assert_eq!(life.coordinator.next_wake(), Some(now(11).mono));
    life.hear(now(2), Input::Replanned(Wiring::default()));
    assert_eq!(life.coordinator.next_wake(), None);
    assert!(!life.coordinator.is_stale("web"));
}
