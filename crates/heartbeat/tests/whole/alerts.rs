//! Alerts by the real program: refusals, retries, order, reminders, and real servers at the other end.

use std::time::Duration;

use serde_json::Value;

use crate::exim::Exim;
use crate::support::{Home, Program, Received, Web, wait_for};

/// One check that fails or passes at once, and these alerts.
fn home(web: &Web, alerts: &str) -> Home {
    Home::new().with(
        "heartbeat.yaml",
        &format!(
            "defaults: {{ interval: 50ms, fast_interval: 50ms, timeout: 10s, fall: 1, rise: 1, remind: never }}\n\
             checks:\n  web: {{ url: \"{}\" }}\nalerts:\n{alerts}storage: sqlite:state.db\n",
            web.url()
        ),
    )
}

fn webhook(id: &str, ledger: &Web) -> String {
    format!("  {id}: {{ type: webhook, url: \"{}\", limit: none }}\n", ledger.url())
}

fn start(home: &Home) -> Program {
    let mut program = home.start(&["run"]);
    program.wait_for("started with");
    program
}

/// Waits until a server has answered so many requests, and returns them all.
#[track_caller]
fn told(ledger: &Web, number: usize) -> Vec<Received> {
    wait_for(&format!("{number} messages"), || Some(ledger.requests()).filter(|requests| requests.len() >= number))
}

fn probes(web: &Web, number: usize) {
    let before = web.hits();
    wait_for("probes", || (web.hits() >= before + number).then_some(()));
}

fn document(request: &Received) -> Value {
    serde_json::from_str(&request.body).expect("a JSON document")
}

fn events(requests: &[Received]) -> Vec<String> {
    requests.iter().map(|request| document(request)["event"].as_str().expect("an event").to_owned()).collect()
}

#[test]
fn a_dead_letter_is_told_through_the_other_channel() {
    let (web, bad, good) = (Web::answering(503), Web::answering(400), Web::answering(200));
    let home = home(&web, &(webhook("bad", &bad) + &webhook("good", &good)));
    let program = start(&home);
    let requests = told(&good, 2);
    assert_eq!(events(&requests), ["down", "notice"]);
    let notice = document(&requests[1]);
    assert_eq!(notice["check"], Value::Null);
    let text = notice["message"].as_str().expect("a text");
    assert!(text.contains("alert bad") && text.contains("400") && text.contains("web is down"), "{text}");
    web.answer(200);
    assert_eq!(events(&told(&good, 3)), ["down", "notice", "up"]);
    home.wait_until_quiet();
    assert_eq!(bad.hits(), 1, "it is not tried again, and hears of no end of what it has not heard of");
    assert_eq!(program.terminate().code, 0);
}

#[test]
fn a_provider_that_asks_for_time_is_given_it() {
    let (web, ledger) = (Web::answering(503), Web::answering(200));
    // Longer than the longest wait of our own after a first failure.
    ledger.answer_first(&[(429, "Retry-After: 3")]);
    let home = home(&web, &webhook("ledger", &ledger));
    let program = start(&home);
    let requests = told(&ledger, 2);
    let waited = requests[1].at - requests[0].at;
    assert!((Duration::from_secs(3)..Duration::from_secs(6)).contains(&waited), "{waited:?}");
    assert_eq!(requests[0].header("Idempotency-Key"), requests[1].header("Idempotency-Key"));
    home.wait_until_quiet();
    assert_eq!(ledger.hits(), 2);
    assert_eq!(program.terminate().code, 0);
}

#[test]
fn a_provider_that_fails_is_asked_again_with_the_same_key_and_in_order() {
    let (web, ledger) = (Web::answering(503), Web::answering(200));
    ledger.answer_first(&[(503, "")]);
    let home = home(&web, &webhook("ledger", &ledger));
    let program = start(&home);
    told(&ledger, 1);
    web.answer(200); // the up must not overtake the down that waits
    let requests = told(&ledger, 3);
    assert_eq!(events(&requests), ["down", "down", "up"]);
    assert_eq!(requests[0].header("Idempotency-Key"), requests[1].header("Idempotency-Key"));
    assert_eq!(requests[0].body, requests[1].body);
    home.wait_until_quiet();
    assert_eq!(ledger.hits(), 3);
    assert_eq!(program.terminate().code, 0);
}

