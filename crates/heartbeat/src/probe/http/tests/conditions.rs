//! What is expected of an answer, and what is sent for it.

use std::io::Write as _;

use flate2::Compression;
use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};
use heartbeat_core::outcome::{Fault, Verdict};

use crate::probe::testing::{decode, fails, fake, passes, probe, refusal, spec};

/// A check of a server that answers just this.
async fn answering(answer: impl Into<Vec<u8>>, conditions: &str) -> (fake::Fake, String) {
    let server = fake::answering(answer).await;
    let text = format!("{{ url: '{}', {conditions} }}", server.url("/"));
    (server, text)
}

async fn passes_with(answer: impl Into<Vec<u8>>, conditions: &str) {
    let (_server, text) = answering(answer, conditions).await;
    passes(&text).await;
}

async fn fails_with(answer: impl Into<Vec<u8>>, conditions: &str, fault: Fault) -> String {
    let (_server, text) = answering(answer, conditions).await;
    fails(&text, fault).await
}

#[tokio::test]
async fn statuses() {
    let answer = |status: u16| format!("HTTP/1.1 {status} X\r\nContent-Length: 0\r\n\r\n");
    passes_with(answer(204), "").await;
    passes_with(answer(404), "expect: { status: 404 }").await;
    passes_with(answer(404), "expect: { status: [200, 400-410] }").await;
    passes_with(answer(503), "expect: { status: 5xx }").await;
    assert_eq!(fails_with(answer(201), "expect: { status: 200 }", Fault::Status).await, "status 201, expected 200");
}

#[tokio::test]
async fn headers() {
    let answer =
        "HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\nX: one\r\nX: two\r\nContent-Length: 0\r\n\r\n";
    passes_with(answer, "expect: { headers: { content-type: { contains: text/html }, X: two, y: { absent: true } } }")
        .await;
    passes_with(answer, "expect: { headers: { content-type: { matches: '^text/.*utf-8$' } } }").await;
    for (conditions, reason) in [
        ("{ content-type: text/html }", "the header content-type is `text/html; charset=utf-8`, expected `text/html`"),
        ("{ x: { absent: true } }", "the header x is `one`, expected none"),
        ("{ y: { matches: z } }", "the header y is not there, expected one that matches `z`"),
    ] {
        assert_eq!(fails_with(answer, &format!("expect: {{ headers: {conditions} }}"), Fault::Header).await, reason);
    }
}

#[tokio::test]
async fn bodies() {
    let body = fake::ok("<h1>Login</h1> v42");
    passes_with(body.clone(), "expect: { body: { contains: Login, matches: 'v[0-9]+$' } }").await;
    passes_with(body.clone(), "expect: { body: { contains: [h1, Login], matches: [v4, v42] } }").await;
    let reason = fails_with(body.clone(), "expect: { body: { contains: [h1, Logout] } }", Fault::Body).await;
    assert_eq!(reason, "the body does not contain `Logout`");
    let reason = fails_with(body, "expect: { body: { matches: '^v' } }", Fault::Body).await;
    assert_eq!(reason, "the body does not match `^v`");
}

