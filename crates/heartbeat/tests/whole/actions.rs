//! Actions by the real program: order, retries, limits, crashes, and what a command is given.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use heartbeat_core::delivery::Status;
use heartbeat_core::intent::Destination;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

use crate::support::{Home, Program, Web, wait_for};

/// A check, an action that follows it, and a webhook that hears of everything.
struct Bench {
    home: Home,
    web: Web,
    ledger: Web,
}

/// In a command: waits until the test opens the gate.
const AT_THE_GATE: &str = "until [ -e gate ]; do sleep 0.01; done";

impl Bench {
    /// `policy`: further keys of the action. `body`: what its commands do, a script that runs in the home and writes into
    /// the file `ran` when it starts and when it ends by itself.
    fn new(policy: &str, body: &str) -> Self {
        let bench = Self { home: Home::new(), web: Web::answering(200), ledger: Web::answering(200) };
        let folder = bench.home.path("").display().to_string();
        bench.home.write(
            "act",
            &format!(
                "cd {folder}\necho \"start $HEARTBEAT_EVENT $HEARTBEAT_ATTEMPT $$ $HEARTBEAT_KEY\" >> ran\n{body}\n\
                 echo \"end $HEARTBEAT_EVENT\" >> ran\n"
            ),
        );
        bench.configure(&format!(
            "nginx: {{ promote: [/bin/sh, {folder}act], demote: [/bin/sh, {folder}act]{policy} }}"
        ));
        bench
    }

    /// Writes the configuration with these actions.
    fn configure(&self, actions: &str) {
        let ids: Vec<_> = actions.lines().filter_map(|line| Some(line.split_once(':')?.0.trim())).collect();
        let text = format!(
            "defaults: {{ interval: 50ms, fast_interval: 50ms, timeout: 10s, fall: 1, rise: 1, remind: never }}\n\
             checks:\n  web: {{ url: \"{}\", actions: [{}] }}\n\
             actions:\n  {actions}\n\
             alerts:\n  ledger: {{ type: webhook, url: \"{}\", limit: none }}\n\
             storage: sqlite:state.db\n",
            self.web.url(),
            ids.join(", "),
            self.ledger.url()
        );
        self.home.write("heartbeat.yaml", &text);
    }

    fn start(&self) -> Program {
        let mut program = self.home.start(&["run"]);
        program.wait_for("started with");
        program
    }

    /// Changes the target's answer and waits until the check has that state.
    #[track_caller]
    fn turn(&self, state: &str) {
        self.web.answer(if state == "up" { 200 } else { 503 });
        wait_for(&format!("the check is {state}"), || {
            (self.home.status()["checks"][0]["state"] == state).then_some(())
        });
    }

    /// Waits for so many more probes.
    #[track_caller]
    fn probes(&self, number: usize) {
        let before = self.web.hits();
        wait_for("probes", || (self.web.hits() >= before + number).then_some(()));
    }

    /// The lines of `ran`, when there are so many.
    #[track_caller]
    fn ran(&self, lines: usize) -> Vec<Ran> {
        wait_for(&format!("{lines} lines of commands"), || {
            let ran = self.all_ran();
            (ran.len() >= lines).then_some(ran)
        })
    }

    fn all_ran(&self) -> Vec<Ran> {
        self.home.lines("ran").iter().map(|line| Ran::read(line)).collect()
    }

    /// Waits until the store knows the process of the command that runs.
    #[track_caller]
    fn wait_until_stored(&self) {
        wait_for("the running command is in the store", || {
            let stored = |status: &Status| matches!(status, Status::Started(running) if running.pid != 0);
            self.home.deliveries().values().any(|delivery| stored(&delivery.status)).then_some(())
        });
    }

    /// The notices that the webhook has accepted. One whose mark a crash has prevented comes again, with its key.
    fn notices(&self) -> Vec<String> {
        let requests = self.ledger.requests().into_iter();
        let events = requests.map(|request| serde_json::from_str::<Value>(&request.body).expect("a JSON document"));
        let notices = events.filter(|event| event["event"] == "notice");
        let by_key: BTreeMap<_, _> =
            notices.map(|event| (event["key"].to_string(), event["message"].to_string())).collect();
        by_key.into_values().collect()
    }

    #[track_caller]
    fn wait_for_notice(&self, text: &str) {
        wait_for(&format!("a notice: {text}"), || {
            self.notices().iter().any(|notice| notice.contains(text)).then_some(())
        });
    }

    fn open_the_gate(&self) {
        self.home.write("gate", "");
    }
}

/// A line of `ran`.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Ran {
    Start { event: String, attempt: String, pid: i32, key: String },
    End(String),
}

