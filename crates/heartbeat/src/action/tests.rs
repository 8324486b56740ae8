//! Actions with real commands.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;
use std::time::Duration;

use heartbeat_core::delivery::Running;
use heartbeat_core::intent::{Destination, Event};
use heartbeat_core::lane::End;

use super::*;
use crate::host::process::{Command, Exit};
use crate::message::Message;

/// An action whose commands are shell lines.
fn action(promote: &str, demote: &str) -> Action {
    Action {
        id: Id::from("nginx"),
        promote: Some(CommandLine::Shell(promote.to_owned())),
        demote: Some(CommandLine::Shell(demote.to_owned())),
        policy: ActionPolicy::default(),
        env: BTreeMap::new(),
        user: None,
        surroundings: Surroundings::Clean,
    }
}

/// The demotion that follows when the sample check goes down.
fn message() -> Message {
    let mut message = crate::message::tests::sample();
    message.intent.to = Destination::Action(Id::from("nginx"));
    message.intent.event = Event::Demote;
    message
}

async fn demote(action: Action) -> (End, String) {
    let run = Runner::build(Arc::new(action)).unwrap().start(Direction::Demote, &message()).unwrap();
    let (end, finished) = run.finish().await;
    (end, finished.stdout.text())
}

fn value<'a>(command: &'a Command, name: &str) -> Option<&'a str> {
    command.env.iter().find(|(known, _)| known == name)?.1.to_str()
}

#[test]
fn each_direction_has_its_command() {
    let mut one_sided = action("echo up", "echo down");
    assert_eq!(one_sided.command(Direction::Promote), Some(&CommandLine::Shell("echo up".to_owned())));
    assert_eq!(one_sided.command(Direction::Demote), Some(&CommandLine::Shell("echo down".to_owned())));
    one_sided.promote = None;
    let runner = Runner::build(Arc::new(one_sided)).unwrap();
    assert_eq!(runner.command(Direction::Promote, &message()), None);
}

#[test]
fn words_are_run_as_they_stand() {
    let mut plain = action("", "");
    let words = ["systemctl", "stop", "a b", "$HOME", "-x"].map(str::to_owned).to_vec();
    plain.demote = Some(CommandLine::Words(words.clone()));
    let command = Runner::build(Arc::new(plain)).unwrap().command(Direction::Demote, &message()).unwrap();
    assert_eq!(command.argv, words.iter().map(std::ffi::OsString::from).collect::<Vec<_>>());
}

#[test]
fn what_a_command_is_given() {
    let mut given = action("", "true");
    given.env = [("REGION", "eu"), ("PATH", "/opt/bin"), ("HEARTBEAT_KEY", "forged")]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into();
    let message = message();
    let command = Runner::build(Arc::new(given)).unwrap().command(Direction::Demote, &message).unwrap();
    assert_eq!(command.cwd, std::path::Path::new("/"));
    let expected = [
        ("REGION", "eu"),
        ("PATH", "/opt/bin"),
        ("HEARTBEAT_EVENT", "demote"),
        ("HEARTBEAT_ACTION", "nginx"),
        ("HEARTBEAT_CHECK", "webapp"),
        ("HEARTBEAT_STATE", "down"),
        ("HEARTBEAT_PREVIOUS_STATE", "up"),
        ("HEARTBEAT_REASON", "status 503, expected 200"),
        ("HEARTBEAT_MESSAGE", "Web shop is down: status 503, expected 200"),
        ("HEARTBEAT_FAIL_COUNT", "3"),
        ("HEARTBEAT_SINCE", "2026-11-21T02:10:00.000Z"),
        ("HEARTBEAT_KEY", "webapp-3-oncall-down"),
        ("HEARTBEAT_ATTEMPT", "1"),
    ];
    for (name, expected) in expected {
        assert_eq!(value(&command, name), Some(expected), "{name}");
    }
    let mut names: Vec<_> = command.env.iter().map(|(name, _)| name.to_str().unwrap()).collect();
    names.retain(|name| !expected.iter().any(|(known, _)| known == name) && !["LANG", "TZ"].contains(name));
    assert_eq!(names, ["HOME", "USER"], "nothing else");
    let document: serde_json::Value = serde_json::from_slice(&command.stdin).unwrap();
    assert_eq!(document, message.document());
}

