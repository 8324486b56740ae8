//! The contract of the kind against real servers, and against some that do not keep to the protocol.

use std::time::Duration;

use heartbeat_core::outcome::Verdict;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

use super::*;
use crate::probe::resolve::Resolver;
use crate::probe::testing::authority::{Authority, self_signed};
use crate::probe::testing::caches::Memcached as Server;
use crate::probe::testing::{AMPLE, decode, fails, fake, no_names, passes, probe, probe_in, refusal, spec, times_out};
use crate::probe::{World, run};

/// A check of a server, with further keys.
fn check(server: &Server, keys: &str) -> String {
    format!("{{ url: 'memcached://127.0.0.1:{}', {keys} }}", server.port)
}

#[tokio::test]
async fn a_server_answers() {
    let server = Server::start(&[]).await;
    let idle = server.statistic("curr_connections");
    let report = passes(&check(&server, "")).await;
    assert!(report.phases.connect.is_some() && report.phases.first_byte.is_some(), "{:?}", report.phases);
    passes(&check(&server, "username: u, password: p")).await;
    assert_eq!(server.ask("get heartbeat:login"), "", "who we are must not be told to others");
    fails(&check(&server, "expect: { latency: 0s }"), Fault::Latency).await;
    assert_eq!(probe(&check(&server, "warn: { latency: 0s }")).await.outcome.verdict, Verdict::Warn);
    server.is_alone(idle).await;
    let folder = tempfile::tempdir().expect("a folder");
    let socket = folder.path().join("socket");
    let process = Server::start_at(&socket).await;
    let at_socket = format!("{{ url: 'memcached+unix://{}', write: true }}", socket.display());
    passes(&at_socket).await;
    drop(process);
    let reason = fails(&at_socket, Fault::Refused).await;
    assert_eq!(reason, format!("cannot connect to {}: Connection refused", socket.display()));
}

#[tokio::test]
async fn who_we_are_is_told() {
    let folder = tempfile::tempdir().expect("a folder");
    let users = folder.path().join("users");
    std::fs::write(&users, "app:hunter2\n").expect("written");
    let server = Server::start(&["-Y", users.to_str().expect("text")]).await;
    passes(&format!("{{ url: 'memcached://app:hunter2@127.0.0.1:{}', write: true }}", server.port)).await;
    passes(&check(&server, "username: app, password: hunter2")).await;
    for (keys, said) in [
        ("", "the server does not tell its version: CLIENT_ERROR unauthenticated"),
        ("query: get x", "the query failed: CLIENT_ERROR unauthenticated"),
        ("username: app, password: hunter3", "the login was refused: CLIENT_ERROR authentication failure"),
        ("username: ape, password: hunter2", "the login was refused: CLIENT_ERROR authentication failure"),
    ] {
        assert_eq!(fails(&check(&server, keys), Fault::Status).await, said, "{keys}");
    }
}

#[tokio::test]
async fn a_password_is_never_repeated() {
    let echo = fake::serve(|mut stream| async move {
        let (mut from, mut to) = stream.split();
        let _ = tokio::io::copy(&mut from, &mut to).await;
    })
    .await;
    let liar = saying("u s3cret\r\n").await;
    let blamer = saying("CLIENT_ERROR u s3cret\r\n").await;
    for (server, fault) in [(&echo, Fault::Protocol), (&liar, Fault::Protocol), (&blamer, Fault::Status)] {
        let reason = fails(&format!("url: memcached://u:s3cret@{}", server.address), fault).await;
        assert!(!reason.contains("s3cret"), "{reason}");
    }
}

#[tokio::test]
async fn a_query_has_its_value() {
    let server = Server::start(&[]).await;
    server.ask("set motd 7 0 8\r\ngood day\r\nget motd");
    server.ask(&format!("set long 0 0 50000\r\n{}\r\nget nothing", "x".repeat(50_000)));
    server.ask("set empty 0 0 0\r\n\r\nget nothing");
    for keys in [
        "query: get motd, expect: { value: good day }",
        "query: get empty, expect: { value: '' }",
        "query: get nothing",
        "query: get long",
    ] {
        passes(&check(&server, keys)).await;
    }
    for (keys, said) in [
        ("query: get motd, expect: { value: bad day }", "the query returned `good day`, expected `bad day`"),
        ("query: get motd, expect: { value: good }", "the query returned `good day`, expected `good`"),
        ("query: get none, expect: { value: x }", "the query returned nothing, expected `x`"),
    ] {
        assert_eq!(fails(&check(&server, keys), Fault::Body).await, said);
    }
}

#[tokio::test]
async fn a_server_that_hangs_is_left_in_time_and_forgiven() {
    let server = Server::start(&[]).await;
    server.process.stop();
    assert_eq!(times_out(&check(&server, "")).await, "timed out after 300ms while waiting for the first byte");
    server.process.go_on();
    passes(&check(&server, "")).await;
    let gone = check(&server, "");
    drop(server);
    fails(&gone, Fault::Refused).await;
}