impl Ran {
    fn read(line: &str) -> Self {
        match line.split(' ').collect::<Vec<_>>()[..] {
            ["start", event, attempt, pid, key] => Self::Start {
                event: event.to_owned(),
                attempt: attempt.to_owned(),
                pid: pid.parse().expect("a process number"),
                key: key.to_owned(),
            },
            ["end", event] => Self::End(event.to_owned()),
            _ => panic!("not a line of a command: {line}"),
        }
    }

    fn is_start(&self) -> bool {
        matches!(self, Self::Start { .. })
    }

    fn key(&self) -> &str {
        match self {
            Self::Start { key, .. } => key,
            Self::End(_) => panic!("an end has no key"),
        }
    }

    fn pid(&self) -> i32 {
        match self {
            Self::Start { pid, .. } => *pid,
            Self::End(_) => panic!("an end has no process"),
        }
    }
}

/// The starts among these lines. Every run must have ended before the next one starts.
#[track_caller]
fn one_after_the_other(ran: &[Ran]) -> Vec<&Ran> {
    for pair in ran.chunks(2) {
        match pair {
            [Ran::Start { event, .. }, Ran::End(ended)] if event == ended => {}
            _ => panic!("two at once: {ran:?}"),
        }
    }
    ran.iter().filter(|line| line.is_start()).collect()
}

fn lives(pid: i32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(')').is_some_and(|(_, rest)| !rest.starts_with(" Z") && !rest.starts_with(" X"))
}

#[test]
fn a_slow_command_and_a_check_that_flaps_never_overlap_and_agree_in_the_end() {
    let bench = Bench::new(", limit: none", &format!("{AT_THE_GATE}; sleep 0.05 # the service is slow"));
    let program = bench.start();
    for round in 0..24 {
        if round == 12 {
            bench.open_the_gate();
        }
        bench.web.answer(if round % 2 == 0 { 503 } else { 200 });
        bench.probes(2);
    }
    bench.turn("down");
    bench.home.wait_until_quiet();
    let ran = bench.all_ran();
    let starts = one_after_the_other(&ran);
    assert_eq!(ran.last(), Some(&Ran::End("demote".to_owned())), "the last command agrees with the last state");
    let transitions = bench.home.status()["checks"][0]["epoch"].as_u64().expect("a number");
    assert!(transitions >= 12, "it flapped: {transitions}");
    assert!((starts.len() as u64) < transitions, "{} runs for {transitions} transitions", starts.len());
    assert!(program.said().contains("a later wish took its place"), "{}", program.said());
    let deliveries = bench.home.deliveries();
    let order: Vec<_> = starts.iter().map(|start| deliveries[start.key()].sequence).collect();
    assert!(order.is_sorted_by(|one, other| one < other), "in order, and each once: {order:?}");
    assert_eq!(program.terminate().code, 0);
}

#[test]
fn what_a_crash_left_running_is_waited_for_and_then_repeated() {
    let bench = Bench::new("", AT_THE_GATE);
    let program = bench.start();
    bench.web.answer(503);
    let first = bench.ran(1);
    bench.wait_until_stored();
    program.kill();
    let mut program = bench.start();
    program.wait_for(&format!("waiting for process {}", first[0].pid()));
    bench.probes(3);
    assert_eq!(bench.all_ran(), first, "nothing beside it");
    bench.open_the_gate();
    let ran = bench.ran(4);
    bench.home.wait_until_quiet();
    assert_eq!(bench.all_ran(), ran, "repeated once");
    let starts = one_after_the_other(&ran);
    assert_eq!(starts[0].key(), starts[1].key());
    assert_eq!(program.terminate().code, 0);
}

#[test]
fn what_a_crash_left_running_is_killed_at_its_timeout_and_then_repeated() {
    let bench = Bench::new(", timeout: 2500ms", "if [ ! -e once ]; then touch once; exec sleep 600; fi");
    let program = bench.start();
    bench.web.answer(503);
    let first = bench.ran(1)[0].clone();
    bench.wait_until_stored();
    program.kill();
    assert!(lives(first.pid()), "a crash of ours is none of its business");
    let mut program = bench.start();
    program.wait_for("waiting for process");
    let second = wait_for("it is repeated", || {
        let ran = bench.all_ran();
        let second = ran.get(1).cloned();
        assert!(second.is_none() || !lives(first.pid()), "both at once");
        second
    });
    assert_eq!(second.key(), first.key());
    bench.home.wait_until_quiet();
    assert_eq!(bench.all_ran().len(), 3);
    assert_eq!(program.terminate().code, 0);
}

#[test]
fn what_must_not_be_repeated_is_uncertain_after_a_crash() {
    let bench = Bench::new(", delivery: at_most_once", AT_THE_GATE);
    let program = bench.start();
    bench.web.answer(503);
    bench.ran(1);
    bench.wait_until_stored();
    program.kill();
    let mut program = bench.start();
    program.wait_for("waiting for process");
    bench.open_the_gate();
    bench.wait_for_notice("may or may not have taken effect");
    bench.home.wait_until_quiet();
    let ran = bench.all_ran();
    assert_eq!(one_after_the_other(&ran).len(), 1, "{ran:?}");
    // The action itself goes on.
    bench.turn("up");
    assert_eq!(bench.ran(4)[3], Ran::End("promote".to_owned()));
    assert_eq!(program.terminate().code, 0);
    assert_eq!(bench.notices().len(), 1, "{:?}", bench.notices());
}

