//! Taking a server out of service and back by its flag: what is written, what follows, and who is waited for.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::{Ended, Home, Program, Web, closed_port, wait_for};

const DOWN: &str = "This server is now flagged for maintenance and should stop receiving new requests shortly.\n\
                    Please allow a few moments for current requests to finish before stopping the server.\n";
const UP: &str = "This server is now available and should start receiving new requests shortly.\n";

/// A flag and nothing else.
fn only_a_flag() -> Home {
    Home::new().with("heartbeat.yaml", "responder: { flag: heart.beat }\n")
}

/// A daemon with one check, a responder and a flag.
struct Server {
    home: Home,
    web: Web,
    port: u16,
}

impl Server {
    /// `responder` and `rest` are further keys.
    fn new(responder: &str, rest: &str) -> Self {
        let server = Self { home: Home::new(), web: Web::answering(200), port: closed_port() };
        let text = format!(
            "defaults: {{ interval: 50ms, fast_interval: 50ms, timeout: 10s, fall: 1, rise: 1, remind: never }}\n\
             checks:\n  web: {{ url: \"{}\", alerts: []{} }}\n\
             responder:\n  listen: 127.0.0.1:{}\n{responder}\nstorage: sqlite:state.db\n{rest}\n",
            server.web.url(),
            if rest.contains("actions:") { ", actions: [service]" } else { "" },
            server.port,
        );
        server.home.write("heartbeat.yaml", &text);
        server
    }

    fn with_flag() -> Self {
        Self::new("  flag: heart.beat\n  drain: { polls: 2, grace: 300ms }", "alerts: []")
    }

    fn start(&self) -> Program {
        let mut program = self.home.start(&["run"]);
        program.wait_for("started with");
        program
    }

    /// The status of an answer; `None` if there is none.
    fn poll(&self, path: &str) -> Option<u16> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).ok()?;
        stream.set_read_timeout(Some(Duration::from_secs(10))).ok()?;
        write!(stream, "GET {path} HTTP/1.0\r\n\r\n").ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        answer.split(' ').nth(1)?.parse().ok()
    }

    #[track_caller]
    fn wait_for_answer(&self, path: &str, status: u16) {
        wait_for(&format!("{path} answers {status}"), || (self.poll(path) == Some(status)).then_some(()));
    }

    fn run(&self, arguments: &[&str]) -> Ended {
        self.home.run(arguments)
    }
}

#[test]
fn down_and_up_say_and_write_what_the_forerunner_did() {
    let home = only_a_flag();
    let ended = home.run(&["down"]);
    assert_eq!((ended.code, ended.stdout.as_str(), ended.stderr.as_str()), (0, DOWN, ""));
    assert_eq!(home.read("heart.beat"), "0");
    let ended = home.run(&["up"]);
    assert_eq!((ended.code, ended.stdout.as_str(), ended.stderr.as_str()), (0, UP, ""));
    assert!(!home.path("heart.beat").exists());
    let ended = home.run(&["up"]);
    assert_eq!((ended.code, ended.stdout.as_str()), (0, UP), "a flag that is not there is a success");
    let ended = home.run(&["drain"]);
    assert_eq!((ended.code, ended.stdout.as_str()), (0, DOWN));
    assert_eq!(home.read("heart.beat"), "0");
    assert_eq!(home.run(&["down", "one", "two"]).code, 64);
    assert_eq!(home.run(&["sideways"]).code, 64);
}

#[test]
fn how_long_and_why_stand_in_the_flag() {
    let home = only_a_flag();
    assert_eq!(home.run(&["down", "--for", "30m", "--reason", "new\nkernel"]).code, 0);
    let lines = home.lines("heart.beat");
    assert_eq!(lines[0], "0");
    assert!(lines[1].starts_with("until: 20"), "{lines:?}");
    assert_eq!(lines[2], "reason: new kernel");
    let ended = home.run(&["down", "--json", "--for", "1h"]);
    let json: Value = serde_json::from_str(&ended.stdout).expect("JSON");
    assert!(json["until"].is_string() && json["flag"].as_str().is_some_and(|flag| flag.ends_with("heart.beat")));
    assert_eq!(home.lines("heart.beat").len(), 2, "nothing is left of a longer flag");
    assert_eq!(home.run(&["down", "--for", "30"]).code, 64);
}

