use std::time::Duration;

use heartbeat_core::Wall;
use heartbeat_core::coordinator::REMOVED;
use heartbeat_core::intent::{Destination, Event, Facts};
use heartbeat_core::record::State;
use jiff::tz::{Offset, TimeZone};

use super::*;

/// 2026-11-21T02:10:00Z.
const T: Wall = Wall::from_unix_millis(1_795_227_000_000);

/// A down of a check with everything set, to the alert `oncall`.
pub(crate) fn sample() -> Message {
    let values = [("url", "http://localhost:8080/app"), ("timeout", "10s"), ("name", "shadowed")];
    let about = About {
        id: Id::from("webapp"),
        name: "Web shop".to_owned(),
        kind: "http".to_owned(),
        target: "http://localhost:8080/app".to_owned(),
        labels: [("team".to_owned(), "shop".to_owned())].into(),
        runbook: Some("https://wiki.example.org/webapp".to_owned()),
        values: values.map(|(key, value)| (key.to_owned(), value.to_owned())).into(),
    };
    let facts = Facts {
        state: State::Down,
        previous_state: State::Up,
        since: Some(T),
        duration: Some(Duration::from_secs(90_061)),
        reason: "status 503, expected 200".into(),
        fail_count: 3,
        first_pass: Some(T - Duration::from_secs(86_400)),
        last_pass: Some(T - Duration::from_secs(150)),
        first_fail: Some(T - Duration::from_secs(120)),
        last_fail: Some(T),
        latency: Some(Duration::from_millis(1_250)),
    };
    let intent = Intent {
        key: "webapp-3-oncall-down".into(),
        at: T,
        event: Event::Down,
        to: Destination::Alert(Id::from("oncall")),
        subject: Some(about.id.clone()),
        incident: Some(3),
        facts,
        message: "Web shop is down: status 503, expected 200".into(),
    };
    Message { intent, about: Some(Arc::new(about)), node: "web1".into(), style: native(), attempt: 1 }
}

fn native() -> Style {
    Style::full(TimeZone::fixed(Offset::constant(1)))
}

fn text(message: &Message, texts: &Texts) -> String {
    render(&message.intent, message.about.as_deref(), texts, &message.style, &message.node)
}

fn short() -> Style {
    Style { times: Times::Short, states: StateWords::Passing, zone: TimeZone::UTC }
}

fn template(source: &str) -> Template {
    Template::parse(source).expect("a template")
}

#[test]
fn default_texts() {
    let mut message = sample();
    let mut say = |event, state, reason: &str, duration| {
        message.intent.event = event;
        message.intent.facts.state = state;
        message.intent.facts.reason = reason.into();
        message.intent.facts.duration = duration;
        text(&message, Texts::standard())
    };
    let some = Some(Duration::from_secs(754));
    assert_eq!(say(Event::Down, State::Down, "refused", some), "Web shop is down: refused");
    assert_eq!(say(Event::Reminder, State::Down, "refused", some), "Web shop is down: refused");
    assert_eq!(say(Event::Demote, State::Down, "refused", some), "Web shop is down: refused");
    assert_eq!(say(Event::Up, State::Up, "", some), "Web shop is up after 12m 34s");
    assert_eq!(say(Event::Promote, State::Up, "", None), "Web shop is up");
    assert_eq!(
        say(Event::Up, State::Unknown, REMOVED, some),
        "Web shop was removed from the configuration while it was down"
    );
    assert_eq!(say(Event::Degraded, State::Degraded, "slow", some), "Web shop is degraded: slow");
    assert_eq!(say(Event::Degraded, State::Up, "", some), "Web shop is no longer degraded after 12m 34s");
    assert_eq!(say(Event::Notice, State::Up, "stale", some), "Web shop on web1: stale");
    assert_eq!(say(Event::Test, State::Up, "", some), "This is a test message from heartbeat on web1");
}

