//! An operator's bad days: a store that goes away, commands that do not end.

use std::process::Command;
use std::time::{Duration, Instant};

use crate::support::{Ended, Home, Web, wait_for};

/// The program in a network of its own that has no way out and no way in.
fn without_network(home: &Home, arguments: &[&str]) -> Ended {
    let inside = home.command(arguments);
    let mut command = Command::new("unshare");
    command.arg("-n").arg(inside.get_program()).args(inside.get_args());
    command.current_dir(home.path("")).env("STATE_DIRECTORY", home.state_folder());
    Ended::from(command.output().expect("this test needs the program `unshare` (package util-linux) and root"))
}

#[test]
fn without_a_network_nothing_is_down() {
    let targets = ["http://192.0.2.1/", "https://www.example.org/", "tcp://[2001:db8::1]:22"];
    let ended = without_network(&Home::new(), &[&["check", "--json"], &targets[..]].concat());
    assert_eq!(ended.code, 3, "unknown: {}{}", ended.stdout, ended.stderr);
    for line in ended.stdout.lines() {
        assert!(line.contains("\"verdict\":\"local\""), "{line}");
    }
    assert_eq!(ended.stdout.lines().count(), targets.len());
}

#[test]
fn an_end_takes_ten_seconds_whatever_ignores_the_signal() {
    let (web, hook) = (Web::answering(200), Web::answering(200));
    hook.hang(true);
    let home = Home::new();
    let stubborn = |name: &str| {
        format!("[sh, -c, \"trap '' TERM; echo > {}; sleep 60 & wait; sleep 60\"]", home.path(name).display())
    };
    home.write(
        "heartbeat.yaml",
        &format!(
            "defaults: {{ interval: 100ms, timeout: 50ms, fall: 1 }}\nchecks:\n\
             \x20 web: {{ url: \"{}\", actions: [act] }}\n\
             \x20 hang: {{ command: {}, timeout: 60s }}\n\
             actions: {{ act: {{ promote: {}, timeout: 60s, on_start: run }} }}\n\
             alerts:\n\
             \x20 hook: {{ type: webhook, url: \"{}\", timeout: 60s }}\n\
             \x20 call: {{ type: command, command: {}, timeout: 60s }}\n",
            web.url(),
            stubborn("check"),
            stubborn("act"),
            hook.url(),
            stubborn("call"),
        ),
    );
    let mut program = home.start(&["run"]);
    program.wait_for("web is up");
    web.answer(503);
    for name in ["check", "act", "call"] {
        wait_for(&format!("{name} runs"), || home.path(name).exists().then_some(()));
    }
    wait_for("the webhook is called", || (hook.hits() > 0).then_some(()));
    let start = Instant::now();
    let ended = program.terminate();
    let took = start.elapsed();
    assert_eq!(ended.code, 0, "{}", ended.stdout);
    // Ten, and a little for a machine that has other things to do.
    assert!(took < Duration::from_secs(12), "the end took {took:?}:\n{}", ended.stdout);
}

#[test]
fn a_store_that_is_removed_again_and_again_is_one_notice_and_still_locked() {
    let (web, hook) = (Web::answering(200), Web::answering(200));
    let home = Home::new().with(
        "heartbeat.yaml",
        &format!(
            "defaults: {{ interval: 100ms, timeout: 50ms }}\nchecks: {{ web: {{ url: \"{}\" }} }}\n\
             alerts: {{ hook: {{ type: webhook, url: \"{}\" }} }}\nstorage: sqlite:store/state.db\n",
            web.url(),
            hook.url()
        ),
    );
    std::fs::create_dir(home.path("store")).expect("a folder");
    let mut program = home.start(&["run"]);
    program.wait_for("web is up");
    let count = |program: &crate::support::Program, text: &str| program.said().matches(text).count();
    for round in 1..=3 {
        for file in std::fs::read_dir(home.path("store")).expect("a folder").flatten() {
            let _ = std::fs::remove_file(file.path());
        }
        wait_for("the store is missed", || (count(&program, "removed while it was in use") >= round).then_some(()));
        wait_for("the store is back", || (count(&program, "has caught up") >= round).then_some(()));
    }
    let second = home.run(&["once"]);
    assert_eq!(second.code, 75, "the lock is there again: {}{}", second.stdout, second.stderr);
    let ended = program.terminate();
    assert_eq!(ended.code, 0, "{}", ended.stdout);
    let told: Vec<_> = hook.requests().into_iter().filter(|told| told.body.contains("removed while")).collect();
    assert_eq!(told.len(), 1, "{told:?}");
}
