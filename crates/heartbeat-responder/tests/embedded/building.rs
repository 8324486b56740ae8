//! What cannot be built says why.

use std::time::Duration;

use heartbeat_responder::{Builder, Health, Options, Statuses, ViewOptions};

async fn fine() {}

/// What is wrong with it, in words.
fn refused(builder: Builder) -> String {
    builder.build().expect_err("it must be refused").to_string()
}

fn builder() -> Builder {
    Health::builder().check("database", fine)
}

#[tokio::test]
async fn names_are_told_apart() {
    assert_eq!(
        refused(builder().check("database", fine)),
        "`database` is taken: names and paths must differ, and `flag` is the flag's"
    );
    assert!(refused(builder().check("flag", fine)).starts_with("`flag` is taken"));
    assert!(refused(builder().check("", fine)).ends_with("found \"\""));
    assert!(refused(builder().check("a\nb", fine)).ends_with("found \"a\\nb\""));
    let view = ViewOptions::at("/lb");
    assert!(refused(builder().view("lb", view.clone()).view("lb", ViewOptions::at("/x"))).starts_with("`lb` is taken"));
    assert!(refused(builder().view("lb", view).view("l2", ViewOptions::at("/lb/"))).starts_with("`/lb/` is taken"));
    assert!(refused(builder().view("../lb", ViewOptions::at("/lb"))).contains("without slashes"));
}

#[tokio::test]
async fn views_name_what_there_is() {
    let view = ViewOptions::at("/lb").checks(["databse"]);
    assert_eq!(refused(builder().view("lb", view)), "view `lb` names the check `databse`, which there is not");
    let view = ViewOptions::at("/lb").format("xml");
    assert_eq!(
        refused(builder().view("lb", view)),
        "view `lb`: expected one of the formats services, health+json, text, microprofile, json, found `xml`"
    );
}

#[tokio::test]
async fn paths_and_statuses_can_be() {
    for path in ["", "lb", "/l b", "/lb?x", "/lb#x", "/lä"] {
        assert!(refused(builder().view("lb", ViewOptions::at(path))).starts_with("expected a path"), "{path:?}");
    }
    assert!(refused(builder().prefix("internal")).starts_with("expected a path"));
    let statuses = Statuses { drain: 100, ..Statuses::default() };
    assert_eq!(refused(builder().statuses(statuses)), "expected an HTTP status from 200 to 599, found 100");
    let view = ViewOptions::at("/lb").statuses(statuses);
    assert!(refused(builder().view("lb", view)).ends_with("found 100"));
}

#[tokio::test]
async fn nothing_is_zero() {
    let zeros = [
        ("interval", Options::new().interval(Duration::ZERO)),
        ("fast_interval", Options::new().fast_interval(Duration::ZERO)),
        ("timeout", Options::new().timeout(Duration::ZERO)),
        ("rise", Options::new().rise(0)),
        ("fall", Options::new().fall(0)),
    ];
    for (name, options) in zeros {
        let builder = Health::builder().check_with("database", options, fine);
        assert_eq!(refused(builder), format!("check `database`: `{name}` must be more than zero"));
    }
    assert!(refused(builder().defaults(Options::new().fall(0))).contains("`fall`"));
    assert_eq!(refused(builder().token("")), "the token is empty: leave it out, or give it a word");
}

#[test]
fn a_runtime_is_needed() {
    assert!(refused(builder()).starts_with("expected a runtime of Tokio"));
}