#[test]
fn at_most_once_is_not_repeated_whatever_its_exit() {
    let bench = Bench::new(", delivery: at_most_once", "exit 9");
    let program = bench.start();
    bench.web.answer(503);
    bench.wait_for_notice("must not be repeated: exit 9");
    bench.home.wait_until_quiet();
    assert_eq!(bench.all_ran().len(), 1);
    drop(program);
    let program = bench.start();
    bench.probes(3);
    assert_eq!(bench.all_ran().len(), 1);
    assert_eq!(program.terminate().code, 0);
}

/// Dies at a named place and is started again; the lines of commands, and the notices.
#[cfg(feature = "failpoints")]
fn dies_at(place: &str, delivery: &str) -> (Vec<Ran>, Vec<String>) {
    let bench = Bench::new(&format!(", delivery: {delivery}"), "");
    bench.web.answer(503);
    let mut command = bench.home.command(&["run"]);
    command.env("HEARTBEAT_FAILPOINT", place);
    let died = Program::start(command).wait();
    assert_eq!(died.code, -9, "it did not die at {place}: {}", died.stdout);
    if place == "after-start" {
        bench.ran(2);
    }
    let program = bench.start();
    if delivery == "at_most_once" {
        bench.wait_for_notice("may or may not have taken effect");
    }
    bench.probes(3);
    bench.home.wait_until_quiet();
    assert_eq!(program.terminate().code, 0);
    (bench.all_ran(), bench.notices())
}

#[cfg(feature = "failpoints")]
#[test]
fn a_crash_at_the_start_of_a_command_repeats_it_if_it_may() {
    let (ran, notices) = dies_at("before-start", "at_least_once");
    assert_eq!((one_after_the_other(&ran).len(), notices.len()), (1, 0), "{ran:?} {notices:?}");
    let (ran, notices) = dies_at("after-start", "at_least_once");
    let starts = one_after_the_other(&ran);
    assert_eq!((starts.len(), notices.len()), (2, 0), "{ran:?} {notices:?}");
    assert_eq!(starts[0].key(), starts[1].key());
}

#[cfg(feature = "failpoints")]
#[test]
fn a_crash_at_the_start_of_a_command_that_must_not_be_repeated_is_reported() {
    let (ran, notices) = dies_at("before-start", "at_most_once");
    assert_eq!((ran.len(), notices.len()), (0, 1), "{ran:?} {notices:?}");
    let (ran, notices) = dies_at("after-start", "at_most_once");
    assert_eq!((one_after_the_other(&ran).len(), notices.len()), (1, 1), "{ran:?} {notices:?}");
}

#[test]
fn beyond_its_limit_an_action_is_suspended_until_somebody_resumes_it() {
    let bench = Bench::new(", limit: 2 per 10m", "");
    let program = bench.start();
    bench.turn("down");
    bench.ran(2);
    bench.turn("up");
    bench.ran(4);
    bench.turn("down");
    bench.wait_for_notice("`heartbeat resume nginx` lifts it");
    bench.turn("up");
    bench.turn("down");
    let result = bench.home.status()["actions"][0]["result"].to_string();
    assert!(result.contains("suspended"), "{result}");
    assert_eq!(bench.all_ran().len(), 4);
    assert_eq!(bench.home.run(&["resume", "nothing"]).code, 64);
    let resumed = bench.home.run(&["resume", "nginx"]);
    assert_eq!(resumed.code, 0, "{}{}", resumed.stdout, resumed.stderr);
    let ran = bench.ran(6);
    assert_eq!(ran[5], Ran::End("demote".to_owned()));
    bench.home.wait_until_quiet();
    let result = bench.home.status()["actions"][0]["result"].to_string();
    assert!(!result.contains("suspended"), "{result}");
    assert_eq!(bench.all_ran().len(), 6, "the latest wish, and no other");
    assert_eq!(bench.notices().len(), 1, "{:?}", bench.notices());
    assert_eq!(program.terminate().code, 0);
}

#[test]
fn a_suspension_survives_a_restart() {
    let bench = Bench::new(", limit: 1 per 10m", "");
    let program = bench.start();
    bench.turn("down");
    bench.ran(2);
    bench.turn("up");
    bench.wait_for_notice("suspended");
    program.kill();
    let program = bench.start();
    bench.probes(3);
    assert_eq!(bench.all_ran().len(), 2);
    assert_eq!(bench.home.run(&["resume", "nginx"]).code, 0);
    assert_eq!(bench.ran(4)[3], Ran::End("promote".to_owned()));
    bench.home.wait_until_quiet();
    assert_eq!(bench.notices().len(), 1, "{:?}", bench.notices());
    assert_eq!(program.terminate().code, 0);
}

