//! What only SQLite does.

use std::fs;
use std::time::Duration;

use heartbeat_core::ledger::{Batch, Ledger, ResultRow};
use heartbeat_core::outcome::{Fault, Outcome, Verdict};
use heartbeat_core::{Id, Wall};
use proptest::collection::vec;
use proptest::prelude::*;
use rusqlite::Connection;
use sha2::{Digest, Sha256};

use super::schema::{APPLICATION_ID, MIGRATIONS, VERSION};
use super::{RESULTS_AGE, prune_results, rows};
use crate::store::rollup::Step;
use crate::store::suite::{self, Model, Rig, transition};
use crate::store::writer::{Durability, Health, Writer};
use crate::store::{Flush, Opened, Question, StoreFault, open, points, read};

const LONG: Duration = Duration::from_secs(60);

fn rig() -> Rig {
    Rig::new("sqlite")
}

fn connect(rig: &Rig) -> Connection {
    Connection::open(rig.path()).expect("SQLite opens it")
}

fn count(connection: &Connection, table: &str) -> i64 {
    connection.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0)).expect("a table")
}

/// Databases of every version that was released, as SQL that made them.
const RELEASED: [&str; 2] = [include_str!("../fixtures/database-1.sql"), include_str!("../fixtures/database-2.sql")];

#[test]
fn a_database_of_every_released_version_is_brought_up_to_date() {
    assert_eq!(RELEASED.len(), MIGRATIONS.len(), "each version has its database");
    for (version, content) in (1_i32..).zip(RELEASED) {
        let rig = rig();
        let old = connect(&rig);
        let steps = MIGRATIONS[..usize::try_from(version).expect("small")].concat();
        old.execute_batch(&steps).expect("the schema of that time");
        old.execute_batch(content).expect("its content");
        old.pragma_update(None, "application_id", APPLICATION_ID).expect("a number");
        old.pragma_update(None, "user_version", version).expect("a number");
        drop(old);
        let mut opened = rig.open();
        assert_eq!(opened.ledger.checks["web"].fail_count, 4);
        assert_eq!(opened.ledger.incidents["web"].epoch, 3);
        assert_eq!(opened.ledger.outbox["web.3.oncall"].sequence, 5);
        assert_eq!(opened.ledger.next_sequence, 6);
        let history = opened.store.history(10).expect("a history");
        assert_eq!((history.transitions.len(), history.settled.len(), history.results.len()), (1, 1, 2));
        let always = [i64::MIN, i64::MAX].map(Wall::from_unix_millis);
        let question = Question { check: "web", from: always[0], until: always[1], step: Step::Hour };
        let hours = points(&rig.storage, &question).expect("points");
        let latency = hours[0].rollup.latency().expect("some pass").mean.as_micros();
        assert_eq!(hours.iter().map(|hour| hour.rollup.count(Verdict::Fail)).sum::<u32>(), 1);
        assert!((1500..1700).contains(&latency), "{latency}");
        let now: i32 = connect(&rig).pragma_query_value(None, "user_version", |row| row.get(0)).expect("a number");
        assert_eq!(now, VERSION);
    }
}

/// A crash leaves it whole, or leaves nothing but its draft.
#[test]
fn a_new_database_gets_its_name_when_it_is_whole() {
    let rig = rig();
    let draft = crate::store::aside::join(&rig.path(), "-new");
    fs::write(&draft, "half of a database").expect("a draft that a crash has left");
    super::connect::create(&rig.path()).unwrap_or_else(|trouble| panic!("{trouble:?}"));
    assert!(!draft.exists());
    let made = connect(&rig);
    let number = |pragma| made.pragma_query_value(None, pragma, |row| row.get::<_, i32>(0)).expect("a number");
    assert_eq!((number("application_id"), number("user_version")), (APPLICATION_ID, VERSION));
    let mode: String = made.pragma_query_value(None, "journal_mode", |row| row.get(0)).expect("a word");
    assert_eq!(mode, "wal");
    let checked: String = made.query_row("PRAGMA integrity_check", [], |row| row.get(0)).expect("a word");
    assert_eq!(checked, "ok");

    // Not over what has come meanwhile.
    let before = fs::read(rig.path()).expect("a file");
    assert!(super::connect::create(&rig.path()).is_err());
    assert!(fs::read(rig.path()).expect("a file") == before && !draft.exists());
}

/// A released migration never changes: databases out there were made by it.
#[test]
fn released_migrations_stand() {
    let digests = [
        "5ca11845e43a750a5a715a1e036596685b9aa2c13b6282c909069511c0d616c3",
        "846e8fe1481d6d6464404c9f75112ef2f7bb9b13fa520276bd717964d4b8099d",
    ];
    assert_eq!(MIGRATIONS.len(), digests.len());
    for (migration, expected) in MIGRATIONS.iter().zip(digests) {
        let digest: String = Sha256::digest(migration).iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(digest, expected);
    }
}

