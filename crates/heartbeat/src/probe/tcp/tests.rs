//! The contract of the kind against servers that keep to it, and some that do not.

use heartbeat_core::outcome::Verdict;
use tokio::io::AsyncReadExt as _;

use super::*;
use crate::probe::testing::authority::{Authority, self_signed};
use crate::probe::testing::{decode, fails, fake, passes, probe, refusal, spec, times_out};

/// A server that answers PING with PONG.
async fn pong() -> fake::Fake {
    fake::serve(|mut stream| async move {
        let mut line = [0; 6];
        let _ = stream.read_exact(&mut line).await;
        let answer: &[u8] = if &line == b"PING\r\n" { b"+PONG\r\n\xff\x00" } else { b"-ERR\r\n" };
        let _ = stream.write_all(answer).await;
        fake::silence(stream).await;
    })
    .await
}

#[tokio::test]
async fn a_connection_is_enough() {
    let server = fake::serve(fake::silence).await;
    let report = passes(&format!("url: tcp://{}", server.address)).await;
    assert!(report.phases.connect.is_some());
    assert_eq!((report.phases.dns, report.phases.first_byte), (None, None));
    fails(&format!("url: tcp://{}", fake::closed().await), Fault::Refused).await;
}

#[tokio::test]
async fn a_word_in_each_direction() {
    let server = pong().await;
    let check = |options: &str| format!("{{ url: 'tcp://{}', {options} }}", server.address);
    let report = passes(&check(r"send: 'PING\r\n', expect: { contains: '+PONG\r\n' }")).await;
    assert!(report.phases.first_byte.is_some());
    passes(&check(r"send: 'PING\r\n', expect: { contains: '\xff\0', matches: '^\+P.NG' }")).await;
    assert_eq!(
        times_out(&check(r"send: 'PING\r\n', expect: { contains: PANG }")).await,
        "timed out after 300ms while receiving the answer"
    );
}

#[tokio::test]
async fn a_banner_across_many_pieces() {
    let server = fake::serve(|stream| async { fake::dripping(stream, b"220 mail ESMTP\r\n").await }).await;
    passes(&format!("{{ url: 'tcp://{}', expect: {{ contains: ESMTP }} }}", server.address)).await;
}

#[tokio::test]
async fn servers_that_do_not_say_it() {
    let expecting =
        |server: &fake::Fake| format!("{{ url: 'tcp://{}', expect: {{ contains: hello }} }}", server.address);
    let server = fake::serve(fake::silence).await;
    assert_eq!(times_out(&expecting(&server)).await, "timed out after 300ms while waiting for the first byte");
    let server = fake::serve(|mut stream| async move {
        let _ = stream.write_all(b"goodbye\x1b[2J").await;
        fake::goodbye(stream).await;
    })
    .await;
    assert_eq!(
        fails(&expecting(&server), Fault::Body).await,
        "`hello` was not found in the answer `goodbye [2J`: the server ended the connection"
    );
    let server = fake::serve(|stream| async move { fake::reset(&stream) }).await;
    fails(&expecting(&server), Fault::Reset).await;
    let server = fake::serve(|mut stream| async move { while stream.write_all(&[b'z'; 65536]).await.is_ok() {} }).await;
    let reason = fails(&expecting(&server), Fault::Body).await;
    assert!(reason.ends_with("the answer is longer than `body_limit`"), "{reason}");
}

#[tokio::test]
async fn the_same_over_tls() {
    let authority = Authority::new();
    let greet = |acceptor: tokio_rustls::TlsAcceptor| {
        fake::serve(move |stream| {
            let acceptor = acceptor.clone();
            async move {
                let Ok(mut stream) = acceptor.accept(stream).await else { return };
                let _ = stream.write_all(b"* OK ready\r\n").await;
                fake::silence(stream).await;
            }
        })
    };
    let server = greet(authority.issue(&["127.0.0.1"]).acceptor(&[])).await;
    let check = |server: &fake::Fake, options: &str| {
        format!("{{ url: 'tls://{}', ca: '{}', {options} }}", server.address, authority.ca().display())
    };
    let report = passes(&check(&server, "expect: { contains: OK, certificate: 1d }")).await;
    assert!(report.phases.tls.is_some());
    fails(&check(&server, "expect: { certificate: 5000000d }"), Fault::Certificate).await;
    let report = probe(&check(&server, "warn: { certificate: 5000000d }")).await;
    assert_eq!(report.outcome.verdict, Verdict::Warn);
    let server = greet(self_signed(&["127.0.0.1"]).acceptor(&[])).await;
    fails(&check(&server, ""), Fault::Certificate).await;
    let server = fake::serve(fake::silence).await;
    times_out(&check(&server, "")).await;
}

#[test]
fn is_shown_without_what_it_sends() {
    let decoded = decode(r"{ url: 'tcp://Example.org:6379', send: 'AUTH s3cret\r\n' }");
    let check = decoded.spec.expect("right");
    assert_eq!(check.target(), "tcp://Example.org:6379");
    assert_eq!(check.address().as_deref(), Some("example.org:6379"));
    assert!(!format!("{:?} {check:?}", decoded.shown).contains("s3cret"));
    let values = spec("url: 'tcp://[::1]:22'").values();
    assert_eq!(values[1..], [("host".to_owned(), "::1".to_owned()), ("port".to_owned(), "22".to_owned())]);
}

#[test]
fn what_is_wrong_is_said() {
    for (text, said) in [
        ("url: tcp://localhost", "`tcp://localhost` lacks a port: write tcp://localhost:PORT"),
        ("url: tcp://localhost:99999", "expected a URL such as"),
        ("url: tcp://localhost:22/path", "expected only a host and a port in `url`"),
        ("url: tcp://user@localhost:22", "expected only a host and a port in `url`"),
        (r"{ url: 'tcp://localhost:22', send: 'a\q' }", r"`\q` is no escape"),
        (r"{ url: 'tcp://localhost:22', expect: { contains: '\x0' } }", "needs two hexadecimal digits"),
        ("{ url: 'tcp://localhost:22', expect: { matches: '[' } }", "the regular expression `[` is wrong"),
        ("{ url: 'tcp://localhost:22', method: GET }", "unknown key `method`"),
    ] {
        let found = refusal(text);
        assert!(found.contains(said), "{text}: {found}");
    }
}
