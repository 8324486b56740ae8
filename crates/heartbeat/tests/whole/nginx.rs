//! nginx in front: a health location for whoever is before it, and an upstream whose servers step aside by themselves.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use crate::balancers::Nginx;
use crate::lifecycle::Lifecycle;
use crate::support::{PATIENCE, closed_port, wait_for};

/// The status and the body of a page.
fn get(port: u16, path: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).expect("nginx listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("a socket");
    write!(stream, "GET {path} HTTP/1.0\r\n\r\n").expect("sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
    (head[9..12].parse().expect("a status"), body.to_owned())
}

#[test]
fn nginx_follows_the_life_of_a_server() {
    // nginx asks before every page whether the server may answer; 403 is what its `auth_request` understands.
    let gate = "  views: { gate: { fail_status: 403, drain_status: 403, unknown_status: 403, stale_status: 403 } }";
    let mut life = Lifecycle::start(gate);
    let (front, own, spare) = (closed_port(), closed_port(), closed_port());
    let heartbeat = life.http;
    let _nginx = Nginx::start(
        &format!(
            "upstream site {{ server 127.0.0.1:{own} max_fails=0; server 127.0.0.1:{spare} backup; }}\n\
             server {{\n  listen 127.0.0.1:{front};\n  proxy_next_upstream error timeout http_403 http_500;\n  \
             location / {{ proxy_pass http://site; }}\n  \
             location = /health {{ proxy_pass http://127.0.0.1:{heartbeat}/readyz; }}\n}}\n\
             server {{\n  listen 127.0.0.1:{own};\n  location / {{ auth_request /gate; try_files /none @page; }}\n  \
             location @page {{ return 200 own; }}\n  \
             location = /gate {{ internal; proxy_pass http://127.0.0.1:{heartbeat}/gate; }}\n}}\n\
             server {{\n  listen 127.0.0.1:{spare};\n  location / {{ return 200 spare; }}\n}}\n"
        ),
        front,
    );
    let expect = |health: u16, page: &str| {
        wait_for(&format!("health {health}, a page of {page}"), || {
            let (status, body) = get(front, "/");
            assert_eq!(status, 200, "a visitor sees a page in any case");
            (get(front, "/health").0 == health && body == page).then_some(())
        });
    };
    expect(503, "spare");
    life.service_answers();
    expect(200, "own");
    life.service_fails();
    expect(503, "spare");
    life.service_answers();
    expect(200, "own");
    life.down();
    expect(503, "spare");
    life.up();
    expect(200, "own");
    life.terminate();
    expect(503, "spare");
    life.has_ended();
    // Nobody answers nginx any more.
    expect(502, "spare");
}