#[test]
fn the_launchers_surroundings_are_the_launchers() {
    let mut launched = action("", "true");
    launched.surroundings = Surroundings::Launcher;
    let command = Runner::build(Arc::new(launched)).unwrap().command(Direction::Demote, &message()).unwrap();
    assert_eq!(command.cwd, crate::host::env::launch_folder());
    // Cargo gives this to every test; a clean command would not see it.
    assert!(value(&command, "CARGO_MANIFEST_DIR").is_some());
    assert_eq!(value(&command, "HEARTBEAT_EVENT"), Some("demote"));
}

#[test]
fn a_user_must_exist() {
    let mut stranger = action("", "");
    stranger.user = Some("no-such-user".to_owned());
    let error = Runner::build(Arc::new(stranger)).unwrap_err();
    assert_eq!(error, "action `nginx`: there is no user `no-such-user` on this machine: see `getent passwd`");
}

#[tokio::test]
async fn results_are_one_line() {
    let cases = [
        ("echo hello", End::Done("exit 0".into())),
        ("echo one >&2; echo 'no such unit' >&2; exit 5", End::Failed("exit 5: no such unit".into())),
        ("kill -KILL $$", End::Failed("ended by SIGKILL".into())),
    ];
    for (line, end) in cases {
        assert_eq!(demote(action("", line)).await.0, end);
    }
    let mut slow = action("", "echo begun; sleep 1000");
    slow.policy.timeout = Duration::from_millis(1_500);
    let (end, output) = demote(slow).await;
    assert_eq!((end, output.as_str()), (End::Failed("timed out after 1s500ms".into()), "begun\n"));

    let mut missing = action("", "");
    missing.demote = Some(CommandLine::Words(vec!["/no/such/program".to_owned()]));
    let end = Runner::build(Arc::new(missing)).unwrap().start(Direction::Demote, &message()).unwrap_err();
    assert_eq!(end, End::NotStarted("there is no program /no/such/program".into()));
}

/// What a target says may hold anything. It is data, whatever a careful script does with it.
#[tokio::test]
async fn hostile_values_are_never_executed() {
    let folder = tempfile::tempdir().unwrap();
    let touched = folder.path().join("p");
    let evil = format!(
        "-n $(touch {0}) `touch {0}` ; touch {0} | touch {0} && touch {0}\n#!/bin/sh\ntouch {0}\0touch {0}\x1b[2J' \" \\",
        touched.display()
    );
    let mut message = message();
    message.intent.facts.reason = evil.as_str().into();
    message.intent.message = evil.as_str().into();
    let script = "printf '%s|%s\\n' \"$HEARTBEAT_REASON\" \"$HEARTBEAT_MESSAGE\"; cat";
    let run = Runner::build(Arc::new(action("", script))).unwrap().start(Direction::Demote, &message).unwrap();
    let (end, finished) = run.finish().await;
    assert_eq!(end, End::Done("exit 0".into()));
    assert!(!touched.exists());
    let text = finished.stdout.text();
    let (variables, document) = text.split_once('\n').unwrap();
    let (reason, people) = variables.split_once("|-n").unwrap();
    assert!(reason.starts_with("-n $(touch ") && reason.ends_with("[2J' \" \\"), "{reason}");
    assert_eq!(format!("-n{people}"), reason);
    assert!(!variables.chars().any(char::is_control), "{variables:?}");
    let document: serde_json::Value = serde_json::from_str(document).unwrap();
    assert_eq!(document["reason"], evil);
}

