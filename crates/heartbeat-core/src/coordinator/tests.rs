//! The coordinator by itself.

use core::time::Duration;
use std::vec::Vec;

use super::{CheckWiring, Coordinator, Effect, Input, Wiring};
use crate::intent::Event;
use crate::ledger::Ledger;
use crate::outcome::{Fault, Outcome};
use crate::policy::{Policy, Remind};
use crate::record::CheckRecord;
use crate::shard::Report;
use crate::state::step;
use crate::{Id, Mono, Now, Wall};

fn now(seconds: u64) -> Now {
    let at = Duration::from_secs(seconds);
    Now { mono: Mono::from_origin(at), wall: Wall::from_unix_millis(1_764_000_000_000) + at }
}

#[test]
fn a_fall_commits_transition_and_message_together() {
    let mut coordinator = Coordinator::new(&Ledger::default(), now(0));
    let mut out = Vec::new();
    let web = CheckWiring {
        id: Id::from("web"),
        target: 0,
        actions: Vec::new(),
        alerts: std::vec![Id::from("oncall")],
        depends_on: Vec::new(),
        remind: Remind::Never,
    };
    let wiring = Wiring { checks: std::vec![web], alerts: std::vec![Id::from("oncall")], ..Wiring::default() };
    coordinator.handle(now(0), Input::Replanned(wiring), &mut out);
    let policy = Policy { fall: 1, ..Policy::default() };
    let outcome = Outcome::fault(Fault::Refused, "refused", Duration::ZERO);
    let (record, transition) = step(&Id::from("web"), CheckRecord::default(), &policy, &outcome, now(1).wall);
    let report = Report { id: Id::from("web"), record, outcome, transition };
    coordinator.handle(now(1), Input::Reported(report), &mut out);
    let [Effect::Commit(batch)] = &out[..] else { panic!("one transaction: {out:?}") };
    assert_eq!(batch.transitions.len(), 1);
    assert_eq!(batch.deliveries[0].intent.event, Event::Down);
}