#[test]
fn without_a_flag_it_is_an_error() {
    let home = Home::new().with("heartbeat.yaml", "checks: [tcp://127.0.0.1:9]\nalerts: []\n");
    for command in ["up", "down"] {
        let ended = home.run(&[command]);
        assert_eq!(ended.code, 78);
        assert!(ended.stderr.contains("there is no flag") && ended.stderr.contains("responder: { flag:"), "{ended:?}");
        assert_eq!(ended.stdout, "");
    }
}

#[test]
fn a_file_that_is_wrong_elsewhere_does_not_keep_a_server_in_service() {
    let text =
        "checks:\n  a: { url: \"https://${NOT_SET_ANYWHERE}/\", time_out: 5s }\nresponder: { flag: heart.beat }\n";
    let home = Home::new().with("heartbeat.yaml", text);
    assert_eq!(home.run(&["config", "check"]).code, 78);
    assert_eq!(home.run(&["down"]).code, 0);
    assert_eq!(home.read("heart.beat"), "0");
}

#[test]
fn a_view_has_a_flag_of_its_own() {
    let text = "responder: { flag: heart.beat, views: { shop: {} } }\n";
    let home = Home::new().with("heartbeat.yaml", text);
    assert_eq!(home.run(&["down", "shop"]).code, 0);
    assert_eq!(home.read("heart.beat.shop"), "0");
    assert!(!home.path("heart.beat").exists());
    let ended = home.run(&["down", "shoq"]);
    assert_eq!(ended.code, 64);
    assert!(ended.stderr.contains("`shoq`") && ended.stderr.contains("`shop`"), "{ended:?}");
    assert_eq!(home.run(&["up", "shop"]).code, 0);
    assert!(!home.path("heart.beat.shop").exists());
}

#[test]
fn what_cannot_be_written_is_said_and_nothing_is_half_done() {
    let home = only_a_flag();
    std::fs::create_dir(home.path("heart.beat")).expect("a folder");
    for command in ["down", "up"] {
        let ended = home.run(&[command]);
        assert_eq!((ended.code, ended.stdout.as_str()), (1, ""), "{ended:?}");
        assert!(ended.stderr.contains("heart.beat") && ended.stderr.contains("service"), "{ended:?}");
    }
}

#[test]
fn somebody_who_may_write_only_the_flag_can_take_the_server_out_and_put_it_back() {
    let home = only_a_flag();
    std::fs::set_permissions(home.path(""), std::fs::Permissions::from_mode(0o755)).expect("our folder");
    home.write("heart.beat", "");
    let is_root = nix::unistd::geteuid().is_root();
    // Root may do everything, so it becomes somebody who may not; its program is out of that one's reach.
    let program = home.path("heartbeat");
    std::fs::copy(env!("CARGO_BIN_EXE_heartbeat"), &program).expect("a copy");
    let nobody = nix::unistd::Uid::from_raw(65534);
    if is_root {
        nix::unistd::chown(&home.path("heart.beat"), Some(nobody), None).expect("root may give files away");
    }
    std::fs::set_permissions(home.path(""), std::fs::Permissions::from_mode(0o555)).expect("our folder");
    let as_nobody = |word: &str| {
        let words = ["--reuid=65534", "--regid=65534", "--clear-groups"];
        let mut command = Command::new(if is_root { "setpriv".as_ref() } else { program.as_os_str() });
        if is_root {
            command.args(words).arg(&program);
        }
        command.arg(word).current_dir(home.path("")).env_remove("HEARTBEAT_CONFIG");
        command.output().expect("setpriv is there (Debian: util-linux)").status.code()
    };
    assert_eq!(as_nobody("down"), Some(0));
    assert_eq!(home.read("heart.beat"), "0");
    assert_eq!(as_nobody("up"), Some(0));
    assert_eq!(home.read("heart.beat"), "", "it may not be removed, so it is empty");
    std::fs::set_permissions(home.path(""), std::fs::Permissions::from_mode(0o755)).expect("our folder");
}

#[test]
fn a_drain_is_seen_within_a_second_and_ends_by_itself() {
    let server = Server::with_flag();
    let program = server.start();
    server.wait_for_answer("/heartbeat/status/", 200);
    server.run(&["down", "--for", "2s", "--reason", "kernel"]);
    let raised = Instant::now();
    server.wait_for_answer("/heartbeat/status", 503);
    assert!(raised.elapsed() < Duration::from_secs(1), "seen after {:?}", raised.elapsed());
    assert_eq!(server.poll("/livez"), Some(200));
    let overlay = &server.home.status()["overlay"];
    assert_eq!((overlay["word"].as_str(), overlay["reason"].as_str()), (Some("drain"), Some("kernel")));
    server.wait_for_answer("/heartbeat/status/", 200);
    assert!(server.home.path("heart.beat").exists(), "a flag whose time is over is left where it is");
    assert_eq!(server.home.status()["overlay"], Value::Null);
    assert_eq!(program.terminate().code, 0);
}

