//! Every format over one page that has everything, to the byte.

use heartbeat_core::answer::{Question, Statuses};

use super::*;
use crate::flag::Drain;
use crate::view::{Details, Known};

fn service(id: &str, standing: Standing, reason: &str, since: Option<i64>) -> Service {
    let since = since.map(Wall::from_unix_millis);
    Service {
        id: id.into(),
        target: format!("tcp://{id}:1").into(),
        known: Known { standing, reason: reason.into(), since },
    }
}

fn services() -> Vec<Service> {
    vec![
        service(
            "database",
            Standing::Down,
            "refused: \"quoted\"\\ \u{7f} äöü \u{1F600} </script>",
            Some(1_767_323_045_678),
        ),
        service("search", Standing::Up, "12 hits", None),
        service("cache", Standing::Degraded, "slow", Some(0)),
        service("queue", Standing::Unknown, "no answer", None),
        service("mail", Standing::Stale, "too old", None),
        service("disk", Standing::Up, "", None),
    ]
}

fn view(question: Question) -> View {
    View {
        name: "status".into(),
        path: "/".into(),
        scope: 0,
        question,
        statuses: Statuses::default(),
        format: Format::named("text").expect("a format of the table"),
        details: Details::Local,
    }
}

/// A page of these services; the flag says that a disk is changed.
fn render(format: &str, answer: Answer, services: &[Service], detailed: bool) -> String {
    let drain = Drain {
        why: "/f exists and contains 0".into(),
        reason: Some("a new disk".into()),
        since: Some(Wall::from_unix_millis(1_767_323_045_000)),
        until: Some(Wall::from_unix_millis(1_767_326_645_000)),
    };
    let drained = answer == Answer::Drained;
    let view = view(Question::Ready);
    let page = Page {
        answer,
        status: view.statuses.of(answer),
        degraded: services.iter().any(|service| service.known.standing == Standing::Degraded),
        flag: Some(if drained { flag::State::Down(drain) } else { flag::State::Up }),
        services: services.iter().map(|service| (service, true)).collect(),
        detailed,
        view: &view,
    };
    Format::named(format).expect("a format of the table").render(&page)
}

/// Compares with the file of that name, or writes it when `HEARTBEAT_BLESS` is set.
#[track_caller]
fn assert_golden(name: &str, body: &str) {
    let file = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/format/bodies").join(name);
    if std::env::var_os("HEARTBEAT_BLESS").is_some() {
        std::fs::write(&file, body).expect("the golden file can be written");
    }
    let golden = std::fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    assert_eq!(body, golden, "{name}");
}

#[test]
fn each_format_shows_everything_to_those_who_may_know() {
    for format in FORMATS {
        let name = format.name.replace('+', "-");
        assert_golden(&format!("{name}.detailed"), &render(format.name, Answer::Down, &services(), true));
        assert_golden(&format!("{name}.stranger"), &render(format.name, Answer::Down, &services(), false));
        assert_golden(&format!("{name}.drained"), &render(format.name, Answer::Drained, &services()[1..2], true));
    }
}

#[test]
fn strangers_see_no_reason_and_no_target() {
    for format in FORMATS {
        for answer in [Answer::Down, Answer::Drained, Answer::Stalled, Answer::Stale, Answer::Unknown] {
            let body = render(format.name, answer, &services(), false);
            for secret in ["refused", "12 hits", "slow", "no answer", "too old", "tcp:", "contains 0", "a new disk"] {
                assert!(!body.contains(secret), "{} says {secret:?} to a stranger: {body}", format.name);
            }
        }
    }
}

#[test]
fn nothing_is_told_of_services_that_nobody_watches() {
    for format in FORMATS {
        let body = render(format.name, Answer::Stalled, &services()[1..2], true);
        assert!(!body.contains("12 hits"), "{}: {body}", format.name);
    }
}

#[test]
fn the_texts_are_those_of_the_django_application() {
    let text = |answer| render("text", answer, &[], false);
    assert_eq!(text(Answer::Ok), "OK");
    assert_eq!(text(Answer::Drained), "Server maintenance under way");
    for answer in [Answer::Down, Answer::Stalled, Answer::Stale, Answer::Unknown] {
        assert_eq!(text(answer), "Fail");
    }
    let stalled = render("text", Answer::Stalled, &[], true);
    assert_eq!(stalled, "Fail: the checks are not being watched");
}

#[test]
fn health_json_is_healthy_with_concerns_while_something_is_not_well() {
    let up = service("a", Standing::Up, "", None);
    let status = |services: &[Service]| {
        let body = render("health+json", Answer::Ok, services, false);
        let body: serde_json::Value = serde_json::from_str(&body).expect("JSON");
        body["status"].as_str().expect("a word").to_owned()
    };
    assert_eq!(status(std::slice::from_ref(&up)), "pass");
    for standing in [Standing::Degraded, Standing::Down, Standing::Unknown, Standing::Stale] {
        assert_eq!(status(&[up.clone(), service("b", standing, "", None)]), "warn", "{standing:?}");
    }
}

#[test]
fn every_format_can_be_named_and_told_apart() {
    for (place, format) in FORMATS.iter().enumerate() {
        assert_eq!(format.index(), place);
        assert_eq!(Format::named(format.name), Some(format));
        assert!(!format.doc.is_empty() && !format.doc.ends_with('.'));
    }
    assert_eq!(Format::named("xml"), None);
}
