//! The contract of the kind against real servers, and against some that do not keep to the protocol.

use std::time::Duration;

use heartbeat_core::outcome::Verdict;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;

use super::*;
use crate::probe::resolve::Resolver;
use crate::probe::testing::authority::{Authority, self_signed};
use crate::probe::testing::caches::Redis;
use crate::probe::testing::{AMPLE, decode, fails, fake, no_names, passes, probe, probe_in, refusal, spec, times_out};
use crate::probe::{World, run};

/// A check of a server, with further keys.
fn check(server: &Redis, keys: &str) -> String {
    format!("{{ url: 'redis://127.0.0.1:{}', {keys} }}", server.port)
}

#[tokio::test]
async fn a_server_answers() {
    let server = Redis::start(&[]).await;
    let report = passes(&check(&server, "")).await;
    assert!(report.phases.connect.is_some() && report.phases.first_byte.is_some(), "{:?}", report.phases);
    passes(&format!("url: valkey://127.0.0.1:{}/15", server.port)).await;
    passes(&format!("url: redis+unix://{}", server.socket().display())).await;
    passes(&format!("url: valkey+unix://{}?db=3", server.socket().display())).await;
    assert_eq!(
        fails(&format!("url: redis://127.0.0.1:{}/16", server.port), Fault::Status).await,
        "database 16 was refused: ERR DB index is out of range"
    );
    fails(&check(&server, "expect: { latency: 0s }"), Fault::Latency).await;
    assert_eq!(probe(&check(&server, "warn: { latency: 0s }")).await.outcome.verdict, Verdict::Warn);
    server.is_alone().await;
    assert!(!server.log().contains("reset by peer"), "{}", server.log());
}

#[tokio::test]
async fn who_we_are_is_told() {
    let options = ["--requirepass", "s3cret", "--user", "app", "on", ">hunter2", "~*", "+ping", "+select"];
    let server = Redis::start(&options).await;
    let port = server.port;
    passes(&check(&server, "password: s3cret")).await;
    passes(&format!("url: redis://:s3cret@127.0.0.1:{port}/1")).await;
    passes(&format!("url: redis://app:hunter%32@127.0.0.1:{port}/1")).await;
    passes(&format!("{{ url: redis://app@127.0.0.1:{port}, password: hunter2 }}")).await;
    passes(&check(&server, "username: app, password: hunter2")).await;
    for (keys, said) in [
        ("", "the server answers no `PING`: NOAUTH Authentication required."),
        ("password: s3cre", "the login was refused: WRONGPASS invalid username-password pair or user is disabled."),
        ("username: ape, password: x", "the login was refused: WRONGPASS"),
        ("username: app, password: hunter2, write: true", "writing a key failed: NOPERM"),
        ("username: app, password: hunter2, query: GET x", "the query failed: NOPERM"),
    ] {
        let reason = fails(&check(&server, keys), Fault::Status).await;
        assert!(reason.starts_with(said), "{keys}: {reason}");
    }
}

#[tokio::test]
async fn a_password_is_never_repeated() {
    let server = Redis::start(&["--rename-command", "AUTH", "NOTHERE"]).await;
    for password in ["s3cret", &"s3cret".repeat(40)] {
        let reason = fails(&check(&server, &format!("password: {password}")), Fault::Status).await;
        assert_eq!(reason, "the login was refused: ERR unknown command 'AUTH'");
    }
    let echo = fake::serve(|mut stream| async move {
        let (mut from, mut to) = stream.split();
        let _ = tokio::io::copy(&mut from, &mut to).await;
    })
    .await;
    let liar = saying("s3cret\r\n").await;
    let blamer = saying("-ERR s3cret is wrong\r\n").await;
    for (server, fault) in [(&echo, Fault::Protocol), (&liar, Fault::Protocol), (&blamer, Fault::Status)] {
        let reason = fails(&format!("url: redis://u:s3cret@{}", server.address), fault).await;
        assert!(!reason.contains("s3cret"), "{reason}");
    }
}