/// Longer values than the kernel takes would keep a command from ever starting.
#[tokio::test]
async fn endless_values_do_not_keep_a_command_from_starting() {
    let mut message = message();
    message.intent.facts.reason = "é".repeat(2_000_000).into();
    message.intent.message = "x".repeat(5_000_000).into();
    let runner = Runner::build(Arc::new(action("", "wc -c"))).unwrap();
    let (end, finished) = runner.start(Direction::Demote, &message).unwrap().finish().await;
    assert_eq!(end, End::Done("exit 0".into()));
    let length: usize = finished.stdout.text().trim().parse().unwrap();
    assert!(length > 9_000_000, "the document on standard input is whole, not {length} bytes");
}

#[tokio::test]
async fn a_command_of_a_former_life_is_found_again() {
    let run = Runner::build(Arc::new(action("", "exec sleep 1000"))).unwrap();
    let run = run.start(Direction::Demote, &message()).unwrap();
    let running = run.running();
    let adopted = adopt(running).unwrap();
    assert!(adopt(Running { start_ticks: running.start_ticks + 1, ..running }).is_none());
    adopted.term();
    let ((), end) = tokio::join!(adopted.ended(), run.end());
    assert_eq!(end, End::Failed("ended by SIGTERM".into()));
    assert!(adopt(running).is_none());
}

#[tokio::test]
async fn by_hand_it_is_shown_before_it_is_run() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("ran");
    let mut secret = action(&format!("echo $HEARTBEAT_EVENT > {}; echo said; echo sad >&2", file.display()), "exit 3");
    secret.env = [("TOKEN".to_owned(), "canary".to_owned())].into();
    let secret = Arc::new(secret);
    let by_hand = ByHand::new(secret.clone(), Direction::Promote, "web1".into()).unwrap();
    let shown = by_hand.describe();
    assert!(shown.starts_with("promote nginx: /bin/sh -c 'echo $HEARTBEAT_EVENT > "), "{shown}");
    assert!(shown.contains("\n  in /, for at most 30s\n  with PATH, "), "{shown}");
    assert!(shown.contains("TOKEN") && !shown.contains("canary"), "{shown}");
    assert!(shown.contains("\n  HEARTBEAT_EVENT=promote\n  HEARTBEAT_ACTION=nginx\n"), "{shown}");
    assert!(!by_hand.to_json().to_string().contains("canary"));
    assert!(!file.exists(), "to show is not to run");

    let ran = by_hand.run().await;
    assert!(ran.is_success());
    assert_eq!(fs::read_to_string(&file).unwrap(), "promote\n");
    assert!(ran.describe().starts_with("said\nsad\nexit 0 after "), "{}", ran.describe());
    let json = ran.to_json();
    assert_eq!((&json["ok"], &json["result"], &json["stdout"]), (&true.into(), &"exit 0".into(), &"said\n".into()));

    let failed = ByHand::new(secret.clone(), Direction::Demote, "web1".into()).unwrap().run().await;
    assert!(!failed.is_success());
    assert_eq!(failed.end, End::Failed("exit 3".into()));
}

#[test]
fn by_hand_a_missing_command_is_named() {
    let mut one_sided = action("true", "");
    one_sided.demote = None;
    let error = ByHand::new(Arc::new(one_sided), Direction::Demote, "web1".into()).unwrap_err();
    assert_eq!(error, "action `nginx` has no command to demote: add `demote:` to it");
}

/// Root does not run what others could have swapped; anybody else runs what they like.
#[tokio::test]
async fn root_runs_no_command_that_others_may_write() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("command");
    fs::write(&path, "#!/bin/sh\n").unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o777)).unwrap();
    let mut loose = action("", "");
    loose.demote = Some(CommandLine::Words(vec![path.to_str().unwrap().to_owned()]));
    let started = Runner::build(Arc::new(loose)).unwrap().start(Direction::Demote, &message());
    if crate::host::user::is_root() {
        let End::NotStarted(why) = started.unwrap_err() else { panic!("it was started") };
        assert_eq!(
            &*why,
            format!(
                "refusing to run {0} as root: others may write {0} (mode 0777): take that away with `chmod go-w {0}`",
                path.display()
            )
        );
    } else {
        let (_, finished) = started.unwrap().finish().await;
        assert_eq!(finished.exit, Exit::Code(0));
    }
}