#[tokio::test]
async fn a_full_server_says_so() {
    // A few of them are its own, for it is the process's limit on descriptors too.
    let server = Server::start(&["-c", "30"]).await;
    let mut held = Vec::new();
    while probe(&check(&server, "")).await.outcome.fault != Some(Fault::Status) {
        held.push(TcpStream::connect(("127.0.0.1", server.port)).await.expect("it listens"));
        assert!(held.len() < 40, "it is never full");
    }
    for _ in 0..20 {
        let reason = fails(&check(&server, ""), Fault::Status).await;
        assert_eq!(reason, "the server does not tell its version: ERROR Too many open connections");
    }
    drop(held);
    let again = async { while probe(&check(&server, "")).await.outcome.verdict != Verdict::Pass {} };
    tokio::time::timeout(AMPLE, again).await.expect("a place is free again");
}

#[tokio::test]
async fn the_same_over_tls() {
    let authority = Authority::new();
    let server = Server::start_tls(&authority, &authority.issue(&["127.0.0.1"])).await;
    let check = |ca: &std::path::Path, keys: &str| {
        format!("{{ url: 'memcacheds://127.0.0.1:{}', ca: '{}', {keys} }}", server.port, ca.display())
    };
    let report = passes(&check(&authority.ca(), "write: true, expect: { certificate: 1d }")).await;
    assert!(report.phases.tls.is_some());
    fails(&check(&authority.ca(), "expect: { certificate: 5000000d }"), Fault::Certificate).await;
    let other = authority.file("other.pem", &self_signed(&["127.0.0.1"]).chain);
    fails(&check(&other, ""), Fault::Certificate).await;
}

#[tokio::test]
async fn nodes_that_write_at_once_do_not_meet() {
    let server = Server::start(&[]).await;
    let world = |node| World::with(Resolver::system()).of_node(Some(node));
    let text = check(&server, "write: true");
    for _ in 0..20 {
        let (one, other) = (world("web 1"), world("web2"));
        let (one, other) = tokio::join!(probe_in(&one, &text, AMPLE), probe_in(&other, &text, AMPLE));
        assert_eq!((one.outcome.fault, other.outcome.fault), (None, None), "{one:?} {other:?}");
    }
    assert_eq!((server.statistic("curr_items"), server.statistic("cmd_set")), (0, 40));
    for (read, said) in [("VALUE KEY 0 5\r\nother\r\nEND\r\n", "read `other` back"), ("END\r\n", "read nothing back")] {
        let fake = fake::serve(move |mut stream| async move {
            let set = line(&mut stream).await;
            let key = set.split(' ').nth(1).unwrap_or_default();
            assert!(key.starts_with("heartbeat:web_1:") && set.contains(" 0 60 "), "{set}");
            let value = line(&mut stream).await;
            assert_eq!(value, key);
            let _ = stream.write_all(b"STORED\r\n").await;
            assert_eq!(line(&mut stream).await, format!("get {key}"));
            let _ = stream.write_all(read.replace("KEY", key).as_bytes()).await;
            assert_eq!(line(&mut stream).await, format!("delete {key}"));
            let _ = stream.write_all(b"DELETED\r\n").await;
            fake::goodbye(stream).await;
        })
        .await;
        let text = format!("{{ url: 'memcached://{}', write: true }}", fake.address);
        let report = probe_in(&world("web 1"), &text, AMPLE).await;
        assert_eq!(report.outcome.fault, Some(Fault::Body));
        assert!(report.outcome.reason.ends_with(said), "{:?}", report.outcome);
    }
}

/// A line that a client sends.
async fn line(stream: &mut TcpStream) -> String {
    let mut line = Vec::new();
    while !line.ends_with(b"\r\n") {
        line.push(tokio::io::AsyncReadExt::read_u8(stream).await.expect("a line"));
    }
    String::from_utf8(line).expect("text").trim_end().to_owned()
}

#[tokio::test]
async fn two_hundred_probes_leave_nothing_behind() {
    let server = Server::start(&[]).await;
    let idle = server.statistic("curr_connections");
    let prober = spec(&check(&server, "write: true")).build(&no_names()).expect("builds");
    for _ in 0..100 {
        let report = run(&*prober, AMPLE).await;
        assert_eq!(report.outcome.fault, None, "{:?}", report.outcome);
    }
    server.process.stop();
    for _ in 0..100 {
        let report = run(&*prober, Duration::from_millis(1)).await;
        assert_eq!(report.outcome.fault, Some(Fault::Timeout), "{:?}", report.outcome);
    }
    server.process.go_on();
    server.is_alone(idle).await;
}

/// A server that says this at once.
async fn saying(bytes: &'static str) -> fake::Fake {
    fake::serve(move |mut stream| async move {
        let _ = stream.write_all(bytes.as_bytes()).await;
        fake::goodbye(stream).await;
    })
    .await
}