#[tokio::test]
async fn a_query_has_its_value() {
    let server = Redis::start(&[]).await;
    server.ask("SET motd \"good day\"");
    server.ask("RPUSH list a b");
    server.ask(&format!("SET long {}", "x".repeat(50_000)));
    for keys in [
        "query: GET motd, expect: { value: good day }",
        "query: 'get  \"motd\"'",
        "query: EXISTS motd, expect: { value: 1 }",
        "query: LRANGE list 0 -1",
        "query: GET nothing",
        "query: GET long",
        "query: STRLEN long, expect: { value: 50000, role: master }",
        "query: ECHO '', expect: { value: '' }",
        "query: COMMAND",
    ] {
        passes(&check(&server, keys)).await;
    }
    let long = "x".repeat(49_999);
    for (keys, said) in [
        ("query: GET motd, expect: { value: bad day }", "the query returned `good day`, expected `bad day`"),
        ("query: GET motd, expect: { value: good }", "the query returned `good day`, expected `good`"),
        ("query: GET none, expect: { value: x }", "the query returned nil, expected `x`"),
        ("query: KEYS *, expect: { value: x }", "the query returned a list of 3, expected `x`"),
        ("expect: { role: replica }", "the server is a master, expected a replica"),
    ] {
        assert_eq!(fails(&check(&server, keys), Fault::Body).await, said);
    }
    let reason = fails(&check(&server, &format!("query: GET long, expect: {{ value: {long} }}")), Fault::Body).await;
    assert!(reason.len() < 400, "{reason}");
    assert_eq!(
        fails(&check(&server, "query: GET list"), Fault::Status).await,
        "the query failed: WRONGTYPE Operation against a key holding the wrong kind of value"
    );
    server.is_alone().await;
}

#[tokio::test]
async fn a_replica_says_what_it_is() {
    let master = fake::closed().await;
    let options = ["--replicaof", "127.0.0.1", &master.port().to_string(), "--replica-serve-stale-data", "no"];
    let server = Redis::start(&options).await;
    passes(&check(&server, "expect: { role: replica }")).await;
    assert_eq!(
        fails(&check(&server, "expect: { role: master }"), Fault::Body).await,
        "the server is a replica, expected a master"
    );
    let reason = fails(&check(&server, "query: GET x"), Fault::Status).await;
    assert!(reason.starts_with("the query failed: MASTERDOWN Link with MASTER is down"), "{reason}");
    let reason = fails(&check(&server, "write: true"), Fault::Status).await;
    assert!(reason.starts_with("writing a key failed: READONLY You"), "{reason}");
}

#[tokio::test]
async fn a_server_that_hangs_is_left_in_time_and_forgiven() {
    let server = Redis::start(&[]).await;
    server.process.stop();
    assert_eq!(times_out(&check(&server, "")).await, "timed out after 300ms while waiting for the first byte");
    server.process.go_on();
    passes(&check(&server, "")).await;
    server.is_alone().await;
    let gone = (check(&server, ""), format!("url: redis+unix://{}", server.socket().display()));
    drop(server);
    fails(&gone.0, Fault::Refused).await;
    fails(&gone.1, Fault::Refused).await;
}

#[tokio::test]
async fn a_full_server_says_so() {
    let server = Redis::start(&["--maxclients", "1"]).await;
    let mut held = held(&server).await;
    for _ in 0..20 {
        let reason = fails(&check(&server, ""), Fault::Status).await;
        assert_eq!(reason, "the server answers no `PING`: ERR max number of clients reached");
    }
    held.shutdown().await.expect("closed");
    let again = async { while probe(&check(&server, "")).await.outcome.verdict != Verdict::Pass {} };
    tokio::time::timeout(AMPLE, again).await.expect("a place is free again");
}

/// The only connection that a server takes.
async fn held(server: &Redis) -> UnixStream {
    loop {
        // The one that found it listening may still count.
        let mut stream = UnixStream::connect(server.socket()).await.expect("it listens");
        let _ = stream.write_all(b"PING\r\n").await;
        let mut answer = [0; 7];
        if stream.read_exact(&mut answer).await.is_ok() && &answer == b"+PONG\r\n" {
            return stream;
        }
    }
}

#[tokio::test]
async fn the_same_over_tls() {
    let authority = Authority::new();
    let server = Redis::start_tls(&authority, &authority.issue(&["127.0.0.1"])).await;
    let place = format!("127.0.0.1:{}", server.port);
    let check = |url: &str, keys: &str| format!("{{ url: '{url}', ca: '{}', {keys} }}", authority.ca().display());
    let ours = |keys: &str| check(&format!("rediss://{place}"), keys);
    let report = passes(&ours("write: true, expect: { certificate: 1d }")).await;
    assert!(report.phases.tls.is_some());
    passes(&check(&format!("valkeys://{place}/1"), "")).await;
    fails(&ours("expect: { certificate: 5000000d }"), Fault::Certificate).await;
    assert_eq!(probe(&ours("warn: { certificate: 5000000d }")).await.outcome.verdict, Verdict::Warn);
    server.is_alone().await;
    assert!(!server.log().contains("unexpected eof"), "{}", server.log());
    let other = authority.file("other.pem", &self_signed(&["127.0.0.1"]).chain);
    fails(&format!("{{ url: 'rediss://{place}', ca: '{}' }}", other.display()), Fault::Certificate).await;
    fails(&format!("url: redis://{place}"), Fault::Reset).await;
    let plain = saying("-ERR what?\r\n").await;
    fails(&check(&format!("rediss://{}", plain.address), ""), Fault::Tls).await;
    server.is_alone().await;
}

