//! The four bodies of the Django application of our name.

use super::STATUS;
use super::wire::{Answer, get, get_as_stranger, wait_for_body, wait_for_status};
use super::world::World;
use crate::subject;

/// A body in which these words stand.
pub(super) fn body(flag: &str, database: &str, search: &str, header: u16) -> String {
    format!(
        "{{\n    \"services\": {{\n        \"flag\": \"{flag}\",\n        \"database\": \"{database}\",\n        \
         \"search\": \"{search}\"\n    }},\n    \"header\": \"{header}\"\n}}"
    )
}

#[track_caller]
fn assert_is(answer: &Answer, status: u16, body: &str) {
    assert_eq!((answer.status, answer.body.as_str()), (status, body));
    assert_eq!(answer.header("content-type"), "application/json");
    assert_eq!(answer.header("cache-control"), "no-store");
    assert_eq!(answer.header("content-length"), body.len().to_string());
}

#[test]
fn all_is_ok() {
    let world = World::new();
    let subject = subject::start(&world);
    let expected = body("Ok", "Ok", "Ok", 200);
    wait_for_body(&subject, 200, &expected);
    for path in [STATUS, "/heartbeat/status", "/heartbeat/status/?", "/heartbeat/status?format=services"] {
        assert_is(&get(&subject, path), 200, &expected);
        assert_is(&get_as_stranger(&subject, path), 200, &expected);
    }
}

#[test]
fn the_flag_is_up() {
    let world = World::new();
    let subject = subject::start(&world);
    wait_for_body(&subject, 200, &body("Ok", "Ok", "Ok", 200));
    std::fs::write(world.flag(), "0").expect("the flag can be written");
    let words = format!("Fail: {} exists and contains 0", world.flag().display());
    wait_for_status(&subject, STATUS, 503);
    assert_is(&get(&subject, STATUS), 503, &body(&words, "Ok", "Ok", 503));
    assert_is(&get_as_stranger(&subject, STATUS), 503, &body("Fail", "Ok", "Ok", 503));
}

#[test]
fn a_check_that_decides_fails() {
    let world = World::new();
    let subject = subject::start(&world);
    wait_for_body(&subject, 200, &body("Ok", "Ok", "Ok", 200));
    world.take_database_away();
    wait_for_status(&subject, STATUS, 503);
    let words = format!("Fail: {}", subject::no_database(&world));
    assert_is(&get(&subject, STATUS), 503, &body("Ok", &words, "Ok", 503));
    assert_is(&get_as_stranger(&subject, STATUS), 503, &body("Ok", "Fail", "Ok", 503));
    world.bring_database_back();
    wait_for_body(&subject, 200, &body("Ok", "Ok", "Ok", 200));
}

#[test]
fn a_check_that_is_shown_fails() {
    let world = World::new();
    let subject = subject::start(&world);
    wait_for_body(&subject, 200, &body("Ok", "Ok", "Ok", 200));
    world.set_hits(0);
    let words = format!("Fail: {}", subject::NO_HITS);
    wait_for_body(&subject, 200, &body("Ok", "Ok", &words, 200));
    assert_is(&get(&subject, STATUS), 200, &body("Ok", "Ok", &words, 200));
    assert_is(&get_as_stranger(&subject, STATUS), 200, &body("Ok", "Ok", "Fail", 200));
}