#[test]
fn a_newer_version_is_refused_and_left_alone() {
    let rig = rig();
    drop(rig.open());
    connect(&rig).pragma_update(None, "user_version", VERSION + 1).expect("a number");
    let before = fs::read(rig.path()).expect("a database");
    for error in [open(&rig.storage).map(|_| ()), read(&rig.storage, 1).map(|_| ())] {
        let error = error.expect_err("too new");
        assert_eq!(error.class, StoreFault::Foreign);
        assert!(error.message.contains("newer"), "{error}");
    }
    assert_eq!(fs::read(rig.path()).expect("a database"), before);
}

#[test]
fn somebody_elses_database_is_refused_and_left_alone() {
    let rig = rig();
    connect(&rig).execute_batch("CREATE TABLE places (url TEXT)").expect("a table");
    let before = fs::read(rig.path()).expect("a database");
    assert_eq!(open(&rig.storage).expect_err("not ours").class, StoreFault::Foreign);
    assert_eq!(fs::read(rig.path()).expect("a database"), before);
}

#[test]
fn a_log_without_its_database_is_moved_aside_too() {
    let rig = rig();
    fs::write(crate::store::aside::join(&rig.path(), "-wal"), "frames").expect("a file");
    let opened = rig.open();
    assert_eq!(opened.notices.len(), 1, "{:?}", opened.notices);
    assert!(rig.moved_aside()[0].to_string_lossy().ends_with("-wal"));
}

#[test]
fn a_new_database_says_in_its_header_whose_it_is() {
    let rig = rig();
    drop(rig.open());
    let bytes = fs::read(rig.path()).expect("a database");
    assert_eq!(bytes[68..72], APPLICATION_ID.to_be_bytes());
}

#[test]
fn a_trigger_in_the_database_does_not_run() {
    let rig = rig();
    drop(rig.open());
    connect(&rig)
        .execute_batch("CREATE TRIGGER evil AFTER INSERT ON checks BEGIN DELETE FROM outbox; END")
        .expect("a trigger");
    let mut opened = rig.open();
    let mut batch = transition(1);
    opened.store.commit(&batch, Flush::Now).expect("it is taken");
    batch.deliveries.clear();
    opened.store.commit(&batch, Flush::Now).expect("it is taken");
    drop(opened);
    assert_eq!(rig.open().ledger.outbox.len(), 1);
}

#[tokio::test]
async fn a_foreign_lock_is_waited_for_a_while_and_then_caught_up_with() {
    let rig = rig();
    let writer = Writer::start(rig.open()).expect("a thread");
    let other = connect(&rig);
    other.execute_batch("BEGIN IMMEDIATE").expect("the lock");
    let answer = writer.commit(transition(1)).await;
    assert!(matches!(&answer, Durability::Volatile(reason) if reason.contains("locked")), "{answer:?}");
    other.execute_batch("ROLLBACK").expect("it is given back");
    let mut health = writer.health();
    tokio::time::timeout(LONG, health.wait_for(|health| *health == Health::Ok)).await.expect("in time").expect("alive");
    assert_eq!(writer.shutdown(LONG).await, Durability::Durable);
    assert_eq!(rig.open().ledger, Model::of([&transition(1)]).ledger);
}

#[test]
fn a_database_that_is_damaged_in_use_is_moved_aside_and_written_again() {
    let rig = rig();
    let mut opened = rig.open();
    connect(&rig).execute_batch("DROP TABLE checks").expect("damage");
    let error = opened.store.commit(&transition(1), Flush::Now).expect_err("no table");
    assert_eq!(error.class, StoreFault::Corrupt);
    assert!(error.message.contains(&*rig.moved_aside()[0].to_string_lossy()), "{error}");
    let ledger = Model::of([&transition(1)]).ledger;
    opened.store.replace(&ledger, &Batch::default()).expect("it works again");
    drop(opened);
    assert_eq!(rig.open().ledger, ledger);
}

fn result(at: i64) -> ResultRow {
    ResultRow {
        check: Id::from("web"),
        at: Wall::from_unix_millis(at),
        outcome: Outcome::pass(Duration::from_micros(12_345)),
    }
}

fn results(rows: impl IntoIterator<Item = ResultRow>) -> Batch {
    Batch { results: rows.into_iter().collect(), ..Batch::default() }
}

fn tend(opened: &mut Opened) {
    while opened.store.tend().expect("it can be tended") {}
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn results_are_kept_in_the_order_of_time(rows in vec(suite::result(), 0..40)) {
        let rig = rig();
        let mut opened = rig.open();
        for chunk in rows.chunks(7) {
            opened.store.commit(&results(chunk.iter().cloned()), Flush::Later).expect("it is taken");
        }
        let newest = rows.iter().map(|row| row.at).max().unwrap_or_default();
        let mut expected = rows;
        expected.retain(|row| row.at >= newest - RESULTS_AGE);
        expected.sort_by_key(|row| row.at);
        let mut found = opened.store.history(1000).expect("a history").results;
        found.retain(|row| row.at >= newest - RESULTS_AGE);
        prop_assert_eq!(found, expected);
    }
}

