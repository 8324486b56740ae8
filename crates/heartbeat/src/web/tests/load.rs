//! More connections than there is room for, and more polls than anybody sends.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use nix::sys::resource::{Resource, getrlimit, setrlimit};

use crate::host::clock;
use crate::web::crowd::Crowd;
use crate::web::http::Http;
use crate::web::polls::{Peer, Polls, Transport};
use crate::web::reception::{Arrived, Protocol as _, Visit};
use crate::web::testing::{Rig, answer, board, comes_true, connect, rest, status};
use crate::web::{Bounds, Options};

const POLL: &str = "GET /heartbeat/status/ HTTP/1.1\r\nHost: web1\r\nUser-Agent: a load balancer\r\n\r\n";
const ONCE: &str = "OPTIONS /heartbeat/status/ HTTP/1.0\r\n\r\n";

fn room_for(connections: u32) -> Options {
    Options { connections: Some(connections), ..Options::default() }
}

/// Whether the other side has hung up.
fn is_gone(stream: &TcpStream) -> bool {
    stream.set_nonblocking(true).unwrap();
    match (&*stream).read(&mut [0]) {
        Ok(0) => true,
        Ok(_) => false,
        Err(error) => error.kind() != std::io::ErrorKind::WouldBlock,
    }
}

#[test]
fn who_never_asks_makes_room_for_who_does() {
    let rig = Rig::with(room_for(16), Bounds { request: Duration::from_secs(600), ..Bounds::default() });
    let mut resting = rig.connect();
    resting.write_all(POLL.as_bytes()).unwrap();
    assert_eq!(status(&answer(&mut resting).0), 200);
    let half_open: Vec<_> = (0..100)
        .map(|place| {
            let mut stream = rig.connect();
            if place % 2 == 0 {
                stream.write_all(b"GET /heart").unwrap();
            }
            stream
        })
        .collect();
    assert_eq!(status(&rig.talk(ONCE)), 200);
    assert!(comes_true(|| half_open.iter().filter(|stream| !is_gone(stream)).count() <= 15));
    assert!(half_open[..80].iter().all(is_gone), "the longest silent ones go first");
    resting.write_all(POLL.as_bytes()).unwrap();
    assert_eq!(status(&answer(&mut resting).0), 200, "one that has asked before is the last to go");
}

#[test]
fn among_those_who_rest_the_longest_resting_one_goes() {
    let rig = Rig::with(room_for(4), Bounds::default());
    let mut resting: Vec<_> = (0..4).map(|_| rig.connect()).collect();
    for place in [1, 2, 3, 0] {
        resting[place].write_all(POLL.as_bytes()).unwrap();
        assert_eq!(status(&answer(&mut resting[place]).0), 200);
    }
    // It comes to stay: who only passes may need no room.
    let mut newest = rig.connect();
    newest.write_all(POLL.as_bytes()).unwrap();
    assert_eq!(status(&answer(&mut newest).0), 200);
    assert!(comes_true(|| is_gone(&resting[1])));
    assert!(!is_gone(&resting[2]) && !is_gone(&resting[3]) && !is_gone(&resting[0]));
}

/// The 99th percentile.
fn p99(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() * 99 / 100]
}

/// A thread that answers as fast as this machine, as loaded as it is, lets anybody answer.
fn bare_server() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let _ = stream.read(&mut [0; 512]);
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n");
        }
    });
    address
}

fn timed(address: SocketAddr) -> Duration {
    let began = clock::mono();
    let mut stream = connect(address);
    stream.write_all(ONCE.as_bytes()).unwrap();
    assert!(rest(stream).starts_with("HTTP/1.1 200 OK\r\n"));
    clock::mono().since(began)
}