#[tokio::test]
async fn json() {
    let body = fake::ok(r#"{"status":"ok","n":3,"up":true,"none":null,"parts":[{"s":"ok"},{"s":"ok"}],"mixed":[1,2]}"#);
    passes_with(
        body.clone(),
        "expect: { body: { json: { $.status: ok, $.n: 3, $.up: true, $.none: null, '$.parts[*].s': ok, '$.parts[0].s': ok } } }",
    )
    .await;
    for (conditions, reason) in [
        ("{ $.status: down }", "the body has \"ok\" at $.status, expected `down`"),
        ("{ '$.mixed[*]': 1 }", "the body has 2 at $['mixed'][*], expected `1`"),
        ("{ $.gone: 1 }", "the body has nothing at $.gone, expected `1`"),
        ("{ $.parts: ok }", "the body has [{\"s\":\"ok\"},{\"s\":\"ok\"}] at $.parts, expected `ok`"),
    ] {
        let found =
            fails_with(body.clone(), &format!("expect: {{ body: {{ json: {conditions} }} }}"), Fault::Body).await;
        assert_eq!(found.replace("$['mixed']", "$.mixed"), reason.replace("$['mixed']", "$.mixed"));
    }
    let reason = fails_with(fake::ok("<html>"), "expect: { body: { json: { $.a: 1 } } }", Fault::Body).await;
    assert!(reason.starts_with("the body is not JSON: "), "{reason}");
}

#[tokio::test]
async fn a_text_is_found_across_chunks_and_beyond_the_limit() {
    let filler = "x".repeat(100_000);
    let chunk = |text: &str| format!("{:x}\r\n{text}\r\n", text.len());
    let chunks: String = ["Lo", "g", "in"].map(chunk).concat();
    let body = format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{}{chunks}0\r\n\r\n", chunk(&filler));
    passes_with(body.clone(), "body_limit: 10KB, expect: { body: { contains: xLogin } }").await;
    let reason = fails_with(body, "body_limit: 10KB, expect: { body: { matches: Login } }", Fault::Body).await;
    assert_eq!(reason, "the body does not match `Login` (only its first 10000 bytes were judged of `body_limit`)");
}

#[tokio::test]
async fn encoded_bodies() {
    let text = b"{\"status\":\"ok\"}";
    let mut gzip = GzEncoder::new(Vec::new(), Compression::default());
    let mut zlib = ZlibEncoder::new(Vec::new(), Compression::default());
    let mut raw = DeflateEncoder::new(Vec::new(), Compression::default());
    gzip.write_all(text).unwrap();
    zlib.write_all(text).unwrap();
    raw.write_all(text).unwrap();
    let conditions = "expect: { body: { contains: status, json: { $.status: ok } } }";
    let answer = |coding: &str, body: &[u8]| {
        let head = format!("HTTP/1.1 200 OK\r\nContent-Encoding: {coding}\r\nContent-Length: {}\r\n\r\n", body.len());
        [head.as_bytes(), body].concat()
    };
    let gzip = gzip.finish().unwrap();
    passes_with(answer("gzip", &gzip), conditions).await;
    passes_with(answer("GZIP", &gzip), conditions).await;
    passes_with(answer("deflate", &zlib.finish().unwrap()), conditions).await;
    passes_with(answer("deflate", &raw.finish().unwrap()), conditions).await;
    passes_with(answer("identity", text), conditions).await;
    passes_with(answer("br", b"whatever"), "").await;
    for (coding, body) in
        [("br", &gzip[..]), ("gzip, gzip", &gzip), ("gzip", &text[..]), ("gzip", &gzip[..gzip.len() - 9])]
    {
        let reason = fails_with(answer(coding, body), conditions, Fault::Protocol).await;
        assert!(reason.starts_with("the body is "), "{reason}");
    }
}

#[tokio::test]
async fn latency_is_of_the_whole_probe() {
    let slow = || {
        fake::serve(|mut stream| async move {
            fake::request(&mut stream).await;
            fake::dripping(stream, fake::ok("slow").as_bytes()).await;
        })
    };
    let server = slow().await;
    let reason = fails(&format!("{{ url: '{}', expect: {{ latency: 20ms }} }}", server.url("/")), Fault::Latency).await;
    assert!(reason.starts_with("took ") && reason.ends_with(", expected at most 20ms"), "{reason}");
    let report = probe(&format!("{{ url: '{}', warn: {{ latency: 20ms }} }}", server.url("/"))).await;
    assert_eq!((report.outcome.verdict, report.outcome.fault), (Verdict::Warn, Some(Fault::Latency)));
}

/// The request that a check sends.
async fn sent(options: &str) -> String {
    let (send, mut receive) = tokio::sync::mpsc::unbounded_channel();
    let server = fake::answering_to(move |request| {
        let _ = send.send(request.to_owned());
        fake::ok("")
    })
    .await;
    passes(&format!("{{ url: '{}', {options} }}", server.url("/a?b=c#d"))).await;
    receive.recv().await.expect("a request").replace(&server.address.to_string(), "HOST")
}

#[tokio::test]
async fn a_plain_request() {
    let version = env!("CARGO_PKG_VERSION");
    let expected = format!(
        "GET /a?b=c HTTP/1.1\r\nuser-agent: heartbeat/{version}\r\naccept: */*\r\naccept-encoding: gzip, deflate\r\nhost: HOST\r\n\r\n"
    );
    assert_eq!(sent("").await, expected);
}

#[tokio::test]
async fn a_request_with_everything() {
    let request = sent("method: POST, headers: { X-Token: t0ken, Host: other.example }, body: 'a=1', basic: { user: me, password: pass }").await;
    assert!(request.starts_with("POST /a?b=c HTTP/1.1\r\n"), "{request}");
    for line in ["x-token: t0ken", "host: other.example", "authorization: Basic bWU6cGFzcw==", "content-length: 3"] {
        assert!(request.contains(&format!("\r\n{line}\r\n")), "{line}: {request}");
    }
    assert!(request.ends_with("\r\n\r\na=1"), "{request}");
    assert!(sent("bearer: t0ken").await.contains("\r\nauthorization: Bearer t0ken\r\n"));
}

#[test]
fn secrets_are_nowhere() {
    let text = "{ url: 'https://ops:s3cret@example.org/x', headers: { X: s3cret }, body: s3cret, proxy: { url: 'http://p:1', user: u, password: s3cret } }";
    let decoded = decode(text);
    let check = decoded.spec.expect("right");
    assert_eq!(check.target(), "https://example.org/x");
    assert_eq!(check.address().as_deref(), Some("example.org:443"));
    let shown = format!("{:?} {check:?} {:?}", decoded.shown, check.values());
    assert!(!shown.contains("s3cret"), "{shown}");
}

#[test]
fn values_for_messages() {
    let check = spec("{ url: 'http://localhost:8080/app', headers: { x: y } }");
    let values: Vec<_> = check.values();
    let expected = [
        ("url", "http://localhost:8080/app"),
        ("host", "localhost"),
        ("port", "8080"),
        ("path", "/app"),
        ("method", "GET"),
    ];
    assert_eq!(values, expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
}

#[test]
fn what_is_wrong_is_said() {
    for (options, said) in [
        ("method: get", "expected a method such as `GET`, found `get`"),
        ("method: CONNECT", "expected a method such as `GET`, found `CONNECT`"),
        ("redirects: 11", "expected at most 10 redirects, found 11"),
        ("headers: { 'a b': c }", "`a b` cannot be the name of a header"),
        ("headers: { Content-Length: 3 }", "the header `content-length` is ours to set"),
        ("http: 3", "expected `1.1`, `2` or `auto`, found `3`"),
        ("http: auto", "without TLS nothing is negotiated"),
        ("bearer: a, basic: { user: b }", "says who we are more than once"),
        ("basic: { password: b }", "`basic` needs its `user`"),
        ("client_key: k.pem", "`client_key` needs its `client_certificate`"),
        ("proxy: { url: 'socks5://p:1' }", "expected a proxy such as `http://proxy:3128`, found `socks5://p:1`"),
        ("proxy: { user: me }", "`proxy` needs its `url`"),
        ("deny: [10.0.0.0/33]", "expected a network such as `169.254.0.0/16`, found `10.0.0.0/33`"),
        ("body_limit: 10", "expected a size such as `256KiB` or `1MB`, found `10`"),
        ("expect: { status: 20 }", "expected a status such as `200`, `2xx` or `200-299`"),
        ("expect: { status: [] }", "expected a status such as"),
        ("expect: { body: { matches: '(' } }", "the regular expression `(` is wrong"),
        ("expect: { body: { matches: '(a{1000}){1000}' } }", "is too big"),
        ("expect: { body: { json: { 'a.b': 1 } } }", "`a.b` is not a JSONPath (RFC 9535)"),
        ("expect: { headers: { x: { is: y } } }", "expected text, `{ contains: … }`"),
        ("expect: { staus: 200 }", "did you mean `status`?"),
        ("verfy: false", "did you mean `verify`?"),
    ] {
        let found = refusal(&format!("{{ url: 'http://example.org/', {options} }}"));
        assert!(found.contains(said), "{options}: {found}");
        let unknown = found.matches("unknown key").count();
        assert!(unknown <= usize::from(options.contains("staus") || options.contains("verfy")), "{options}: {found}");
    }
    assert!(refusal("url: 'http://'").contains("expected a URL such as"));
    assert!(refusal("url: 'http://user:s3cret@:80/'").contains("expected a URL such as"));
    assert!(!refusal("url: 'http://user:s3cret@:80/'").lines().next().unwrap().contains("s3cret"));
    assert!(
        decode("{ url: 'https://example.org', verify: false }")
            .said
            .contains("warning: check `test` accepts any certificate")
    );
}
