//! Restart and reload: no event, no lost counter, no probe off its grid.

use std::time::Duration;

use nix::sys::signal::Signal;

use crate::support::{Home, Web, closed_port, wait_for};

/// The object of one check in `status --json`.
fn check(home: &Home, id: &str) -> serde_json::Value {
    let status = home.run(&["status", "--json"]);
    let status: serde_json::Value = serde_json::from_str(&status.stdout).expect("status prints JSON");
    status["checks"].as_array().and_then(|all| all.iter().find(|check| check["id"] == id)).cloned().expect("the check")
}

fn failures(home: &Home, id: &str) -> u64 {
    check(home, id)["fail_count"].as_u64().expect("a number")
}

#[test]
fn a_counter_survives_restarts_and_reloads_and_the_next_failure_is_the_one_that_counts() {
    let configuration = format!(
        "checks:\n  web: {{ url: \"tcp://127.0.0.1:{}\", interval: 1h, fast_interval: 1h, fall: 3, alerts: [note] }}\n\
         alerts:\n  note: {{ type: shell, command: 'echo \"$message\" >> told' }}\n\
         storage: sqlite:state.db\n",
        closed_port()
    );
    let told = |home: &Home| home.lines("told").len();
    let configuration = configuration.replace(">> told", ">> TOLD");
    let home = Home::new();
    let configuration = configuration.replace("TOLD", &home.path("told").display().to_string());
    home.write("heartbeat.yaml", &configuration);

    // Each start probes once; the next probe is an hour away.
    for expected in 1..=2 {
        let mut program = home.start(&["run"]);
        program.wait_for("started with");
        wait_for("the first probe is counted", || (failures(&home, "web") == expected).then_some(()));
        assert_eq!(program.terminate().code, 0);
    }
    assert_eq!(check(&home, "web")["state"], "unknown");
    assert_eq!(check(&home, "web")["epoch"], 0);

    // At fall - 1: a reload of the same file is no event, a broken one changes nothing.
    let mut program = home.start(&["run"]);
    program.wait_for("started with");
    wait_for("the third failure", || (failures(&home, "web") == 3).then_some(()));
    wait_for("the alert", || (told(&home) == 1).then_some(()));
    for _ in 0..3 {
        let reloaded = home.run(&["reload"]);
        assert_eq!(reloaded.code, 0, "{}{}", reloaded.stdout, reloaded.stderr);
    }
    home.write("heartbeat.yaml", "checks: [nonsense\n");
    program.signal(Signal::SIGHUP);
    wait_for("the broken file is reported", || program.said().contains("the old one stays in force").then_some(()));
    home.write("heartbeat.yaml", &configuration);
    assert_eq!(failures(&home, "web"), 3);
    assert_eq!(check(&home, "web")["state"], "down");
    assert_eq!(check(&home, "web")["epoch"], 1);
    assert_eq!(program.terminate().code, 0);

    // A restart while it is down is no event either.
    let mut program = home.start(&["run"]);
    program.wait_for("started with");
    wait_for("the probe of the restart", || (failures(&home, "web") == 4).then_some(()));
    assert_eq!(program.terminate().code, 0);
    assert_eq!(check(&home, "web")["epoch"], 1);
    assert_eq!(told(&home), 1, "{:?}", home.lines("told"));
}

#[test]
fn probes_stay_on_their_grid_across_reloads() {
    const INTERVAL: Duration = Duration::from_millis(400);
    let web = Web::answering(200);
    let home = Home::new().with(
        "heartbeat.yaml",
        &format!(
            "checks:\n  web: {{ url: \"{}\", interval: 400ms, fast_interval: 400ms, timeout: 300ms }}\nalerts: []\nstorage: memory\n",
            web.url()
        ),
    );
    let program = home.start(&["run"]);
    // Past the first probe, which is spread, and a few of the grid.
    wait_for("the first probes", || (web.hits() >= 4).then_some(()));
    for round in 0..6 {
        program.signal(Signal::SIGHUP);
        wait_for("a probe after the reload", || (web.hits() >= 5 + 2 * round).then_some(()));
    }
    assert_eq!(program.terminate().code, 0);
    let times: Vec<_> = web.requests().iter().skip(1).map(|request| request.at).collect();
    let grid = times[0];
    for time in &times[1..] {
        let off = (time.duration_since(grid).as_secs_f64() / INTERVAL.as_secs_f64()).fract();
        let off = off.min(1.0 - off) * INTERVAL.as_secs_f64();
        assert!(off < 0.15, "a probe is {off:.3} s off its grid of {INTERVAL:?}: {times:?}");
    }
}

#[test]
fn a_broken_file_at_reload_is_refused_with_its_problem() {
    let web = Web::answering(200);
    let good = format!("checks:\n  web: {{ url: \"{}\" }}\nalerts: []\nstorage: sqlite:state.db\n", web.url());
    let home = Home::new().with("heartbeat.yaml", &good);
    let mut program = home.start(&["run"]);
    program.wait_for("started with");
    home.write("heartbeat.yaml", &good.replace("alerts:", "alrets: []\nalerts:"));
    let refused = home.run(&["reload"]);
    assert_eq!(refused.code, 78, "{}{}", refused.stdout, refused.stderr);
    assert!(refused.stderr.contains("did you mean `alerts`?"), "{}", refused.stderr);
    assert_eq!(program.terminate().code, 0);
}