#[test]
fn five_thousand_half_open_connections_keep_nobody_from_an_answer() {
    const HALF_OPEN: usize = 5000;
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    assert!(hard >= 12_000, "this test opens 10,000 sockets: raise the limit on open files (`ulimit -Hn`)");
    setrlimit(Resource::RLIMIT_NOFILE, 12_000.max(getrlimit(Resource::RLIMIT_NOFILE).unwrap().0), hard).unwrap();
    let rig = Rig::with(room_for(1024), Bounds { request: Duration::from_secs(600), ..Bounds::default() });
    let address = rig.address();
    let half_open: Vec<_> = (0..HALF_OPEN)
        .map(|_| {
            let mut stream = connect(address);
            stream.write_all(b"GET /heartbeat/status/ HTTP/1.1\r\nX-Slow: ").unwrap();
            stream
        })
        .collect();
    let bare = bare_server();
    let pollers: Vec<_> = (0..4)
        .map(|_| std::thread::spawn(move || (0..2500).map(|_| (timed(address), timed(bare))).collect::<Vec<_>>()))
        .collect();
    let times: Vec<_> = pollers.into_iter().flat_map(|poller| poller.join().expect("all answered")).collect();
    let (ours, theirs): (Vec<_>, Vec<_>) = times.into_iter().unzip();
    assert_eq!(ours.len(), 10_000);
    let (ours, theirs) = (p99(ours), p99(theirs));
    // On a machine that is busy with something else, nobody is fast.
    assert!(ours < Duration::from_millis(50).max(theirs * 5), "p99 {ours:?}; of a bare server {theirs:?}");
    assert!(half_open.iter().filter(|stream| !is_gone(stream)).count() <= 1024, "the room is bounded");
}

#[test]
fn only_a_poll_that_is_whole_and_the_last_one_is_answered_at_once() {
    let (http, listener) = (Http::new(board()), TcpListener::bind("127.0.0.1:0").unwrap());
    let close = |text: &str| format!("GET /heartbeat/status/ HTTP/1.1\r\n{text}Connection: close\r\n\r\n");
    let polls = [
        (close(""), true),
        (ONCE.to_owned(), true),
        (close("Content-Length: 3\r\n"), false),
        (close("") + "more", false),
        (POLL.to_owned(), false),
        (close("").split_at(20).0.to_owned(), false),
        ("no request\r\n\r\n".to_owned(), false),
        (close(&format!("X-Long: {}\r\n", "x".repeat(4000))), false),
        (String::new(), false),
    ];
    for (poll, whole) in polls {
        let mut ours = connect(listener.local_addr().unwrap());
        ours.write_all(poll.as_bytes()).unwrap();
        let (theirs, _) = listener.accept().unwrap();
        theirs.set_nonblocking(true).unwrap();
        let mut counters = Arc::<Polls>::default().of(Peer::Unix, Transport::Http);
        match http.at_once(&theirs, &mut counters).expect("the connection stands") {
            Arrived::All => assert!(whole, "{poll:?}"),
            Arrived::Part(first) => {
                assert!(!whole && poll.as_bytes().starts_with(&first), "{poll:?}");
                assert_eq!(first.len(), poll.len().min(2048), "nothing is lost");
            }
        }
        drop(theirs);
        let mut said = String::new();
        // What was not read is told by a reset.
        let _ = ours.read_to_string(&mut said);
        assert_eq!(said.starts_with("HTTP/1.1 200 OK"), whole, "{said}");
    }
}

#[tokio::test]
async fn a_conversation_takes_little_room() {
    let (told, size) = tokio::sync::oneshot::channel();
    Crowd::new(1, Bounds::default()).admit(|seat| {
        let counters = Arc::<Polls>::default().of(Peer::Unix, Transport::Http);
        let (_, stream) = tokio::io::duplex(64);
        let http = Http::new(board());
        let talk = http.converse(stream, Visit { seat, counters, first: Default::default(), tls: false });
        let _ = told.send(size_of_val(&talk));
        async {}
    });
    // A task is moved several times before it runs, and there may be a thousand of them.
    let size = size.await.expect("it was told");
    assert!(size <= 1024, "{size} bytes");
}