#[test]
fn what_once_could_not_deliver_the_next_one_does() {
    for storage in ["sqlite:state.db", "file:state.json"] {
        let (web, ledger) = (Web::answering(503), Web::answering(503));
        let home = home(&web, &webhook("ledger", &ledger));
        home.write("heartbeat.yaml", &home.read("heartbeat.yaml").replace("sqlite:state.db", storage));
        assert_eq!(home.run(&["once"]).code, 2);
        assert_eq!(events(&ledger.requests()), ["down"]);
        web.answer(200);
        assert_eq!(home.run(&["once"]).code, 0);
        assert_eq!(events(&ledger.requests()), ["down", "down"], "the up does not overtake it");
        ledger.answer(200);
        assert_eq!(home.run(&["once"]).code, 0);
        let requests = ledger.requests();
        assert_eq!(events(&requests), ["down", "down", "down", "up"], "{storage}");
        let keys: Vec<_> = requests.iter().map(|request| request.header("Idempotency-Key")).collect();
        assert!(keys[0] == keys[1] && keys[1] == keys[2], "{keys:?}");
        assert_eq!(home.run(&["once"]).code, 0);
        assert_eq!(ledger.hits(), 4, "each once");
    }
}

#[test]
fn a_reminder_at_every_failing_probe_and_none_on_top_of_one_that_waits() {
    let (web, ledger) = (Web::answering(503), Web::answering(200));
    let home = home(&web, &webhook("ledger", &ledger));
    home.write("heartbeat.yaml", &home.read("heartbeat.yaml").replace("remind: never", "remind: 0s"));
    let program = start(&home);
    let requests = told(&ledger, 4);
    assert_eq!(events(&requests[..4]), ["down", "reminder", "reminder", "reminder"]);
    let keys: std::collections::BTreeSet<_> =
        requests.iter().map(|request| request.header("Idempotency-Key").expect("a key").to_owned()).collect();
    assert_eq!(keys.len(), requests.len(), "each is a message of its own");
    ledger.answer(503);
    wait_for("one cannot be delivered", || {
        ledger.requests().last().is_some_and(|request| request.status == 503).then_some(())
    });
    probes(&web, 6);
    assert_eq!(home.status()["outbox"], 1);
    ledger.answer(200);
    web.answer(200);
    wait_for("the end", || (events(&ledger.requests()).last().map(String::as_str) == Some("up")).then_some(()));
    home.wait_until_quiet();
    assert_eq!(program.terminate().code, 0);
}

#[test]
fn while_a_dependency_is_down_its_dependent_is_silent_and_acts() {
    let (web, database, ledger) = (Web::answering(200), Web::answering(200), Web::answering(200));
    let home = home(&web, &webhook("ledger", &ledger));
    let acted = home.path("acted").display().to_string();
    let text = home.read("heartbeat.yaml").replace(
        "alerts:\n",
        &format!(
            "  site: {{ url: \"{}\", depends_on: [web], actions: [nginx] }}\n\
             actions:\n  nginx: {{ demote: {{ shell: 'echo $HEARTBEAT_EVENT >> {acted}' }} }}\nalerts:\n",
            database.url()
        ),
    );
    home.write("heartbeat.yaml", &text);
    let state = |at: usize, state: &str| {
        wait_for(&format!("check {at} is {state}"), || (home.status()["checks"][at]["state"] == state).then_some(()));
    };
    let program = start(&home);
    web.answer(503);
    state(0, "down");
    database.answer(503);
    state(1, "down");
    wait_for("its action runs", || (home.lines("acted") == ["demote"]).then_some(()));
    probes(&database, 3);
    home.wait_until_quiet();
    let of = |requests: &[Received]| -> Vec<_> {
        let pair = |request: &Received| {
            let document = document(request);
            format!("{} {}", document["check"]["id"], document["event"]).replace('"', "")
        };
        requests.iter().map(pair).collect()
    };
    assert_eq!(of(&ledger.requests()), ["web down"]);
    assert!(program.said().contains("withheld"), "{}", program.said());
    // What is still down when the dependency is back is told then.
    web.answer(200);
    assert_eq!(of(&told(&ledger, 3)), ["web down", "web up", "site down"]);
    database.answer(200);
    assert_eq!(of(&told(&ledger, 4))[3], "site up");
    home.wait_until_quiet();
    assert_eq!(program.terminate().code, 0);
}

#[test]
fn nobody_is_told_where_the_file_says_so_and_where_it_says_nothing_that_is_told() {
    let web = Web::answering(503);
    let home = home(&web, "");
    let text = home.read("heartbeat.yaml");
    home.write("heartbeat.yaml", &text.replace("alerts:\n", "alerts: []\n"));
    let warns = |stderr: &str| stderr.contains("warning: ") && stderr.contains("nobody");
    let ended = home.run(&["once"]);
    assert_eq!((ended.code, warns(&ended.stderr)), (2, false), "{}", ended.stderr);
    assert_eq!(home.status()["outbox"], 0);
    home.write("heartbeat.yaml", &text.replace("alerts:\n", ""));
    let ended = home.run(&["once"]);
    assert_eq!((ended.code, warns(&ended.stderr)), (2, true), "{}", ended.stderr);
}

