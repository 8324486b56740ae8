//! From the start to the end.

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::django::body;
use super::wire::{Wire, get, get_as_stranger, wait_for_body, wait_for_status};
use super::world::{World, wait_for};
use super::{STATUS, Subject};
use crate::subject;

#[test]
fn before_the_first_verdict_nothing_is_promised() {
    let world = World::new();
    world.silence_search();
    let held = subject::hold(&world);
    let subject = subject::start(&world);
    wait_for_status(&subject, "/livez", 200);
    assert_eq!(get_as_stranger(&subject, STATUS).body, body("Ok", "Not tested", "Not tested", 503));
    assert_eq!(get(&subject, "/readyz").body, "Fail: not known yet: database");
    assert_eq!(get(&subject, "/startupz").status, 503);
    drop(held);
    wait_for_status(&subject, "/startupz", 200);
    wait_for_status(&subject, STATUS, 200);
}

#[test]
fn a_failure_concerns_readiness_alone() {
    let world = World::new();
    let subject = subject::start(&world);
    wait_for_body(&subject, 200, &body("Ok", "Ok", "Ok", 200));
    world.take_database_away();
    wait_for_status(&subject, "/readyz", 503);
    for (path, status) in [(STATUS, 503), ("/healthz", 503), ("/startupz", 200), ("/livez", 200)] {
        assert_eq!(get(&subject, path).status, status, "{path}");
    }
}

#[test]
fn at_the_end_readiness_fails_first() {
    let world = World::new();
    let subject = subject::start(&world);
    wait_for_status(&subject, "/readyz", 200);
    let mut kept = Wire::to(subject.address());
    kill(Pid::from_raw(subject.pid().cast_signed()), Signal::SIGTERM).expect("it runs");
    wait_for_status(&subject, "/readyz", 503);
    assert_eq!(get(&subject, "/readyz").body, "Server maintenance under way");
    assert_eq!(get(&subject, "/livez").status, 200);
    kept.send("GET /livez HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_eq!(kept.answer().status, 200, "a connection that was there is served");
    wait_for("it listens no more", || std::net::TcpStream::connect(subject.address()).is_err());
}
