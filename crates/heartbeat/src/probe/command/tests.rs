//! Real programs; some do not want to end.

use std::fs;
use std::path::Path;

use heartbeat_core::outcome::{Fault, Verdict};

use super::*;
use crate::host::clock;
use crate::probe::testing::{self, fails, passes, probe, probe_in, refusal, spec};

#[tokio::test]
async fn exit_zero_passes() {
    passes("command: [/bin/true]").await;
    passes("command: /bin/echo 'two words'").await;
    passes("shell: 'test \"$(echo a | tr a b)\" = b'").await;
}

#[tokio::test]
async fn another_exit_is_a_fault_with_the_last_words() {
    assert_eq!(fails("shell: exit 3", Fault::Exit).await, "exit status 3");
    assert_eq!(
        fails("shell: 'echo out; echo first >&2; echo last >&2; exit 1'", Fault::Exit).await,
        "exit status 1: last"
    );
    assert_eq!(fails("shell: 'echo only out; exit 1'", Fault::Exit).await, "exit status 1: only out");
    assert_eq!(fails("shell: 'kill -KILL $$'", Fault::Exit).await, "the command was ended by the signal SIGKILL");
}

#[tokio::test]
async fn a_program_that_is_not_there_is_named() {
    let reason = fails("command: [/no/such/program]", Fault::Exit).await;
    assert!(reason.contains("/no/such/program"), "{reason}");
}

#[tokio::test]
async fn nothing_but_a_shell_understands_a_shell() {
    let folder = tempfile::tempdir().expect("a folder");
    let mark = folder.path().join("mark");
    let words = format!("'$(touch {0})', '`touch {0}`', '; touch {0}', '-n'", mark.display());
    passes(&format!("command: [/bin/echo, {words}]")).await;
    assert!(!mark.exists());
}

#[tokio::test]
async fn plugins_speak_through_their_first_line() {
    let report = probe(
        "{ shell: 'echo \"DISK OK - all fine | /=80%;90 b=1\"; echo long; echo \"more | c=2\"', exit_codes: nagios }",
    )
    .await;
    assert_eq!(report.outcome.verdict, Verdict::Pass);
    assert_eq!(report.performance.as_deref(), Some("/=80%;90 b=1 c=2"));
    let report = probe("{ shell: 'echo \"DISK WARNING - 91% | /=91%\"; exit 1', exit_codes: nagios }").await;
    assert_eq!((report.outcome.verdict, report.outcome.fault), (Verdict::Warn, Some(Fault::Exit)));
    assert_eq!(report.outcome.reason.as_ref(), "DISK WARNING - 91%");
    assert_eq!(report.performance.as_deref(), Some("/=91%"));
    for code in [2, 3, 4, 127] {
        let text = format!("{{ shell: 'echo bad; exit {code}', exit_codes: nagios }}");
        assert_eq!(fails(&text, Fault::Exit).await, "bad");
    }
    assert_eq!(fails("{ shell: 'echo why >&2; exit 2', exit_codes: nagios }", Fault::Exit).await, "exit status 2: why");
}

#[tokio::test]
async fn surroundings_are_clean_and_env_is_added() {
    passes("{ shell: 'test \"$(pwd)\" = / && test \"$A\" = b && test -z \"$CARGO_MANIFEST_DIR\"', env: { A: b } }")
        .await;
    passes("{ shell: 'test \"$(pwd)\" != / && test -n \"$PATH\"', surroundings: launcher }").await;
}

#[tokio::test]
async fn standard_input_is_empty() {
    passes("shell: 'test -z \"$(cat)\"'").await;
}

#[tokio::test]
async fn a_slow_command_is_late() {
    let reason = fails("{ shell: sleep 0.05, expect: { latency: 1ms } }", Fault::Latency).await;
    assert!(reason.ends_with("expected at most 1ms"), "{reason}");
    let report = probe("{ shell: sleep 0.05, warn: { latency: 1ms } }").await;
    assert_eq!((report.outcome.verdict, report.outcome.fault), (Verdict::Warn, Some(Fault::Latency)));
}