#[test]
fn a_command_that_fails_is_repeated_with_the_same_key_and_counted() {
    let bench = Bench::new("", "[ $HEARTBEAT_ATTEMPT -ge 3 ] || exit 7");
    let program = bench.start();
    bench.turn("down");
    let ran = bench.ran(4);
    bench.home.wait_until_quiet();
    assert_eq!(bench.all_ran(), ran);
    let key = ran[0].key();
    for (line, expected) in ran.iter().zip(["1", "2", "3"]) {
        assert!(matches!(line, Ran::Start { attempt, key: this, .. } if attempt == expected && this == key), "{ran:?}");
    }
    assert!(program.said().contains("exit 7"), "{}", program.said());
    assert_eq!(bench.notices(), [""; 0]);
    assert_eq!(program.terminate().code, 0);
}

#[test]
fn every_way_to_fail_ends_in_a_notice() {
    let bench = Bench::new("", "");
    let folder = bench.home.path("").display().to_string();
    bench.home.write("loud", "head -c 10000000 /dev/zero | tr '\\0' x\necho\necho the last line\nexit 3\n");
    bench.home.write("deaf", &format!("echo $$ > {folder}deaf.pid\ntrap '' TERM\nwhile :; do sleep 0.1; done\n"));
    bench.configure(&format!(
        "exits: {{ demote: {{ shell: exit 7 }}, retry: 1 }}\n  \
         missing: {{ demote: [/no/such/program], retry: 0 }}\n  \
         loud: {{ demote: [/bin/sh, {folder}loud], retry: 0 }}\n  \
         deaf: {{ demote: [/bin/sh, {folder}deaf], retry: 0, timeout: 200ms }}"
    ));
    let program = bench.start();
    let highest = || program.memory("VmHWM:");
    let before = highest();
    bench.turn("down");
    bench.wait_for_notice("action exits: demote failed, 2 attempts: exit 7");
    bench.wait_for_notice("action missing: demote failed, 1 attempts: ");
    bench.wait_for_notice("action loud: demote failed, 1 attempts: exit 3: the last line");
    assert!(highest() < before + 9_000, "10 MB of output were kept: {before} kB, then {} kB", highest());
    bench.wait_for_notice("action deaf: demote failed, 1 attempts: timed out after 200ms");
    let pid = bench.home.read("deaf.pid").trim().parse().expect("a process number");
    assert!(!lives(pid), "it was killed before it was given up");
    bench.home.wait_until_quiet();
    assert_eq!(bench.notices().len(), 4, "{:?}", bench.notices());
    let status = bench.home.status();
    let missing = &status["actions"][1];
    assert_eq!(missing["verdict"], "demoted", "{status}");
    assert!(missing["result"].to_string().contains("/no/such/program"), "{status}");
    assert_eq!(program.terminate().code, 0);
}

#[test]
fn a_service_that_an_action_has_started_lives_on_and_what_others_left_does_not() {
    let bench = Bench::new("", "sleep 600 & echo $! > service");
    let folder = bench.home.path("").display().to_string();
    let text = bench.home.read("heartbeat.yaml").replace(
        "actions:\n",
        &format!("  leaky: {{ shell: 'sleep 600 & echo $! >> {folder}of-check', alerts: [] }}\nactions:\n"),
    );
    let text = text.replace(
        "storage:",
        &format!("  leaks: {{ type: shell, command: 'sleep 600 & echo $! >> {folder}of-alert' }}\nstorage:"),
    );
    bench.home.write("heartbeat.yaml", &text);
    let program = bench.start();
    bench.turn("down");
    bench.ran(2);
    bench.home.wait_until_quiet();
    for name in ["of-check", "of-alert"] {
        let pids = wait_for(name, || Some(bench.home.lines(name)).filter(|lines| !lines.is_empty()));
        let pid = pids[0].parse().expect("a process number");
        wait_for(&format!("what is left {name} has ended"), || (!lives(pid)).then_some(()));
    }
    assert_eq!(program.terminate().code, 0);
    let service = bench.home.read("service").trim().parse().expect("a process number");
    assert!(lives(service), "the service lives on, also after our end");
    kill(Pid::from_raw(service), Signal::SIGKILL).expect("we have started it");
}

