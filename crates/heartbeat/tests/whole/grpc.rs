//! A gRPC client sees the right answers through the life of a server, asking and watching.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::process::Command;

use crate::lifecycle::Lifecycle;
use crate::support::{PATIENCE, Program, repository};

fn client(life: &Lifecycle, arguments: &[&str]) -> Command {
    let mut command = Command::new("/usr/bin/python3");
    command.arg(repository().join("crates/heartbeat/tests/ask_grpc.py")).arg(format!("127.0.0.1:{}", life.grpc));
    command.args(arguments);
    command
}

fn check(life: &Lifecycle, service: &str) -> String {
    let output =
        client(life, &["check", service]).output().expect("there is no Python: apt-get install python3-grpcio");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// A client that watches, and what it was told so far.
struct Watcher {
    program: Program,
    told: String,
}

impl Watcher {
    fn start(life: &Lifecycle, service: &str) -> Self {
        Self { program: Program::start(client(life, &["watch", service])), told: String::new() }
    }

    /// Waits until it is told that, and nothing else before.
    #[track_caller]
    fn is_told(&mut self, next: &str) {
        self.told += &format!("{next}\n");
        self.program.wait_for(&self.told);
        assert!(
            self.program.said().starts_with(&self.told),
            "expected {:?}, found {:?}",
            self.told,
            self.program.said()
        );
    }
}

#[test]
fn grpc_clients_follow_the_life_of_a_server() {
    let mut life = Lifecycle::start("");
    be_strange(life.grpc);
    let mut watcher = Watcher::start(&life, "");
    let mut living = Watcher::start(&life, "live");
    let mut shoq = Watcher::start(&life, "shoq");
    watcher.is_told("UNKNOWN");
    living.is_told("SERVING");
    shoq.is_told("SERVICE_UNKNOWN");
    assert_eq!(check(&life, ""), "UNKNOWN\nOK\n");
    life.service_answers();
    watcher.is_told("SERVING");
    assert_eq!(check(&life, "ready"), "SERVING\nOK\n");
    life.service_fails();
    watcher.is_told("NOT_SERVING");
    assert_eq!(check(&life, "status"), "NOT_SERVING\nOK\n");
    life.service_answers();
    watcher.is_told("SERVING");
    life.down();
    watcher.is_told("NOT_SERVING");
    life.up();
    watcher.is_told("SERVING");
    assert_eq!(check(&life, "shoq"), "NOT_FOUND no view has the name `shoq`\n");
    life.terminate();
    watcher.is_told("NOT_SERVING");
    watcher.is_told("UNAVAILABLE heartbeat is about to end");
    living.is_told("NOT_SERVING");
    living.is_told("UNAVAILABLE heartbeat is about to end");
    shoq.is_told("UNAVAILABLE heartbeat is about to end");
    life.has_ended();
    assert!(!life.said().contains("PING"), "what strangers do wrong is no news: {}", life.said());
}

/// Begins HTTP/2 and acknowledges a ping that nobody has sent; until the other end has answered a ping of ours.
fn be_strange(port: u16) {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).expect("somebody listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("a socket");
    let ping = |flags: u8| [&[0, 0, 8, 6, flags, 0, 0, 0, 0][..], b"strange!"].concat();
    let bytes = [&b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0"[..], &ping(1), &ping(0)].concat();
    stream.write_all(&bytes).expect("sent");
    let (mut heard, mut byte) = (Vec::new(), [0]);
    while !heard.ends_with(b"strange!") {
        stream.read_exact(&mut byte).expect("an answer to the ping");
        heard.extend(byte);
    }
}
