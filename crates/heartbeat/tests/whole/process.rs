//! The process: detaching, pid file, locks, users, the service manager, the terminal.

use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixDatagram;
use std::process::Command;
use std::time::Duration;

use nix::sys::signal::{SigSet, Signal, kill};
use nix::unistd::Pid;

use crate::support::{Home, Program, Web, closed_port, repository, wait_for};

fn ini(web: &Web) -> String {
    format!(
        "[general]\ninterval = 1\ndaemonize = yes\npidfile = heartbeat.pid\nlogfile = heartbeat.log\n\
         [promotions]\nnginx = true\n[demotions]\nnginx = true\n\
         [webapp]\ntype = http\nhostname = 127.0.0.1\nport = {}\npath = /\naction = nginx\n",
        web.port()
    )
}

#[test]
fn a_daemon_detaches_after_a_good_start_and_ends_in_an_orderly_way() {
    let web = Web::answering(200);
    let home = Home::new().with("heartbeat.conf", &ini(&web));
    let launched = home.run(&["-c", "heartbeat.conf"]);
    assert_eq!(launched.code, 0, "{}{}", launched.stdout, launched.stderr);
    // The launcher has told the truth: everything is there already.
    let pid: i32 = home.read("heartbeat.pid").trim().parse().expect("a pid file");
    let log = std::fs::metadata(home.path("heartbeat.log")).expect("a log file");
    assert_eq!(log.permissions().mode() & 0o133, 0, "nobody else writes the log");
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).expect("the daemon lives");
    let session: i32 =
        stat.rsplit(')').next().and_then(|rest| rest.split_whitespace().nth(3)?.parse().ok()).expect("field 6");
    assert_eq!(session, pid, "a session of its own");

    let second = home.run(&["-c", "heartbeat.conf"]);
    assert_eq!(second.code, 75, "{}{}", second.stdout, second.stderr);
    assert!(second.stderr.contains(&format!("process {pid}")), "{}", second.stderr);
    assert_eq!(home.read("heartbeat.pid").trim(), pid.to_string(), "the second one left the file alone");

    kill(Pid::from_raw(pid), Signal::SIGTERM).expect("our own daemon");
    wait_for("the pid file is gone", || (!home.path("heartbeat.pid").exists()).then_some(()));
    wait_for("the daemon is gone", || (!std::path::Path::new(&format!("/proc/{pid}")).exists()).then_some(()));
    let line = home.lines("heartbeat.log").into_iter().next().expect("a line");
    let form = |c: char| if c.is_ascii_digit() { '9' } else { c };
    assert_eq!(line.chars().take(29).map(form).collect::<String>(), "9999-99-99 99:99:99 INFO     ", "{line}");
}

#[test]
fn a_launcher_that_blocks_signals_makes_nobody_immortal() {
    let home =
        Home::new().with("heartbeat.yaml", "storage: memory\nalerts: []\nchecks: { a: { command: ['true'] } }\n");
    // What is blocked in the thread that starts a program is blocked in the program.
    let mut ours = SigSet::empty();
    ours.add(Signal::SIGTERM);
    ours.thread_block().expect("a mask");
    let mut daemon = home.start(&["run"]);
    daemon.wait_for("started with");
    let ended = daemon.terminate();
    assert_eq!(ended.code, 0, "{}", ended.stderr);
}

#[test]
fn a_bad_start_is_the_launchers_exit_status() {
    let web = Web::answering(200);
    let home = Home::new().with("heartbeat.conf", &ini(&web).replace("heartbeat.log", "no/such/folder/log"));
    let launched = home.run(&["-c", "heartbeat.conf"]);
    assert_eq!(launched.code, 1, "{}{}", launched.stdout, launched.stderr);
    assert!(launched.stderr.contains("no/such/folder/log"), "{}", launched.stderr);
    assert!(!home.path("heartbeat.pid").exists());
}

#[test]
fn a_second_instance_on_one_store_says_so() {
    let web = Web::answering(200);
    for storage in ["sqlite:state.db", "file:state.json"] {
        let configuration = format!("checks: [\"{}\"]\nalerts: []\nstorage: {storage}\n", web.url());
        let home = Home::new().with("heartbeat.yaml", &configuration);
        let mut program = home.start(&["run"]);
        program.wait_for("started with");
        let second = home.run(&["once"]);
        assert_eq!(second.code, 75, "{storage}: {}{}", second.stdout, second.stderr);
        assert!(second.stderr.contains("error: "), "{}", second.stderr);
        assert_eq!(program.terminate().code, 0);
        assert_eq!(home.run(&["once"]).code, 0, "the lock is free again");
    }
}