#[test]
fn a_notice_about_heartbeat_itself() {
    let mut message = sample();
    message.about = None;
    message.intent.subject = None;
    message.intent.event = Event::Notice;
    message.intent.facts = Facts { reason: "the store cannot be written".into(), ..Facts::default() };
    assert_eq!(text(&message, Texts::standard()), "heartbeat on web1: the store cannot be written");
    assert_eq!(message.document()["check"], serde_json::Value::Null);
    assert_eq!(message.document()["state"], serde_json::Value::Null);
}

#[test]
fn own_texts() {
    let texts =
        Texts { down: template("$name ($url): $reason"), up: template("$name is back"), ..Texts::standard().clone() };
    let mut message = sample();
    assert_eq!(text(&message, &texts), "Web shop (http://localhost:8080/app): status 503, expected 200");
    message.intent.event = Event::Reminder;
    assert_eq!(text(&message, &texts), "Web shop (http://localhost:8080/app): status 503, expected 200");
    message.intent.event = Event::Up;
    assert_eq!(text(&message, &texts), "Web shop is back");
    message.intent.facts.reason = REMOVED.into();
    assert_eq!(text(&message, &texts), "Web shop was removed from the configuration while it was down");
}

#[test]
fn every_name_has_its_value() {
    let message = sample();
    for (name, expected) in [
        ("id", "webapp"),
        ("name", "Web shop"),
        ("kind", "http"),
        ("target", "http://localhost:8080/app"),
        ("state", "down"),
        ("previous_state", "up"),
        ("fail_count", "3"),
        ("first_pass_time", "2026-11-20 03:10:00 +01:00"),
        ("last_pass_time", "2026-11-21 03:07:30 +01:00"),
        ("first_fail_time", "2026-11-21 03:08:00 +01:00"),
        ("last_fail_time", "2026-11-21 03:10:00 +01:00"),
        ("since", "2026-11-21 03:10:00 +01:00"),
        ("duration", "1d 1h"),
        ("reason", "status 503, expected 200"),
        ("latency", "1.25s"),
        ("node", "web1"),
        ("runbook", "https://wiki.example.org/webapp"),
        ("event", "down"),
        ("message", "Web shop is down: status 503, expected 200"),
        ("key", "webapp-3-oncall-down"),
        ("labels.team", "shop"),
        ("url", "http://localhost:8080/app"),
        ("timeout", "10s"),
    ] {
        assert_eq!(message.fill(&template(&format!("${{{name}}}"))), expected, "{name}");
    }
    for name in CHECK_NAMES.iter().chain(ALERT_NAMES) {
        assert_ne!(message.fill(&template(&format!("${name}"))), "", "{name}");
    }
}

#[test]
fn the_cron_utilitys_style() {
    let mut message = sample();
    message.style = short();
    message.intent.facts.last_pass = None;
    let texts = Texts { down: template("$state $last_fail_time $last_pass_time"), ..Texts::standard().clone() };
    assert_eq!(text(&message, &texts), "failing 11/21 02:10 never");
    message.intent.facts.state = State::Up;
    assert_eq!(text(&message, &texts), "passing 11/21 02:10 never");
}

#[test]
fn values_are_neither_expanded_nor_executed_nor_broken_into_lines() {
    let mut message = sample();
    message.intent.facts.reason = "$name ${url}\r\nBcc: a@example.org\0\u{1b}[31m$(touch /p)".into();
    let said = text(&message, Texts::standard());
    assert_eq!(said, "Web shop is down: $name ${url}  Bcc: a@example.org[31m$(touch /p)");
}

#[test]
fn unknown_names_are_found() {
    let message = sample();
    let about = message.about.as_deref().expect("the sample has a subject");
    let text = template("$name $urll ${labels.team} ${labels.owner} $url $message");
    assert_eq!(unknown_in_check(&text, about), ["urll", "labels.owner", "message"]);
    assert_eq!(suggest_in_check("urll", about).as_deref(), Some("did you mean `url`?"));
    assert_eq!(unknown_in_alert(&text), ["urll", "url"]);
}

