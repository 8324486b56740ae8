//! Every format, by `?format=` and by `Accept`.

use super::django::body;
use super::wire::{Answer, ask, get_as_stranger, wait_for_body, wait_for_status};
use super::world::World;
use super::{STATUS, Subject};
use crate::subject;

/// A value of `Accept` that asks for it, the format, its media type.
const FORMATS: [(Option<&str>, &str, &str); 5] = [
    (None, "services", "application/json"),
    (Some("application/health+json"), "health%2Bjson", "application/health+json"),
    (Some("text/plain"), "text", "text/plain; charset=utf-8"),
    (None, "microprofile", "application/json"),
    (Some("application/vnd.heartbeat+json"), "json", "application/json"),
];

/// A body in this format, with `…` for each time in it.
#[track_caller]
fn in_format(subject: &impl Subject, format: &str) -> (u16, String) {
    let (accept, _, content_type) =
        FORMATS.iter().find(|(_, name, _)| *name == format).expect("a format of the table above");
    let named = get_as_stranger(subject, &format!("{STATUS}?format={format}"));
    assert_eq!(named.header("content-type"), *content_type, "{format}");
    assert_eq!(named.header("cache-control"), "no-store");
    if let Some(accept) = accept {
        let accepted = ask(subject, STATUS, &format!("Accept: {accept}\r\nX-Forwarded-For: 192.0.2.1\r\n"));
        let without_date = |answer: &Answer| Answer {
            headers: answer.headers.iter().filter(|(name, _)| name != "date").cloned().collect(),
            ..answer.clone()
        };
        assert_eq!(without_date(&accepted), without_date(&named), "{format}");
    }
    let masked = named.body.lines().map(|line| match line.split_once("\"since\": \"") {
        Some((before, after)) => format!("{before}\"since\": \"…{}", &after[after.find('"').expect("an end")..]),
        None => line.to_owned(),
    });
    (named.status, masked.collect::<Vec<_>>().join("\n"))
}

#[test]
fn each_says_that_all_is_well() {
    let world = World::new();
    let subject = subject::start(&world);
    wait_for_body(&subject, 200, &body("Ok", "Ok", "Ok", 200));
    let all = |format| in_format(&subject, format);
    assert_eq!(all("services"), (200, body("Ok", "Ok", "Ok", 200)));
    assert_eq!(all("text"), (200, "OK".to_owned()));
    assert_eq!(all("health%2Bjson"), (200, include_str!("bodies/health-pass.json").trim_end().to_owned()));
    assert_eq!(all("microprofile"), (200, include_str!("bodies/microprofile-up.json").trim_end().to_owned()));
    assert_eq!(all("json"), (200, include_str!("bodies/json-ok.json").trim_end().to_owned()));
}

#[test]
fn each_says_that_something_is_down() {
    let world = World::new();
    let subject = subject::start(&world);
    wait_for_body(&subject, 200, &body("Ok", "Ok", "Ok", 200));
    world.take_database_away();
    wait_for_status(&subject, STATUS, 503);
    let all = |format| in_format(&subject, format);
    assert_eq!(all("services"), (503, body("Ok", "Fail", "Ok", 503)));
    assert_eq!(all("text"), (503, "Fail".to_owned()));
    assert_eq!(all("health%2Bjson"), (503, include_str!("bodies/health-fail.json").trim_end().to_owned()));
    assert_eq!(all("microprofile"), (503, include_str!("bodies/microprofile-down.json").trim_end().to_owned()));
    assert_eq!(all("json"), (503, include_str!("bodies/json-down.json").trim_end().to_owned()));
}

#[test]
fn each_says_that_there_is_maintenance() {
    let world = World::new();
    let subject = subject::start(&world);
    wait_for_body(&subject, 200, &body("Ok", "Ok", "Ok", 200));
    std::fs::write(world.flag(), "0\nuntil: 2999-01-01T00:00:00Z\nreason: a new disk\n")
        .expect("the flag can be written");
    wait_for_status(&subject, STATUS, 503);
    let all = |format| in_format(&subject, format);
    assert_eq!(all("services"), (503, body("Fail", "Ok", "Ok", 503)));
    assert_eq!(all("text"), (503, "Server maintenance under way".to_owned()));
    assert_eq!(all("health%2Bjson"), (503, include_str!("bodies/health-drained.json").trim_end().to_owned()));
    assert_eq!(all("microprofile"), (503, include_str!("bodies/microprofile-drained.json").trim_end().to_owned()));
    assert_eq!(all("json"), (503, include_str!("bodies/json-drained.json").trim_end().to_owned()));
}

#[test]
fn one_that_there_is_not_is_refused() {
    let world = World::new();
    let subject = subject::start(&world);
    for query in ["format=xml", "format=", "x=1&format=TEXT"] {
        let refused = get_as_stranger(&subject, &format!("{STATUS}?{query}"));
        assert_eq!(refused.status, 400, "{query}");
        assert_eq!(refused.body, "expected one of the formats services, health+json, text, microprofile, json\n");
        assert_eq!(refused.header("cache-control"), "no-store");
    }
}

#[test]
fn what_is_accepted_is_weighed() {
    let world = World::new();
    let subject = subject::start(&world);
    wait_for_body(&subject, 200, &body("Ok", "Ok", "Ok", 200));
    for (accept, expected) in [
        ("*/*", "application/json"),
        ("text/html, application/xhtml+xml, */*;q=0.8", "application/json"),
        ("application/json, text/plain, */*", "application/json"),
        ("text/plain, */*;q=0.1", "text/plain; charset=utf-8"),
        ("text/plain;q=0.3, application/health+json;q=0.7", "application/health+json"),
        ("text/plain;q=0", "application/json"),
        ("image/png", "application/json"),
        ("", "application/json"),
    ] {
        let answer = ask(&subject, STATUS, &format!("Accept: {accept}\r\n"));
        assert_eq!(answer.header("content-type"), expected, "{accept:?}");
    }
}
