//! The writer against stores that fail, hang and come back.

use std::sync::mpsc;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use heartbeat_core::ledger::{Batch, Ledger, ResultRow};
use heartbeat_core::outcome::Outcome;
use heartbeat_core::record::{CheckRecord, State};
use heartbeat_core::{Id, Wall};

use super::{Durability, Health, Writer};
use crate::host::clock;
use crate::store::suite::{Model, Rig, transition};
use crate::store::{Flush, History, KINDS, Opened, Store, StoreError, StoreFault};

/// What the fake store was asked to do, in order.
#[derive(Debug, PartialEq)]
enum Call {
    Commit(Batch, Flush),
    Replace(Ledger, Batch),
}

/// A store whose every call waits to be told what to answer.
struct Puppet {
    calls: mpsc::Sender<Call>,
    answers: mpsc::Receiver<Result<(), StoreError>>,
}

impl Puppet {
    fn ask(&mut self, call: Call) -> Result<(), StoreError> {
        let _ = self.calls.send(call);
        self.answers.recv().unwrap_or(Ok(()))
    }
}

impl Store for Puppet {
    fn commit(&mut self, batch: &Batch, flush: Flush) -> Result<(), StoreError> {
        self.ask(Call::Commit(batch.clone(), flush))
    }
    fn replace(&mut self, ledger: &Ledger, missed: &Batch) -> Result<(), StoreError> {
        self.ask(Call::Replace(ledger.clone(), missed.clone()))
    }
    fn history(&mut self, _: usize) -> Result<History, StoreError> {
        Ok(History::default())
    }
    fn location(&self) -> String {
        "puppet".to_owned()
    }
}

/// The strings of the puppet.
struct Strings {
    calls: Arc<Mutex<mpsc::Receiver<Call>>>,
    answers: mpsc::Sender<Result<(), StoreError>>,
}

impl Strings {
    /// The next call, waited for without blocking the runtime.
    async fn call(&self) -> Call {
        let calls = self.calls.clone();
        let wait = move || calls.lock().expect("one at a time").recv_timeout(Duration::from_secs(20));
        tokio::task::spawn_blocking(wait).await.expect("no panic").expect("the writer calls the store")
    }

    fn answer(&self, answer: Result<(), StoreError>) {
        self.answers.send(answer).expect("the store waits");
    }
}

fn puppet(patience: Duration, unwritable: Option<StoreError>) -> (Writer, Strings) {
    let (calls, called) = mpsc::channel();
    let (answers, answered) = mpsc::channel();
    let store = Box::new(Puppet { calls, answers: answered });
    let opened = Opened { store, ledger: Ledger::default(), fresh: true, notices: Vec::new(), old: None, unwritable };
    let writer = Writer::with_patience(opened, patience).expect("a thread");
    (writer, Strings { calls: Arc::new(Mutex::new(called)), answers })
}

const LONG: Duration = Duration::from_secs(60);

fn full() -> StoreError {
    StoreError::new(StoreFault::Unavailable, "disk full")
}

fn results(count: usize) -> Batch {
    let row = |n| ResultRow {
        check: Id::from("web"),
        at: Wall::from_unix_millis(n),
        outcome: Outcome::pass(Duration::from_millis(1)),
    };
    Batch { results: (0..count as i64).map(row).collect(), ..Batch::default() }
}

#[tokio::test]
async fn every_store_keeps_what_the_writer_calls_durable() {
    for kind in KINDS.iter().filter(|kind| kind.name != "memory") {
        let rig = Rig::new(kind.name);
        let writer = Writer::start(rig.open()).expect("a thread");
        let batches: Vec<Batch> = (1..=20).map(transition).collect();
        let answers: Vec<_> = batches.iter().map(|batch| writer.commit(batch.clone())).collect();
        for answer in answers {
            assert_eq!(answer.await, Durability::Durable);
        }
        writer.post(results(10));
        assert_eq!(writer.shutdown(LONG).await, Durability::Durable);
        assert_eq!(rig.open().ledger, Model::of(&batches).ledger);
    }
}

#[tokio::test]
async fn what_queues_meanwhile_becomes_one_transaction() {
    let (writer, strings) = puppet(LONG, None);
    let first = writer.commit(transition(1));
    assert_eq!(strings.call().await, Call::Commit(transition(1), Flush::Now));
    let second = writer.commit(transition(2));
    let third = writer.commit(transition(3));
    strings.answer(Ok(()));
    assert_eq!(first.await, Durability::Durable);
    let Call::Commit(batch, Flush::Now) = strings.call().await else { panic!("a commit") };
    assert_eq!(Model::of([&batch]), Model::of(&[transition(2), transition(3)]));
    strings.answer(Ok(()));
    assert_eq!((second.await, third.await), (Durability::Durable, Durability::Durable));
}

