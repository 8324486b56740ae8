//! HTTP/2, and what becomes of a connection when its probe has ended.

use std::time::Duration;

use heartbeat_core::outcome::Fault;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite};
use tokio::sync::mpsc;

use crate::probe::testing::authority::Authority;
use crate::probe::testing::{self, fails, fake, passes, times_out};

/// Answers one request in HTTP/2 with a body in two pieces; `None` as the answer: resets the stream.
async fn serve_http2<S: AsyncRead + AsyncWrite + Unpin>(stream: S, answer: Option<&'static str>) {
    let Ok(mut connection) = h2::server::handshake(stream).await else { return };
    while let Some(Ok((request, mut respond))) = connection.accept().await {
        let Some(answer) = answer else {
            respond.send_reset(h2::Reason::INTERNAL_ERROR);
            continue;
        };
        let seen = format!("{:?} {} {}", request.version(), request.uri(), answer);
        let response = http::Response::builder().status(200).header("x-seen", seen).body(()).expect("a response");
        let mut body = respond.send_response(response, false).expect("sent");
        let (one, two) = answer.split_at(answer.len() / 2);
        let _ = body.send_data(one.into(), false);
        let _ = body.send_data(two.into(), true);
    }
}

async fn tls_server(authority: &Authority, alpn: &'static [&'static [u8]]) -> fake::Fake {
    let acceptor = authority.issue(&["127.0.0.1"]).acceptor(alpn);
    fake::serve(move |stream| {
        let acceptor = acceptor.clone();
        async move {
            let Ok(mut stream) = acceptor.accept(stream).await else { return };
            if stream.get_ref().1.alpn_protocol() == Some(b"h2") {
                return serve_http2(stream, Some("over HTTP/2")).await;
            }
            fake::request(&mut stream).await;
            let _ = tokio::io::AsyncWriteExt::write_all(&mut stream, fake::ok("over HTTP/1.1").as_bytes()).await;
            fake::goodbye(stream).await;
        }
    })
    .await
}

#[tokio::test]
async fn the_version_is_negotiated() {
    let authority = Authority::new();
    let both = tls_server(&authority, &[b"h2", b"http/1.1"]).await;
    let old = tls_server(&authority, &[b"http/1.1"]).await;
    let dumb = tls_server(&authority, &[]).await;
    let check = |server: &fake::Fake, options: &str, version: &str| {
        format!(
            "{{ url: 'https://{}/a?b', ca: '{}', {options} expect: {{ body: {{ contains: 'over {version}' }} }} }}",
            server.address,
            authority.ca().display()
        )
    };
    passes(&check(&both, "", "HTTP/1.1")).await;
    passes(&check(&both, "http: auto,", "HTTP/2")).await;
    passes(&check(&both, "http: 2,", "HTTP/2")).await;
    passes(&check(&old, "http: auto,", "HTTP/1.1")).await;
    passes(&check(&dumb, "http: auto,", "HTTP/1.1")).await;
    let reason = fails(&check(&old, "http: 2,", ""), Fault::Tls).await;
    assert_eq!(reason, "the server speaks none of the protocols that were offered (ALPN)");
    let reason = fails(&check(&dumb, "http: 2,", ""), Fault::Protocol).await;
    assert_eq!(reason, "the server does not speak HTTP/2");
}

#[tokio::test]
async fn http2_without_tls() {
    let server = fake::serve(|stream| serve_http2(stream, Some("hello"))).await;
    let seen = "HTTP/2.0 http://other.example/a?b hello";
    let text = format!(
        "{{ url: '{}', http: 2, headers: {{ host: other.example }}, expect: {{ headers: {{ x-seen: '{seen}' }}, body: {{ contains: hello }} }} }}",
        server.url("/a?b")
    );
    let report = passes(&text).await;
    assert!(report.phases.first_byte.is_some());
}

#[tokio::test]
async fn hostile_http2() {
    let check = |server: &fake::Fake| format!("{{ url: '{}', http: 2 }}", server.url("/"));
    let server = fake::serve(fake::silence).await;
    assert_eq!(times_out(&check(&server)).await, "timed out after 300ms while waiting for the first byte");
    let server = fake::serve(|stream| serve_http2(stream, None)).await;
    fails(&check(&server), Fault::Protocol).await;
    let server = fake::answering(fake::ok("HTTP/1.1")).await;
    fails(&check(&server), Fault::Protocol).await;
    let server = fake::answering("").await;
    let report = testing::probe(&check(&server)).await;
    assert!([Some(Fault::Reset), Some(Fault::Protocol)].contains(&report.outcome.fault), "{:?}", report.outcome);
}

#[tokio::test]
async fn a_connection_ends_with_its_probe() {
    for version in ["1.1", "2"] {
        let (ended, mut end) = mpsc::unbounded_channel();
        let server = fake::serve(move |mut stream| {
            let ended = ended.clone();
            async move {
                let mut sink = Vec::new();
                let _ = stream.read_to_end(&mut sink).await;
                let _ = ended.send(());
            }
        })
        .await;
        times_out(&format!("{{ url: '{}', http: {version} }}", server.url("/"))).await;
        let heard = tokio::time::timeout(Duration::from_secs(10), end.recv()).await;
        assert_eq!(heard, Ok(Some(())), "HTTP/{version} keeps its connection");
    }
}
