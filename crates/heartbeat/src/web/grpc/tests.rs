//! The service as clients see it: Debian's gRPC library, h2 itself, and those who do not keep to the protocol.
#![allow(clippy::disallowed_methods)] // starts clients

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};

use bytes::{Bytes, BytesMut};
use h2::RecvStream;
use h2::client::{self, SendRequest};
use heartbeat_responder::Standing;
use heartbeat_responder::view::{Layout, View};
use http::{HeaderMap, Method, Request};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::message::ServingStatus;
use super::*;
use crate::config::values::Secret;
use crate::net::testing::authority::Authority;
use crate::web::listen::{Listen, Listens, Tls};
use crate::web::testing::{PATIENCE, Rig, board, conversation, drain, know, layout, loopback, undrain};
use crate::web::{Bounds, Options};

/// A service at a port of its own.
fn rig() -> Rig {
    rig_with(None)
}

fn rig_with(tls: Option<Tls>) -> Rig {
    let grpc = Listens(vec![Listen { tls, ..loopback() }]);
    Rig::with(Options { listen: Listens::default(), grpc, ..Options::default() }, Bounds::default())
}

impl Rig {
    fn client(&self, arguments: &[&str]) -> Command {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/ask_grpc.py");
        let mut command = Command::new("/usr/bin/python3");
        command.arg(script).arg(self.address().to_string()).args(arguments);
        command
    }

    /// What a client of Debian's gRPC prints.
    async fn ask(&self, arguments: &[&str]) -> String {
        let mut command = self.client(arguments);
        let output = tokio::task::spawn_blocking(move || command.output()).await.unwrap();
        let output = output.expect("python3 is there: apt-get install python3-grpcio");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    async fn h2(&self) -> SendRequest<Bytes> {
        let stream = TcpStream::connect(self.address()).await.unwrap();
        let (requests, connection) = client::handshake(stream).await.unwrap();
        tokio::spawn(connection);
        requests
    }
}

/// A client that watches. It ends with the test.
struct Watcher {
    process: Child,
    lines: BufReader<ChildStdout>,
}

impl Watcher {
    fn start(rig: &Rig, arguments: &[&str]) -> Self {
        let mut process = rig.client(arguments).stdout(Stdio::piped()).spawn().expect("apt-get install python3-grpcio");
        let lines = BufReader::new(process.stdout.take().unwrap());
        Self { process, lines }
    }