#[tokio::test]
async fn servers_that_do_not_keep_to_the_protocol() {
    const SHORT: &str = "the connection ended early while waiting for the answer";
    for (keys, bytes, fault, said) in [
        ("", "HTTP/1.1 400 Bad Request\r\n", Fault::Protocol, "expected a version, the server sent `HTTP/1.1 400"),
        ("", "\r\n", Fault::Protocol, "expected a version, the server sent ``"),
        ("", "VERSION 1\n", Fault::Protocol, "expected a line that ends with CR LF"),
        ("", "VERSION 1\r\nVERSION 1\r\n", Fault::Protocol, "expected no more than was asked for"),
        ("", "VERSION 1", Fault::Reset, SHORT),
        ("", "", Fault::Reset, SHORT),
        ("", "ERROR\r\n", Fault::Status, "the server does not tell its version: ERROR"),
        ("", "SERVER_ERROR out of memory\r\n", Fault::Status, "the server does not tell its version: SERVER_ERROR out"),
        ("query: get x", "VALUE y 0 1\r\n1\r\nEND\r\n", Fault::Protocol, "expected the value of `x`, the server sent"),
        ("query: get x", "VALUE x 0 -1\r\n", Fault::Protocol, "expected the value of `x`"),
        ("query: get x", "VALUE x 0 9999999999\r\n", Fault::Protocol, "expected the value of `x`"),
        ("query: get x", "VALUE x 0 99999999999999999999\r\n", Fault::Protocol, "expected the value of `x`"),
        ("query: get x", "VALUE x 0 1\r\n1\r\nVALUE x 0 1\r\n", Fault::Protocol, "expected END"),
        ("query: get x", "VALUE x 0 1\r\n12\r\nEND\r\n", Fault::Protocol, "expected the end of a value of 1 bytes"),
        ("query: get x", "VALUE x 0 9\r\n1\r\n", Fault::Reset, SHORT),
        ("query: get x", "VALUE x 0 1\r\n1\r\n", Fault::Reset, SHORT),
        ("write: true", "NOT_STORED\r\n", Fault::Protocol, "expected STORED, the server sent `NOT_STORED`"),
        ("write: true", "SERVER_ERROR full\r\n", Fault::Status, "writing a key failed: SERVER_ERROR full"),
    ] {
        let server = saying(bytes).await;
        let reason = fails(&format!("{{ url: 'memcached://{}', {keys} }}", server.address), fault).await;
        assert!(reason.starts_with(said), "{bytes:?}: {reason}");
    }
}

#[tokio::test]
async fn servers_without_end() {
    let server = fake::serve(|mut stream| async move {
        let _ = stream.write_all(b"VALUE x 0 1000000000\r\n").await;
        while stream.write_all(&[b'x'; 65536]).await.is_ok() {}
    })
    .await;
    let reason = times_out(&format!("{{ url: 'memcached://{}', query: get x }}", server.address)).await;
    assert_eq!(reason, "timed out after 300ms while receiving the answer");
    let server = fake::serve(|stream| async move { fake::dripping(stream, &[b'V'; 1000]).await }).await;
    times_out(&format!("url: memcached://{}", server.address)).await;
    let server = fake::serve(fake::silence).await;
    times_out(&format!("url: memcached://{}", server.address)).await;
    let server = fake::serve(|stream| async move { fake::reset(&stream) }).await;
    fails(&format!("url: memcached://{}", server.address), Fault::Reset).await;
}

#[test]
fn is_shown_without_its_password() {
    let decoded = decode("url: 'memcached://app:s3cret@Cache.example.org'");
    let check = decoded.spec.expect("right");
    assert_eq!(check.target(), "memcached://Cache.example.org");
    assert_eq!(check.address().as_deref(), Some("cache.example.org:11211"));
    assert!(!format!("{:?} {check:?} {:?}", decoded.shown, check.values()).contains("s3cret"));
}

#[test]
fn what_is_wrong_is_said() {
    for (text, said) in [
        ("url: memcached://h/1", "memcached has no databases"),
        ("url: memcached+unix:///s?db=1", "memcached has no databases"),
        ("url: memcached://:x@h", "has a password without a user: memcached wants both"),
        ("url: memcached://app@h", "check `test` logs in without a `password`"),
        ("{ url: 'memcached://h', query: 'set x' }", "expected `get KEY`"),
        ("{ url: 'memcached://h', query: 'get x y' }", "expected `get KEY`"),
        ("{ url: 'memcached://h', query: \"get x\\r\\nflush_all\" }", "expected `get KEY`"),
        ("{ url: 'memcached://h', expect: { value: x } }", "`expect.value` needs a `query` that returns it"),
        ("{ url: 'memcached://h', expect: { role: master } }", "unknown key `role`"),
    ] {
        let found = refusal(text);
        assert!(found.contains(said), "{text}: {found}");
    }
}
