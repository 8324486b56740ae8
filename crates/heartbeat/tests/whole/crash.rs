//! kill -9 at any time, and at named places: nothing is lost, and what comes twice comes with the same key.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use heartbeat_core::delivery::Status;
use heartbeat_core::intent::Event;

use crate::support::{Home, Web, wait_for};

/// Two checks that flap, one webhook that keeps a ledger.
fn configuration(first: &Web, second: &Web, ledger: &Web) -> String {
    format!(
        "defaults: {{ interval: 60ms, fast_interval: 60ms, timeout: 50ms, fall: 1, rise: 1, remind: never }}\n\
         checks:\n  first: {{ url: \"{}\" }}\n  second: {{ url: \"{}\" }}\n\
         alerts:\n  ledger: {{ type: webhook, url: \"{}\", limit: none, timeout: 5s }}\n\
         storage: sqlite:state.db\n",
        first.url(),
        second.url(),
        ledger.url(),
    )
}

/// Every key that the webhook has said yes to, with how often.
fn accepted(ledger: &Web) -> BTreeMap<String, usize> {
    let mut keys = BTreeMap::new();
    for request in ledger.requests() {
        if request.status == 200 {
            let key = request.header("Idempotency-Key").expect("every message has a key").to_owned();
            let body: serde_json::Value = serde_json::from_str(&request.body).expect("a JSON document");
            assert_eq!(body["key"], key, "the document has the header's key");
            *keys.entry(key).or_default() += 1;
        }
    }
    keys
}

/// Runs until nothing is owed any more, then ends in an orderly way.
fn drain(home: &Home) {
    let mut program = home.start(&["run", "-c", "heartbeat.yaml"]);
    program.wait_for("started with");
    wait_for("everything owed is delivered", || {
        let status = home.run(&["status", "--json", "-c", "heartbeat.yaml"]).stdout;
        let status: serde_json::Value = serde_json::from_str(&status).ok()?;
        (status["outbox"] == 0).then_some(())
    });
    let ended = program.terminate();
    assert_eq!(ended.code, 0, "{}", ended.stdout);
}

/// Compares the receiver's ledger with the store's; `crashes` bounds the doubles.
fn compare(home: &Home, ledger: &Web, crashes: usize) {
    let decided = home.deliveries();
    let accepted = accepted(ledger);
    for (key, delivery) in &decided {
        let arrived = accepted.contains_key(key);
        match delivery.status {
            Status::Done(_) => assert!(arrived, "marked as delivered but never received: {key}"),
            // An up whose down was never sent is not needed; the answer says so.
            Status::Superseded(_) => assert!(!delivery.answer.is_empty(), "{key} was superseded without a reason"),
            ref other => panic!("{key} is {other:?}: {}", delivery.answer),
        }
    }
    for key in accepted.keys() {
        assert!(decided.contains_key(key), "received but never decided: {key}");
    }
    let doubles: usize = accepted.values().map(|times| times - 1).sum();
    assert!(doubles <= crashes, "{doubles} doubles after {crashes} crashes");
    let downs: BTreeSet<_> = decided
        .values()
        .filter(|delivery| delivery.intent.event == Event::Down)
        .map(|delivery| (delivery.intent.subject.clone(), delivery.intent.incident))
        .collect();
    assert_eq!(
        downs.len(),
        decided.values().filter(|delivery| delivery.intent.event == Event::Down).count(),
        "an incident has two downs"
    );
}

#[test]
fn a_hundred_kills_in_a_storm_lose_nothing() {
    const KILLS: usize = 100;
    let (first, second, ledger) = (Web::answering(200), Web::answering(200), Web::answering(200));
    let home = Home::new().with("heartbeat.yaml", &configuration(&first, &second, &ledger));
    // A fixed sequence, so that a failure can be repeated.
    let mut random = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = |bound: u64| {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (random >> 33) % bound
    };
    for round in 0..KILLS {
        let program = home.start(&["run", "-c", "heartbeat.yaml"]);
        // The storm follows the probes, so that it is one on a busy machine too; then the kill comes at any time.
        for _ in 0..=next(5) {
            let target = if next(2) == 0 { &first } else { &second };
            target.answer(if next(2) == 0 { 200 } else { 503 });
            let before = target.hits();
            wait_for("a probe", || (target.hits() > before).then_some(()));
        }
        let until = Instant::now() + Duration::from_micros(next(40_000));
        while Instant::now() < until {
            std::thread::yield_now();
        }
        program.kill();
        // A provider that says no for a while, too.
        ledger.answer(if round % 7 == 3 { 503 } else { 200 });
    }
    ledger.answer(200);
    first.answer(200);
    second.answer(200);
    drain(&home);
    compare(&home, &ledger, KILLS);
    let decided = home.deliveries().len();
    assert!(decided > KILLS / 2, "the storm was none: {decided} deliveries");
}

/// Dies at a named place and is started again: the message arrives; twice only where nobody can know.
#[cfg(feature = "failpoints")]
fn dies_at(place: &str, most: usize) {
    let (first, second, ledger) = (Web::answering(200), Web::answering(503), Web::answering(200));
    let home = Home::new().with("heartbeat.yaml", &configuration(&first, &second, &ledger));
    let mut command = home.command(&["run", "-c", "heartbeat.yaml"]);
    command.env("HEARTBEAT_FAILPOINT", place);
    let died = crate::support::Program::start(command).wait();
    assert_eq!(died.code, -9, "it did not die at {place}: {}", died.stdout);
    drain(&home);
    compare(&home, &ledger, 1);
    let downs = accepted(&ledger).into_iter().filter(|(key, _)| key.starts_with("down/")).collect::<Vec<_>>();
    assert_eq!(downs.len(), 1, "one down: {downs:?}");
    assert!(downs[0].1 <= most, "came {} times: {downs:?}", downs[0].1);
}

#[cfg(feature = "failpoints")]
#[test]
fn a_crash_before_the_commit_decides_again() {
    dies_at("before-commit", 1);
}

#[cfg(feature = "failpoints")]
#[test]
fn a_crash_after_the_commit_delivers_what_was_decided() {
    dies_at("after-commit", 1);
}

#[cfg(feature = "failpoints")]
#[test]
fn a_crash_after_the_providers_yes_repeats_the_same_key() {
    dies_at("after-yes", 2);
}
