//! The contract of the kind against files, good and bad.

use std::path::Path;
use std::time::Duration;

use heartbeat_core::outcome::{Fault, Verdict};
use rusqlite::Connection;

use super::*;
use crate::probe::database::suite;
use crate::probe::run;
use crate::probe::testing::process::eventually;
use crate::probe::testing::{AMPLE, SHORT, fails, no_names, passes, probe_in, refusal, spec, times_out};

/// A folder with a database in it.
fn database() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("app.db");
    Connection::open(&path)
        .and_then(|made| made.execute_batch("CREATE TABLE t (a); INSERT INTO t VALUES (7)"))
        .expect("made");
    (folder, path)
}

/// The check of a file, with more keys.
fn check(path: &Path, keys: &str) -> String {
    format!("{{ url: 'sqlite:{}', {keys} }}", path.display())
}

/// How many descriptors of this process lead to files whose names begin so.
fn open_files(path: &Path) -> usize {
    let links = std::fs::read_dir("/proc/self/fd").expect("proc is mounted").flatten();
    links.filter(|link| std::fs::read_link(link.path()).is_ok_and(|to| to.starts_with(path))).count()
}

#[tokio::test]
async fn queries() {
    let (_folder, path) = database();
    passes(&check(&path, "")).await;
    passes(&format!("url: 'sqlite://{}'", path.display())).await;
    for (sql, value) in [
        ("SELECT a FROM t", "7"),
        ("SELECT 1.5, 2", "1.5"),
        ("SELECT 2.0", "2.0"),
        ("VALUES ('a'), ('b')", "a"),
        ("SELECT x'c3b6'", "ö"),
        ("PRAGMA quick_check", "ok"),
    ] {
        passes(&check(&path, &format!("query: \"{sql}\", expect: {{ value: '{value}' }}"))).await;
    }
    for (sql, found) in [("SELECT 8", "`8`"), ("SELECT NULL", "NULL"), ("SELECT a FROM t WHERE a > 7", "no row")] {
        let reason = fails(&check(&path, &format!("query: {sql}, expect: {{ value: 7 }}")), Fault::Body).await;
        assert_eq!(reason, format!("the query returned {found}, expected `7`"));
    }
    for (sql, said) in [
        ("SELECT * FROM absent", "the query failed: no such table: absent (1)"),
        ("SELEC", "the query failed: near \"SELEC\": syntax error (1)"),
        ("DELETE FROM t", "the query failed: attempt to write a readonly database (8)"),
        ("SELECT zeroblob(100000000)", "the query failed: string or blob too big (18)"),
        ("SELECT 1; SELECT 2", "the query failed: Multiple statements provided"),
    ] {
        let reason = fails(&check(&path, &format!("query: '{sql}'")), Fault::Status).await;
        assert!(reason.starts_with(said), "{sql}: {reason}");
    }
    let slow = check(&path, "query: 'SELECT a FROM t', expect: { latency: 0ms }");
    fails(&slow, Fault::Latency).await;
}

#[tokio::test]
async fn files_that_are_none() {
    let (folder, path) = database();
    let at = |name: &str| folder.path().join(name);
    let missing = fails(&check(&at("gone.db"), ""), Fault::Refused).await;
    assert_eq!(missing, format!("cannot open {}: No such file or directory", at("gone.db").display()));
    assert!(!at("gone.db").exists());
    fails(&check(&at("gone.db"), "write: true"), Fault::Refused).await;
    assert!(!at("gone.db").exists());
    fails(&check(folder.path(), ""), Fault::Refused).await;
    nix::unistd::mkfifo(&at("fifo"), nix::sys::stat::Mode::S_IRWXU).expect("made");
    let fifo = fails(&check(&at("fifo"), ""), Fault::Refused).await;
    assert!(fifo.ends_with("it is not a file"), "{fifo}");
    std::fs::write(at("text"), "no database, but long enough to be one ".repeat(100)).expect("written");
    assert_eq!(fails(&check(&at("text"), ""), Fault::Protocol).await, "the file is no SQLite database");
    let mut bytes = std::fs::read(&path).expect("there");
    bytes[100..4096].fill(0xa5);
    std::fs::write(at("torn"), bytes).expect("written");
    let torn = fails(&check(&at("torn"), ""), Fault::Status).await;
    assert_eq!(torn, "the server answers no query: database disk image is malformed (11)");
    // An empty file is an empty database.
    std::fs::write(at("empty"), "").expect("written");
    passes(&check(&at("empty"), "")).await;
}