#[test]
fn the_document() {
    let expected = serde_json::json!({
        "version": 1,
        "key": "webapp-3-oncall-down",
        "event": "down",
        "message": "Web shop is down: status 503, expected 200",
        "node": "web1",
        "check": {
            "id": "webapp",
            "name": "Web shop",
            "kind": "http",
            "target": "http://localhost:8080/app",
            "labels": { "team": "shop" },
            "runbook": "https://wiki.example.org/webapp",
        },
        "state": "down",
        "previous_state": "up",
        "since": "2026-11-21T02:10:00.000Z",
        "reason": "status 503, expected 200",
        "fail_count": 3,
        "last_pass_time": "2026-11-21T02:07:30.000Z",
        "last_fail_time": "2026-11-21T02:10:00.000Z",
        "incident": 3,
    });
    // As text: the order of the keys is part of it.
    assert_eq!(sample().document().to_string(), expected.to_string());
}

#[test]
fn the_document_of_a_check_that_is_gone() {
    let mut message = sample();
    message.about = None;
    let document = message.document();
    assert_eq!(document["check"]["id"], "webapp");
    assert_eq!(document["check"]["target"], serde_json::Value::Null);
    assert_eq!(document["state"], "down");
}

#[test]
fn the_environment() {
    let mut message = sample();
    message.attempt = 2;
    message.intent.facts.reason = "a\nb\0c\u{7f}".into();
    message.intent.message = "é".repeat(20_000).into();
    let environment = message.environment();
    let get = |name| environment.iter().find(|(key, _)| *key == name).map(|(_, value)| value.as_str());
    for (name, expected) in [
        ("HEARTBEAT_EVENT", "down"),
        ("HEARTBEAT_ALERT", "oncall"),
        ("HEARTBEAT_CHECK", "webapp"),
        ("HEARTBEAT_STATE", "down"),
        ("HEARTBEAT_PREVIOUS_STATE", "up"),
        ("HEARTBEAT_REASON", "a bc"),
        ("HEARTBEAT_FAIL_COUNT", "3"),
        ("HEARTBEAT_SINCE", "2026-11-21T02:10:00.000Z"),
        ("HEARTBEAT_KEY", "webapp-3-oncall-down"),
        ("HEARTBEAT_ATTEMPT", "2"),
    ] {
        assert_eq!(get(name), Some(expected), "{name}");
    }
    assert_eq!(get("HEARTBEAT_MESSAGE").map(str::len), Some(32 * 1024), "cut between two characters");
    assert_eq!(get("HEARTBEAT_ACTION"), None);

    message.intent.to = Destination::Action(Id::from("nginx"));
    assert!(message.environment().contains(&("HEARTBEAT_ACTION", "nginx".to_owned())));
}

#[test]
fn durations_for_people() {
    for (millis, expected) in [
        (0, "0ms"),
        (850, "850ms"),
        (1_999, "1s"),
        (60_000, "1m"),
        (754_000, "12m 34s"),
        (3_600_000, "1h"),
        (3_601_000, "1h"),
        (7_380_000, "2h 3m"),
        (90_061_000, "1d 1h"),
        (86_400_000 * 30, "30d"),
    ] {
        assert_eq!(time::lasted(Duration::from_millis(millis)), expected);
    }
}

#[test]
fn summaries_name_the_day_where_it_matters() {
    let minutes = |count: u64| T + Duration::from_secs(60 * count);
    assert_eq!(was_down("web", T, minutes(15), &short()), "web was down 02:10-02:25");
    assert_eq!(was_down("web", T, minutes(15), &native()), "web was down 03:10-03:25");
    assert_eq!(was_down("web", T, minutes(1_440), &short()), "web was down 2026-11-21 02:10 to 2026-11-22 02:10");
}

#[test]
fn times_out_of_range_do_no_harm() {
    let far = Wall::from_unix_millis(i64::MAX);
    assert_eq!(native().time(Some(far)), "never");
    assert_eq!(time::rfc3339(far), "1970-01-01T00:00:00.000Z");
    assert_eq!(was_down("web", T, far, &short()), "web was down 11/21 02:10 to never");
}