#[test]
fn a_command_is_given_the_event_and_nothing_of_ours() {
    let bench = Bench::new(
        ", env: { REGION: eu }",
        "tr '\\0' '\\n' < /proc/$$/environ > environ\n\
         grep -E '^(Sig(Ign|Blk)|Umask)' /proc/self/status > status\ncat > document\nreadlink /proc/$$/fd/* > fds",
    );
    // The script goes home before it writes, so where it was started is told first.
    bench.home.write("act", &format!("pwd > {}\n{}", bench.home.path("cwd").display(), bench.home.read("act")));
    let program = bench.home.command(&["run"]);
    let mut command = Command::new("/bin/sh");
    command.args(["-c", "trap '' HUP INT PIPE USR1; umask 077; exec \"$@\"", "sh"]).arg(program.get_program());
    command.args(program.get_args()).current_dir(bench.home.path("")).env_clear();
    command.envs(program.get_envs().filter_map(|(name, value)| Some((name, value?))));
    command.envs([("CANARY", "sings"), ("LD_BIND_NOW", "1"), ("NOTIFY_SOCKET", ""), ("LANG", "C.UTF-8")]);
    let program = Program::start(command);
    wait_for("the first verdict", || (bench.web.hits() > 1).then_some(()));
    bench.turn("down");
    bench.ran(2);
    bench.home.wait_until_quiet();

    let environment: BTreeMap<_, _> = bench.home.lines("environ").into_iter().map(|line| split(&line, '=')).collect();
    let names: Vec<_> = environment.keys().map(String::as_str).collect();
    assert_eq!(
        names,
        [
            "HEARTBEAT_ACTION",
            "HEARTBEAT_ATTEMPT",
            "HEARTBEAT_CHECK",
            "HEARTBEAT_EVENT",
            "HEARTBEAT_FAIL_COUNT",
            "HEARTBEAT_KEY",
            "HEARTBEAT_MESSAGE",
            "HEARTBEAT_PREVIOUS_STATE",
            "HEARTBEAT_REASON",
            "HEARTBEAT_SINCE",
            "HEARTBEAT_STATE",
            "HOME",
            "LANG",
            "PATH",
            "REGION",
            "TZ",
            "USER",
        ]
    );
    assert_eq!(bench.home.read("cwd"), "/\n");
    let status = bench.home.read("status");
    // Signals 32 and 33 are glibc's own, and ignored by every program that posix_spawn has started.
    for line in ["Umask:\t0022", "SigBlk:\t0000000000000000", "SigIgn:\t0000000180000000"] {
        assert!(status.contains(line), "{line} is missing:\n{status}");
    }
    let descriptors = bench.home.read("fds");
    assert!(descriptors.contains("pipe:"), "{descriptors}");
    for ours in ["socket:", "anon_inode:", "state.db"] {
        assert!(!descriptors.contains(ours), "the command has a descriptor of ours:\n{descriptors}");
    }

    let document: Value = serde_json::from_str(&bench.home.read("document")).expect("one JSON document");
    let down = bench.ledger.requests().into_iter().map(|request| serde_json::from_str::<Value>(&request.body));
    let down = down.flatten().find(|event| event["event"] == "down").expect("the webhook was told");
    assert_eq!(fields(&document), fields(&down));
    for field in
        ["version", "node", "check", "state", "previous_state", "since", "reason", "fail_count", "last_pass_time"]
    {
        assert_eq!(document[field], down[field], "{field}");
    }
    for (variable, field) in [
        ("HEARTBEAT_EVENT", "event"),
        ("HEARTBEAT_KEY", "key"),
        ("HEARTBEAT_STATE", "state"),
        ("HEARTBEAT_PREVIOUS_STATE", "previous_state"),
        ("HEARTBEAT_REASON", "reason"),
        ("HEARTBEAT_MESSAGE", "message"),
        ("HEARTBEAT_SINCE", "since"),
    ] {
        assert_eq!(document[field], environment[variable], "{field}");
    }
    assert_eq!(environment["HEARTBEAT_CHECK"], "web");
    assert_eq!(environment["HEARTBEAT_ACTION"], "nginx");
    assert_eq!(environment["HEARTBEAT_EVENT"], "demote");
    assert_eq!(environment["HEARTBEAT_FAIL_COUNT"], "1");
    assert_eq!(environment["REGION"], "eu");
    assert_eq!(program.terminate().code, 0);
}

fn split(line: &str, at: char) -> (String, String) {
    let (name, value) = line.split_once(at).unwrap_or((line, ""));
    (name.to_owned(), value.to_owned())
}

fn fields(document: &Value) -> Vec<&String> {
    document.as_object().expect("an object").keys().collect()
}