#[tokio::test]
async fn transitions_overtake_results_once() {
    let (writer, strings) = puppet(LONG, None);
    writer.post(results(1));
    assert_eq!(strings.call().await, Call::Commit(results(1), Flush::Later));
    writer.post(results(3));
    let _first = writer.commit(transition(1));
    strings.answer(Ok(()));
    assert_eq!(strings.call().await, Call::Commit(transition(1), Flush::Now));
    let _second = writer.commit(transition(2));
    strings.answer(Ok(()));
    let expected = Batch { results: results(3).results, ..transition(2) };
    assert_eq!(strings.call().await, Call::Commit(expected, Flush::Now));
    strings.answer(Ok(()));
}

#[tokio::test]
async fn counters_keep_their_order_with_transitions() {
    let (writer, strings) = puppet(LONG, None);
    let _first = writer.commit(transition(1));
    strings.call().await;
    let counters = |epoch| Batch { checks: transition(epoch).checks, ..Batch::default() };
    writer.post(counters(1));
    let _second = writer.commit(transition(2));
    writer.post(counters(3));
    strings.answer(Ok(()));
    let Call::Commit(batch, _) = strings.call().await else { panic!("a commit") };
    assert_eq!(Model::of([&batch]).ledger.checks, Model::of([&transition(3)]).ledger.checks);
    strings.answer(Ok(()));
}

#[tokio::test]
async fn what_nobody_waits_for_is_gathered() {
    let (writer, strings) = puppet(LONG, None);
    let before = clock::mono();
    writer.post(results(2));
    writer.post(results(3));
    let Call::Commit(batch, Flush::Later) = strings.call().await else { panic!("a commit") };
    assert_eq!(batch.results.len(), 5);
    let waited = clock::mono().since(before);
    assert!(waited >= super::GATHER, "{waited:?}");
    strings.answer(Ok(()));
    writer.post(results(1));
    let shutdown = writer.shutdown(LONG);
    let serve = async {
        assert_eq!(strings.call().await, Call::Commit(results(1), Flush::Later), "the end waits for no company");
        strings.answer(Ok(()));
    };
    assert_eq!(tokio::join!(shutdown, serve).0, Durability::Durable);
}

#[tokio::test]
async fn who_looks_sees_what_is_being_gathered() {
    let (writer, strings) = puppet(LONG, None);
    writer.post(Batch { results: results(1).results, checks: transition(1).checks, ..Batch::default() });
    let ledger = writer.ledger();
    assert!(matches!(strings.call().await, Call::Commit(..)));
    strings.answer(Ok(()));
    assert_eq!(ledger.await.checks, Model::of([&transition(1)]).ledger.checks);
}

#[tokio::test]
async fn the_end_writes_what_the_store_need_not_have_had() {
    let (writer, strings) = puppet(LONG, None);
    let passes = |passes| {
        let last_pass = Some(Wall::from_unix_millis(1000 + i64::from(passes)));
        let record = CheckRecord { state: State::Up, passes, cleans: passes, last_pass, ..CheckRecord::default() };
        Batch { checks: vec![(Id::from("web"), Some(Arc::new(record)))], ..Batch::default() }
    };
    let first = writer.commit(passes(1));
    assert_eq!(strings.call().await, Call::Commit(passes(1), Flush::Now));
    strings.answer(Ok(()));
    assert_eq!(first.await, Durability::Durable);
    writer.post(Batch { results: results(1).results, ..passes(2) });
    let shutdown = writer.shutdown(LONG);
    let serve = async {
        assert_eq!(strings.call().await, Call::Commit(results(1), Flush::Later));
        strings.answer(Ok(()));
        assert_eq!(strings.call().await, Call::Commit(passes(2), Flush::Later));
        strings.answer(Ok(()));
    };
    assert_eq!(tokio::join!(shutdown, serve).0, Durability::Durable);
}

#[tokio::test]
async fn records_of_checks_do_not_pile_up() {
    let (writer, strings) = puppet(LONG, None);
    let _first = writer.commit(transition(1));
    strings.call().await;
    for number in 1..=100_000 {
        writer.post(Batch { checks: transition(number).checks, ..Batch::default() });
    }
    strings.answer(Ok(()));
    let Call::Commit(batch, _) = strings.call().await else { panic!("a commit") };
    assert!(batch.checks.len() < 50_000, "{}", batch.checks.len());
    assert_eq!(batch.checks.last(), transition(100_000).checks.last());
    strings.answer(Ok(()));
}

