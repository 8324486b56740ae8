//! What is common to all kinds, shown on toys.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

use heartbeat_core::policy::{DownWhen, Limit, Remind, Retry};

use proptest::prelude::*;

use super::{CommandLine, Loader, Plan, Storage, toy};
use crate::config::Problems;
use crate::config::write::write;

fn environment(name: &str) -> Option<String> {
    match name {
        "HOST" => Some("example.org".to_owned()),
        "EMPTY" => Some(String::new()),
        _ => None,
    }
}

fn loader() -> Loader<'static> {
    Loader { kinds: toy::KINDS, variables: &environment }
}

fn read(text: &str) -> (Option<Plan>, Problems) {
    loader().text("heartbeat.yaml", text)
}

fn plan(text: &str) -> Plan {
    let (plan, problems) = read(text);
    plan.unwrap_or_else(|| panic!("{}", problems.render()))
}

fn refused(text: &str) -> String {
    let (plan, problems) = read(text);
    assert!(plan.is_none(), "this should be refused:\n{text}");
    problems.render()
}

fn ids<'a, T: 'a>(things: impl IntoIterator<Item = &'a T>, id: impl Fn(&T) -> &str) -> Vec<String> {
    things.into_iter().map(|thing| id(thing).to_owned()).collect()
}

fn check_ids(plan: &Plan) -> Vec<String> {
    ids(&plan.checks, |check| check.id.as_str())
}

fn alert_ids(plan: &Plan) -> Vec<String> {
    ids(&plan.alerts, |alert| alert.id.as_str())
}

#[test]
fn the_smallest_file_is_enough() {
    let (plan, problems) = read("checks:\n  - https://example.org/\nalerts:\n  - mailto:ops@example.org\n");
    let plan = plan.expect("a plan");
    assert_eq!(problems.render(), "");
    assert_eq!(check_ids(&plan), ["example.org"]);
    assert_eq!(alert_ids(&plan), ["ops@example.org"]);
    let check = &plan.checks[0];
    assert_eq!(*check.policy, heartbeat_core::policy::Policy::default());
    assert_eq!(ids(&*check.alerts, |id| id.as_str()), ["ops@example.org"]);
    assert!(check.takedown);
    assert_eq!(plan.alerts[0].spec.target(), "ops@example.org over smtp://localhost:25");
}

