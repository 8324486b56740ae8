//! Polls under trouble: every check hanging, the store locked, thousands of connections that say nothing.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use nix::sys::resource::{Resource, getrlimit, setrlimit};

use crate::support::{Home, Program, Web, closed_port, wait_for};

const CHECKS: usize = 40;
const POLLS: usize = 10_000;
const POLLERS: usize = 20;

/// Checks of one target, a responder, a flag.
fn start(web: &Web, port: u16) -> (Home, Program) {
    let checks: String = (0..CHECKS).map(|number| format!("  c{number}: {{ url: \"{}\" }}\n", web.url())).collect();
    let home = Home::new().with(
        "heartbeat.yaml",
        &format!(
            "defaults: {{ interval: 200ms, fast_interval: 200ms, timeout: 30s, fall: 3, rise: 1 }}\nchecks:\n{checks}\
             alerts: []\nresponder: {{ listen: 127.0.0.1:{port}, flag: heart.beat }}\nstorage: sqlite:state.db\n"
        ),
    );
    let mut program = home.start(&["run"]);
    program.wait_for("started with");
    wait_for("all checks are up", || (poll(port).ok()? == 200).then_some(()));
    (home, program)
}

/// One poll as HAProxy makes it.
fn poll(port: u16) -> std::io::Result<u16> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    // As long as a check with `inter 5000` waits.
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    stream.write_all(b"HEAD /heartbeat/status/ HTTP/1.0\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    answer.split(' ').nth(1).and_then(|status| status.parse().ok()).ok_or(std::io::ErrorKind::InvalidData.into())
}

/// One poll of a connection that stays open: status and length of the body, which is read whole.
fn poll_again(reader: &mut BufReader<TcpStream>) -> std::io::Result<(u16, String)> {
    reader.get_mut().write_all(b"GET /heartbeat/status HTTP/1.1\r\nHost: lb\r\n\r\n")?;
    let (mut status, mut length, mut line) = (0, 0, String::new());
    loop {
        line.clear();
        reader.read_line(&mut line)?;
        match line.trim_end().split_once(' ') {
            Some((protocol, rest)) if protocol.starts_with("HTTP/") => status = rest[..3].parse().unwrap_or(0),
            Some((name, value)) if name.eq_ignore_ascii_case("content-length:") => length = value.parse().unwrap_or(0),
            Some(_) => {}
            None => break,
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    Ok((status, String::from_utf8_lossy(&body).into_owned()))
}

/// Polls from many connections, half of them new ones, and returns how long each answer took.
fn storm(port: u16, expected: u16) -> Vec<Duration> {
    let wrong = AtomicUsize::new(0);
    let mut took: Vec<Duration> = std::thread::scope(|scope| {
        let poller = |number: usize| {
            let wrong = &wrong;
            scope.spawn(move || {
                let mut kept = TcpStream::connect(("127.0.0.1", port)).map(BufReader::new).expect("a connection");
                let mut took = Vec::with_capacity(POLLS / 2 / POLLERS);
                for _ in 0..POLLS / 2 / POLLERS {
                    let begin = Instant::now();
                    let right = if number.is_multiple_of(2) {
                        poll(port).is_ok_and(|status| status == expected)
                    } else {
                        let flag = if expected == 200 { "\"flag\": \"Ok\"" } else { "\"flag\": \"Fail: " };
                        poll_again(&mut kept).is_ok_and(|(status, body)| status == expected && body.contains(flag))
                    };
                    took.push(begin.elapsed());
                    wrong.fetch_add(usize::from(!right), Ordering::Relaxed);
                }
                took
            })
        };
        let pollers: Vec<_> = (0..POLLERS).map(poller).collect();
        pollers.into_iter().flat_map(|poller| poller.join().expect("pollers do not panic")).collect()
    });
    assert_eq!(wrong.into_inner(), 0, "answers that were not {expected}");
    took.sort();
    took
}

#[test]
fn with_every_check_hanging_and_the_store_locked_polls_are_answered_at_once() {
    let (web, port) = (Web::answering(200), closed_port());
    let (home, program) = start(&web, port);
    web.hang(true);
    let hits = web.hits();
    wait_for("every check hangs", || (web.hits() >= hits + CHECKS).then_some(()));
    let lock = rusqlite::Connection::open(home.path("state.db")).expect("the store");
    lock.execute_batch("BEGIN EXCLUSIVE").expect("the store can be locked");

    let mut took = storm(port, 200);
    home.run(&["down"]);
    wait_for("the drain is seen", || (poll(port).ok()? == 503).then_some(()));
    took.extend(storm(port, 503));
    took.sort();
    let p99 = took[took.len() * 99 / 100];
    assert!(
        p99 < Duration::from_millis(50),
        "{} polls: p99 {p99:?}, the slowest {:?}",
        took.len(),
        took[took.len() - 1]
    );

    lock.execute_batch("ROLLBACK").expect("the lock can be let go");
    assert_eq!(program.terminate().code, 0);
}

#[test]
fn thousands_of_connections_that_say_nothing_keep_no_poll_from_its_answer() {
    const HALF_OPEN: usize = 5000;
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).expect("limits can be read");
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard).expect("the soft limit can be raised to the hard one");
    assert!(hard > HALF_OPEN as u64 + 500, "a hard limit of {hard} open files is too low for this test");
    let (web, port) = (Web::answering(200), closed_port());
    let (_home, program) = start(&web, port);
    let held: Vec<TcpStream> = (0..HALF_OPEN)
        .map(|number| {
            let mut stream = TcpStream::connect(("127.0.0.1", port)).expect("a connection");
            // Every other one has begun to speak.
            if number.is_multiple_of(2) {
                let _ = stream.write_all(b"GET /heartbeat/status/ HTTP/1.1\r\nX-Slow: ");
            }
            stream
        })
        .collect();
    for _ in 0..50 {
        assert_eq!(poll(port).expect("an answer while thousands of connections say nothing"), 200);
    }
    let files = std::fs::read_dir(format!("/proc/{}/fd", program.pid())).expect("our own child").count();
    assert!(files < HALF_OPEN, "{files} files are open");
    drop(held);
    assert_eq!(program.terminate().code, 0);
    setrlimit(Resource::RLIMIT_NOFILE, soft, hard).expect("the soft limit can be lowered");
}