#[test]
fn what_a_target_says_is_never_executed() {
    let home = Home::new();
    let proof = home.path("proof").display().to_string();
    let folder = home.path("").display().to_string();
    let hostile = format!("$(touch {proof}) `touch {proof}`; touch {proof} | \"' && touch {proof}");
    // After a bar come performance data.
    let said = hostile.replace('|', "&");
    home.write("plugin", &format!("cat <<'END'\n{said}\u{1b}[2J\u{7}\nEND\nexit 2\n"));
    let yaml = |text: &str| serde_json::to_string(text).expect("JSON is YAML");
    home.write(
        "heartbeat.yaml",
        &format!(
            "defaults: {{ interval: 50ms, fast_interval: 50ms, timeout: 10s, fall: 1, rise: 1 }}\nchecks:\n  \
             evil: {{ name: {}, command: [/bin/sh, {folder}plugin], exit_codes: nagios, actions: [words, shell] }}\n\
             actions:\n  \
             words: {{ demote: 'sh -c \"cat > {folder}words.json; echo $HEARTBEAT_MESSAGE > {folder}words\"' }}\n  \
             shell: {{ demote: {{ shell: 'printf %s \"$HEARTBEAT_REASON\" > {folder}shell; echo $HEARTBEAT_MESSAGE' }} }}\n\
             alerts:\n  \
             beep: {{ type: shell, command: 'printf %s \"$message\" > {folder}beep; echo $message' }}\n  \
             page: {{ type: command, command: [/bin/sh, -c, 'echo $HEARTBEAT_MESSAGE'] }}\n\
             storage: sqlite:state.db\n",
            yaml(&hostile),
        ),
    );
    let mut program = home.start(&["run"]);
    program.wait_for("started with");
    wait_for("the check is down", || (home.status()["checks"][0]["state"] == "down").then_some(()));
    home.wait_until_quiet();
    assert!(!Path::new(&proof).exists(), "it was executed");
    let (shell, beep) = (home.read("shell"), home.read("beep"));
    assert!(shell.contains(&said), "the reason arrives as it is: {shell}");
    assert!(beep.contains(&hostile), "the message arrives as it is: {beep}");
    for text in [&shell, &beep, &program.said()] {
        assert!(!text.chars().any(|c| c.is_control() && c != '\n'), "{text:?}");
    }
    assert_eq!(program.terminate().code, 0);
}

#[test]
fn at_the_end_commands_have_seven_seconds_and_two_more() {
    let bench = Bench::new("", "");
    let folder = bench.home.path("").display().to_string();
    let script = |name: &str, trap: &str| {
        bench.home.write(name, &format!("cd {folder}\necho $$ >> {name}.pids\ntrap '{trap}' TERM\n{AT_THE_GATE}\n"));
    };
    script("polite", "touch asked; exit 1");
    script("deaf", "");
    bench.configure(&format!(
        "polite: {{ demote: [/bin/sh, {folder}polite] }}\n  \
         deaf: {{ demote: [/bin/sh, {folder}deaf], delivery: at_most_once }}"
    ));
    let mut program = bench.start();
    bench.web.answer(503);
    wait_for("both run", || {
        (bench.home.path("polite.pids").exists() && bench.home.path("deaf.pids").exists()).then_some(())
    });
    let start = Instant::now();
    program.signal(Signal::SIGTERM);
    wait_for("the polite one is asked", || bench.home.path("asked").exists().then_some(()));
    let asked = start.elapsed();
    let ended = program.wait();
    let took = start.elapsed();
    assert_eq!(ended.code, 0, "{}", ended.stdout);
    assert!((Duration::from_millis(6900)..Duration::from_millis(8500)).contains(&asked), "TERM after {asked:?}");
    assert!((Duration::from_millis(8900)..Duration::from_millis(10_300)).contains(&took), "ended after {took:?}");
    let deaf = bench.home.read("deaf.pids").trim().parse().expect("a process number");
    assert!(!lives(deaf), "it was killed");

    bench.open_the_gate();
    let program = bench.start();
    bench.wait_for_notice("action deaf: demote may or may not have taken effect");
    wait_for("the polite one is repeated", || (bench.home.lines("polite.pids").len() == 2).then_some(()));
    bench.home.wait_until_quiet();
    assert_eq!(bench.home.lines("deaf.pids").len(), 1);
    assert_eq!(bench.notices().len(), 1, "{:?}", bench.notices());
    let of_polite = bench.home.deliveries().into_values();
    let of_polite: Vec<_> =
        of_polite.filter(|delivery| delivery.intent.to == Destination::Action("polite".into())).collect();
    assert_eq!(of_polite.len(), 1, "one intent: {of_polite:?}");
    assert_eq!(program.terminate().code, 0);
}

