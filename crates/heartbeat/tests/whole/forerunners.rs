//! The files of the INI daemon, the YAML cron utility and the Django app, as their READMEs show them: only addresses are
//! ours.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

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

/// The README's settings, as they are.
const SETTINGS: &str = include_str!("../forerunners/django-readme.py");

#[test]
fn the_django_apps_settings_become_a_responder_that_fails_closed_until_it_is_complete() {
    let port = closed_port();
    let flag = Home::new();
    let home = Home::new();
    let settings = SETTINGS.replace("/etc/heart.beat", &flag.path("heart.beat").display().to_string());
    // No mail of this test leaves the machine.
    let mail = format!("ADMINS = [('Ada', 'ada@example.org')]; EMAIL_PORT = {}", closed_port());
    home.write("settings.py", &format!("{mail}\n{settings}"));
    let converted = home.run(&["config", "convert", "settings.py"]);
    assert_eq!(converted.code, 0, "{}", converted.stderr);
    for said in ["DATABASES is not in this file", "settings.py:9:18", "`curio.heartbeats.Solr`", "`SOLR_URL`"] {
        assert!(converted.stderr.contains(said), "{said}\n{}", converted.stderr);
    }
    // Nobody has set SOLR_URL: it is part of a comment.
    home.write("heartbeat.yaml", &converted.stdout.replace("127.0.0.1:8811", &format!("127.0.0.1:{port}")));
    let checked = home.run(&["config", "check"]);
    assert_eq!((checked.code, checked.stderr.as_str()), (0, ""), "{}", checked.stdout);
    let probed = home.run(&["check", "solr"]);
    assert!(probed.code == 2 && probed.stdout.contains("to be written anew"), "{}{}", probed.stdout, probed.stderr);

    let program = home.start(&["run", "-s", "state.json"]);
    let body = wait_for("the responder has probed everything", || {
        let answer = poll(port)?;
        let (head, body) = answer.split_once("\r\n\r\n")?;
        (head.starts_with("HTTP/1.1 503 ") && !body.contains("Not tested")).then(|| body.to_owned())
    });
    let places =
        ["\"flag\": \"Ok\"", "\"database\": \"Fail", "\"cache\": \"Fail", "\"solr\": \"Fail", "\"header\": \"503\""]
            .map(|part| body.find(part).unwrap_or_else(|| panic!("{part}\n{body}")));
    assert!(places.is_sorted(), "{body}");
    assert_eq!(program.terminate().code, 0);
}

/// An answer at the app's path.
fn poll(port: u16) -> Option<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(10))).ok()?;
    write!(stream, "GET /heartbeat/status/ HTTP/1.0\r\n\r\n").ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    Some(answer)
}

#[test]
fn the_django_apps_settings_are_converted_and_never_run() {
    let home = Home::new();
    home.write("settings.py", &format!("import os\nos.system('touch {}')\n{SETTINGS}", home.path("proof").display()));
    for arguments in
        [&["run", "-c", "settings.py"][..], &["-c", "settings.py"], &["config", "check", "-c", "settings.py"]]
    {
        let refused = home.run(arguments);
        assert_eq!(refused.code, 78, "{arguments:?} {}{}", refused.stdout, refused.stderr);
        assert!(refused.stderr.contains("heartbeat config convert settings.py"), "{}", refused.stderr);
    }
    assert_eq!(home.run(&["config", "convert", "settings.py"]).code, 0);
    assert!(!home.path("proof").exists(), "something of the settings was executed");
    home.write("broken.py", "HEARTBEAT = {'flag': \n");
    let broken = home.run(&["config", "convert", "broken.py"]);
    assert_eq!((broken.code, broken.stdout.as_str()), (78, ""));
    assert!(
        broken.stderr.contains("broken.py:1:13") && broken.stderr.contains("`{` is never closed"),
        "{}",
        broken.stderr
    );
}