/// Probes under a deadline that leaves the command time to begin; the reason.
async fn times_out(text: &str) -> String {
    let timeout = Duration::from_secs(2);
    let report = probe_in(&testing::no_names(), text, timeout).await;
    assert_eq!(report.outcome.fault, Some(Fault::Timeout), "{:?}", report.outcome);
    assert!(report.outcome.latency < timeout + testing::SLACK, "{:?}", report.outcome);
    report.outcome.reason.to_string()
}

/// Whether a process runs; a zombie does not.
fn runs(pid: &str) -> bool {
    let stat = fs::read_to_string(Path::new("/proc").join(pid).join("stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with('Z'))
}

/// The lines of a file, once there are so many, each a process.
async fn pids(path: &Path, count: usize) -> Vec<String> {
    let start = clock::mono();
    loop {
        let text = fs::read_to_string(path).unwrap_or_default();
        let lines: Vec<_> = text.lines().map(str::to_owned).collect();
        if lines.len() >= count && text.ends_with('\n') {
            return lines;
        }
        assert!(clock::mono().since(start) < testing::AMPLE, "no {count} lines in {}", path.display());
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

async fn all_end(pids: &[String], within: Duration) {
    let start = clock::mono();
    while pids.iter().any(|pid| runs(pid)) {
        assert!(clock::mono().since(start) < within, "still running: {pids:?}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn a_command_that_hangs_with_children_is_cleared_away() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("pids");
    let text = format!("shell: 'echo $$ >>{0}; sh -c \"echo \\$\\$ >>{0}; sleep 1000\" & sleep 1000'", path.display());
    assert_eq!(times_out(&text).await, "timed out after 2s while running the command");
    all_end(&pids(&path, 2).await, process::GRACE + testing::SLACK).await;
}

#[tokio::test]
async fn what_ignores_term_is_killed_and_the_verdict_does_not_wait() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("pids");
    let text = format!("shell: 'trap \"\" TERM; echo $$ >>{}; while :; do sleep 1; done'", path.display());
    times_out(&text).await;
    let pids = pids(&path, 1).await;
    assert!(runs(&pids[0]), "it had its grace");
    all_end(&pids, process::GRACE + testing::SLACK).await;
}

#[tokio::test]
async fn a_command_that_leaves_a_child_is_judged_at_once_and_the_child_is_ended() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("pids");
    let report = passes(&format!("shell: 'sleep 1000 & echo $! >{}'", path.display())).await;
    assert!(report.outcome.latency < testing::SLACK, "{report:?}");
    all_end(&pids(&path, 1).await, process::LEFTOVER_GRACE + testing::SLACK).await;
}

#[tokio::test]
async fn output_without_end_takes_no_memory() {
    let report = probe("{ shell: 'head -c 50000000 /dev/zero; echo; echo the end; exit 1' }").await;
    assert_eq!(report.outcome.reason.as_ref(), "exit status 1: the end");
}

#[test]
fn shows_what_it_runs_and_no_secret() {
    let check = spec("{ command: [/bin/echo, 'a b'], env: { TOKEN: s3cret } }");
    assert_eq!(check.target(), "/bin/echo 'a b'");
    assert_eq!(check.values(), [("command".to_owned(), "/bin/echo 'a b'".to_owned())]);
    assert_eq!(check.address(), None);
    assert!(!format!("{check:?}").contains("s3cret"));
}

#[test]
fn refuses_what_cannot_run() {
    assert!(refusal("command: []").contains("the command is empty"));
    assert!(refusal("shell: '  '").contains("the command is empty"));
    assert!(refusal("{ shell: 'true', env: { 'A=B': c } }").contains("cannot be the name of a variable"));
    assert!(refusal("{ shell: 'true', exit_codes: nagois }").contains("did you mean `nagios`?"));
}
