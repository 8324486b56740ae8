//! Servers that hang, drip, flood, lie and break off: the right fault, in time, in bounded memory.

use std::time::Duration;

use flate2::Compression;
use flate2::write::GzEncoder;
use heartbeat_core::outcome::Fault;
use std::io::Write as _;
use tokio::io::AsyncWriteExt as _;

use crate::probe::budget::Budget;
use crate::probe::testing::{self, fails, fake, probe_in, times_out};
use crate::probe::{World, run};

const HEAD: &[u8] = b"HTTP/1.1 200 OK\r\n";

fn url(server: &fake::Fake) -> String {
    format!("url: {}", server.url("/"))
}

/// A check that looks at the body in every way.
fn strict(server: &fake::Fake) -> String {
    format!("{{ url: '{}', expect: {{ body: {{ contains: x, matches: y, json: {{ $.a: 1 }} }} }} }}", server.url("/"))
}

#[tokio::test]
async fn silence() {
    let server = fake::serve(fake::silence).await;
    assert_eq!(times_out(&url(&server)).await, "timed out after 300ms while waiting for the first byte");
}

#[tokio::test]
async fn nobody_accepts() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("bound");
    let address = listener.local_addr().expect("bound");
    times_out(&format!("url: http://{address}/")).await;
}

#[tokio::test]
async fn a_dripping_head() {
    let server = fake::serve(|mut stream| async move {
        fake::request(&mut stream).await;
        fake::dripping(stream, &[HEAD, &[b'x'; 1000]].concat()).await;
    })
    .await;
    assert_eq!(times_out(&url(&server)).await, "timed out after 300ms while receiving the answer");
}

#[tokio::test]
async fn a_dripping_body() {
    let server = fake::serve(|mut stream| async move {
        fake::request(&mut stream).await;
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n").await;
        fake::dripping(stream, &[b'x'; 1000]).await;
    })
    .await;
    assert_eq!(times_out(&strict(&server)).await, "timed out after 300ms while receiving the answer");
}

#[tokio::test]
async fn half_an_answer() {
    let server = fake::serve(|mut stream| async move {
        fake::request(&mut stream).await;
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf").await;
        fake::silence(stream).await;
    })
    .await;
    times_out(&url(&server)).await;
}

#[tokio::test]
async fn a_body_without_end() {
    let server = fake::serve(|stream| fake::without_end(stream, b"HTTP/1.1 200 OK\r\n\r\n", &[b'z'; 65536])).await;
    times_out(&url(&server)).await;
    times_out(&strict(&server)).await;
}

#[tokio::test]
async fn chunks_without_end() {
    let head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    let server = fake::serve(|stream| fake::without_end(stream, head, b"1\r\nz\r\n")).await;
    times_out(&strict(&server)).await;
}

#[tokio::test]
async fn headers_without_end() {
    let server = fake::serve(|stream| fake::without_end(stream, HEAD, b"a: b\r\n")).await;
    let reason = fails(&url(&server), Fault::Protocol).await;
    assert_eq!(reason, "what the server sent is not HTTP as it should be: it has more than 256 headers");
}

#[tokio::test]
async fn one_header_without_end() {
    let server = fake::serve(|stream| fake::without_end(stream, b"HTTP/1.1 200 OK\r\na: ", &[b'b'; 65536])).await;
    let reason = fails(&url(&server), Fault::Protocol).await;
    assert_eq!(reason, "what the server sent is not HTTP as it should be: its head is larger than 64 KiB");
}

#[tokio::test]
async fn a_chunk_extension_without_end() {
    let head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1;";
    let server = fake::serve(|stream| fake::without_end(stream, head, &[b'e'; 65536])).await;
    fails(&strict(&server), Fault::Protocol).await;
}

#[tokio::test]
async fn trailers_without_end() {
    let head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n";
    let server = fake::serve(|stream| fake::without_end(stream, head, b"a: b\r\n")).await;
    fails(&strict(&server), Fault::Protocol).await;
}

