//! Where redirects lead, and what goes with them.

use heartbeat_core::outcome::Fault;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use crate::probe::testing::{fails, fake, passes};

/// A server that keeps the requests it got.
async fn keeping(answer: impl Fn(&str) -> String + Send + Sync + 'static) -> (fake::Fake, UnboundedReceiver<String>) {
    let (send, receive) = unbounded_channel();
    let server = fake::answering_to(move |request| {
        let _ = send.send(request.to_owned());
        answer(request)
    })
    .await;
    (server, receive)
}

fn path(request: &str) -> &str {
    request.split(' ').nth(1).unwrap_or_default()
}

#[tokio::test]
async fn are_followed_over_fresh_connections() {
    let server = fake::answering_to(|request| match path(request) {
        "/" => fake::redirect("/b"),
        "/b" => fake::redirect("c?d=e"),
        "/c?d=e" => fake::ok("there"),
        other => panic!("{other}"),
    })
    .await;
    passes(&format!("{{ url: '{}', expect: {{ body: {{ contains: there }} }} }}", server.url("/"))).await;
    assert_eq!(server.connections(), 3);
}

#[tokio::test]
async fn end_somewhere() {
    let server = fake::answering_to(|_| fake::redirect("/again")).await;
    let reason = fails(&format!("url: {}", server.url("/")), Fault::Redirect).await;
    assert_eq!(reason, "more than 10 redirects, the last one to /again");
    assert_eq!(server.connections(), 11);
    let reason = fails(&format!("{{ url: '{}', redirects: 1 }}", server.url("/")), Fault::Redirect).await;
    assert_eq!(reason, "more than 1 redirects, the last one to /again");
}

#[tokio::test]
async fn are_left_alone_where_they_are_expected_or_forbidden() {
    let server = fake::answering_to(|_| fake::redirect("/again")).await;
    passes(&format!("{{ url: '{}', expect: {{ status: 302, headers: {{ location: /again }} }} }}", server.url("/")))
        .await;
    let reason = fails(&format!("{{ url: '{}', redirects: 0 }}", server.url("/")), Fault::Status).await;
    assert_eq!(reason, "status 302, expected 2xx");
    assert_eq!(server.connections(), 2);
}

#[tokio::test]
async fn lead_only_to_the_web() {
    for to in ["ftp://127.0.0.1/", "file:///etc/passwd", "gopher://127.0.0.1:70/x", "javascript:alert(1)", "http://"] {
        let server = fake::answering_to(move |_| fake::redirect(to)).await;
        let reason = fails(&format!("url: {}", server.url("/")), Fault::Redirect).await;
        assert!(reason.starts_with(&format!("redirected to `{to}`")), "{reason}");
    }
}

#[tokio::test]
async fn a_failure_says_where_it_was_met() {
    let closed = fake::closed().await;
    let server = fake::answering_to(move |_| fake::redirect(&format!("http://{closed}/x"))).await;
    let reason = fails(&format!("url: {}", server.url("/")), Fault::Refused).await;
    assert_eq!(reason, format!("connection to {closed} refused (redirected to http://{closed}/x)"));
}

#[tokio::test]
async fn credentials_stay_at_home() {
    let secret =
        "basic: { user: me, password: s3cret }, headers: { x-token: s3cret, cookie: s3cret, accept: text/html }";
    let (elsewhere, mut heard) = keeping(|_| fake::ok("")).await;
    let away = elsewhere.url("/away");
    // 127.0.0.1 with another port is another origin.
    let server = fake::answering_to(move |request| match path(request) {
        "/" => fake::redirect("/home"),
        _ if request.contains("s3cret") && request.contains("authorization: Basic ") => fake::redirect(&away),
        other => panic!("without credentials at home: {other}"),
    })
    .await;
    passes(&format!("{{ url: '{}', {secret} }}", server.url("/"))).await;
    let request = heard.recv().await.expect("a request");
    assert!(!request.contains("s3cret") && !request.contains("authorization"), "{request}");
    assert!(request.contains("\r\naccept: text/html\r\n") && request.contains("user-agent: heartbeat/"), "{request}");
    assert!(request.contains(&format!("\r\nhost: {}\r\n", elsewhere.address)), "{request}");
}

#[tokio::test]
async fn credentials_of_a_url_are_not_taken_from_a_redirect() {
    let (elsewhere, mut heard) = keeping(|_| fake::ok("")).await;
    let away = format!("http://evil:word@{}/", elsewhere.address);
    let server = fake::answering_to(move |_| fake::redirect(&away)).await;
    passes(&format!("url: {}", server.url("/").replace("://", "://me:s3cret@"))).await;
    let request = heard.recv().await.expect("a request");
    assert!(!request.contains("authorization"), "{request}");
}

#[tokio::test]
async fn credentials_are_back_when_the_way_leads_home() {
    let (server, mut heard) = keeping(|request| match path(request) {
        "/home" => fake::ok(""),
        _ => fake::redirect("http://localhost.invalid/"),
    })
    .await;
    let home = server.url("/home");
    let elsewhere = fake::answering_to(move |_| fake::redirect(&home)).await;
    let away = elsewhere.url("/");
    let start = fake::answering_to(move |_| fake::redirect(&away)).await;
    passes(&format!("{{ url: '{}', headers: {{ x-token: s3cret }} }}", start.url("/"))).await;
    assert!(!heard.recv().await.expect("a request").contains("s3cret"), "another origin is not home");
}

#[tokio::test]
async fn methods_and_bodies_follow_as_the_standard_has_it() {
    for (status, method, body) in
        [(301, "GET", ""), (302, "GET", ""), (303, "GET", ""), (307, "POST", "a=1"), (308, "POST", "a=1")]
    {
        let (server, mut heard) = keeping(move |request| match path(request) {
            "/" => format!("HTTP/1.1 {status} X\r\nLocation: /there\r\nContent-Length: 0\r\n\r\n"),
            _ => fake::ok(""),
        })
        .await;
        passes(&format!("{{ url: '{}', method: POST, body: a=1 }}", server.url("/"))).await;
        heard.recv().await.expect("the first request");
        let request = heard.recv().await.expect("the second request");
        assert!(request.starts_with(&format!("{method} /there ")), "{status}: {request}");
        assert!(request.ends_with(&format!("\r\n\r\n{body}")), "{status}: {request}");
    }
}

#[tokio::test]
async fn a_body_does_not_follow_to_another_host() {
    let (elsewhere, mut heard) = keeping(|_| fake::ok("")).await;
    let away = elsewhere.url("/away");
    let server =
        fake::answering_to(move |_| format!("HTTP/1.1 307 X\r\nLocation: {away}\r\nContent-Length: 0\r\n\r\n")).await;
    let text = format!("{{ url: '{}', method: POST, body: s3cret }}", server.url("/"));
    let reason = fails(&text, Fault::Redirect).await;
    assert!(reason.ends_with("a body does not follow to another host"), "{reason}");
    assert!(heard.try_recv().is_err());
}

#[tokio::test]
async fn forbidden_networks_are_forbidden_at_every_hop() {
    let server = fake::answering_to(|_| fake::redirect("http://169.254.169.254/latest/meta-data")).await;
    let text = format!("{{ url: '{}', deny: [169.254.0.0/16] }}", server.url("/"));
    let reason = fails(&text, Fault::Refused).await;
    assert!(reason.starts_with("not connected to 169.254.169.254: `deny` forbids 169.254.169.254"), "{reason}");
    let text = format!("{{ url: '{}', deny: [127.0.0.0/8] }}", server.url("/"));
    fails(&text, Fault::Refused).await;
    assert_eq!(server.connections(), 1);
}
