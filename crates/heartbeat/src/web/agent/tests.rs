use std::net::IpAddr;
use std::time::Duration;

use heartbeat_responder::Standing;
use heartbeat_responder::view::Layout;
use tokio::time::timeout;

use super::*;
use crate::web::Bounds;
use crate::web::listen::Listens;
use crate::web::testing::{PATIENCE, Rig, board, conversation, drain, know, layout, loopback, undrain};

const STRANGER: Peer = Peer::Address(IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1)));

fn options(view: &str, weight: Weight) -> Options {
    Options { listen: loopback(), view: view.into(), weight }
}

fn said_to(board: &Arc<Board>, view: &str, peer: Peer) -> String {
    Agent::new(board.clone(), &options(view, Weight::None)).line(peer).0
}

fn said(board: &Arc<Board>) -> String {
    said_to(board, "ready", Peer::Unix)
}

#[test]
fn both_words_are_said_in_every_state() {
    let board = board();
    assert_eq!(said(&board), "up ready 100%\n");
    drain(&board);
    assert_eq!(said(&board), "up drain\n");
    know(&board, Standing::Down);
    assert_eq!(said(&board), "down ready # down: database\n");
    undrain(&board);
    know(&board, Standing::Stale);
    assert_eq!(said(&board), "down ready # not known any more: database\n");
    know(&board, Standing::Unknown);
    assert_eq!(said(&board), "down ready # not known yet: database\n");
    assert_eq!(said_to(&board, "eager", Peer::Unix), "up ready 100%\n", "it says 200 meanwhile");
    assert_eq!(said_to(&board, "gone", Peer::Unix), "down ready # there is no such view\n");
    let unwatched = Arc::new(Board::new(Layout { flag: None, ..layout() }));
    assert_eq!(said(&unwatched), "down ready # the checks are not being watched\n");
}

#[test]
fn nothing_ends_after_a_down() {
    let board = board();
    know(&board, Standing::Down);
    board.end("SIGTERM");
    for view in ["ready", "live"] {
        assert_eq!(said_to(&board, view, Peer::Unix), "up drain\n", "{view}");
    }
}

#[test]
fn strangers_hear_no_names() {
    let board = board();
    for (standing, told) in [
        (Standing::Down, "a check is down"),
        (Standing::Stale, "what is known is too old"),
        (Standing::Unknown, "not known yet"),
    ] {
        know(&board, standing);
        assert_eq!(said_to(&board, "ready", STRANGER), format!("down ready # {told}\n"));
        assert_eq!(said_to(&board, "token", Peer::Unix), format!("down ready # {told}\n"));
        assert_ne!(said_to(&board, "public", STRANGER), format!("down ready # {told}\n"));
    }
}

#[test]
fn a_reason_is_one_line_of_ascii_that_fits() {
    assert_eq!(reason("down: caf\u{e9}\n\u{0}up\r"), "down: caf??up?".replace("caf??up", "caf???up"));
    let long = reason(&"x".repeat(500));
    assert_eq!(long.len(), LONGEST);
    assert!(long.ends_with("x..."));
    assert_eq!(reason(&"x".repeat(LONGEST)), "x".repeat(LONGEST));
}

#[test]
fn a_busy_machine_is_given_less_but_never_nothing() {
    for (load, percent) in [(0.0, 100), (0.25, 80), (1.0, 50), (2.0, 33), (150.0, 1), (1e9, 1)] {
        assert_eq!(share(load), percent, "{load}");
    }
    let line = Agent::new(board(), &options("ready", Weight::Load)).line(Peer::Unix).0;
    let percent: u8 =
        line.strip_prefix("up ready ").and_then(|rest| rest.strip_suffix("%\n")).unwrap().parse().unwrap();
    assert!((1..=100).contains(&percent));
}

/// An agent at a port of its own.
fn rig() -> Rig {
    let agents = Agents(vec![options("ready", Weight::None)]);
    let options = crate::web::Options { listen: Listens::default(), agents, ..crate::web::Options::default() };
    Rig::with(options, Bounds::default())
}

#[test]
fn a_poller_is_told_and_counted() {
    let rig = rig();
    for _ in 0..2 {
        assert_eq!(rig.talk(""), "up ready 100%\n");
    }
    rig.drain();
    assert_eq!(rig.talk(""), "up drain\n");
    let [poller] = &rig.web().polls()[..] else { panic!("one poller was expected") };
    assert_eq!((poller.view.as_deref(), poller.transport), (Some("ready"), Transport::Agent));
    assert_eq!(poller.polls, [(200, 2), (503, 1)].into());
    assert_eq!(poller.drained_in_a_row, 1);
}

#[test]
fn what_a_poller_sends_first_costs_it_nothing() {
    let rig = rig();
    for sent in [&b"web1\n"[..], b"GET / HTTP/1.0\r\n\r\n", &[0; 8 * 1024]] {
        assert_eq!(rig.talk(sent), "up ready 100%\n");
    }
}

#[tokio::test]
async fn nobody_holds_an_agent() {
    let bounds = Bounds { answer: Duration::from_millis(100), ..Bounds::default() };
    let converse = |room| conversation(Agent::new(board(), &options("ready", Weight::None)), room, bounds);
    // Who neither reads nor goes: a pipe without room for a line, and one with.
    for room in [4, 4096] {
        let (_stream, ended) = converse(room);
        timeout(PATIENCE, ended).await.expect("an end");
    }
    // Who talks without an end.
    let (mut stream, ended) = converse(4096);
    let talking = tokio::spawn(async move { while stream.write_all(&[0; 1024]).await.is_ok() {} });
    timeout(PATIENCE, ended).await.expect("an end");
    talking.await.unwrap();
}
