//! Rollups are what a plain sum over the results would be, whatever befalls the clock, the process and the rows.
#![allow(clippy::disallowed_methods)] // one test kills a process

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write, stdin, stdout};
use std::process::{Command, Stdio};
use std::time::Duration;

use heartbeat_core::ledger::{Batch, Ledger, ResultRow};
use heartbeat_core::outcome::{Fault, Outcome, Verdict};
use heartbeat_core::{Id, Wall};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use rusqlite::Connection;

use super::{MINUTE, MINUTES, SINGLE, TILES, Table, number, prune};
use crate::host::env;
use crate::store::rollup::{Point, Rollup, Step};
use crate::store::suite::Rig;
use crate::store::writer::{Durability, Writer};
use crate::store::{Flush, Opened, Question, Storage, open, points};

/// 2026-11-21T00:00:00Z: half a day begins.
const BEGIN: i64 = 1_795_219_200_000;

const HOUR: i64 = 60 * MINUTE;

fn rig() -> Rig {
    Rig::new("sqlite")
}

fn connect(rig: &Rig) -> Connection {
    Connection::open(rig.path()).expect("SQLite opens it")
}

fn rows(rig: &Rig, table: &str) -> i64 {
    let sql = format!("SELECT count(*) FROM {table}");
    connect(rig).query_row(&sql, [], |row| row.get(0)).expect("a number")
}

fn pass(check: &str, at: i64, micros: u64) -> ResultRow {
    let outcome = Outcome::pass(Duration::from_micros(micros));
    ResultRow { check: Id::from(check), at: Wall::from_unix_millis(at), outcome }
}

fn commit(opened: &mut Opened, results: &[ResultRow]) {
    let batch = Batch { results: results.to_vec(), ..Batch::default() };
    opened.store.commit(&batch, Flush::Later).expect("it is taken");
}

fn tend(opened: &mut Opened) {
    while opened.store.tend().expect("it can be tended") {}
}

fn ask(rig: &Rig, check: &str, from: i64, until: i64, step: Step) -> Vec<Point> {
    let [from, until] = [from, until].map(Wall::from_unix_millis);
    points(&rig.storage, &Question { check, from, until, step }).expect("it answers")
}

fn everything(rig: &Rig, check: &str, step: Step) -> Vec<Point> {
    ask(rig, check, i64::MIN, i64::MAX, step)
}

/// What the results of a check come to, added up one by one.
fn expected(results: &[ResultRow], check: &str, from: i64, until: i64, step: Step) -> Vec<Point> {
    let pace = Table::of(step).pace;
    let mut sums: BTreeMap<i64, Rollup> = BTreeMap::new();
    for result in results.iter().filter(|result| result.check.as_str() == check) {
        let at = result.at.unix_millis().div_euclid(pace) * pace;
        if at >= from.div_euclid(pace) * pace && at < until {
            sums.entry(at).or_default().add(&Rollup::of(result.outcome.verdict, result.outcome.latency));
        }
    }
    sums.into_iter().map(|(at, rollup)| Point { at: Wall::from_unix_millis(at), rollup }).collect()
}

/// Counts must be right; latencies are rounded, and means of coarser steps are rounded several times.
fn assert_alike(found: &[Point], expected: &[Point], step: Step) {
    let error = match step {
        Step::Minute => 0.032,
        Step::Hour => 0.065,
        Step::Day => 0.13,
    };
    let is_near = |found: Duration, expected: Duration, error: f64| {
        let (found, expected) = (found.as_secs_f64(), expected.as_secs_f64());
        (found - expected).abs() <= expected * error + 5e-6
    };
    assert_eq!(found.len(), expected.len(), "{step:?}: {found:?} {expected:?}");
    for (found, expected) in found.iter().zip(expected) {
        assert_eq!((found.at, found.rollup.counts), (expected.at, expected.rollup.counts), "{step:?}");
        let (Some(latency), Some(wanted)) = (found.rollup.latency(), expected.rollup.latency()) else {
            assert_eq!(found.rollup.latency(), expected.rollup.latency());
            continue;
        };
        assert!(is_near(latency.most, wanted.most, 0.032), "{step:?}: {latency:?} {wanted:?}");
        assert!(is_near(latency.mean, wanted.mean, error), "{step:?}: {latency:?} {wanted:?}");
    }
}