#[tokio::test]
async fn nodes_that_write_at_once_do_not_meet() {
    let server = Redis::start(&[]).await;
    let world = |node| World::with(Resolver::system()).of_node(Some(node));
    let text = check(&server, "write: true");
    for _ in 0..20 {
        let (one, other) = (world("web 1"), world("web2"));
        let ample = AMPLE;
        let (one, other) = tokio::join!(probe_in(&one, &text, ample), probe_in(&other, &text, ample));
        assert_eq!((one.outcome.fault, other.outcome.fault), (None, None), "{one:?} {other:?}");
    }
    assert_eq!(server.ask("DBSIZE"), ":0");
    let dialogue = |read: &'static str| {
        fake::serve(move |mut stream| async move {
            let mut asked = String::new();
            for answer in ["+OK\r\n", read, ":1\r\n"] {
                let mut request = [0; 1024];
                let count = stream.read(&mut request).await.unwrap_or(0);
                asked.push_str(&String::from_utf8_lossy(&request[..count]));
                let _ = stream.write_all(answer.as_bytes()).await;
            }
            assert!(asked.matches("heartbeat:web_1:").count() == 4 && asked.contains("EX\r\n$2\r\n60"), "{asked}");
            fake::goodbye(stream).await;
        })
    };
    for (read, said) in [("$5\r\nother\r\n", "read `other` back"), ("$-1\r\n", "read nil back")] {
        let fake = dialogue(read).await;
        let text = format!("{{ url: 'redis://{}', write: true }}", fake.address);
        let report = probe_in(&world("web 1"), &text, AMPLE).await;
        assert_eq!(report.outcome.fault, Some(Fault::Body));
        assert!(report.outcome.reason.ends_with(said), "{:?}", report.outcome);
    }
}

#[tokio::test]
async fn two_hundred_probes_leave_nothing_behind() {
    let server = Redis::start(&[]).await;
    let build = |keys: &str| spec(&check(&server, keys)).build(&no_names()).expect("builds");
    let (whole, endless) = (build("write: true"), build("query: BLPOP nothing 0"));
    for round in 0..100 {
        let report = run(&*whole, AMPLE).await;
        assert_eq!(report.outcome.fault, None, "{:?}", report.outcome);
        // Somewhere from the first step of connecting to the wait for what never comes.
        let report = run(&*endless, Duration::from_micros(round * 20)).await;
        assert_eq!(report.outcome.fault, Some(Fault::Timeout), "{:?}", report.outcome);
    }
    server.is_alone().await;
    assert_eq!(server.ask("DBSIZE"), ":0");
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
    for (bytes, fault, said) in [
        ("HTTP/1.1 400 Bad Request\r\n", Fault::Protocol, "expected a reply of Redis, the server sent `HTTP/1.1 400"),
        ("\r\n", Fault::Protocol, "expected a reply of Redis, the server sent ``"),
        ("+PONG\n", Fault::Protocol, "expected a line that ends with CR LF"),
        ("+PANG\r\n", Fault::Protocol, "expected PONG as the answer to `PING`, found `PANG`"),
        ("$-1\r\n", Fault::Protocol, "expected PONG as the answer to `PING`, found nil"),
        (":12x\r\n", Fault::Protocol, "expected a number, the server sent `:12x`"),
        ("$-2\r\n", Fault::Protocol, "expected a length, the server sent `$-2`"),
        ("*-7\r\n", Fault::Protocol, "expected a length, the server sent `*-7`"),
        ("$9223372036854775807\r\nx", Fault::Protocol, "expected a length"),
        ("*4294967296\r\n", Fault::Protocol, "expected a length"),
        ("$99999999999999999999\r\n", Fault::Protocol, "expected a length"),
        ("$4\r\nPONGPONG\r\n", Fault::Protocol, "expected the end of a value of 4 bytes"),
        ("+PONG\r\n+PONG\r\n", Fault::Protocol, "expected no more than was asked for, the server sent `+PONG"),
        ("$4\r\nPO", Fault::Reset, "the connection ended early while waiting for the answer"),
        ("$4\r\nPONG", Fault::Reset, "the connection ended early while waiting for the answer"),
        ("+PON", Fault::Reset, "the connection ended early while waiting for the answer"),
        ("*2\r\n+PONG\r\n", Fault::Reset, "the connection ended early while waiting for the answer"),
        ("", Fault::Reset, "the connection ended early while waiting for the answer"),
        (
            "-LOADING Redis is loading the dataset in memory\r\n",
            Fault::Status,
            "the server answers no `PING`: LOADING Redis is loading",
        ),
        ("-\x1b[2J\r\n", Fault::Status, "the server answers no `PING`:  [2J"),
    ] {
        let server = saying(bytes).await;
        let reason = fails(&format!("url: redis://{}", server.address), fault).await;
        assert!(reason.starts_with(said), "{bytes:?}: {reason}");
    }
    let server = fake::serve(|stream| async move { fake::reset(&stream) }).await;
    fails(&format!("url: redis://{}", server.address), Fault::Reset).await;
}

