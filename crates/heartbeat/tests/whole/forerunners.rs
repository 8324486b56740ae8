//! The files of the INI daemon and of the YAML cron utility, as their READMEs show them: only addresses are ours.

use std::os::unix::fs::PermissionsExt as _;

use crate::support::{Home, Program, Web, closed_port, wait_for};

/// A `service` on the PATH that keeps a list of what it was asked.
fn fake_service(home: &Home) -> String {
    let script = format!("#!/bin/sh\necho \"$@\" >> '{}'\n", home.path("services").display());
    std::fs::create_dir_all(home.path("bin")).expect("the temporary folder can be written");
    home.write("bin/service", &script);
    std::fs::set_permissions(home.path("bin/service"), std::fs::Permissions::from_mode(0o755)).expect("our own file");
    format!("{}:/usr/bin:/bin", home.path("bin").display())
}

fn readme_ini(port: u16) -> String {
    format!(
        "[promotions]\nnginx = service nginx start\n\n[demotions]\nnginx = service nginx stop\n\n\
         [webapp]\ntype = http\nhostname = localhost\nport = {port}\npath = /app/login\naction = nginx\n"
    )
}

#[test]
fn the_ini_daemons_example_starts_and_stops_the_service_in_order_and_once() {
    let web = Web::answering(200);
    let home = Home::new();
    let path = fake_service(&home);
    home.write("heartbeat.conf", &format!("[general]\ninterval = 1\n\n{}", readme_ini(web.port())));
    let mut command = home.command(&["run", "-c", "heartbeat.conf"]);
    command.env("PATH", &path);
    let program = Program::start(command);
    wait_for("the first verdict fires", || (home.lines("services") == ["nginx start"]).then_some(()));
    let quiet = web.hits();
    wait_for("two more probes that change nothing", || (web.hits() >= quiet + 2).then_some(()));
    web.answer(503);
    wait_for("the service is stopped", || (home.lines("services").len() == 2).then_some(()));
    web.answer(200);
    wait_for("the service is started again", || (home.lines("services").len() == 3).then_some(()));
    assert_eq!(program.terminate().code, 0);
    assert_eq!(home.lines("services"), ["nginx start", "nginx stop", "nginx start"]);
    assert!(web.requests().iter().all(|request| request.head.starts_with("GET /app/login HTTP/1.1\r\n")));
}

#[test]
fn a_bare_call_runs_the_ini_file_once_and_logs() {
    let home = Home::new();
    let path = fake_service(&home);
    home.write("heartbeat.conf", &readme_ini(closed_port()));
    for round in 1..=2 {
        let mut command = home.command(&["-c", "heartbeat.conf"]);
        let ended = command.env("PATH", &path).output().expect("the program can be started");
        assert_eq!(ended.status.code(), Some(0), "{}", String::from_utf8_lossy(&ended.stderr));
        // A run-once always fires: nothing is remembered.
        assert_eq!(home.lines("services").len(), round);
    }
    assert_eq!(home.lines("services"), ["nginx stop", "nginx stop"]);
    assert!(home.read("heartbeat.log").contains("webapp is down"), "{}", home.read("heartbeat.log"));
    assert!(!home.path("heartbeat.pid").exists(), "a run-once takes no pid file");
}

#[test]
fn a_missing_executable_is_a_failed_action_and_no_crash() {
    let home = Home::new();
    home.write("heartbeat.conf", &readme_ini(closed_port()).replace("service nginx stop", "no-such-program-anywhere"));
    let ended = home.run(&["-c", "heartbeat.conf"]);
    assert_eq!(ended.code, 0, "{}{}", ended.stdout, ended.stderr);
    assert!(home.read("heartbeat.log").contains("no-such-program-anywhere"), "{}", home.read("heartbeat.log"));
}

#[test]
fn a_bare_call_beside_the_cron_utilitys_file_tells_of_an_outage_and_its_end_once() {
    let web = Web::answering(200);
    let home = Home::new();
    home.write(
        "heartbeat.yaml",
        &format!(
            "tests:\n  - http:\n    name: My site\n    url: {}\n    \
             down_message: $name ($url) has been down since $last_pass_time, $state $fail_count.\n    \
             up_message: $name is up after $fail_count\n\
             alerts:\n  - shell:\n    command: echo $message >> told\n",
            web.url()
        ),
    );
    let told = || home.lines("told");
    let round = |status: u16| {
        web.answer(status);
        let ended = home.run(&[]);
        assert_eq!(ended.code, 0, "{}{}", ended.stdout, ended.stderr);
    };
    round(200);
    assert_eq!(told(), [""; 0], "unknown to passing is silent");
    round(503);
    round(503);
    assert_eq!(told().len(), 1, "the period of an hour has not gone by: {:?}", told());
    round(200);
    round(200);
    let said = told();
    assert_eq!(said.len(), 2, "{said:?}");
    assert!(said[0].starts_with(&format!("My site ({}) has been down since ", web.url())), "{said:?}");
    assert!(said[0].ends_with(", failing 1."), "{said:?}");
    assert_eq!(said[1], "My site is up after 2");
    assert!(home.path(".heartbeat.state.json").exists());
    assert!(web.requests().len() == 5);
}

#[test]
fn nothing_in_a_message_is_executed() {
    let home = Home::new();
    let proof = home.path("proof");
    let hostile = format!("$(touch {0}); `touch {0}`; touch {0} | x' \\\" ; -n", proof.display());
    home.write(
        "heartbeat.yaml",
        &format!(
            "tests:\n  - tcp:\n    name: {}\n    host: 127.0.0.1\n    port: {}\n\
             alerts:\n\
             \x20 - shell:\n    command: echo $message >> told\n\
             \x20 - shell:\n    command: echo \"$message\" >> told\n\
             \x20 - shell:\n    command: echo 'it said $message' >> told\n",
            serde_json::to_string(&hostile).expect("text"),
            closed_port()
        ),
    );
    let ended = home.run(&[]);
    assert_eq!(ended.code, 0, "{}{}", ended.stdout, ended.stderr);
    let told = home.lines("told");
    assert_eq!(told.len(), 3, "{told:?}");
    let message = format!("{hostile} is down");
    assert!(told.iter().all(|line| line.ends_with(&message)), "{told:?}\n{message}");
    assert!(!proof.exists(), "something of the message was executed");
}

#[test]
fn the_older_state_file_is_taken_over() {
    let web = Web::answering(200);
    let home = Home::new();
    home.write(
        "heartbeat.yaml",
        &format!(
            "tests:\n  - http:\n    name: Google\n    url: {}\nalerts:\n  - shell:\n    command: echo $message >> told\n",
            web.url()
        ),
    );
    home.write(
        ".heartbeat.json",
        r#"{"5d41402abc4b2a76b9719d911017c592": {"name": "Google", "state": "failing", "fail_count": 4,
            "first_pass_time": "11/20 10:00", "last_pass_time": "11/20 11:00", "first_fail_time": "11/20 11:01",
            "last_fail_time": "11/20 11:04", "last_fail_alert_time": 1763636460}}"#,
    );
    let before = home.read(".heartbeat.json");
    let ended = home.run(&[]);
    assert_eq!(ended.code, 0, "{}{}", ended.stdout, ended.stderr);
    assert_eq!(home.lines("told"), ["Google is up"], "an outage that began under the old program ends under ours");
    assert_eq!(home.read(".heartbeat.json"), before, "the old file is left as it was");
}