#[tokio::test]
async fn interim_answers_without_end() {
    let server =
        fake::serve(|stream| fake::without_end(stream, b"", b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n")).await;
    times_out(&url(&server)).await;
}

#[tokio::test]
async fn a_bomb_of_zeros() {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    let zeros = vec![0; 1 << 20];
    for _ in 0..64 {
        encoder.write_all(&zeros).expect("compressed");
    }
    let bomb = encoder.finish().expect("compressed");
    let head = format!("HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: {}\r\n\r\n", bomb.len());
    let server = fake::answering([head.as_bytes(), &bomb].concat()).await;
    let text = format!("{{ url: '{}', expect: {{ body: {{ matches: '[1-9]' }} }} }}", server.url("/"));
    let reason = fails(&text, Fault::Body).await;
    assert_eq!(reason, "the body does not match `[1-9]` (only its first 262144 bytes were judged of `body_limit`)");
    testing::passes(&format!("{{ url: '{}', expect: {{ body: {{ contains: \"\\0\\0\\0\" }} }} }}", server.url("/")))
        .await;
}

#[tokio::test]
async fn wrong_lengths() {
    let server = fake::answering("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort").await;
    assert_eq!(fails(&url(&server), Fault::Reset).await, "the connection ended early while receiving the body");
    let server = fake::answering("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n").await;
    fails(&url(&server), Fault::Reset).await;
    for head in
        ["Content-Length: 1\r\nContent-Length: 2", "Content-Length: -1", "Content-Length: 99999999999999999999999"]
    {
        let server = fake::answering(format!("HTTP/1.1 200 OK\r\n{head}\r\n\r\nx")).await;
        fails(&url(&server), Fault::Protocol).await;
    }
    // What comes after the announced length is nobody's.
    let server = fake::answering("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nlonger").await;
    testing::passes(&url(&server)).await;
}

#[tokio::test]
async fn garbage() {
    for answer in [
        "SSH-2.0-OpenSSH_9.2\r\n",
        "\0\x01\x02\r\n\r\n",
        "HTTP/9.9 200 OK\r\n\r\n",
        "HTTP/1.1 2 OK\r\n\r\n",
        "<html>\r\n\r\n",
    ] {
        let server = fake::answering(answer).await;
        let reason = fails(&url(&server), Fault::Protocol).await;
        assert!(reason.starts_with("what the server sent is not HTTP as it should be"), "{answer}: {reason}");
    }
    let server = fake::answering("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n").await;
    fails(&url(&server), Fault::Protocol).await;
}

#[tokio::test]
async fn hanging_up() {
    let server = fake::answering("").await;
    assert_eq!(fails(&url(&server), Fault::Reset).await, "the connection ended early while waiting for the answer");
    let server = fake::answering("HTTP/1.1 200 OK\r\nA: ").await;
    fails(&url(&server), Fault::Reset).await;
    let server = fake::serve(|mut stream| async move {
        fake::request(&mut stream).await;
        fake::reset(&stream);
    })
    .await;
    let reason = fails(&url(&server), Fault::Reset).await;
    assert!(reason.starts_with("the connection broke while waiting for the answer: Connection reset"), "{reason}");
}

#[tokio::test]
async fn control_characters_do_not_reach_people() {
    let server = fake::answering("HTTP/1.1 200 OK\r\nX: a\x1b[31mb\tc\r\nContent-Length: 0\r\n\r\n").await;
    let text = format!("{{ url: '{}', expect: {{ headers: {{ x: y }} }} }}", server.url("/"));
    for _ in 0..2 {
        let report = probe_in(&testing::no_names(), &text, testing::AMPLE).await;
        assert!(!report.outcome.reason.chars().any(char::is_control), "{:?}", report.outcome.reason);
    }
    let server = fake::answering(fake::ok("[\"\u{1b}]0;title\u{7}\"]").replace('\u{1b}', "\\u001b")).await;
    let text = format!("{{ url: '{}', expect: {{ body: {{ json: {{ '$[0]': x }} }} }} }}", server.url("/"));
    let reason = fails(&text, Fault::Body).await;
    assert!(!reason.chars().any(char::is_control), "{reason:?}");
}

#[tokio::test]
async fn the_memory_for_bodies_is_shared() {
    let server = fake::answering(fake::ok(&format!("{}end", "x".repeat(100_000)))).await;
    let world = World::with_bodies(testing::no_names().resolver().clone(), Budget::new(50_000));
    let text = format!("{{ url: '{}', expect: {{ body: {{ matches: end }} }} }}", server.url("/"));
    let prober = testing::spec(&text).build(&world).expect("built");
    let report = run(&*prober, testing::AMPLE).await;
    assert_eq!(report.outcome.fault, Some(Fault::Body));
    let reason = report.outcome.reason;
    assert!(reason.ends_with(" bytes were judged because other probes held the memory for bodies)"), "{reason}");
    assert_eq!(world.bodies().left(), 50_000);
}

#[tokio::test]
async fn other_probes_go_on() {
    // A flood, a bomb and a server of interim answers on the same thread as a check that must be quick.
    let flood = fake::serve(|stream| fake::without_end(stream, b"HTTP/1.1 200 OK\r\n\r\n", &[b'z'; 65536])).await;
    let quick = fake::answering(fake::ok("x")).await;
    let world = testing::no_names();
    let flooded = testing::spec(&strict(&flood)).build(&world).expect("built");
    let calm = testing::spec(&url(&quick)).build(&world).expect("built");
    let hostile = async { run(&*flooded, Duration::from_secs(2)).await };
    let calm = async {
        let mut slowest = Duration::ZERO;
        for _ in 0..20 {
            slowest = slowest.max(run(&*calm, testing::AMPLE).await.outcome.latency);
        }
        slowest
    };
    let (hostile, slowest) = tokio::join!(hostile, calm);
    assert_eq!(hostile.outcome.fault, Some(Fault::Timeout));
    assert!(slowest < Duration::from_secs(1), "a quick check took {slowest:?}");
}