#[tokio::test]
async fn servers_without_end() {
    let endless: [(&[u8], &[u8]); 4] =
        [(b"$500000000\r\n", &[b'x'; 65536]), (b"*500000000\r\n", b":1\r\n"), (b"", b"*1\r\n"), (b"", b"*1000\r\n")];
    for (first, again) in endless {
        let again = again.repeat(65536 / again.len());
        let server = fake::serve(move |mut stream| {
            let again = again.clone();
            async move {
                let _ = stream.write_all(first).await;
                while stream.write_all(&again).await.is_ok() {}
            }
        })
        .await;
        let reason = times_out(&format!("url: redis://{}", server.address)).await;
        assert_eq!(reason, "timed out after 300ms while receiving the answer");
    }
    let server = fake::serve(|mut stream| async move { while stream.write_all(&[b'z'; 65536]).await.is_ok() {} }).await;
    let reason = fails(&format!("url: redis://{}", server.address), Fault::Protocol).await;
    assert_eq!(reason, "the server sent a line of more than 4096 bytes");
    let server = fake::serve(|stream| async move { fake::dripping(stream, &[b'+'; 1000]).await }).await;
    times_out(&format!("url: redis://{}", server.address)).await;
    let server = fake::serve(fake::silence).await;
    times_out(&format!("url: redis://{}", server.address)).await;
}

#[test]
fn is_shown_without_its_password() {
    let decoded = decode("{ url: 'redis://app:s3cret@Cache.example.org/2', query: GET x }");
    let check = decoded.spec.expect("right");
    assert_eq!(check.target(), "redis://Cache.example.org/2");
    assert_eq!(check.address().as_deref(), Some("cache.example.org:6379"));
    assert!(!format!("{:?} {check:?} {:?}", decoded.shown, check.values()).contains("s3cret"));
    let check = spec("url: redis+unix:///run/redis.sock?db=2");
    assert_eq!(check.target(), "redis+unix:///run/redis.sock?db=2");
    assert_eq!(check.address().as_deref(), Some("/run/redis.sock"));
    assert_eq!(check.values()[1], ("path".to_owned(), "/run/redis.sock".to_owned()));
}

#[test]
fn what_is_wrong_is_said() {
    for (text, said) in [
        ("url: redis://h/zero", "expected the number of a database, found `zero`"),
        ("url: redis://h/1/2", "expected the number of a database, found `1/2`"),
        ("url: redis://h/1?db=2", "expected nothing behind the path of `redis`"),
        ("url: redis+unix://run/redis.sock", "expected `redis+unix:///PATH/OF/THE/SOCKET`"),
        ("url: redis+unix:///run/redis.sock?password=x", "with nothing behind it but perhaps `?db=NUMBER`"),
        ("url: redis+unix:///run/redis.sock?db=x", "expected the number of a database, found `x`"),
        ("url: redis://app@h", "check `test` logs in without a `password`"),
        ("{ url: 'redis://:x@h', password: y }", "has a password in its URL and another in `password`"),
        ("{ url: 'redis://x@h', username: y, password: z }", "has a username in its URL"),
        ("{ url: 'redis://h', expect: { value: x } }", "`expect.value` needs a `query` that returns it"),
        ("{ url: 'redis://h', query: '' }", "the command is empty"),
        ("{ url: 'redis://h', query: 'GET \"x' }", "a quote is not closed in `GET \"x`"),
        ("{ url: 'redis://h', expect: { role: primary } }", "expected `master` or `replica`"),
        ("{ url: 'redis://h', send: x }", "unknown key `send`"),
    ] {
        let found = refusal(text);
        assert!(found.contains(said), "{text}: {found}");
    }
}