#[tokio::test]
async fn writes() {
    let (_folder, path) = database();
    let text = check(&path, "write: true, table: pulse");
    suite::write_together(&text).await;
    let ours = Connection::open(&path).expect("there");
    let count = |sql: &str| ours.query_row(sql, [], |row| row.get::<_, i64>(0)).expect("a number");
    assert_eq!(count("SELECT count(*) FROM pulse"), 0);
    ours.execute_batch(
        "INSERT INTO pulse VALUES ('heartbeat:a:1', 'x', datetime('now', '-2 hours')); INSERT INTO pulse (id, value) VALUES ('b', 'x')",
    )
    .expect("written");
    passes(&text).await;
    assert_eq!(count("SELECT count(*) FROM pulse WHERE id = 'b'"), 1);
    assert_eq!(count("SELECT count(*) FROM pulse"), 1);
}

#[tokio::test]
async fn a_lock_is_told_in_time() {
    let (_folder, path) = database();
    let ours = Connection::open(&path).expect("there");
    ours.execute_batch("BEGIN EXCLUSIVE").expect("nobody else is here");
    for keys in ["", "write: true"] {
        // It waits for the lock until shortly before the deadline, and has to come in time on a busy machine too.
        let report = probe_in(&no_names(), &check(&path, keys), Duration::from_secs(3)).await;
        assert_eq!(report.outcome.fault, Some(Fault::Status), "{:?}", report.outcome);
        assert!(report.outcome.reason.ends_with("database is locked (5)"), "{:?}", report.outcome);
    }
    ours.execute_batch("COMMIT").expect("it was ours");
    passes(&check(&path, "write: true")).await;
}

/// A statement without an end.
const ENDLESS: &str = "query: 'WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT max(i) FROM n'";

#[tokio::test]
async fn a_statement_ends_with_its_probe() {
    let (folder, path) = database();
    let said = times_out(&check(&path, ENDLESS)).await;
    assert_eq!(said, "timed out after 300ms while waiting for the answer to the query");
    eventually("the file is closed", || (open_files(folder.path()) == 0).then_some(())).await;
    suite::come_and_go(&check(&path, "write: true"), &check(&path, ENDLESS)).await;
    eventually("the file is closed", || (open_files(folder.path()) == 0).then_some(())).await;
}

/// How many threads of this process are those of probes.
fn threads() -> usize {
    let tasks = std::fs::read_dir("/proc/self/task").expect("proc is mounted").flatten();
    tasks.filter(|task| std::fs::read_to_string(task.path().join("comm")).is_ok_and(|name| name == "sqlite\n")).count()
}

#[tokio::test]
async fn no_second_thread_is_started_while_one_hangs() {
    let (_folder, path) = database();
    let ours = Connection::open(&path).expect("there");
    ours.execute_batch("BEGIN EXCLUSIVE").expect("nobody else is here");
    let prober = spec(&check(&path, "")).build(&no_names()).expect("built");
    // Nothing interrupts a wait for a lock: whoever asked goes away, and the thread stays.
    let left = tokio::time::timeout(SHORT, run(&*prober, AMPLE)).await;
    assert!(left.is_err(), "{left:?}");
    for _ in 0..3 {
        let report = run(&*prober, SHORT).await;
        assert_eq!(report.outcome.reason.as_ref(), "timed out after 300ms while waiting for an earlier probe to end");
        assert_eq!(threads(), 1);
    }
    ours.execute_batch("COMMIT").expect("it was ours");
    assert_eq!(run(&*prober, AMPLE).await.outcome.verdict, Verdict::Pass);
    eventually("the thread ends", || (threads() == 0).then_some(())).await;
}

#[test]
fn what_is_wrong_is_said() {
    for (text, said) in [
        ("url: 'sqlite:'", "expected `sqlite:PATH` or `sqlite:///PATH`"),
        ("url: sqlite://host/path", "expected `sqlite:PATH` or `sqlite:///PATH`"),
        ("{ url: 'sqlite:a', password: x }", "unknown key `password`"),
        ("{ url: 'sqlite:a', expect: { certificate: 1d } }", "unknown key `certificate`"),
    ] {
        let found = refusal(text);
        assert!(found.contains(said), "{text}: {found}");
    }
    assert_eq!(spec("url: sqlite:///srv/app.db").target(), "sqlite:/srv/app.db");
}