    async fn next(&mut self) -> String {
        tokio::task::block_in_place(|| {
            let mut line = String::new();
            self.lines.read_line(&mut line).unwrap();
            line.trim_end().to_owned()
        })
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_real_client_is_told_what_the_views_say() {
    let rig = rig();
    assert_eq!(rig.ask(&["check"]).await, "SERVING\nOK\n");
    assert_eq!(
        rig.ask(&["list"]).await,
        "=SERVING\neager=SERVING\nlive=SERVING\npublic=SERVING\nready=SERVING\nstatus=SERVING\ntoken=SERVING\nOK\n"
    );
    know(&rig.board, Standing::Down);
    assert_eq!(rig.ask(&["check", "ready"]).await, "NOT_SERVING\nOK\n");
    know(&rig.board, Standing::Unknown);
    assert_eq!(
        rig.ask(&["list"]).await,
        "=UNKNOWN\neager=SERVING\nlive=SERVING\npublic=UNKNOWN\nready=UNKNOWN\nstatus=UNKNOWN\ntoken=UNKNOWN\nOK\n"
    );
    assert_eq!(rig.ask(&["check", "shop"]).await, "NOT_FOUND no view has the name `shop`\n");
    let unknown = "UNIMPLEMENTED expected Check, Watch or List of grpc.health.v1.Health\n";
    assert_eq!(rig.ask(&["check", "--method", "Cheque"]).await, unknown);
    let long = "x".repeat(120);
    assert_eq!(rig.ask(&["check", &long, "--gzip"]).await, "UNIMPLEMENTED messages compressed by gzip are not read\n");
    let polls: Vec<_> = rig.web().polls().into_iter().map(|poller| (poller.view, poller.polls)).collect();
    assert_eq!(polls, [(None, [(404, 1)].into()), (Some("ready".into()), [(200, 1), (503, 1)].into())]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_real_client_watches() {
    let mut rig = rig();
    let mut watcher = Watcher::start(&rig, &["watch", "ready"]);
    assert_eq!(watcher.next().await, "SERVING");
    drain(&rig.board);
    assert_eq!(watcher.next().await, "NOT_SERVING");
    undrain(&rig.board);
    assert_eq!(watcher.next().await, "SERVING");
    rig.board.replace(Layout::default());
    assert_eq!(watcher.next().await, "SERVICE_UNKNOWN");
    rig.board.replace(layout());
    assert_eq!(watcher.next().await, "UNKNOWN");
    know(&rig.board, Standing::Up);
    assert_eq!(watcher.next().await, "SERVING");
    let list = rig.web().polls();
    let ready = list.iter().find(|poller| poller.view.as_deref() == Some("ready")).unwrap();
    assert!(ready.polls.contains_key(&200) && ready.polls.contains_key(&503), "{ready:?}");
    rig.web.take().expect("open").close().await;
    assert_eq!(watcher.next().await, "NOT_SERVING");
    assert_eq!(watcher.next().await, "UNAVAILABLE heartbeat is about to end");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_real_client_has_a_deadline() {
    let rig = rig();
    let mut watcher = Watcher::start(&rig, &["watch", "none", "--timeout", "0.5"]);
    assert_eq!(watcher.next().await, "SERVICE_UNKNOWN");
    assert!(watcher.next().await.starts_with("DEADLINE_EXCEEDED"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_real_client_comes_by_tls() {
    let authority = Authority::new();
    let identity = authority.issue(&["127.0.0.1"]);
    let certificate = authority.file("server.pem", &identity.chain);
    let key = Some(Secret::File(authority.file("server.key", &identity.key)));
    let rig = rig_with(Some(Tls { certificate, key }));
    assert_eq!(rig.ask(&["check", "--ca", authority.ca().to_str().unwrap()]).await, "SERVING\nOK\n");
}

/// A request for a method of the service.
fn request(method: &str) -> Request<()> {
    let uri = format!("http://x/grpc.health.v1.Health/{method}");
    Request::post(uri).header("content-type", "application/grpc").header("te", "trailers").body(()).unwrap()
}

/// Sends a request with this body; its HTTP status, its messages, and the headers of its end.
async fn exchange(
    requests: &mut SendRequest<Bytes>,
    request: Request<()>,
    body: &'static [u8],
) -> (u16, Vec<u8>, HeaderMap) {
    let (response, mut stream) = requests.send_request(request, false).unwrap();
    let _ = stream.send_data(Bytes::from_static(body), true);
    let (head, mut body) = response.await.unwrap().into_parts();
    let mut bytes = BytesMut::new();
    while let Some(chunk) = body.data().await {
        bytes.extend_from_slice(&chunk.unwrap());
    }
    let trailers = body.trailers().await.unwrap();
    (head.status.as_u16(), bytes.to_vec(), trailers.unwrap_or(head.headers))
}

const READY: &[u8] = b"\0\0\0\0\x07\x0a\x05ready";

#[tokio::test]
async fn a_call_is_answered_in_frames_and_trailers() {
    let rig = rig();
    let mut requests = rig.h2().await;
    let (status, messages, trailers) = exchange(&mut requests, request("Check"), READY).await;
    assert_eq!(
        (status, &messages[..], trailers["grpc-status"].as_bytes()),
        (200, &b"\0\0\0\0\x02\x08\x01"[..], &b"0"[..])
    );
}

#[tokio::test]
async fn a_list_has_a_hundred_names_at_most() {
    let rig = rig();
    let mut many = layout();
    // The empty name is one of them.
    many.views = (0..99).map(|number| View { name: number.to_string().into(), ..many.views[0].clone() }).collect();
    rig.board.replace(many.clone());
    let mut requests = rig.h2().await;
    let (_, messages, end) = exchange(&mut requests, request("List"), b"\0\0\0\0\0").await;
    assert!(messages.len() > 99 && end["grpc-status"] == "0");
    many.views.push(View { name: "one more".into(), ..many.views[0].clone() });
    rig.board.replace(many);
    let (_, messages, end) = exchange(&mut requests, request("List"), b"\0\0\0\0\0").await;
    assert_eq!((messages.len(), &end["grpc-status"]), (0, &"8".parse().unwrap()));
}

#[tokio::test]
async fn what_is_no_call_is_refused_by_http() {
    let rig = rig();
    let mut requests = rig.h2().await;
    let mut get = request("Check");
    *get.method_mut() = Method::GET;
    let (status, _, headers) = exchange(&mut requests, get, b"").await;
    assert_eq!((status, headers["allow"].as_bytes()), (405, &b"POST"[..]));
    for (content_type, expected) in [
        ("application/grpc+proto", 200),
        ("Application/gRPC; x=y", 200),
        ("application/grpc+json", 415),
        ("text/html", 415),
    ] {
        let mut typed = request("Check");
        typed.headers_mut().insert("content-type", content_type.parse().unwrap());
        assert_eq!(exchange(&mut requests, typed, READY).await.0, expected, "{content_type}");
    }
}

#[tokio::test]
async fn messages_that_are_none_end_the_call() {
    static HUGE: [u8; 64 * 1024] = [b'x'; 64 * 1024];
    let rig = rig();
    let mut requests = rig.h2().await;
    for (body, code, message) in [
        (&b""[..], "13", "expected one message, found less"),
        (b"\0\0", "13", "expected one message, found less"),
        (b"\0\0\0\0\x08\x0a\x05ready", "13", "expected one message, found less"),
        (b"\0\0\0\0\0\0\0\0\0\0", "13", "expected one message, found more"),
        (b"\0\0\0\0\x02\x0a\x05", "13", "the message ends too early"),
        (b"\0\xff\xff\xff\xff", "8", "a message here has at most 4096 bytes"),
        (b"\0\0\0\x10\x01", "8", "a message here has at most 4096 bytes"),
        (&HUGE, "13", "a message says that it is compressed, the headers do not"),
        (b"\x01\0\0\0\0", "13", "a message says that it is compressed, the headers do not"),
    ] {
        let (status, messages, end) = exchange(&mut requests, request("Check"), body).await;
        assert_eq!((status, messages.len()), (200, 0));
        assert_eq!((&end["grpc-status"], &end["grpc-message"]), (&code.parse().unwrap(), &message.parse().unwrap()));
    }
    assert_eq!(exchange(&mut requests, request("Check"), READY).await.0, 200, "the connection is as good as before");
}

#[tokio::test]
async fn a_timeout_is_kept() {
    let rig = rig();
    let mut requests = rig.h2().await;
    for (timeout, code) in [("0n", "4"), ("20m", "4"), ("x", "13")] {
        let mut timed = request("Check");
        timed.headers_mut().insert("grpc-timeout", timeout.parse().unwrap());
        // Its message never comes.
        let (response, _stream) = requests.send_request(timed, false).unwrap();
        let response = response.await.unwrap();
        assert_eq!(response.headers()["grpc-status"], code, "{timeout}");
    }
}

/// A call of Watch, and its first answer.
async fn watching(requests: &SendRequest<Bytes>) -> (RecvStream, Bytes) {
    let mut requests = requests.clone().ready().await.unwrap();
    let (response, mut stream) = requests.send_request(request("Watch"), false).unwrap();
    stream.send_data(Bytes::from_static(READY), true).unwrap();
    let mut told = response.await.unwrap().into_body();
    let first = told.data().await.unwrap().unwrap();
    (told, first)
}

#[tokio::test]
async fn watchers_are_bounded() {
    let rig = rig();
    let mut watchers = Vec::new();
    while watchers.len() < WATCHERS {
        let requests = rig.h2().await;
        for _ in 0..(WATCHERS - watchers.len()).min(CALLS as usize) {
            watchers.push(watching(&requests).await);
        }
    }
    let mut requests = rig.h2().await;
    let (_, _, end) = exchange(&mut requests, request("Watch"), READY).await;
    assert_eq!(end["grpc-status"], "8");
    assert_eq!(exchange(&mut requests, request("Check"), READY).await.0, 200, "other calls have room");
    // One that goes makes room.
    watchers.pop();
    let again = async {
        loop {
            let (response, mut stream) = requests.send_request(request("Watch"), false).unwrap();
            stream.send_data(Bytes::from_static(READY), true).unwrap();
            if !response.await.unwrap().headers().contains_key("grpc-status") {
                return;
            }
        }
    };
    timeout(PATIENCE, again).await.expect("room");
}

#[tokio::test]
async fn a_thousand_calls_at_once_are_answered() {
    let rig = rig();
    let requests = rig.h2().await;
    // A hundred are under way, the others wait for their turn on the client's side.
    let mut calls = JoinSet::new();
    for _ in 0..1000 {
        let mut requests = requests.clone().ready().await.unwrap();
        calls.spawn(async move { exchange(&mut requests, request("Check"), READY).await.0 });
    }
    assert!(calls.join_all().await.into_iter().all(|status| status == 200));
}

/// Waits until a connection is over: bytes that come before that do not matter.
async fn over(stream: &mut (impl AsyncRead + Unpin)) {
    let mut buffer = [0; 4096];
    while let Ok(1..) = stream.read(&mut buffer).await {}
}

#[tokio::test]
async fn garbage_ends_a_connection() {
    let rig = rig();
    for garbage in [
        &b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"[..],
        &[0; 64],
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\nnonsense!",
        &[0xff; 3000],
    ] {
        let mut stream = TcpStream::connect(rig.address()).await.unwrap();
        stream.write_all(garbage).await.unwrap();
        over(&mut stream).await;
    }
    assert_eq!(exchange(&mut rig.h2().await, request("Check"), READY).await.0, 200);
}

/// The beginning of a connection, with empty settings.
const PREAMBLE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";

#[tokio::test]
async fn who_resets_as_fast_as_it_asks_is_sent_away() {
    let rig = rig();
    let mut stream = TcpStream::connect(rig.address()).await.unwrap();
    stream.write_all(PREAMBLE).await.unwrap();
    // POST, http, the path of Check; without an end of the stream, and then a reset (CVE-2023-44487).
    let path = b"/grpc.health.v1.Health/Check";
    let headers = [&[0x83, 0x86, 0x04, path.len() as u8][..], path, b"\x0f\x10\x10application/grpc"].concat();
    let (mut reader, mut writer) = stream.split();
    let attack = async {
        for call in 0..100_000_u32 {
            let id = (2 * call + 1).to_be_bytes();
            let head = [&[0, 0, headers.len() as u8, 1, 4][..], &id, &headers].concat();
            let reset = [&[0, 0, 4, 3, 0][..], &id, &[0, 0, 0, 8]].concat();
            if writer.write_all(&[head, reset].concat()).await.is_err() {
                return call;
            }
        }
        100_000
    };
    let (_, calls) = tokio::join!(over(&mut reader), attack);
    assert!(calls < 100_000, "nobody was sent away");
    assert_eq!(exchange(&mut rig.h2().await, request("Check"), READY).await.0, 200);
}

/// A connection in memory, for tests in which time jumps: what is waited for by tokio's clock. The third ends all.
fn served(board: Arc<Board>) -> (DuplexStream, impl Future<Output = ()>, watch::Sender<bool>) {
    let (end, ending) = watch::channel(false);
    let (stream, ended) = conversation(Health::new(board, ending), 1024, Bounds::default());
    (stream, ended, end)
}

#[tokio::test]
async fn who_does_not_begin_is_sent_away() {
    for said in [&b""[..], b"PRI * HTTP/2.0\r\n\r\n"] {
        let bounds = Bounds { request: Duration::from_millis(50), ..Bounds::default() };
        let (_end, ending) = watch::channel(false);
        let (mut stream, ended) = conversation(Health::new(board(), ending), 1024, bounds);
        stream.write_all(said).await.unwrap();
        timeout(PATIENCE, ended).await.expect("an end");
    }
}

#[tokio::test(start_paused = true)]
async fn silence_ends_a_connection() {
    for said in [PREAMBLE, &[PREAMBLE, b"\0\0\x20\x01\x04\0\0\0\x01\x83"].concat()] {
        // Who never reads, and who reads but answers nothing.
        for room in [0, 1 << 20] {
            let (mut stream, ended, _end) = served(board());
            stream.write_all(said).await.unwrap();
            let (mut reader, writer) = tokio::io::split(stream);
            let reading = async { tokio::io::copy(&mut (&mut reader).take(room), &mut tokio::io::sink()).await };
            let (end, _) = tokio::join!(timeout(3 * PING_PACE, ended), reading);
            end.expect("an end");
            drop(writer);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_connection_without_calls_is_ended() {
    let (stream, ended, _end) = served(board());
    let (_requests, connection) = client::handshake(stream).await.unwrap();
    // The client answers pings.
    let (end, _) = tokio::join!(timeout(PING_PACE * (QUIET_PINGS + 2), ended), connection);
    end.expect("an end");
}

#[tokio::test(start_paused = true)]
async fn a_watcher_that_does_not_read_is_told_the_latest_and_holds_nobody() {
    let board = board();
    let (stream, ended, end) = served(board.clone());
    let (requests, connection) = client::Builder::new().initial_window_size(7).handshake(stream).await.unwrap();
    tokio::spawn(connection);
    let (mut told, first) = watching(&requests).await;
    assert_eq!(first[6], ServingStatus::Serving as u8);
    // The window is full. Meanwhile it goes down, and is not known any more.
    know(&board, Standing::Down);
    sleep(Duration::from_secs(1)).await;
    know(&board, Standing::Unknown);
    sleep(Duration::from_secs(1)).await;
    told.flow_control().release_capacity(first.len()).unwrap();
    let latest = told.data().await.unwrap().unwrap();
    assert_eq!(latest, message::check_response(ServingStatus::Unknown));
    end.send(true).unwrap();
    timeout(2 * FAREWELL, ended).await.expect("an end though nobody reads");
}
