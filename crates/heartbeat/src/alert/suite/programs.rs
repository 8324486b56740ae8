//! What `shell` and `command` promise beyond the suite.

use serde_json::Value as Json;

use super::{channel, refusal, sample, send};
use crate::alert::Refused;

#[tokio::test]
async fn no_message_is_ever_executed() {
    let folder = tempfile::tempdir().expect("a folder");
    let (proof, out) = (folder.path().join("proof"), folder.path().join("out"));
    let mut message = sample();
    let hostile = format!("$(touch {0}) `touch {0}`; touch {0} | \"' -n\n&& touch {0}\0\u{1b}[2J", proof.display());
    message.intent.message = hostile.as_str().into();
    let yaml = format!("type: shell\ncommand: 'printf %s \"$message\" > {}'\n", out.display());
    channel(&yaml).send(&message).await.expect("delivered");
    let expected = hostile.replace('\n', " ").replace(['\0', '\u{1b}'], "");
    assert_eq!(std::fs::read_to_string(out).expect("written"), expected);
    assert!(!proof.exists());
}

#[tokio::test]
async fn the_event_is_in_the_environment_and_on_standard_input() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().display();
    let script = format!("cat > {path}/stdin; env > {path}/env; pwd > {path}/cwd");
    let yaml = format!("type: command\ncommand: [/bin/sh, -c, '{script}']\nenv: {{ REGION: eu }}\n");
    let accepted = send(&*channel(&yaml)).await.expect("delivered");
    assert_eq!(accepted.answer, "exit 0");
    let read = |name: &str| std::fs::read_to_string(folder.path().join(name)).expect("written");
    assert_eq!(serde_json::from_str::<Json>(&read("stdin")).expect("JSON"), sample().document());
    let environment = read("env");
    let has = |line: &str| environment.lines().any(|found| found == line);
    assert!(has("REGION=eu") && has("HEARTBEAT_EVENT=down") && has("HEARTBEAT_ATTEMPT=1"), "{environment}");
    assert!(!environment.contains("CARGO"), "{environment}");
    assert!(!environment.lines().any(|line| line.starts_with("message=")), "{environment}");
    assert_eq!(read("cwd"), "/\n");
}

#[tokio::test]
async fn a_failure_says_what_the_program_said() {
    let result = send(&*channel("type: shell\ncommand: 'echo working; echo broken >&2; exit 7'\n")).await;
    assert_eq!(result, Err(Refused::ForNow { answer: "exit 7: broken".to_owned(), after: None }));
}

#[tokio::test]
async fn what_an_alert_has_started_ends_with_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("pid");
    let yaml = format!("type: shell\ncommand: 'sleep 600 & echo $! > {}'\n", file.display());
    send(&*channel(&yaml)).await.expect("delivered");
    let pid = std::fs::read_to_string(file).expect("written").trim().to_owned();
    let stat = format!("/proc/{pid}/stat");
    // A zombie is ended too: whoever inherits it reaps it when it likes.
    super::eventually("the sleep has ended", || match std::fs::read_to_string(&stat) {
        Ok(text) => text.contains(") Z ").then_some(()),
        Err(_) => Some(()),
    })
    .await;
}

#[test]
fn an_empty_command_is_refused() {
    assert!(refusal("type: shell\ncommand: ' '\n").contains("the command is empty"));
    assert!(refusal("type: command\ncommand: []\n").contains("error"));
}