#[tokio::test]
async fn a_failing_store_is_answered_from_memory_and_catches_up() {
    let (writer, strings) = puppet(LONG, None);
    let mut health = writer.health();
    let first = writer.commit(transition(1));
    strings.call().await;
    strings.answer(Err(full()));
    assert_eq!(first.await, Durability::Volatile("disk full".into()));
    health
        .wait_for(|health| matches!(health, Health::Failing { reason, .. } if &**reason == "disk full"))
        .await
        .expect("alive");
    assert_eq!(writer.commit(transition(2)).await, Durability::Volatile("disk full".into()), "at once");

    let expected = Model::of(&[transition(1), transition(2)]);
    let missed = Batch { transitions: expected.history.transitions, ..Batch::default() };
    assert_eq!(strings.call().await, Call::Replace(expected.ledger.clone(), missed.clone()));
    strings.answer(Err(full()));
    assert_eq!(strings.call().await, Call::Replace(expected.ledger, missed));
    strings.answer(Ok(()));
    health.wait_for(|health| *health == Health::Ok).await.expect("alive");

    let third = writer.commit(transition(3));
    assert_eq!(strings.call().await, Call::Commit(transition(3), Flush::Now));
    strings.answer(Ok(()));
    assert_eq!(third.await, Durability::Durable);
}

#[tokio::test]
async fn a_store_that_was_unwritable_from_the_start_catches_up() {
    let (writer, strings) = puppet(LONG, Some(full()));
    assert!(matches!(&*writer.health().borrow(), Health::Failing { .. }));
    assert_eq!(writer.commit(transition(1)).await, Durability::Volatile("disk full".into()));
    let Call::Replace(ledger, _) = strings.call().await else { panic!("a replacement") };
    assert_eq!(ledger, Model::of(&[transition(1)]).ledger);
    strings.answer(Ok(()));
    writer.health().wait_for(|health| *health == Health::Ok).await.expect("alive");
}

#[tokio::test]
async fn a_hanging_store_holds_nobody() {
    let (writer, strings) = puppet(Duration::from_millis(50), None);
    let mut health = writer.health();
    let first = writer.commit(transition(1));
    strings.call().await;
    assert!(matches!(first.await, Durability::Volatile(reason) if reason.contains("has not answered")));
    assert!(matches!(writer.commit(transition(2)).await, Durability::Volatile(_)), "at once");
    assert!(matches!(&*health.borrow_and_update(), Health::Failing { .. }));

    strings.answer(Ok(()));
    health.wait_for(|health| *health == Health::Ok).await.expect("alive");
    assert_eq!(strings.call().await, Call::Commit(transition(2), Flush::Now), "nothing was lost");
    strings.answer(Ok(()));
    assert_eq!(writer.shutdown(LONG).await, Durability::Durable);
}

#[tokio::test]
async fn too_many_results_are_dropped_and_counted_and_no_transition_is() {
    let (writer, strings) = puppet(LONG, None);
    let _first = writer.commit(transition(1));
    strings.call().await;
    let limit = super::queue::WAITING_RESULTS;
    writer.post(results(limit));
    writer.post(Batch { results: results(7).results, ..transition(2) });
    assert_eq!(writer.dropped_results(), 7);
    strings.answer(Ok(()));
    let Call::Commit(batch, _) = strings.call().await else { panic!("a commit") };
    assert_eq!(batch.transitions, transition(2).transitions);
    assert_eq!(batch.results.first().map(|row| row.at.unix_millis()), Some(7), "the oldest went");
    strings.answer(Ok(()));
}

#[tokio::test]
async fn shutdown_takes_nothing_more_and_waits_no_longer_than_it_may() {
    let (writer, strings) = puppet(LONG, None);
    let first = writer.commit(transition(1));
    strings.call().await;
    let last = writer.shutdown(Duration::from_millis(20)).await;
    assert!(matches!(last, Durability::Volatile(reason) if reason.contains("did not end")));
    assert_eq!(writer.commit(transition(2)).await, Durability::Volatile("the store is closed".into()));
    strings.answer(Ok(()));
    assert_eq!(first.await, Durability::Durable);
    assert_eq!(writer.shutdown(LONG).await, Durability::Durable);
}

#[tokio::test]
async fn a_shutdown_in_an_outage_tries_once_more() {
    let (writer, strings) = puppet(LONG, Some(full()));
    let shutdown = writer.shutdown(LONG);
    let serve = async {
        assert!(matches!(strings.call().await, Call::Replace(..)));
        strings.answer(Ok(()));
    };
    assert_eq!(tokio::join!(shutdown, serve).0, Durability::Durable);
}