#[test]
fn mail_reaches_a_real_server() {
    let exim = Exim::start();
    let web = Web::answering(503);
    let home = home(
        &web,
        &format!(
            "  oncall: {{ type: email, smtp: \"smtp://127.0.0.1:{}\", from: hb@example.org, to: ops@example.org, \
             subject: \"$name is $state\" }}\n",
            exim.port
        ),
    );
    let mut program = start(&home);
    let mail = exim.mail("Subject: web is down");
    let keys: Vec<_> = home.deliveries().into_keys().filter(|key| key.starts_with("down/web/")).collect();
    let [key] = &keys[..] else { panic!("one message: {keys:?}") };
    let id = mail.lines().find_map(|line| line.strip_prefix("Message-ID: <")).expect("a Message-ID");
    assert!(id.contains('@') && id.contains("down"), "{id} of {key}");
    assert!(mail.contains("Auto-Submitted: auto-generated"), "{mail}");
    program.wait_for(&format!("alert oncall: {key} is delivered: 250"));
    web.answer(200);
    exim.mail("Subject: web is up");
    home.wait_until_quiet();
    assert_eq!(program.terminate().code, 0);

    let tested = home.run(&["alert", "test", "oncall"]);
    assert_eq!(tested.code, 0, "{}{}", tested.stdout, tested.stderr);
    assert!(tested.stdout.contains("250"), "the server's answer is printed: {}", tested.stdout);
    wait_for("the third mail", || (exim.mail("").matches("Message-ID: ").count() == 3).then_some(()));
}

#[test]
fn a_text_message_is_what_twilio_expects() {
    let (web, twilio) = (Web::answering(503), Web::answering(201));
    let home = home(
        &web,
        &format!(
            "  sms: {{ type: twilio, account_sid: AC123, auth_token: {{ file: token }}, from_number: \"+17775551212\", \
             to_number: \"+12224443131\", endpoint: \"{}\" }}\n",
            twilio.url()
        ),
    )
    .with("token", "hunter2\n");
    let program = start(&home);
    let requests = told(&twilio, 1);
    let request = &requests[0];
    assert!(request.head.starts_with("POST /2010-04-01/Accounts/AC123/Messages.json HTTP/1.1"), "{}", request.head);
    // AC123:hunter2
    assert_eq!(request.header("Authorization"), Some("Basic QUMxMjM6aHVudGVyMg=="));
    assert_eq!(request.header("Content-Type"), Some("application/x-www-form-urlencoded"));
    let begins = "From=%2B17775551212&To=%2B12224443131&Body=web+is+down%3A+";
    assert!(request.body.starts_with(begins), "{}", request.body);
    home.wait_until_quiet();
    assert_eq!(program.terminate().code, 0);
    let ended = home.run(&["config", "show"]);
    assert!(!ended.stdout.contains("hunter2"), "{}", ended.stdout);
}

#[test]
fn what_is_beyond_a_channels_limit_comes_in_one() {
    let (web, ledger) = (Web::answering(503), Web::answering(200));
    let home = home(&web, &webhook("ledger", &ledger).replace("limit: none", "limit: 2 per 2s"));
    let more: String = (0..6).map(|n| format!("  more{n}: {{ url: \"{}\" }}\n", web.url())).collect();
    home.write("heartbeat.yaml", &home.read("heartbeat.yaml").replace("alerts:\n", &format!("{more}alerts:\n")));
    let program = start(&home);
    let requests = told(&ledger, 3);
    home.wait_until_quiet();
    assert_eq!(ledger.hits(), 3, "two, and one for the other five");
    let summary = document(&requests[2])["message"].to_string();
    let told = requests.iter().map(|request| document(request)["message"].to_string()).collect::<String>();
    for name in ["web", "more0", "more1", "more2", "more3", "more4", "more5"] {
        assert!(told.contains(&format!("{name} is down")), "{name} is missing: {told}");
    }
    assert!(summary.matches("is down").count() >= 5, "{summary}");
    let waited = requests[2].at - requests[0].at;
    assert!(waited >= Duration::from_millis(1900), "{waited:?}");
    assert_eq!(program.terminate().code, 0);
}

#[test]
fn an_up_does_not_overtake_a_down_that_is_under_way() {
    let (web, ledger) = (Web::answering(503), Web::answering(200));
    ledger.hang(true);
    let home = home(&web, &webhook("ledger", &ledger).replace("limit: none", "limit: none, timeout: 1500ms"));
    let mut program = start(&home);
    wait_for("the down is under way", || (ledger.hits() > 0).then_some(()));
    web.answer(200);
    wait_for("both are owed", || (home.status()["outbox"] == 2).then_some(()));
    program.wait_for("no answer within");
    ledger.hang(false);
    assert_eq!(events(&told(&ledger, 2)), ["down", "up"]);
    home.wait_until_quiet();
    assert_eq!(ledger.requests().len(), 2);
    assert_eq!(program.terminate().code, 0);
}