#[test]
fn more_results_in_a_millisecond_than_keys_for_it_are_kept() {
    let rig = rig();
    let mut opened = rig.open();
    let many = (1 << rows::TICK_BITS) + 3;
    opened.store.commit(&results((0..many).map(|_| result(1_795_240_800_000))), Flush::Later).expect("it is taken");
    assert_eq!(opened.store.history(usize::MAX).expect("a history").results.len(), many as usize);
}

#[test]
fn a_long_reason_is_clipped_between_characters() {
    let rig = rig();
    let mut opened = rig.open();
    let mut row = result(1);
    row.outcome = Outcome::fault(Fault::Body, "ä".repeat(1000), Duration::ZERO);
    opened.store.commit(&results([row]), Flush::Later).expect("it is taken");
    let reason = &opened.store.history(1).expect("a history").results[0].outcome.reason;
    assert_eq!(reason.chars().count(), 128);
}

/// With latencies from a millisecond to some seconds, as they are over networks, and a few failures among them.
#[test]
fn a_result_costs_at_most_26_bytes() {
    let rig = rig();
    let mut noise = 1_u64;
    let mut row = |n: i64| {
        noise = noise.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let latency = Duration::from_micros((1 << (10 + (noise >> 60) % 12)) + (noise >> 40) % 1000);
        let outcome = match noise >> 33 & 127 {
            0 => Outcome::fault(Fault::Timeout, "no answer within 10s", Duration::from_secs(10)),
            _ => Outcome::pass(latency),
        };
        let check = Id::new(format!("check-{}", noise >> 50 & 1023));
        ResultRow { check, outcome, ..result(1_795_240_800_000 + n * 60) }
    };
    let mut grow = |from: i64| {
        let mut opened = rig.open();
        opened.store.commit(&results((from..from + 20_000).map(&mut row)), Flush::Later).expect("it is taken");
        drop(opened);
        fs::metadata(rig.path()).expect("a database").len()
    };
    let each = -(grow(0) as f64 - grow(20_000) as f64) / 20_000.0;
    assert!(each <= 26.0, "{each} bytes");
}

#[test]
fn old_results_go_step_by_step() {
    let rig = rig();
    let mut opened = rig.open();
    let old = 1_795_240_800_000;
    opened.store.commit(&results((0..1000).map(|n| result(old + n))), Flush::Later).expect("it is taken");
    let new = old + RESULTS_AGE.as_millis() as i64 + 2000;
    opened.store.commit(&results([result(new)]), Flush::Later).expect("it is taken");
    tend(&mut opened);
    let mut left = vec![];
    for n in 1..12 {
        opened.store.commit(&results([result(new + n)]), Flush::Later).expect("it is taken");
        left.push(count(&connect(&rig), "results"));
    }
    assert!(left[0] > 500, "{left:?}");
    assert_eq!(left[10], 12, "{left:?}");
}

#[test]
fn a_database_that_is_too_big_loses_its_oldest_results() {
    let rig = rig();
    let mut opened = rig.open();
    let at = 1_795_240_800_000;
    opened.store.commit(&results((0..1000).map(|n| result(at + n))), Flush::Later).expect("it is taken");
    opened.store.commit(&results([result(at + 60_000)]), Flush::Later).expect("it is taken");
    tend(&mut opened);
    let connection = connect(&rig);
    prune_results(&connection, Wall::from_unix_millis(at), 100, 1 << 30).expect("it is pruned");
    assert_eq!(count(&connection, "results"), 1001);
    prune_results(&connection, Wall::from_unix_millis(at), 100, 4096).expect("it is pruned");
    assert_eq!(count(&connection, "results"), 701);
    let oldest: i64 = connection.query_row("SELECT min(at) FROM results", [], |row| row.get(0)).expect("rows");
    assert_eq!(oldest >> rows::TICK_BITS, at + 300);
}

#[test]
fn people_can_read_the_results() {
    let rig = rig();
    let mut opened = rig.open();
    let mut row = result(1_795_240_800_123);
    row.outcome = Outcome::fault(Fault::Timeout, "no answer", Duration::from_millis(1500));
    opened.store.commit(&results([row]), Flush::Later).expect("it is taken");
    let line: String = connect(&rig)
        .query_row(
            "SELECT concat_ws(' ', at, subject, verdict, latency_ms, fault, reason) FROM result_log",
            [],
            |row| row.get(0),
        )
        .expect("a line");
    assert_eq!(line, "2026-11-21T06:00:00Z web fail 1500.0 timeout no answer");
}

#[test]
fn a_removed_check_keeps_its_history() {
    let rig = rig();
    let mut opened = rig.open();
    opened.store.commit(&transition(1), Flush::Now).expect("it is taken");
    opened.store.replace(&Ledger::default(), &Batch::default()).expect("it is taken");
    assert_eq!(opened.store.history(5).expect("a history").transitions, transition(1).transitions);
}