#[test]
fn a_fresh_store_follows_on_start_and_a_restart_runs_nothing() {
    let bench = Bench::new("", "");
    let folder = bench.home.path("").display().to_string();
    let command = |name: &str| format!("{{ shell: 'echo $HEARTBEAT_EVENT >> {folder}{name}' }}");
    let action = |name: &str, on_start: &str| {
        let command = command(name);
        format!("{name}: {{ promote: {command}, demote: {command}, on_start: {on_start} }}")
    };
    bench.configure(&format!("{}\n  {}", action("adopt", "adopt"), action("run", "run")));
    let program = bench.start();
    bench.turn("up");
    wait_for("it runs", || (bench.home.lines("run") == ["promote"]).then_some(()));
    bench.home.wait_until_quiet();
    assert_eq!(bench.home.status()["actions"][0]["verdict"], "promoted");
    assert_eq!(program.terminate().code, 0);
    for kill in [true, false] {
        let program = bench.start();
        bench.probes(3);
        bench.home.wait_until_quiet();
        if kill {
            program.kill();
        } else {
            assert_eq!(program.terminate().code, 0);
        }
    }
    assert_eq!(bench.home.lines("run"), ["promote"]);
    assert_eq!(bench.home.read("adopt"), "");

    // A first demoted verdict runs with both.
    std::fs::remove_file(bench.home.path("state.db")).expect("there is a store");
    bench.web.answer(503);
    let program = bench.start();
    wait_for("both run", || {
        (bench.home.lines("run") == ["promote", "demote"] && bench.home.lines("adopt") == ["demote"]).then_some(())
    });
    assert_eq!(program.terminate().code, 0);
}

#[test]
fn repeat_runs_again_while_the_verdict_stands() {
    let bench = Bench::new(", repeat: 100ms", "");
    let program = bench.start();
    bench.turn("down");
    let ran = bench.ran(8);
    let starts = one_after_the_other(&ran[..8]);
    let keys: std::collections::BTreeSet<_> = starts.iter().map(|start| start.key()).collect();
    assert_eq!(keys.len(), 4, "each is an intent of its own: {keys:?}");
    assert!(ran.iter().all(|line| !matches!(line, Ran::End(event) if event != "demote")), "{ran:?}");
    bench.turn("up");
    wait_for("the other command", || (bench.all_ran().last() == Some(&Ran::End("promote".to_owned()))).then_some(()));
    assert_eq!(bench.notices(), [""; 0], "repetitions do not count for the limit");
    assert_eq!(program.terminate().code, 0);
}

#[test]
fn a_dry_run_decides_and_runs_nothing() {
    let bench = Bench::new("", "");
    bench.web.answer(503);
    let mut program = bench.home.start(&["run", "--dry-run"]);
    program.wait_for("dry run: would run demote/");
    program.wait_for("dry run: would send to ledger");
    assert_eq!(program.terminate().code, 0);
    let ended = bench.home.run(&["once", "--dry-run"]);
    assert_eq!(ended.code, 2, "{}{}", ended.stdout, ended.stderr);
    assert_eq!(bench.all_ran(), []);
    assert_eq!(bench.ledger.hits(), 0);
    // It remembers nothing either: the real thing still has everything to do.
    let program = bench.start();
    bench.ran(2);
    bench.home.wait_until_quiet();
    assert_eq!(program.terminate().code, 0);
    // And it knows what the real thing has done.
    let ended = bench.home.run(&["once", "--dry-run", "-v"]);
    assert_eq!(ended.code, 2, "{}{}", ended.stdout, ended.stderr);
    assert!(!ended.stderr.contains("dry run: would"), "{}", ended.stderr);
}

#[test]
fn after_a_crash_the_latest_wish_wins() {
    let bench = Bench::new("", AT_THE_GATE);
    let program = bench.start();
    bench.web.answer(503);
    let first = bench.ran(1);
    bench.wait_until_stored();
    program.kill();
    bench.web.answer(200);
    let mut program = bench.start();
    program.wait_for("waiting for process");
    bench.turn("up");
    assert_eq!(bench.all_ran(), first, "nothing beside it");
    bench.open_the_gate();
    let ran = bench.ran(4);
    bench.home.wait_until_quiet();
    assert_eq!(bench.all_ran(), ran);
    assert_eq!(one_after_the_other(&ran).len(), 2);
    assert_eq!(ran[3], Ran::End("promote".to_owned()), "the demotion is not repeated: {ran:?}");
    assert_eq!(program.terminate().code, 0);
}

#[test]
fn kills_in_a_storm_leave_the_service_as_the_check_is() {
    let bench = Bench::new(", limit: none", "sleep 0.05 # the service is slow");
    for round in 0..16_u64 {
        let program = bench.start();
        for flip in 0..=round % 3 {
            bench.web.answer(if (round + flip) % 2 == 0 { 503 } else { 200 });
            bench.probes(2);
        }
        // At another moment every time.
        let until = Instant::now() + Duration::from_millis(round * 37 % 60);
        while Instant::now() < until {
            std::thread::yield_now();
        }
        program.kill();
    }
    for state in ["up", "down"] {
        let program = bench.start();
        bench.turn(state);
        bench.home.wait_until_quiet();
        let event = if state == "up" { "promote" } else { "demote" };
        assert_eq!(bench.all_ran().last(), Some(&Ran::End(event.to_owned())), "the check is {state}");
        assert_eq!(program.terminate().code, 0);
    }
    let deliveries = bench.home.deliveries();
    let unknown: Vec<_> =
        bench.all_ran().into_iter().filter(|ran| ran.is_start() && !deliveries.contains_key(ran.key())).collect();
    assert!(unknown.is_empty(), "run but never decided: {unknown:?}");
}