const STEPS: [Step; 3] = [Step::Minute, Step::Hour, Step::Day];

/// What is counted in `meta` is what is there.
fn assert_metered(rig: &Rig) {
    let connection = connect(rig);
    for table in SINGLE.into_iter().chain([&TILES]) {
        let sql = format!("SELECT ifnull(sum(length(cells)), 0) FROM {}", table.name);
        let real: i64 = connection.query_row(&sql, [], |row| row.get(0)).expect("a sum");
        assert_eq!(number(&connection, &table.meter()).expect("a number").unwrap_or(0), real, "{}", table.name);
    }
}

/// What happens next.
#[derive(Clone, Debug)]
enum Event {
    /// A check has a result, so much later or earlier than the last one, in milliseconds.
    Result(usize, Verdict, u64, i64),
    Commit,
    Tend,
    Reopen,
}

const CHECKS: [&str; 3] = ["web", "db", "näme ☃"];

fn event() -> impl Strategy<Value = Event> {
    let pause = prop_oneof![
        12 => 0..MINUTE * 2,
        2 => 0..HOUR * 8,
        1 => -HOUR * 30..0,
        1 => 0..HOUR * 24 * 9,
    ];
    let verdict = select(&[Verdict::Pass, Verdict::Pass, Verdict::Warn, Verdict::Fail, Verdict::Local][..]);
    let latency = prop_oneof![0..50_u64, 0..30_000_000_u64];
    prop_oneof![
        16 => (0..CHECKS.len(), verdict, latency, pause)
            .prop_map(|(check, verdict, latency, pause)| Event::Result(check, verdict, latency, pause)),
        4 => Just(Event::Commit),
        4 => Just(Event::Tend),
        1 => Just(Event::Reopen),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn they_are_what_the_results_come_to(
        events in vec(event(), 1..120),
        window in (-HOUR * 60..HOUR * 60, 0..HOUR * 60),
    ) {
        let rig = rig();
        let mut opened = rig.open();
        let (mut now, mut waiting, mut all) = (BEGIN, Vec::new(), Vec::new());
        for event in events {
            match event {
                Event::Result(check, verdict, micros, pause) => {
                    now += pause;
                    let outcome = Outcome { verdict, ..Outcome::pass(Duration::from_micros(micros)) };
                    let at = Wall::from_unix_millis(now);
                    waiting.push(ResultRow { check: Id::from(CHECKS[check]), at, outcome });
                }
                Event::Commit => {
                    commit(&mut opened, &waiting);
                    all.append(&mut waiting);
                }
                Event::Tend => drop(opened.store.tend().expect("it can be tended")),
                Event::Reopen => {
                    drop(opened);
                    opened = rig.open();
                }
            }
        }
        for tended in [false, true] {
            if tended {
                tend(&mut opened);
            }
            for (check, step) in CHECKS.iter().flat_map(|check| STEPS.map(|step| (check, step))) {
                let (from, until) = (BEGIN + window.0, BEGIN + window.0 + window.1);
                let wanted = expected(&all, check, from, until, step);
                assert_alike(&ask(&rig, check, from, until, step), &wanted, step);
                assert_alike(&everything(&rig, check, step), &expected(&all, check, 0, i64::MAX, step), step);
            }
            assert_metered(&rig);
        }
    }
}

#[test]
fn a_hundred_checks_do_not_mix() {
    let rig = rig();
    let mut opened = rig.open();
    let mut all = Vec::new();
    for minute in (0..800).step_by(2) {
        for check in (0..100).filter(|check| (minute + check) % 7 != 0) {
            let micros = 1000 + (minute * check) as u64 % 977;
            all.push(pass(&format!("c{check}"), BEGIN + minute * MINUTE + check * 100, micros));
        }
    }
    commit(&mut opened, &all);
    tend(&mut opened);
    // Half a day of every check, and of both blocks the minutes since, but for the last, which is not over.
    assert_eq!(["minutes", "hours", "days", "tiles"].map(|table| rows(&rig, table)), [100, 100, 100, 2 * 39]);
    for check in ["c0", "c63", "c64", "c99"] {
        for step in STEPS {
            assert_alike(&everything(&rig, check, step), &expected(&all, check, 0, i64::MAX, step), step);
        }
    }
    assert_eq!(everything(&rig, "c100", Step::Day), []);
}

#[test]
fn a_clock_that_was_years_ahead_loses_nothing() {
    let rig = rig();
    let mut opened = rig.open();
    let mut all = vec![pass("web", BEGIN, 900), pass("web", BEGIN + 10 * 365 * 24 * HOUR, 900)];
    commit(&mut opened, &all);
    tend(&mut opened);
    for minute in 1..30 {
        let result = pass("web", BEGIN + minute * 17 * MINUTE, 1000);
        commit(&mut opened, std::slice::from_ref(&result));
        tend(&mut opened);
        all.push(result);
    }
    for step in STEPS {
        assert_alike(&everything(&rig, "web", step), &expected(&all, "web", 0, i64::MAX, step), step);
    }
}

#[test]
fn a_result_is_counted_before_it_goes() {
    let rig = rig();
    let mut opened = rig.open();
    let old: Vec<_> = (0..500).map(|n| pass("web", BEGIN + n * 1000, 1000)).collect();
    commit(&mut opened, &old);
    let later = pass("web", BEGIN + 30 * 24 * HOUR, 1000);
    commit(&mut opened, std::slice::from_ref(&later));
    assert_eq!(rows(&rig, "results"), 501);
    tend(&mut opened);
    for n in 1..12 {
        commit(&mut opened, &[pass("web", BEGIN + 30 * 24 * HOUR + n, 1000)]);
    }
    assert_eq!(rows(&rig, "results"), 12);
    let counts: Vec<u32> = everything(&rig, "web", Step::Day).iter().map(|point| point.rollup.counts[0]).collect();
    assert_eq!(counts, [500, 12]);
}

#[test]
fn a_renamed_check_begins_anew_and_a_removed_one_stays() {
    let rig = rig();
    let mut opened = rig.open();
    commit(&mut opened, &[pass("old", BEGIN, 1000)]);
    opened.store.replace(&Ledger::default(), &Batch::default()).expect("it is taken");
    commit(&mut opened, &[pass("new", BEGIN + 7 * HOUR, 1000)]);
    tend(&mut opened);
    for (check, at) in [("old", BEGIN), ("new", BEGIN + 7 * HOUR)] {
        let found = everything(&rig, check, Step::Minute);
        assert_eq!(found.iter().map(|point| point.at.unix_millis()).collect::<Vec<_>>(), [at]);
    }
}

#[test]
fn a_row_that_makes_no_sense_is_left_out_and_the_rest_stays() {
    let rig = rig();
    let mut opened = rig.open();
    let mut all: Vec<_> = (0..200).map(|n| pass("web", BEGIN + n * 5 * MINUTE, 1000)).collect();
    commit(&mut opened, &all);
    tend(&mut opened);
    let connection = connect(&rig);
    let damaged = connection
        .execute("UPDATE minutes SET cells = x'02bad0' WHERE key = (SELECT min(key) FROM minutes)", [])
        .expect("damage")
        + connection.execute("UPDATE days SET cells = x''", []).expect("damage")
        + connection
            .execute("UPDATE tiles SET cells = x'00' WHERE key = (SELECT min(key) FROM tiles)", [])
            .expect("damage");
    assert_eq!(damaged, 3);
    let found = everything(&rig, "web", Step::Minute);
    assert_alike(&found, &expected(&all[145..], "web", 0, i64::MAX, Step::Minute), Step::Minute);
    assert_alike(
        &everything(&rig, "web", Step::Hour)[..12],
        &expected(&all[..144], "web", 0, i64::MAX, Step::Hour),
        Step::Hour,
    );

    // What comes later for the same times takes its place.
    let again = [pass("web", BEGIN, 2000), pass("web", BEGIN + 48 * HOUR, 2000)];
    commit(&mut opened, &again);
    tend(&mut opened);
    all.extend(again);
    assert_eq!(everything(&rig, "web", Step::Minute)[0].rollup.counts, [1, 0, 0, 0]);
    assert!(rig.moved_aside().is_empty());
    drop(opened);
    assert!(rig.open().notices.is_empty());
}

#[test]
fn a_table_that_is_too_big_loses_its_oldest_rows() {
    let rig = rig();
    let mut opened = rig.open();
    for day in 0..300 {
        commit(&mut opened, &(0..4).map(|n| pass("web", BEGIN + (day * 24 + n * 6) * HOUR, 1000)).collect::<Vec<_>>());
    }
    tend(&mut opened);
    let connection = connect(&rig);
    assert_eq!(["minutes", "hours", "days"].map(|table| rows(&rig, table)), [599, 300, 300]);
    for (size, left) in [(1 << 30, 599), (100, 599 - super::GOING), (100, 0), (100, 0)] {
        prune(&connection, &MINUTES, size).expect("it is pruned");
        assert_eq!(rows(&rig, "minutes"), left);
        assert_metered(&rig);
    }
    assert_eq!(everything(&rig, "web", Step::Day).len(), 300);
}

#[tokio::test]
async fn the_writer_sees_to_them() {
    let rig = rig();
    let writer = Writer::start(rig.open()).expect("a thread");
    for minute in 0..3 {
        let row = ResultRow {
            outcome: Outcome::fault(Fault::Refused, "refused", Duration::ZERO),
            ..pass("web", BEGIN + minute * MINUTE, 0)
        };
        writer.post(Batch { results: vec![row], ..Batch::default() });
        writer.commit(Batch::default()).await;
    }
    assert_eq!(writer.shutdown(Duration::from_secs(60)).await, Durability::Durable);
    assert_eq!(rows(&rig, "tiles"), 2);
    assert_eq!(everything(&rig, "web", Step::Hour)[0].rollup.count(Verdict::Fail), 3);
}

/// The child's part of the next test: for each line that it is sent it stores the results of 45 minutes, tends, and says so.
#[test]
fn child() {
    let Some(path) = env::variable("ROLLUPS_PATH") else { return };
    let mut opened = open(&Storage::Sqlite(path.into())).expect("the parent has seen to it");
    let newest = opened.store.history(1).expect("a history").results.pop();
    let mut now = newest.map_or(BEGIN, |result| result.at.unix_millis() + 1);
    for line in stdin().lines() {
        line.expect("the parent writes text");
        let results = |at: i64| CHECKS.map(|check| pass(check, at, 1000 + at.unsigned_abs() / 1000 % 700));
        commit(&mut opened, &(0..90).flat_map(|n| results(now + n * 30_000)).collect::<Vec<_>>());
        tend(&mut opened);
        now += 45 * MINUTE;
        // Not println!: the harness would keep it.
        writeln!(stdout(), "stored").expect("the parent listens");
    }
}

#[test]
fn nothing_is_counted_twice_or_forgotten_when_the_process_is_killed() {
    let rig = rig();
    for round in 0..8 {
        let name = module_path!().split_once("::").expect("a crate and a module").1;
        let mut child = Command::new(std::env::current_exe().expect("this test"))
            .args([&format!("{name}::child"), "--exact", "--nocapture"])
            .env("ROLLUPS_PATH", rig.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the child starts");
        let wanted = 11 + round * 5 % 7;
        // One more than is waited for: the kill comes in the middle of it.
        let lines = "go\n".repeat(wanted + 1);
        child.stdin.as_mut().expect("piped").write_all(lines.as_bytes()).expect("the child reads");
        let answers = BufReader::new(child.stdout.take().expect("piped")).lines().map_while(Result::ok);
        assert_eq!(answers.filter(|line| line.contains("stored")).take(wanted).count(), wanted);
        child.kill().expect("it was ours");
        child.wait().expect("it was ours");

        let mut opened = rig.open();
        assert!(opened.notices.is_empty(), "{:?}", opened.notices);
        let all = opened.store.history(usize::MAX).expect("a history").results;
        for (check, step) in CHECKS.iter().flat_map(|check| STEPS.map(|step| (check, step))) {
            assert_alike(&everything(&rig, check, step), &expected(&all, check, 0, i64::MAX, step), step);
        }
        assert_metered(&rig);
    }
    assert!(rows(&rig, "minutes") > 0, "some were folded");
}