#[test]
fn of_many_reloads_at_once_the_last_file_holds_and_everybody_is_answered() {
    let home = Home::new();
    // Written as an editor does, for the daemon may be reading.
    let version = |n: usize| {
        let checks: String = (0..200).map(|i| format!("  check-{n}-{i}: {{ url: \"tcp://127.0.0.1:1\" }}\n")).collect();
        home.write("new.yaml", &format!("checks:\n{checks}alerts: []\nstorage: sqlite:state.db\n"));
        std::fs::rename(home.path("new.yaml"), home.path("heartbeat.yaml")).expect("a folder of our own");
    };
    version(0);
    let mut program = home.start(&["run"]);
    program.wait_for("started with");
    let mut callers = Vec::new();
    for n in 1..=5 {
        version(n);
        program.signal(Signal::SIGHUP);
        callers.push(home.start(&["reload"]));
    }
    for mut caller in callers {
        let answered = caller.wait();
        assert_eq!(answered.code, 0, "{}", answered.stdout);
    }
    assert_eq!(check(&home, "check-5-0")["id"], "check-5-0");
    assert_eq!(program.terminate().code, 0);
}

#[test]
fn what_takes_a_restart_is_said_to_who_asked() {
    let home = Home::new();
    let web = Web::answering(200);
    let with =
        |storage: &str| format!("checks:\n  web: {{ url: \"{}\" }}\nalerts: []\nstorage: {storage}\n", web.url());
    home.write("heartbeat.yaml", &with("sqlite:state.db"));
    let mut program = home.start(&["run", "-s", "sqlite:other.db"]);
    program.wait_for("started with");
    let reload = || home.run(&["reload", "-s", "sqlite:other.db"]);
    let same = reload();
    assert_eq!((same.code, same.stdout.contains("restart")), (0, false), "{}{}", same.stdout, same.stderr);
    home.write("heartbeat.yaml", &with("file:state.json"));
    let other = reload();
    let said = format!("{}{}", other.stdout, other.stderr);
    assert_eq!(other.code, 0, "{said}");
    assert!(said.contains("`storage` has changed: that takes a restart"), "{said}");
    assert_eq!(program.terminate().code, 0);
}

#[test]
fn a_daemon_tells_how_late_its_probes_start() {
    let web = Web::answering(200);
    let file = format!("checks:\n  web: {{ url: \"{}\" }}\nalerts: []\nstorage: sqlite:state.db\n", web.url());
    let home = Home::new().with("heartbeat.yaml", &file);
    let mut program = home.start(&["run"]);
    program.wait_for("started with");
    let status =
        || -> serde_json::Value { serde_json::from_str(&home.run(&["status", "--json"]).stdout).expect("JSON") };
    wait_for("the first probe is counted", || (status()["lateness"]["probes"] == 1).then_some(()));
    assert!(status()["lateness"]["worst_ms"].is_u64());
    assert_eq!(program.terminate().code, 0);
    assert!(status()["lateness"].is_null(), "the store does not know");
}

#[test]
fn a_thousand_hangups_and_an_orderly_end() {
    let web = Web::answering(200);
    let home = Home::new().with(
        "heartbeat.yaml",
        &format!("checks:\n  web: {{ url: \"{}\", interval: 1s }}\nalerts: []\nstorage: sqlite:state.db\n", web.url()),
    );
    let mut program = home.start(&["run"]);
    program.wait_for("started with");
    wait_for("the first verdict", || (check(&home, "web")["epoch"] == 1).then_some(()));
    for _ in 0..1000 {
        program.signal(Signal::SIGHUP);
    }
    wait_for("the last reload", || program.said().contains("again").then_some(()));
    let start = std::time::Instant::now();
    let ended = program.terminate();
    assert_eq!(ended.code, 0, "{}", ended.stdout);
    assert!(start.elapsed() < Duration::from_secs(10));
    assert_eq!(check(&home, "web")["epoch"], 1);
}

#[test]
fn code_that_only_reading_a_file_needed_does_not_stay_in_memory() {
    let home = Home::new().with("heartbeat.yaml", "checks:\n  c: { shell: exit 0 }\nalerts: []\nstorage: memory\n");
    let mut program = home.start(&["run"]);
    program.wait_for("started with");
    // What is resident of the program and its libraries falls when it is given back, and never otherwise.
    let falls = |what: &str| {
        let mut most = 0;
        wait_for(what, || {
            let now = program.memory("RssFile:");
            most = most.max(now);
            (now < most / 2).then_some(())
        });
    };
    falls("the start's code is given back");
    assert_eq!(home.run(&["reload"]).code, 0);
    falls("the reload's code is given back");
}
