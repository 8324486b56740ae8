//! Requests as health checks send them: old, short, half wrong.

use super::django::body;
use super::wire::{Answer, Wire, get, wait_for_body};
use super::world::World;
use super::{STATUS, Subject};
use crate::subject;

/// A subject that is up and well.
fn ready(world: &World) -> impl Subject {
    let subject = subject::start(world);
    wait_for_body(&subject, 200, &expected());
    subject
}

fn expected() -> String {
    body("Ok", "Ok", "Ok", 200)
}

#[track_caller]
fn assert_ok(answer: &Answer) {
    assert_eq!((answer.status, answer.body.as_str()), (200, expected().as_str()));
    assert_whole(answer);
}

/// What every answer has, and what none has.
#[track_caller]
fn assert_whole(answer: &Answer) {
    assert_eq!(answer.header("cache-control"), "no-store");
    assert!(answer.has("content-type") && answer.has("content-length") && answer.has("date"), "{answer:?}");
    assert!(!answer.has("transfer-encoding") && !answer.has("location"), "{answer:?}");
}

#[test]
fn a_request_may_be_old_and_short() {
    let world = World::new();
    let subject = ready(&world);
    for request in [
        "GET /heartbeat/status/ HTTP/1.0\r\n\r\n",
        "GET /heartbeat/status/ HTTP/1.0\n\n",
        "GET /heartbeat/status HTTP/1.0\r\nHost: anything at all\r\n\r\n",
        "GET /heartbeat/status/ HTTP/1.1\r\nConnection: close\r\n\r\n",
        "GET /heartbeat/status/ HTTP/1.1\nHost: x\nConnection: close\n\n",
        "GET http://other.example/heartbeat/status/ HTTP/1.1\r\nHost: y\r\nConnection: close\r\n\r\n",
        "OPTIONS /heartbeat/status/ HTTP/1.0\r\n\r\n",
        "POST /heartbeat/status/ HTTP/1.0\r\nContent-Length: 5\r\n\r\nhello",
        "POST /heartbeat/status/ HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 0\r\n\r\n",
    ] {
        let mut wire = Wire::to(subject.address());
        wire.send(request);
        assert_ok(&wire.answer());
        wire.end();
    }
}

#[test]
fn a_head_has_the_headers_of_a_get_and_no_body() {
    let world = World::new();
    let subject = ready(&world);
    for request in
        ["HEAD /heartbeat/status/ HTTP/1.0\r\n\r\n", "HEAD /heartbeat/status/ HTTP/1.1\r\nConnection: close\r\n\r\n"]
    {
        let mut wire = Wire::to(subject.address());
        wire.send(request);
        let head = wire.head();
        wire.end();
        assert_whole(&head);
        assert_eq!((head.status, head.header("content-length")), (200, expected().len().to_string().as_str()));
        assert_eq!(head.header("content-type"), "application/json");
    }
}

#[test]
fn other_methods_are_refused_where_a_view_is() {
    let world = World::new();
    let subject = ready(&world);
    for method in ["PUT", "DELETE", "PATCH", "TRACE", "BREW"] {
        let mut wire = Wire::to(subject.address());
        wire.send(&format!("{method} {STATUS} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"));
        let answer = wire.answer();
        wire.end();
        assert_whole(&answer);
        assert_eq!((answer.status, answer.header("allow")), (405, "GET, HEAD, OPTIONS, POST"), "{method}");
    }
}

#[test]
fn what_is_no_view_is_not_found() {
    let world = World::new();
    let subject = ready(&world);
    for path in ["/heartbeat", "/heartbeat/status/x", "/heartbeat/status//", "/readyz.html", "/HEALTHZ", "/%72eadyz"] {
        let answer = get(&subject, path);
        assert_eq!(answer.status, 404, "{path}");
        assert_whole(&answer);
    }
}

#[test]
fn every_default_view_is_there_with_and_without_its_last_slash() {
    let world = World::new();
    let subject = ready(&world);
    for (path, content_type) in [
        ("/heartbeat/status", "application/json"),
        ("/readyz", "text/plain; charset=utf-8"),
        ("/healthz", "application/health+json"),
        ("/startupz", "text/plain; charset=utf-8"),
        ("/livez", "text/plain; charset=utf-8"),
    ] {
        for path in [path.to_owned(), format!("{path}/")] {
            let answer = get(&subject, &path);
            assert_eq!((answer.status, answer.header("content-type")), (200, content_type), "{path}");
            assert_whole(&answer);
        }
    }
}

#[test]
fn a_connection_serves_many_requests() {
    let world = World::new();
    let subject = ready(&world);
    let mut wire = Wire::to(subject.address());
    for _ in 0..3 {
        wire.send("GET /heartbeat/status/ HTTP/1.1\r\nHost: x\r\n\r\n");
        assert_ok(&wire.answer());
        wire.send("HEAD /heartbeat/status/ HTTP/1.1\r\nHost: x\r\n\r\n");
        assert_eq!(wire.head().status, 200);
        wire.send("POST /heartbeat/status/ HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc");
        assert_ok(&wire.answer());
        wire.send("GET /nowhere HTTP/1.1\r\nHost: x\r\n\r\n");
        assert_eq!(wire.answer().status, 404);
    }
    wire.send("GET /heartbeat/status/ HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    assert_ok(&wire.answer());
    wire.end();
}

#[test]
fn requests_that_come_together_are_answered_in_their_order() {
    let world = World::new();
    let subject = ready(&world);
    let mut wire = Wire::to(subject.address());
    wire.send(
        "GET /readyz HTTP/1.1\r\nHost: x\r\n\r\nHEAD /readyz HTTP/1.1\r\nHost: x\r\n\r\n\
         GET /nowhere HTTP/1.1\r\nHost: x\r\n\r\nGET /heartbeat/status HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
    );
    assert_eq!(wire.answer().body, "OK");
    assert_eq!(wire.head().status, 200);
    assert_eq!(wire.answer().status, 404);
    assert_ok(&wire.answer());
    wire.end();
}

#[test]
fn garbage_and_silence_hurt_nobody_else() {
    let world = World::new();
    let subject = ready(&world);
    let mut silent = Wire::to(subject.address());
    silent.send("GET /heartb");
    let mut garbage = Wire::to(subject.address());
    garbage.send("\u{1}\u{2}\u{3} nothing that HTTP knows\r\n\r\n");
    drop(Wire::to(subject.address()));
    assert_ok(&get(&subject, STATUS));
    assert_eq!(garbage.head().status, 400);
    silent.send("eat/status/ HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    assert_ok(&silent.answer());
}
