//! The contract of the kind against real servers, and against some that do not keep to the protocol.

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;

use super::*;
use crate::probe::cache::suite::{self, check, world_of_node};
use crate::probe::run;
use crate::probe::testing::authority::Authority;
use crate::probe::testing::caches::{Cache as _, Redis as Server};
use crate::probe::testing::{AMPLE, fails, fake, no_names, passes, probe_in, refusal, spec, times_out};

#[tokio::test]
async fn a_server_answers() {
    let server = Server::start(&[]).await;
    suite::is_measured(&server).await;
    passes(&format!("url: valkey://127.0.0.1:{}/15", server.port())).await;
    let socket = format!("url: redis+unix://{}", server.socket().display());
    passes(&socket).await;
    passes(&format!("url: valkey+unix://{}?db=3", server.socket().display())).await;
    assert_eq!(
        fails(&format!("url: redis://127.0.0.1:{}/16", server.port()), Fault::Status).await,
        "database 16 was refused: ERR DB index is out of range"
    );
    server.is_alone().await;
    assert!(!server.log().contains("reset by peer"), "{}", server.log());
    drop(server);
    fails(&socket, Fault::Refused).await;
}

#[tokio::test]
async fn who_we_are_is_told() {
    let options = ["--requirepass", "s3cret", "--user", "app", "on", ">hunter2", "~*", "+ping", "+select"];
    let server = Server::start(&options).await;
    let port = server.port();
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
    let server = Server::start(&["--rename-command", "AUTH", "NOTHERE"]).await;
    for password in ["s3cret", &"s3cret".repeat(40)] {
        let reason = fails(&check(&server, &format!("password: {password}")), Fault::Status).await;
        assert_eq!(reason, "the login was refused: ERR unknown command 'AUTH'");
    }
    suite::repeats_no_password::<Server>("-ERR s3cret is wrong\r\n").await;
}

#[tokio::test]
async fn a_query_has_its_value() {
    let server = Server::start(&[]).await;
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
    let server = Server::start(&options).await;
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
    suite::may_hang(Server::start(&[]).await).await;
}

#[tokio::test]
async fn a_full_server_says_so() {
    let server = Server::start(&["--maxclients", "1"]).await;
    let held = held(&server).await;
    suite::is_full(&server, held, "the server answers no `PING`: ERR max number of clients reached").await;
}

/// The only connection that a server takes.
async fn held(server: &Server) -> UnixStream {
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
    let server = Server::start_tls(&authority, &authority.issue(&["127.0.0.1"])).await;
    let place = format!("127.0.0.1:{}", server.port());
    passes(&format!("{{ url: 'valkeys://{place}/1', ca: '{}' }}", authority.ca().display())).await;
    server.is_alone().await;
    assert!(!server.log().contains("unexpected eof"), "{}", server.log());
    suite::speaks_tls(&server, &authority).await;
    fails(&format!("url: redis://{place}"), Fault::Reset).await;
    server.is_alone().await;
}

#[tokio::test]
async fn what_is_written_is_read_back_and_deleted() {
    suite::keeps_nodes_apart(&Server::start(&[]).await).await;
    let dialogue = |read: &'static str| {
        fake::serve(move |mut stream| async move {
            let key = "heartbeat:web_1:";
            let steps = [("SET", 2, "+OK\r\n"), ("GET", 1, read), ("DEL", 1, ":1\r\n")];
            for (command, keys, answer) in steps {
                let mut request = [0; 1024];
                let count = stream.read(&mut request).await.unwrap_or(0);
                let asked = String::from_utf8_lossy(&request[..count]);
                assert!(asked.contains(command) && asked.matches(key).count() == keys, "{asked}");
                assert!(command != "SET" || asked.ends_with("\r\nEX\r\n$2\r\n60\r\n"), "{asked}");
                let _ = stream.write_all(answer.as_bytes()).await;
            }
            fake::goodbye(stream).await;
        })
    };
    for (read, said) in [("$5\r\nother\r\n", "read `other` back"), ("$-1\r\n", "read nil back")] {
        let fake = dialogue(read).await;
        let text = format!("{{ url: 'redis://{}', write: true }}", fake.address);
        let report = probe_in(&world_of_node("web 1"), &text, AMPLE).await;
        assert_eq!(report.outcome.fault, Some(Fault::Body));
        assert!(report.outcome.reason.ends_with(said), "{:?}", report.outcome);
    }
}

