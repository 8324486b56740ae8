//! The contract of the kind against real servers, and against some that do not keep to the protocol.

use proptest::proptest;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::*;
use crate::probe::cache::suite::{self, check, world_of_node};
use crate::probe::testing::authority::Authority;
use crate::probe::testing::caches::{Cache as _, Memcached as Server};
use crate::probe::testing::{AMPLE, fails, fake, passes, probe_in, refusal};

#[tokio::test]
async fn a_server_answers() {
    let server = Server::start(&[]).await;
    suite::is_measured(&server).await;
    passes(&check(&server, "username: u, password: p")).await;
    assert_eq!(server.ask("get heartbeat:login"), "", "who we are must not be told to others");
    let folder = tempfile::tempdir().expect("a folder");
    let socket = folder.path().join("socket");
    let process = Server::start_at(&socket).await;
    let at_socket = format!("{{ url: 'memcached+unix://{}', write: true }}", socket.display());
    passes(&at_socket).await;
    drop(process);
    let reason = fails(&at_socket, Fault::Refused).await;
    assert_eq!(reason, format!("connection to {} refused: nobody listens there any more", socket.display()));
}

#[tokio::test]
async fn who_we_are_is_told() {
    let folder = tempfile::tempdir().expect("a folder");
    let users = folder.path().join("users");
    std::fs::write(&users, "app:hunter2\n").expect("written");
    let server = Server::start(&["-Y", users.to_str().expect("text")]).await;
    passes(&format!("{{ url: 'memcached://app:hunter2@127.0.0.1:{}', write: true }}", server.port())).await;
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
    suite::repeats_no_password::<Server>("CLIENT_ERROR u s3cret\r\n").await;
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
    suite::may_hang(Server::start(&[]).await).await;
}

#[tokio::test]
async fn a_full_server_says_so() {
    // Fewer, for its own descriptors count too.
    let server = Server::start(&["-c", "30"]).await;
    let mut held = Vec::new();
    for _ in 0..40 {
        held.push(TcpStream::connect(("127.0.0.1", server.port())).await.expect("it listens"));
    }
    suite::is_full(&server, held, "the server does not tell its version: ERROR Too many open connections").await;
}

#[tokio::test]
async fn the_same_over_tls() {
    let authority = Authority::new();
    let server = Server::start_tls(&authority, &authority.issue(&["127.0.0.1"])).await;
    suite::speaks_tls(&server, &authority).await;
}

#[tokio::test]
async fn what_is_written_is_read_back_and_deleted() {
    suite::keeps_nodes_apart(&Server::start(&[]).await).await;
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
        let report = probe_in(&world_of_node("web 1"), &text, AMPLE).await;
        assert_eq!(report.outcome.fault, Some(Fault::Body));
        assert!(report.outcome.reason.ends_with(said), "{:?}", report.outcome);
    }
}

/// A line that a client sends.
async fn line(stream: &mut TcpStream) -> String {
    let mut line = Vec::new();
    while !line.ends_with(b"\r\n") {
        line.push(stream.read_u8().await.expect("a line"));
    }
    String::from_utf8(line).expect("text").trim_end().to_owned()
}

#[tokio::test]
async fn two_hundred_probes_leave_nothing_behind() {
    suite::is_left_alone(&Server::start(&[]).await).await;
}

#[tokio::test]
async fn servers_that_do_not_keep_to_the_protocol() {
    const SHORT: &str = "the connection ended early while waiting for the answer";
    suite::knows_nonsense::<Server>(&[
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
    ])
    .await;
}

#[tokio::test]
async fn servers_without_end() {
    suite::leaves_what_never_ends::<Server>(&[("query: get x", "VALUE x 0 1000000000\r\n", "x")]).await;
}

#[test]
fn is_shown_without_its_password() {
    suite::shows_no_password::<Server>(11211);
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

proptest! {
    #[test]
    fn nonsense_is_bounded(
        bytes in suite::nonsense(&["VALUE k ", "0 ", "1", "9", " ", "\r\n", "END\r\n", "VALUE k 0 1\r\nx\r\n", "ERROR", "VALUE k 0 12\r\nabcdefghijkl\r\nEND\r\n"]),
        kept in 0..10usize,
    ) {
        match suite::hear(bytes, async |wire| get(wire, "failed", "k", kept).await) {
            Ok(value) => assert!(value.is_none_or(|value| value.len() <= kept)),
            Err(failure) => assert!(failure.reason.len() <= 1000),
        }
    }
}