#[test]
fn ids_come_from_keys_from_items_and_from_urls() {
    let list = plan(
        "checks:
  - https://user:word@example.org:8443/a/b/?q#f
  - { url: https://example.org/ }
  - https://example.org
  - { id: mine, url: https://example.org/ }
  - https://[::1]:80/x
alerts: [https://example.org/hook, { type: email, to: a@example.org }, mailto:a@example.org]
",
    );
    let expected = ["example.org:8443/a/b", "example.org", "example.org-2", "mine", "[::1]:80/x"];
    assert_eq!(check_ids(&list), expected);
    assert_eq!(alert_ids(&list), ["example.org/hook", "a@example.org", "a@example.org-2"]);
    let map = plan("checks: { b: https://b/, a: https://a/ }\nalerts: []");
    assert_eq!(check_ids(&map), ["b", "a"]);
}

#[test]
fn check_beats_template_beats_defaults_at_every_depth() {
    let plan = plan(
        "defaults: { interval: 5m, fall: 7, expect: { status: 300, body: low }, labels: { a: d, b: d, c: d } }
templates: { t: { fall: 5, expect: { body: mid }, labels: { a: t, b: t } } }
checks:
  x: { url: https://x/, use: t, labels: { a: x } }
  y: { command: 'true' }
alerts: []
",
    );
    let check = &plan.checks[0];
    assert_eq!((check.policy.interval, check.policy.fall), (Duration::from_secs(300), 5));
    assert_eq!(check.about().values["status"], "300");
    let labels: Vec<_> = check.about().labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
    assert_eq!(labels, ["a=x", "b=t", "c=d"]);
    assert_eq!(plan.checks[1].policy.fall, 7);
}

#[test]
fn fast_interval_follows_a_short_interval() {
    let plan = plan("checks: { x: { url: https://x/, interval: 3s, timeout: 1s } }\nalerts: []");
    assert_eq!(plan.checks[0].policy.fast_interval, Duration::from_secs(3));
}

#[test]
fn a_check_without_alerts_tells_all_and_an_empty_list_nobody() {
    let plan = plan(
        "checks: { x: https://x/, y: { url: https://y/, alerts: [] }, z: { url: https://z/, alerts: b } }
alerts: { a: mailto:a@x, b: mailto:b@x }",
    );
    let told: Vec<_> = plan.checks.iter().map(|check| ids(&*check.alerts, |id| id.as_str()).join(" ")).collect();
    assert_eq!(told, ["a b", "", "b"]);
}

#[test]
fn without_alerts_there_is_a_warning_and_with_an_empty_list_none() {
    let (plan, problems) = read("checks: [https://x/]");
    assert!(plan.is_some());
    assert!(problems.render().starts_with("warning: nobody is told: there are no alerts\n"), "{}", problems.render());
    assert_eq!(read("checks: [https://x/]\nalerts: []").1.render(), "");
}

/// Very many are read in parts at the same time: nobody must be able to tell.
#[test]
fn very_many_checks_are_read_like_a_few() {
    let file = |defaults: &str, wrong: &str| {
        let url = |number: u32| if number % 1000 == 7 { wrong } else { "https://x/" };
        let lines: String = (0..3000).map(|number| format!("  c{number}: {}\n", url(number))).collect();
        format!("alerts: []\ndefaults: {defaults}\nchecks:\n{lines}")
    };
    let plan = plan(&file("{ fall: 4 }", "{ url: https://y/, interval: 7m }"));
    assert_eq!(check_ids(&plan), (0..3000).map(|number| format!("c{number}")).collect::<Vec<_>>());
    assert!(plan.checks.iter().all(|check| check.policy.fall == 4));
    let slow: Vec<_> = plan.checks.iter().filter(|check| check.policy.interval == Duration::from_secs(420)).collect();
    assert_eq!(ids(slow, |check| &check.id), ["c7", "c1007", "c2007"]);

    // A mistake that all share is told once, and those of each in the order of the file.
    let told = refused(&file("{ fall: none }", "{ url: https://y/, rise: 0 }"));
    let places: Vec<_> = told.lines().filter(|line| line.contains("-->")).map(str::trim).collect();
    let expected = [2, 11, 1011, 2011].map(|line| format!("--> heartbeat.yaml:{line}:"));
    assert_eq!(places.len(), expected.len(), "{told}");
    assert!(places.iter().zip(&expected).all(|(place, expected)| place.starts_with(expected)), "{told}");
}

#[test]
fn the_environment_is_expanded_in_values_only() {
    let plan = plan(
        "checks:
  x: { url: 'https://${HOST}/$1$$${NONE:-z}${EMPTY:-e}', down_message: '${name} $$', labels: { '${HOST}': '$' } }
alerts: []",
    );
    assert_eq!(plan.checks[0].about().target, "https://example.org/$1$ze");
    assert_eq!(plan.checks[0].about().labels["${HOST}"], "$");
}

#[test]
fn every_key_of_an_action_arrives() {
    let plan = plan(
        "checks: { x: { url: https://x/, actions: a } }
alerts: []
actions:
  a:
    promote: [run, 'two words', $x]
    demote: { shell: 'a | b' }
    timeout: 1m
    on_start: run
    delivery: at_most_once
    retry: { every: 60s }
    repeat: 90s
    limit: none
    env: { A: b }
    user: deploy
    surroundings: launcher
",
    );
    let action = &plan.actions[0];
    let words = ["run", "two words", "$x"].map(str::to_owned).to_vec();
    assert_eq!(action.promote, Some(CommandLine::Words(words)));
    assert_eq!(action.demote, Some(CommandLine::Shell("a | b".to_owned())));
    assert_eq!(action.policy.timeout, Duration::from_secs(60));
    assert_eq!(action.policy.on_start, heartbeat_core::policy::OnStart::Run);
    assert_eq!(action.policy.delivery, heartbeat_core::policy::Guarantee::AtMostOnce);
    assert_eq!(action.policy.retry, Retry::Every(Duration::from_secs(60)));
    assert_eq!(action.policy.repeat, Some(Duration::from_secs(90)));
    assert_eq!(action.policy.limit, None);
    assert_eq!(action.env["A"], "b");
    assert_eq!(action.user.as_deref(), Some("deploy"));
    assert_eq!(action.surroundings, super::Surroundings::Launcher);
    assert_eq!(ids(&*plan.checks[0].actions, |id| id.as_str()), ["a"]);
}

#[test]
fn every_other_key_arrives() {
    let plan = plan(
        "checks: { x: { url: https://x/, remind: never, depends_on: [g] }, y: https://y/, z: { url: https://z/, remind: 0s } }
groups: { g: { checks: [y, z], down_when: 2 of 2, name: G } }
alerts: { a: { type: email, to: a@x, timeout: 5s, expire: 1h, limit: 3 per 1m } }
defaults: { smtp: 'smtp://mail' }
storage: sqlite:state/h.db
log: { level: debug, file: h.log, format: json, rotate: 2MB, keep: 9 }
node: n
limits: { probes: 7, per_host: 3 }
process: { user: u, group: g, pidfile: /run/h.pid }
",
    );
    assert_eq!(plan.checks[0].policy.remind, Remind::Never);
    assert_eq!(plan.checks[2].policy.remind, Remind::Every(Duration::ZERO));
    assert_eq!(ids(&*plan.checks[0].depends_on, |id| id.as_str()), ["g"]);
    assert_eq!(plan.groups[0].down_when, DownWhen::AtLeast(2));
    assert_eq!(plan.groups[0].about.name, "G");
    let alert = &plan.alerts[0];
    assert_eq!(alert.spec.target(), "a@x over smtp://mail");
    assert_eq!(alert.policy.timeout, Duration::from_secs(5));
    assert_eq!(alert.policy.expire, Duration::from_secs(3600));
    assert_eq!(alert.policy.limit, Some(Limit { count: 3, window: Duration::from_secs(60) }));
    assert_eq!(plan.storage, Some(Storage::Sqlite("state/h.db".into())));
    assert_eq!((plan.log.level, plan.log.format), (super::Level::Debug, Some(super::LogFormat::Json)));
    assert_eq!((plan.log.rotate, plan.log.keep), (2_000_000, 9));
    assert_eq!(plan.log.file, Some("h.log".into()));
    assert_eq!(plan.node.as_deref(), Some("n"));
    assert_eq!(plan.limits, super::Limits { probes: 7, per_host: 3 });
    assert_eq!((plan.process.user.as_deref(), plan.process.group.as_deref()), (Some("u"), Some("g")));
    assert_eq!(plan.process.pidfile, Some("/run/h.pid".into()));
}

#[test]
fn a_mistake_in_a_template_is_reported_once() {
    let text = refused(
        "templates: { t: { fall: none, tmeout: 3s } }
checks: { x: { url: https://x/, use: t }, y: { url: https://y/, use: t } }
alerts: []",
    );
    assert_eq!(text.matches("error:").count(), 2, "{text}");
    assert!(text.contains("expected a whole number from 1 to 4294967295, found `none`"), "{text}");
    assert!(text.contains("did you mean `timeout`?"), "{text}");
}

#[test]
fn unused_templates_and_defaults_are_looked_through() {
    let text = refused(
        "templates: { t: { fal: 3, rise: many, expect: { stats: 200, status: no } } }
defaults: { intervall: 3s, expect: { bdy: x }, timeout: 5 }
checks: { x: { command: 'true' } }
alerts: []",
    );
    for message in [
        "unknown key `fal` in template `t`",
        "unknown key `stats` in template `t`",
        "expected a whole number from 1 to 4294967295, found `many`",
        "expected a whole number from 0 to 65535, found `no`",
        "unknown key `intervall` in `defaults`",
        "unknown key `bdy` in `defaults`",
        "did you mean `5s`?",
    ] {
        assert!(text.contains(message), "{message} is missing in:\n{text}");
    }
    assert_eq!(text.matches("error:").count(), 7, "{text}");
}

#[test]
fn included_files_add_what_they_hold() {
    let folder = tempfile::tempdir().expect("a folder");
    let put = |name: &str, text: &str| fs::write(folder.path().join(name), text).expect("a file");
    fs::create_dir(folder.path().join("conf.d")).expect("a folder");
    put("heartbeat.yaml", "include: [conf.d/*.yaml, conf.d/a.yaml]\nchecks: { main: https://main/ }\n");
    put("conf.d/b.yaml", "checks: { b: { url: https://b/, use: t } }\nalerts: [mailto:b@x]\n");
    put("conf.d/a.yaml", "checks: [https://a/]\ntemplates: { t: { fall: 9 } }\n");
    put("conf.d/.hidden.yaml", "nonsense: 1\n");
    put("conf.d/c.txt", "nonsense: 1\n");
    let (plan, problems) = loader().load(&folder.path().join("heartbeat.yaml"));
    let plan = plan.unwrap_or_else(|| panic!("{}", problems.render()));
    assert_eq!(check_ids(&plan), ["main", "a", "b"]);
    assert_eq!(plan.checks[2].policy.fall, 9);
    assert_eq!(alert_ids(&plan), ["b@x"]);
    assert_eq!(problems.render(), "");
}

#[test]
fn included_files_hold_nothing_else_and_names_are_unique() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name);
    let put = |name: &str, text: &str| fs::write(path(name), text).expect("a file");
    put("heartbeat.yaml", "include: ['*.yaml', none.yaml]\nchecks: { x: https://x/ }\nalerts: []\n");
    put("other.yaml", "checks: { x: https://y/ }\nstorage: memory\ninclude: []\n");
    let (plan, problems) = loader().load(&path("heartbeat.yaml"));
    assert!(plan.is_none());
    let text = problems.render().replace(&*folder.path().to_string_lossy(), "DIR");
    let expected = "\
error: `*.yaml` includes this file itself
  --> DIR/heartbeat.yaml:1:11
   | include: ['*.yaml', none.yaml]
error: there is no file DIR/none.yaml
  --> DIR/heartbeat.yaml:1:21
   | include: ['*.yaml', none.yaml]
error: there are two checks named `x`
  --> DIR/other.yaml:1:11
   | checks: { x: https://y/ }
   = note: the other one
  --> DIR/heartbeat.yaml:2:11
   | checks: { x: https://x/ }
error: `storage` belongs to the main file: an included one holds checks, templates, groups, actions and alerts
  --> DIR/other.yaml:2:1
   | storage: memory
error: `include` belongs to the main file: an included one holds checks, templates, groups, actions and alerts
  --> DIR/other.yaml:3:1
   | include: []
";
    assert_eq!(text, expected);
}

#[test]
fn dependencies_may_not_run_in_a_circle() {
    let text = refused(
        "checks:
  a: { url: https://a/, depends_on: [g] }
  b: { url: https://b/, depends_on: [a] }
groups: { g: { checks: [b] } }
alerts: []",
    );
    assert!(text.contains("dependencies run in a circle: `a` -> `g` -> `b` -> `a`"), "{text}");
}

#[test]
fn what_is_shown_is_complete_and_loads_again() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("heartbeat.yaml");
    let text = "checks:\n  - { url: https://x/, password: canary, interval: 5s, timeout: 1s }\nalerts: [mailto:a@x]\n";
    fs::write(&path, text).expect("a file");
    let (shown, problems) = loader().show(&path);
    let shown = write(&shown.unwrap_or_else(|| panic!("{}", problems.render())));
    assert!(!shown.contains("canary"), "{shown}");
    for line in ["    fast_interval: 5s\n", "    fall: 3\n", "    expect:\n      status: 200\n", "    type: email\n"] {
        assert!(shown.contains(line), "{line} is missing in\n{shown}");
    }
    let again = plan(&shown);
    assert_eq!(check_ids(&again), ["x"]);
    assert_eq!(alert_ids(&again), ["a@x"]);
}

#[test]
fn a_target_needs_no_file() {
    let (plan, problems) = loader().target("https://${HOST}:1/");
    let plan = plan.unwrap_or_else(|| panic!("{}", problems.render()));
    assert_eq!(plan.checks[0].about().target, "https://${HOST}:1/");
    assert_eq!(problems.render(), "");
    let (none, problems) = loader().target("gopher://x/");
    assert!(none.is_none());
    assert!(problems.render().contains("no kind of check takes `gopher://`"), "{}", problems.render());
}

#[test]
fn size_alone_is_no_fault() {
    let mut text = String::from("alerts: []\nchecks:\n");
    for number in 0..20_000 {
        text.push_str(&format!("  - https://host-{number}.example.org:8443/health\n"));
    }
    let (plan, problems) = read(&text);
    assert_eq!(plan.map(|plan| plan.checks.len()), Some(20_000), "{}", problems.render());
}

#[test]
fn very_many_mistakes_end_in_few_words() {
    let mut text = String::from("alerts: []\nchecks:\n");
    for number in 0..2_000 {
        text.push_str(&format!("  c{number}: {{ url: 'https://x/', depends_on: [d{number}] }}\n"));
    }
    let text = refused(&text);
    assert!(text.ends_with("and 1900 more\n"), "{}", &text[text.len() - 200..]);
}

#[test]
fn a_secret_that_everybody_may_read_is_warned_of() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name);
    for (name, mode) in [("open", 0o644), ("closed", 0o640)] {
        fs::write(path(name), "word\n").expect("a file");
        fs::set_permissions(path(name), fs::Permissions::from_mode(mode)).expect("permissions");
    }
    let check = |name: &str| format!("{{ url: 'https://{name}/', password: {{ file: {name} }} }}");
    let text = format!("alerts: []\nchecks: [{}, {}, {}]\n", check("open"), check("closed"), check("missing"));
    fs::write(path("heartbeat.yaml"), text).expect("a file");
    let (plan, problems) = loader().load(&path("heartbeat.yaml"));
    assert!(plan.is_some());
    let text = problems.render();
    assert_eq!(text.matches("warning:").count(), 1, "{text}");
    assert!(text.contains("everybody may read the secret in"), "{text}");
}

#[test]
fn the_mail_server_of_the_defaults_is_for_alerts_that_name_none() {
    let plan = plan(
        "checks: [https://x/]
defaults: { smtp: { url: 'smtp://mail' } }
alerts: { a: mailto:a@x, b: { type: email, to: b@x, smtp: 'smtp://own' }, c: https://x/ }",
    );
    let targets: Vec<_> = plan.alerts.iter().map(|alert| alert.spec.target()).collect();
    assert_eq!(targets, ["a@x over smtp://mail", "b@x over smtp://own", "https://x/"]);
    let text = refused("checks: [https://x/]\ndefaults: { smtp: { ulr: 'smtp://mail' } }\nalerts: []");
    assert!(text.contains("unknown key `ulr` in `smtp` of `defaults`"), "{text}");
}

#[test]
fn a_target_that_looks_like_a_secret_is_not_repeated() {
    let text = refused("checks: { x: { url: 'https://u:canary@x/', password: 'canary', tmeout: 1s } }\nalerts: []");
    assert!(!text.contains("canary"), "{text}");
    let text = refused("checks: { x: 'gopher://u:canary@x/' }\nalerts: ['imap://u:canary@x/']");
    assert!(!text.contains("canary"), "{text}");
}

/// A configuration with something of everything, to be bent.
const EVERYTHING: &str = include_str!("../../../../examples/full.yaml");

proptest! {
    /// Whatever is cut out of a good file, doubled or put into it: there is an answer, and an error where there is no plan.
    #[test]
    fn no_bent_file_makes_us_panic(
        from in 0..EVERYTHING.len(), length in 0..40_usize, put in "[-\\[\\]{}:,&*!'\"$ \n\ta-c0-9]{0,6}", again in any::<bool>()
    ) {
        let boundary = |at: usize| (at..=EVERYTHING.len()).find(|at| EVERYTHING.is_char_boundary(*at)).unwrap_or(0);
        let (from, to) = (boundary(from), boundary((from + length).min(EVERYTHING.len())));
        let cut = if again { &EVERYTHING[from..to] } else { "" };
        let text = format!("{}{put}{cut}{}", &EVERYTHING[..from], &EVERYTHING[to..]);
        let nothing = |_: &str| None;
        let loader = Loader { variables: &nothing, ..Loader::default() };
        for name in ["x.yaml", "x.toml", "x.conf"] {
            let (plan, problems) = loader.text(name, &text);
            prop_assert_eq!(plan.is_none(), problems.has_errors());
            problems.render();
        }
    }

    #[test]
    fn no_text_makes_us_panic(text in any::<String>()) {
        for name in ["x.yaml", "x.toml", "x.conf"] {
            let (plan, problems) = loader().text(name, &text);
            prop_assert_eq!(plan.is_none(), problems.has_errors());
        }
    }
}
