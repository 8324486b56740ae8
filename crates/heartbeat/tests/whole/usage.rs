//! The command line as somebody meets it who has read nothing but the help: what is said, where, and how it ends.

use std::process::{Command, Stdio};

use crate::support::{Ended, Home, Web, closed_port, repository};

const COMMANDS: [&str; 17] = [
    "",
    "check",
    "once",
    "run",
    "status",
    "init",
    "demo",
    "config",
    "config check",
    "config show",
    "config schema",
    "config reference",
    "config convert",
    "action run",
    "resume",
    "reload",
    "alert test",
];

#[track_caller]
fn assert_ends(ended: &Ended, code: i32, said: &[&str]) {
    assert_eq!(ended.code, code, "{}{}", ended.stdout, ended.stderr);
    for text in said {
        assert!(ended.stderr.contains(text), "`{text}` is missing in:\n{}", ended.stderr);
    }
}

#[test]
fn every_help_is_short_and_clean() {
    let home = Home::new();
    for command in COMMANDS {
        let mut words: Vec<_> = command.split_whitespace().collect();
        words.push("--help");
        let help = home.run(&words);
        assert_eq!(help.code, 0, "{command}");
        assert!(help.stderr.is_empty(), "{command}: {}", help.stderr);
        assert!(help.stdout.contains("Usage: heartbeat"), "{command}: {}", help.stdout);
        assert!(help.stdout.lines().count() < 50, "{command}: {}", help.stdout);
        assert!(help.stdout.lines().all(|line| line.trim_end() == line), "{command}: white space at a line's end");
        words.pop();
        words.push("-h");
        assert_eq!(home.run(&words).stdout, help.stdout, "{command}: there is one help");
    }
}

#[test]
fn wrong_usage_ends_64_and_prints_no_data() {
    let home = Home::new().with("heartbeat.yaml", "checks: { web: \"tcp://127.0.0.1:1\" }\nalerts: []\n");
    let cases: [(&[&str], &str); 14] = [
        (&["chekc"], "check"),
        (&["check", "--nope"], "--nope"),
        (&["run", "--config"], "--config"),
        (&["action", "run", "x", "sideways"], "promote, demote"),
        (&["-q", "-v", "status"], "--verbose"),
        (&["-d"], "heartbeat run -d"),
        (&["-d", "status"], "the daemon alone"),
        (&["check", "wbe"], "did you mean `web`?"),
        (&["check", "tcp://localhost:0"], "a port from 1 to 65535"),
        (&["check", "tcp://localhost:65536"], "invalid port"),
        (&["check", "http:///path"], "without a host"),
        (&["check", "http://"], "expected a URL"),
        (&["status", "wbe"], "did you mean `web`?"),
        (&["resume", "x"], "no action has the id `x`"),
    ];
    for (arguments, said) in cases {
        let ended = home.run(arguments);
        assert_ends(&ended, 64, &["error: ", said]);
        assert_eq!(ended.stdout, "", "{arguments:?}");
    }
    // Where there is no file, half a URL is not a question of configuration.
    assert_ends(&Home::new().run(&["check", "localhost"]), 64, &["`localhost` is no URL", "https://example.org/"]);
}