#[test]
fn the_service_manager_hears_of_start_progress_reload_and_end() {
    let web = Web::answering(200);
    let home =
        Home::new().with("heartbeat.yaml", &format!("checks: [\"{}\"]\nalerts: []\nstorage: memory\n", web.url()));
    let path = home.path("notify");
    let manager = UnixDatagram::bind(&path).expect("a socket in a temporary folder");
    manager.set_read_timeout(Some(Duration::from_secs(20))).expect("a timeout");
    let expect = |what: &str| {
        let mut buffer = [0; 4096];
        loop {
            let length = manager.recv(&mut buffer).unwrap_or_else(|error| panic!("{what} did not come: {error}"));
            let text = String::from_utf8_lossy(&buffer[..length]).into_owned();
            if text.lines().any(|line| line.starts_with(what)) {
                return text;
            }
        }
    };
    let mut command = home.command(&["run"]);
    command.env("NOTIFY_SOCKET", &path).env("WATCHDOG_USEC", "400000");
    let program = Program::start(command);
    expect("READY=1");
    expect("WATCHDOG=1");
    expect("WATCHDOG=1");
    program.signal(Signal::SIGHUP);
    assert!(expect("RELOADING=1").contains("MONOTONIC_USEC="));
    expect("READY=1");
    program.signal(Signal::SIGTERM);
    expect("STOPPING=1");
}

#[test]
fn privileges_are_dropped_for_good_or_refused() {
    let web = Web::answering(200);
    let home = Home::new().with(
        "heartbeat.yaml",
        &format!(
            "checks: [\"{}\"]\nalerts: []\nstorage: memory\nprocess: {{ user: nobody, group: nogroup, pidfile: pid }}\n",
            web.url()
        ),
    );
    std::fs::set_permissions(home.path(""), std::fs::Permissions::from_mode(0o755)).expect("our own folder");
    let mut program = home.start(&["run"]);
    if !nix::unistd::geteuid().is_root() {
        assert_eq!(program.wait().code, 1);
        assert!(program.said().contains("only root can"), "{}", program.said());
        return;
    }
    program.wait_for("started with");
    let status = std::fs::read_to_string(format!("/proc/{}/status", program.pid())).expect("it lives");
    let field = |name: &str| {
        status.lines().find_map(|line| line.strip_prefix(name)).map(|rest| rest.split_whitespace().collect::<Vec<_>>())
    };
    assert_eq!(field("Uid:"), Some(vec!["65534"; 4]));
    assert_eq!(field("Gid:"), Some(vec!["65534"; 4]));
    assert!(field("Groups:").is_none_or(|groups| groups.iter().all(|group| *group == "65534")), "{status}");
    assert_eq!(program.terminate().code, 0);
    assert_eq!(home.read("pid"), "", "what could not be removed was emptied");
}

#[test]
fn a_terminal_sees_checks_channels_store_and_first_results_within_seconds() {
    let home = Home::new();
    let example = repository().join("examples/heartbeat.yaml");
    let program = env!("CARGO_BIN_EXE_heartbeat");
    // script(1), of every Debian, gives the program a terminal.
    let mut command = Command::new("script");
    command
        .args(["--quiet", "--return", "--command"])
        .arg(format!("{program} run -c {}", example.display()))
        .arg("/dev/null")
        .env("TERM", "xterm")
        .current_dir(home.path(""));
    let start = std::time::Instant::now();
    let mut terminal = Program::start(command);
    terminal.wait_for("next:");
    let took = start.elapsed();
    let said = terminal.said();
    for expected in ["checks", "disk", "alerts", "notes", "store", "memory", "4 checks probed", "Ctrl-C"] {
        assert!(said.contains(expected), "`{expected}` is missing:\n{said}");
    }
    assert!(took < Duration::from_secs(6), "took {took:?}:\n{said}");
    terminal.terminate();
}

#[test]
fn the_example_is_all_up() {
    let example = repository().join("examples/heartbeat.yaml");
    let ended = Home::new().run(&["check", "-c", &example.display().to_string()]);
    assert_eq!(ended.code, 0, "{}{}", ended.stdout, ended.stderr);
    assert_eq!(ended.stdout.lines().filter(|line| line.starts_with("pass")).count(), 4, "{}", ended.stdout);
}

#[test]
fn the_last_line_of_defence_is_a_right_exit_code() {
    let closed = closed_port();
    let home = Home::new().with("heartbeat.yaml", &format!("checks: [\"tcp://127.0.0.1:{closed}\"]\nalerts: []\n"));
    let cases: [(&[&str], i32); 6] = [
        (&["no-such-command"], 64),
        (&["--version"], 0),
        (&["check", "-c", "no-such-file.yaml"], 78),
        (&["check", "no-such-check"], 64),
        (&["check", "gopher://127.0.0.1/"], 64),
        (&["reload"], 1),
    ];
    for (arguments, code) in cases {
        let ended = home.run(arguments);
        assert_eq!(ended.code, code, "{arguments:?}: {}{}", ended.stdout, ended.stderr);
    }
    let refused = home.run(&["check", &format!("tcp://127.0.0.1:{closed}")]);
    assert_eq!(refused.code, 2, "{}{}", refused.stdout, refused.stderr);
}