#[tokio::test]
async fn two_hundred_probes_leave_nothing_behind() {
    let server = Server::start(&[]).await;
    suite::is_left_alone(&server).await;
    let endless = spec(&check(&server, "query: BLPOP nothing 0")).build(&no_names()).expect("builds");
    for _ in 0..20 {
        let report = run(&*endless, Duration::from_millis(2)).await;
        assert_eq!(report.outcome.fault, Some(Fault::Timeout), "{:?}", report.outcome);
    }
    server.is_alone().await;
}

#[tokio::test]
async fn servers_that_do_not_keep_to_the_protocol() {
    suite::knows_nonsense::<Server>(&[
        (
            "",
            "HTTP/1.1 400 Bad Request\r\n",
            Fault::Protocol,
            "expected a reply of Redis, the server sent `HTTP/1.1 400",
        ),
        ("", "\r\n", Fault::Protocol, "expected a reply of Redis, the server sent ``"),
        ("", "+PONG\n", Fault::Protocol, "expected a line that ends with CR LF"),
        ("", "+PANG\r\n", Fault::Protocol, "expected PONG as the answer to `PING`, found `PANG`"),
        ("", "$-1\r\n", Fault::Protocol, "expected PONG as the answer to `PING`, found nil"),
        ("", ":12x\r\n", Fault::Protocol, "expected a number, the server sent `:12x`"),
        ("", "$-2\r\n", Fault::Protocol, "expected a length, the server sent `$-2`"),
        ("", "*-7\r\n", Fault::Protocol, "expected a length, the server sent `*-7`"),
        ("", "$9223372036854775807\r\nx", Fault::Protocol, "expected a length"),
        ("", "*4294967296\r\n", Fault::Protocol, "expected a length"),
        ("", "$99999999999999999999\r\n", Fault::Protocol, "expected a length"),
        ("", "$4\r\nPONGPONG\r\n", Fault::Protocol, "expected the end of a value of 4 bytes"),
        ("", "+PONG\r\n+PONG\r\n", Fault::Protocol, "expected no more than was asked for, the server sent `+PONG"),
        ("", "$4\r\nPO", Fault::Reset, "the connection ended early while waiting for the answer"),
        ("", "$4\r\nPONG", Fault::Reset, "the connection ended early while waiting for the answer"),
        ("", "+PON", Fault::Reset, "the connection ended early while waiting for the answer"),
        ("", "*2\r\n+PONG\r\n", Fault::Reset, "the connection ended early while waiting for the answer"),
        ("", "", Fault::Reset, "the connection ended early while waiting for the answer"),
        ("", "-LOADING Redis is loading\r\n", Fault::Status, "the server answers no `PING`: LOADING Redis is loading"),
        ("", "-\x1b[2J\r\n", Fault::Status, "the server answers no `PING`:  [2J"),
    ])
    .await;
}

#[tokio::test]
async fn servers_without_end() {
    suite::leaves_what_never_ends::<Server>(&[
        ("", "$500000000\r\n", "x"),
        ("", "*500000000\r\n", ":1\r\n"),
        ("", "", "*1\r\n"),
        ("", "", "*1000\r\n"),
    ])
    .await;
    let half = fake::serve(|mut stream| async move {
        let _ = stream.write_all(b"+OK\r\n").await;
        fake::silence(stream).await;
    })
    .await;
    let reason = times_out(&format!("url: redis://:x@{}", half.address)).await;
    assert_eq!(reason, "timed out after 300ms while waiting for the answer to the query");
}

#[test]
fn is_shown_without_its_password() {
    suite::shows_no_password::<Server>(6379);
    let check = spec("url: Redis+Unix:///run/redis.sock?db=2");
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