#[test]
fn odd_targets_are_probed_and_long_ones_are_judged_by_themselves() {
    let closed = closed_port();
    let home = Home::new();
    let long = format!("http://127.0.0.1:{closed}/{}", "a".repeat(300));
    for target in [long.as_str(), &format!("http://127.0.0.1:{closed}/$HOME/${{NOPE}}"), "http://[::1]:1/a b?q=é#x"] {
        let ended = home.run(&["check", "--json", target]);
        assert_eq!(ended.code, 2, "{target}: {}{}", ended.stdout, ended.stderr);
        assert!(ended.stdout.contains("\"fault\":\"refused\""), "{}", ended.stdout);
    }
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let home = Home::new();
    let mut child = home
        .command(&["config", "schema"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program can be started");
    drop(child.stdout.take());
    let ended = child.wait_with_output().expect("our own child");
    assert!(ended.status.success(), "{ended:?}");
    assert!(ended.stderr.is_empty(), "{}", String::from_utf8_lossy(&ended.stderr));
}

#[test]
fn a_dry_run_does_nothing_and_remembers_nothing() {
    let closed = closed_port();
    let configuration = |storage: &str| {
        format!(
            "defaults: {{ fall: 1, interval: 1s, timeout: 1s }}\n\
             checks: {{ x: {{ url: \"tcp://127.0.0.1:{closed}\", actions: a }} }}\n\
             actions: {{ a: {{ demote: {{ shell: \"echo ran >> $PWD/ran\" }}, surroundings: launcher }} }}\n\
             alerts: {{ s: {{ type: shell, command: \"echo sent >> sent\", surroundings: launcher }} }}\n\
             storage: {storage}\n"
        )
    };
    for storage in ["sqlite:state.db", "file:state.json"] {
        let home = Home::new().with("heartbeat.yaml", &configuration(storage));
        let files = || {
            let entries = std::fs::read_dir(home.path("")).expect("our folder").flatten();
            let mut names: Vec<_> = entries.map(|entry| entry.file_name()).collect();
            names.sort();
            names
        };
        home.state_folder();
        let before = files();
        let dry = home.run(&["once", "--dry-run"]);
        assert_ends(&dry, 2, &["dry run: would run", "dry run: would send to s"]);
        assert_eq!(files(), before, "{storage}: a dry run leaves no file");

        let mut daemon = home.start(&["run", "--dry-run"]);
        daemon.wait_for("dry run: would send to s");
        daemon.wait_for("dry run: would run");
        assert_eq!(daemon.terminate().code, 0);
        assert_eq!(files(), before, "{storage}: nor does a daemon's");

        // What was only decided is still to be done …
        assert_eq!(home.run(&["once"]).code, 2);
        assert_eq!((home.read("ran").as_str(), home.read("sent").as_str()), ("ran\n", "sent\n"), "{storage}");
        // … and what was done is known to a dry run.
        let after = home.run(&["once", "--dry-run"]);
        assert_eq!(after.code, 2);
        assert!(!after.stderr.contains("would run"), "{storage}: {}", after.stderr);
        assert_eq!(home.read("sent"), "sent\n", "{storage}");
        let status = home.run(&["status", "--json"]).stdout;
        assert!(status.contains("\"fail_count\":1"), "{storage}: {status}");
    }
}

#[test]
fn before_the_first_round_everything_is_unknown() {
    for storage in ["memory", "sqlite:state.db", "file:state.json"] {
        let configuration = format!("checks: [\"tcp://127.0.0.1:1\"]\nalerts: []\nstorage: {storage}\n");
        let home = Home::new().with("heartbeat.yaml", &configuration);
        let status = home.run(&["status"]);
        assert_ends(&status, 3, &["no daemon is running"]);
        assert!(status.stdout.starts_with("unknown  127.0.0.1:1"), "{}", status.stdout);
    }
}

#[test]
fn what_config_show_prints_is_a_configuration_that_shows_the_same() {
    let home = Home::new();
    let full = std::fs::read_to_string(repository().join("examples/full.yaml")).expect("the full example");
    home.write("full.yaml", &full);
    home.write(
        "odd.yaml",
        "defaults: { interval: 30s, smtp: \"smtp://localhost\" }\n\
         templates: { t: { headers: { x-a: b }, expect: { status: [200, 301-302] }, http: 1.1, ip: 4 } }\n\
         checks:\n  - { use: t, url: \"http://localhost:1/$${HOME}/$x\", down_message: \"$$ ${name} $name\" }\n  - tcp://localhost:2\n  - tcp://localhost:2\n  - { id: sh, shell: 'echo \"$HOME\" | grep x' }\n\
         alerts:\n  - mailto:a@example.org\n  - https://example.org/hook\n",
    );
    home.write("silent.toml", "checks = [\"https://example.org/\"]\nalerts = []\n");
    home.write("old.conf", "[general]\ninterval = 5\n[promotions]\nn = true\n[demotions]\nn = false\n[web]\ntype = http\nport = 1\naction = n\n");
    home.write(
        "old.yaml",
        "tests:\n  - http:\n    url: http://localhost:1\nalerts:\n  - shell:\n      command: 'logger \"$message\"'\n",
    );
    for name in ["full.yaml", "odd.yaml", "silent.toml", "old.conf", "old.yaml"] {
        let first = home.run(&["config", "show", "-c", name]);
        assert_eq!(first.code, 0, "{name}: {}", first.stderr);
        home.write("shown.yaml", &first.stdout);
        let again = home.run(&["config", "show", "-c", "shown.yaml"]);
        assert_eq!(again.code, 0, "{name}: {}\n{}", again.stderr, first.stdout);
        assert_eq!(again.stdout, first.stdout, "{name}");
        assert_eq!(again.stderr, "", "{name}: what is shown is right without a word");
        let json = home.run(&["config", "show", "--json", "-c", name]);
        home.write("shown.json", &json.stdout);
        let valid = crate::documents::validate(&home, &[home.path("shown.json"), home.path("shown.yaml")]);
        assert!(valid.status.success(), "{name}: {}", String::from_utf8_lossy(&valid.stdout));
    }
}

#[test]
fn programs_get_json_from_every_command_that_prints_data() {
    let (web, hook) = (Web::answering(200), Web::answering(500));
    let home = Home::new().with(
        "heartbeat.yaml",
        &format!("checks: [\"{}\"]\nalerts: {{ hook: {{ type: webhook, url: \"{}\" }} }}\nactions: {{ a: {{ demote: \"true\" }} }}\n", web.url(), hook.url()),
    );
    let json = |arguments: &[&str], code: i32| -> serde_json::Value {
        let ended = home.run(arguments);
        assert_eq!(ended.code, code, "{arguments:?}: {}{}", ended.stdout, ended.stderr);
        serde_json::from_str(&ended.stdout).unwrap_or_else(|error| panic!("{arguments:?}: {error}: {}", ended.stdout))
    };
    assert_eq!(json(&["check", "--json"], 0)["verdict"], "pass");
    assert_eq!(json(&["once", "--json"], 0)["checks"][0]["state"], "up");
    assert_eq!(json(&["status", "--json"], 0)["overlay"], serde_json::Value::Null);
    assert_eq!(json(&["alert", "test", "hook", "--json"], 1)["delivered"], false);
    assert_eq!(json(&["action", "run", "a", "demote", "--json"], 0)["ok"], true);
    let checked = json(&["config", "check", "--json"], 0);
    assert_eq!((&checked["valid"], &checked["checks"]), (&true.into(), &1.into()));
    assert_eq!(checked["problems"][0]["severity"], "warning");
    home.write("wrong.yaml", "checks:\n  web: { url: \"http://u:canary@localhost/\", time_out: 5s }\nalerts: []\n");
    let wrong = json(&["config", "check", "--json", "-c", "wrong.yaml"], 78);
    let problem = &wrong["problems"][0];
    assert_eq!((&problem["line"], &problem["file"]), (&2.into(), &"wrong.yaml".into()));
    assert_eq!(problem["help"], "did you mean `timeout`?");
    assert!(!wrong.to_string().contains("canary"), "{wrong}");
}

/// A call in a terminal, by script(1) of every Debian.
fn on_a_terminal(home: &Home, arguments: &str, environment: &[(&str, &str)]) -> String {
    let mut command = Command::new("script");
    command.args(["--quiet", "--return", "--command"]);
    command.arg(format!("{} {arguments}", env!("CARGO_BIN_EXE_heartbeat"))).arg("/dev/null");
    command.current_dir(home.path("")).env_remove("NO_COLOR").env("TERM", "xterm").envs(environment.iter().copied());
    String::from_utf8_lossy(&command.output().expect("script(1)").stdout).into_owned()
}

#[test]
fn colours_are_for_terminals_that_want_them() {
    let home = Home::new();
    let check = format!("check tcp://127.0.0.1:{}", closed_port());
    let coloured = |said: &str| said.contains("\x1b[3");
    assert!(coloured(&on_a_terminal(&home, &check, &[])));
    assert!(coloured(&on_a_terminal(&home, &check, &[("NO_COLOR", "")])), "an empty one says nothing");
    assert!(!coloured(&on_a_terminal(&home, &check, &[("NO_COLOR", "1")])));
    assert!(!coloured(&on_a_terminal(&home, &check, &[("TERM", "dumb")])));
    assert!(!coloured(&on_a_terminal(&home, &format!("--color never {check}"), &[])));
    assert!(coloured(&on_a_terminal(&home, &format!("{check} --color always"), &[("NO_COLOR", "1")])));
    let words: Vec<_> = check.split(' ').collect();
    assert!(!coloured(&home.run(&words).stdout));
}

#[test]
fn a_long_check_shows_progress_on_a_terminal_and_only_there() {
    let web = Web::answering(200);
    web.hang(true);
    let configuration = format!(
        "checks: {{ slow: {{ url: \"{}\", timeout: 2s }}, fast: {{ shell: \"true\" }} }}\nalerts: []\n",
        web.url()
    );
    let home = Home::new().with("heartbeat.yaml", &configuration);
    let seen = on_a_terminal(&home, "check", &[]);
    assert!(seen.contains("1 of 2 probed"), "{seen:?}");
    assert!(!on_a_terminal(&home, "check -q", &[]).contains("probed"));
    assert_eq!(home.run(&["check"]).stderr, "");
}

#[test]
fn what_is_no_file_is_refused_in_time() {
    let home = Home::new();
    std::fs::create_dir(home.path("folder.yaml")).expect("our own folder");
    std::fs::write(
        home.path("wide.yaml"),
        "checks: []\n".encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<_>>(),
    )
    .expect("our own folder");
    for (name, said) in [
        ("folder.yaml", "cannot read the configuration folder.yaml: Is a directory"),
        ("wide.yaml", "binary"),
        ("/dev/null", "the file is empty"),
        ("/dev/zero", "larger than 256 MiB"),
    ] {
        assert_ends(&home.run(&["config", "check", "-c", name]), 78, &["error: ", said]);
    }
}

#[test]
fn variables_for_commands_are_shown_to_nobody() {
    let home = Home::new().with(
        "heartbeat.yaml",
        "checks: { x: { shell: \"true\", env: { A: canary }, actions: a } }\n\
         actions: { a: { demote: \"true\", env: { A: canary, REGION: eu } } }\n\
         alerts:\n  s: { type: shell, command: \"true\", env: { A: canary } }\n  c: { type: command, command: \"true\", env: { A: canary } }\n",
    );
    for arguments in
        [&["config", "show"][..], &["config", "show", "--json"], &["action", "run", "a", "demote", "--dry-run"]]
    {
        let shown = home.run(arguments);
        assert_eq!(shown.code, 0, "{}", shown.stderr);
        assert!(!shown.stdout.contains("canary"), "{arguments:?}: {}", shown.stdout);
        assert!(shown.stdout.contains("REGION"), "{arguments:?}: {}", shown.stdout);
    }
}