#[test]
fn a_command_that_failed_in_once_is_repeated_by_the_next_one() {
    let bench = Bench::new("", "[ -e mended ] || exit 7");
    bench.web.answer(503);
    assert_eq!(bench.home.run(&["once"]).code, 2);
    assert_eq!(bench.all_ran().len(), 1, "one attempt a round");
    bench.home.write("mended", "");
    assert_eq!(bench.home.run(&["once"]).code, 2);
    let ran = bench.all_ran();
    assert!(matches!(&ran[1], Ran::Start { attempt, key, .. } if attempt == "2" && key == ran[0].key()), "{ran:?}");
    assert_eq!(ran[2..], [Ran::End("demote".to_owned())]);
    assert_eq!(bench.home.run(&["once"]).code, 2);
    assert_eq!(bench.all_ran().len(), 3, "done is done");
    bench.web.answer(200);
    assert_eq!(bench.home.run(&["once"]).code, 0);
    assert_eq!(bench.all_ran()[4..], [Ran::End("promote".to_owned())]);
}

#[test]
fn an_action_of_several_checks_follows_all_of_them() {
    let bench = Bench::new("", "echo $HEARTBEAT_CHECK >> checks");
    let other = Web::answering(200);
    let text = bench.home.read("heartbeat.yaml");
    let second = format!("  other: {{ url: \"{}\", actions: [nginx] }}\nactions:\n", other.url());
    bench.home.write("heartbeat.yaml", &text.replace("actions:\n", &second));
    let state_of_other = |state: &str| {
        wait_for(&format!("the other check is {state}"), || {
            (bench.home.status()["checks"][1]["state"] == state).then_some(())
        });
        bench.home.wait_until_quiet();
    };
    let program = bench.start();
    bench.turn("up");
    state_of_other("up");
    bench.turn("down");
    bench.ran(2);
    other.answer(503);
    state_of_other("down");
    bench.turn("up");
    bench.home.wait_until_quiet();
    assert_eq!(bench.all_ran().len(), 2, "one of them is still down");
    other.answer(200);
    assert_eq!(bench.ran(4)[3], Ran::End("promote".to_owned()));
    assert_eq!(bench.home.lines("checks"), ["web", "other"], "whose transition it was");
    assert_eq!(program.terminate().code, 0);
}

#[test]
fn every_store_runs_what_must_not_be_repeated() {
    for storage in ["memory", "file:state.json"] {
        let bench = Bench::new(", delivery: at_most_once", "");
        let text = bench.home.read("heartbeat.yaml");
        bench.home.write("heartbeat.yaml", &text.replace("sqlite:state.db", storage));
        bench.web.answer(503);
        let program = bench.start();
        bench.ran(2);
        assert_eq!(program.terminate().code, 0, "{storage}");
    }
}

#[test]
fn by_hand_a_command_says_how_it_ended() {
    let bench = Bench::new("", "echo said; echo broken >&2; [ $HEARTBEAT_EVENT = promote ]");
    let done = bench.home.run(&["action", "run", "nginx", "promote"]);
    assert_eq!(done.code, 0, "{}{}", done.stdout, done.stderr);
    assert!(done.stdout.contains("said") && done.stdout.contains("exit 0"), "{}", done.stdout);
    bench.home.write("act", "exit 9\n");
    let failed = bench.home.run(&["action", "run", "nginx", "demote"]);
    assert_eq!(failed.code, 1, "{}{}", failed.stdout, failed.stderr);
    assert!(failed.stdout.contains("exit 9"), "{}", failed.stdout);
    let dry = bench.home.run(&["action", "run", "nginx", "demote", "--dry-run"]);
    assert!(dry.code == 0 && dry.stdout.contains("HEARTBEAT_EVENT=demote"), "{}{}", dry.stdout, dry.stderr);
    assert_eq!(bench.all_ran().len(), 2);
    assert_eq!(bench.home.run(&["action", "run", "nothing", "demote"]).code, 64);
}

#[test]
fn root_runs_nothing_that_somebody_else_may_write() {
    use std::os::unix::fs::PermissionsExt as _;
    let bench = Bench::new("", "");
    let path = bench.home.path("anybody");
    bench.home.write("anybody", &format!("#!/bin/sh\ntouch {}\n", bench.home.path("proof").display()));
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o777)).expect("our own file");
    bench.configure(&format!("anybody: {{ demote: [{}], retry: 0 }}", path.display()));
    bench.web.answer(503);
    let program = bench.start();
    if nix::unistd::geteuid().is_root() {
        bench.wait_for_notice("others may write");
        assert!(!bench.home.path("proof").exists());
    } else {
        wait_for("it runs", || bench.home.path("proof").exists().then_some(()));
    }
    bench.home.wait_until_quiet();
    assert_eq!(program.terminate().code, 0);
}