#[test]
fn promotions_wait_while_the_server_is_drained() {
    let server = Server::new(
        "  flag: heart.beat",
        "alerts: []\nactions:\n  service: { promote: [/usr/bin/touch, PROMOTED], demote: [/bin/true], on_start: run }",
    );
    let promoted = server.home.path("promoted");
    let text = server.home.read("heartbeat.yaml").replace("PROMOTED", &promoted.display().to_string());
    server.home.write("heartbeat.yaml", &text);
    server.home.write("heart.beat", "0");
    let mut program = server.start();
    program.wait_for("drain: nothing is started");
    let before = server.web.hits();
    wait_for("probes", || (server.web.hits() >= before + 20).then_some(()));
    assert!(!promoted.exists(), "nothing is started that an operator stopped");
    server.run(&["up"]);
    wait_for("the promotion is made up for", || promoted.exists().then_some(()));
    assert_eq!(program.terminate().code, 0);
}

#[test]
fn people_are_told_of_a_drain_once_even_over_a_restart() {
    let ledger = Web::answering(200);
    let alerts = format!("alerts:\n  ledger: {{ type: webhook, url: \"{}\", limit: none }}", ledger.url());
    let server = Server::new("  flag: { file: heart.beat, alerts: [ledger] }", &alerts);
    let told = |number: usize| {
        wait_for(&format!("{number} messages"), || Some(ledger.requests()).filter(|told| told.len() >= number))
    };
    let program = server.start();
    server.wait_for_answer("/readyz", 200);
    server.run(&["down"]);
    let message: Value = serde_json::from_str(&told(1)[0].body).expect("a document");
    let text = message["message"].as_str().expect("a text");
    assert!(text.starts_with("flag is down: ") && text.ends_with("heart.beat exists and contains 0"), "{text}");
    assert_eq!(program.terminate().code, 0);
    let program = server.start();
    server.wait_for_answer("/readyz", 503);
    server.run(&["up"]);
    let messages = told(2);
    assert_eq!(messages.len(), 2, "a restart is no event");
    assert!(messages[1].body.contains("flag is up after"), "{}", messages[1].body);
    assert_eq!(program.terminate().code, 0);
}

/// Polls as a load balancer does until it is dropped.
struct Poller {
    stop: std::sync::mpsc::Sender<()>,
    thread: Option<std::thread::JoinHandle<usize>>,
}

impl Poller {
    fn every(port: u16, path: &'static str, pace: Duration) -> Self {
        let (stop, stopped) = std::sync::mpsc::channel::<()>();
        let thread = std::thread::spawn(move || {
            let mut polls = 0;
            while stopped.recv_timeout(pace).is_err_and(|error| error == std::sync::mpsc::RecvTimeoutError::Timeout) {
                if let Ok(mut stream) = TcpStream::connect(("127.0.0.1", port)) {
                    let _ = write!(stream, "GET {path} HTTP/1.0\r\n\r\n");
                    let _ = stream.read_to_end(&mut Vec::new());
                    polls += 1;
                }
            }
            polls
        });
        Self { stop, thread: Some(thread) }
    }
}

impl Drop for Poller {
    fn drop(&mut self) {
        let _ = self.stop.send(());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Server {
    /// Waits until the daemon knows the pace of somebody who polls this view.
    fn wait_for_poller(&self, view: &str) {
        wait_for("the daemon knows a poller", || {
            let status = self.home.status();
            let known = status["pollers"]
                .as_array()?
                .iter()
                .any(|poller| poller["view"] == view && !poller["interval"].is_null() && poller["transport"] == "http");
            known.then_some(())
        });
    }
}

#[test]
fn waiting_ends_when_everybody_has_been_told() {
    // Long enough for the command to meet a poller that has not been told.
    let server = Server::new("  flag: heart.beat\n  drain: { polls: 10, grace: 300ms }", "alerts: []");
    let program = server.start();
    server.wait_for_answer("/readyz", 200);
    let poller = Poller::every(server.port, "/heartbeat/status/", Duration::from_millis(100));
    server.wait_for_poller("status");
    let ended = server.run(&["down", "--wait=20s"]);
    assert_eq!((ended.code, ended.stdout.as_str()), (0, DOWN), "{ended:?}");
    let [waiting, told] = ["waiting for 127.0.0.1 (http, view status)", "127.0.0.1 (http, view status) has been told"]
        .map(|line| ended.stderr.find(line).unwrap_or_else(|| panic!("`{line}` is missing: {ended:?}")));
    assert!(waiting < told, "{ended:?}");
    assert!(ended.stderr.contains("It is safe to stop this server now"), "{ended:?}");
    drop(poller);
    assert_eq!(program.terminate().code, 0);
}

#[test]
fn whoever_has_fallen_silent_is_not_waited_for() {
    let server = Server::with_flag();
    let program = server.start();
    server.wait_for_answer("/readyz", 200);
    let poller = Poller::every(server.port, "/heartbeat/status/", Duration::from_millis(50));
    server.wait_for_poller("status");
    drop(poller);
    let ended = server.run(&["down", "--wait=20s"]);
    assert_eq!(ended.code, 0, "{ended:?}");
    assert!(ended.stderr.contains("(http, view status) has fallen silent and is not waited for"), "{ended:?}");
    assert_eq!(program.terminate().code, 0);
}

#[test]
fn with_nobody_who_polls_only_the_requests_under_way_are_waited_for() {
    let server = Server::with_flag();
    let program = server.start();
    let start = Instant::now();
    let ended = server.run(&["down", "--wait=20s"]);
    assert_eq!(ended.code, 0, "{ended:?}");
    assert!(ended.stderr.contains("nobody polls this server"), "{ended:?}");
    assert!(start.elapsed() >= Duration::from_millis(300), "the grace is {:?}", start.elapsed());
    assert_eq!(program.terminate().code, 0);
}

#[test]
fn whoever_has_not_been_told_at_the_limit_is_named() {
    let server = Server::new("  flag: heart.beat\n  drain: { polls: 1000, grace: 0s }", "alerts: []");
    let program = server.start();
    server.wait_for_answer("/readyz", 200);
    let poller = Poller::every(server.port, "/readyz", Duration::from_millis(100));
    server.wait_for_poller("ready");
    let ended = server.run(&["down", "--wait=2s"]);
    assert_eq!(ended.code, 1, "{ended:?}");
    assert!(ended.stderr.contains("not told yet: 127.0.0.1 (http, view ready): "), "{ended:?}");
    assert!(ended.stderr.contains(" of 1000 polls"), "{ended:?}");
    drop(poller);
    assert_eq!(program.terminate().code, 0);
}

#[test]
fn before_its_end_the_server_is_not_ready_but_lives() {
    let server = Server::new("  lame_duck: 1500ms", "alerts: []");
    let mut program = server.start();
    server.wait_for_answer("/readyz", 200);
    let begin = Instant::now();
    program.signal(nix::sys::signal::Signal::SIGTERM);
    server.wait_for_answer("/readyz", 503);
    assert_eq!(server.poll("/livez"), Some(200));
    assert_eq!(program.wait().code, 0);
    assert!(begin.elapsed() >= Duration::from_millis(1500), "it ended after {:?}", begin.elapsed());
    assert_eq!(server.poll("/livez"), None);
}

#[test]
fn a_second_signal_ends_the_waiting() {
    let server = Server::new("  lame_duck: 10m", "alerts: []");
    let program = server.start();
    server.wait_for_answer("/readyz", 200);
    program.signal(nix::sys::signal::Signal::SIGTERM);
    server.wait_for_answer("/readyz", 503);
    assert_eq!(program.terminate().code, 0);
}

#[test]
fn a_scheduler_that_stands_still_fails_every_view() {
    let server = Server::new("", "alerts: []");
    let mut command = server.home.command(&["run"]);
    // Well after the start: every probe is a turn of the loop.
    command.env("HEARTBEAT_FAILPOINT", "scheduler:60");
    let mut program = Program::start(command);
    program.wait_for("started with");
    server.wait_for_answer("/readyz", 200);
    for view in ["/heartbeat/status/", "/readyz", "/healthz", "/startupz", "/livez"] {
        server.wait_for_answer(view, 503);
    }
    program.kill();
}

#[test]
fn a_configuration_of_a_flag_alone_runs() {
    let port = closed_port();
    let text = format!("responder: {{ listen: 127.0.0.1:{port}, flag: heart.beat }}\nstorage: memory\n");
    let server = Server { home: Home::new().with("heartbeat.yaml", &text), web: Web::answering(200), port };
    let program = server.start();
    server.wait_for_answer("/heartbeat/status/", 200);
    std::fs::write(server.home.path("heart.beat"), "any text with a 0 in it").expect("a flag");
    server.wait_for_answer("/heartbeat/status/", 503);
    std::fs::remove_file(server.home.path("heart.beat")).expect("a flag");
    server.wait_for_answer("/heartbeat/status/", 200);
    assert!(!Path::new("heart.beat").exists());
    assert_eq!(program.terminate().code, 0);
}

#[test]
fn a_reload_brings_other_views_and_another_flag() {
    let server = Server::with_flag();
    let program = server.start();
    server.wait_for_answer("/readyz", 200);
    assert_eq!(server.poll("/shop"), Some(404));
    server.run(&["down"]);
    server.wait_for_answer("/readyz", 503);

    let text = server.home.read("heartbeat.yaml");
    let text =
        text.replace("flag: heart.beat", "flag: other.flag\n  views: { shop: { checks: [web], drain_status: 404 } }");
    server.home.write("heartbeat.yaml", &text);
    let ended = server.run(&["reload"]);
    assert_eq!(ended.code, 0, "{ended:?}");
    server.wait_for_answer("/shop", 200);
    server.wait_for_answer("/readyz", 200);
    server.home.write("other.flag.shop", "0");
    server.wait_for_answer("/shop", 404);
    assert_eq!(server.poll("/readyz"), Some(200));

    let other =
        text.replace(&format!("listen: 127.0.0.1:{}", server.port), &format!("listen: 127.0.0.1:{}", closed_port()));
    server.home.write("heartbeat.yaml", &other);
    let ended = server.run(&["reload"]);
    assert!(ended.stdout.contains("`responder.listen` has changed: that takes a restart"), "{ended:?}");
    assert_eq!(server.poll("/readyz"), Some(200), "until then the old listener answers");
    assert_eq!(program.terminate().code, 0);
}

#[test]
fn a_single_round_promotes_nothing_while_the_server_is_drained() {
    let (home, web) = (Home::new(), Web::answering(200));
    let promoted = home.path("promoted");
    home.write(
        "heartbeat.yaml",
        &format!(
            "checks:\n  web: {{ url: \"{}\", actions: [service] }}\nalerts: []\nactions:\n  service: {{ promote: \
             [/usr/bin/touch, {}], on_start: run }}\nresponder: {{ flag: heart.beat }}\nstorage: sqlite:state.db\n",
            web.url(),
            promoted.display()
        ),
    );
    assert_eq!(home.run(&["down"]).code, 0);
    assert_eq!(home.run(&["once"]).code, 0);
    assert!(!promoted.exists());
    let ended = home.run(&["status"]);
    assert!(
        ended.stdout.contains("drained (") && ended.stdout.contains("heart.beat exists and contains 0"),
        "{ended:?}"
    );
    assert_eq!(home.run(&["up"]).code, 0);
    assert_eq!(home.run(&["once"]).code, 0);
    assert!(promoted.exists());
}

#[test]
fn an_applications_flag_is_raised_and_lowered_with_one_line_of_configuration() {
    let home = only_a_flag();
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    // What an application embeds, as it embeds it.
    let application = runtime.block_on(async {
        let flag = home.path("heart.beat");
        heartbeat_responder::Health::builder().flag(flag).build().expect("a flag is enough")
    });
    let is_ready = || application.answer("ready").is_some_and(|(answer, _)| answer.is_ok());
    wait_for("the application is ready", || is_ready().then_some(()));
    assert_eq!(home.run(&["down", "--reason", "kernel"]).code, 0);
    wait_for("it is drained", || (!is_ready()).then_some(()));
    assert_eq!(home.run(&["up"]).code, 0);
    wait_for("it is ready again", || is_ready().then_some(()));
}

#[test]
fn a_second_daemon_is_told_that_there_is_one() {
    let server = Server::new("", "alerts: []");
    let program = server.start();
    server.wait_for_answer("/readyz", 200);
    let second = server.run(&["run"]);
    assert_eq!(second.code, 75, "{second:?}");
    assert!(
        second.stderr.contains("another instance runs") && second.stderr.contains("cannot listen at"),
        "{second:?}"
    );
    assert_eq!(program.terminate().code, 0);
}
