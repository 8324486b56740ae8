//! Real programs, most of them hostile.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::{Duration, Instant};

use super::*;

const LONG: Duration = Duration::from_secs(60);

/// A shell that runs `script`.
fn sh(script: &str) -> Command {
    command(&["/bin/sh", "-c", script])
}

fn command(argv: &[&str]) -> Command {
    Command {
        argv: argv.iter().map(OsString::from).collect(),
        cwd: "/".into(),
        env: vec![("PATH".into(), "/usr/local/bin:/usr/bin:/bin".into())],
        stdin: Vec::new(),
        user: None,
    }
}

async fn run(command: &Command, timeout: Duration, afterwards: Afterwards) -> Finished {
    spawn(command).unwrap().wait(timeout, afterwards).await
}

/// Waits for a condition, not for a time.
#[allow(clippy::disallowed_methods)] // a test's own deadline
async fn eventually(what: &str, within: Duration, mut holds: impl FnMut() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < within, "not within {within:?}: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Whether a process runs; a zombie does not.
fn runs(pid: u32) -> bool {
    stat::of(pid).is_some_and(|stat| stat.state != 'Z')
}

/// Whether the kernel still knows a process, if only as a zombie.
fn exists(pid: u32) -> bool {
    stat::of(pid).is_some()
}

/// The process number that a script has written to a file, once it has.
async fn number_in(path: &Path) -> u32 {
    let read = || fs::read_to_string(path).ok().and_then(|text| text.strip_suffix('\n')?.parse().ok());
    eventually(&format!("a number in {}", path.display()), Duration::from_secs(10), || read().is_some()).await;
    read().unwrap()
}

fn script(folder: &Path, name: &str, text: &str, mode: u32) -> String {
    let path = folder.join(name);
    fs::write(&path, text).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
    path.to_str().unwrap().to_owned()
}

#[tokio::test]
async fn status_and_both_streams() {
    let done = run(&sh("echo out; echo one >&2; echo two >&2; exit 3"), LONG, Afterwards::ClearGroup).await;
    assert_eq!(done.exit, Exit::Code(3));
    assert_eq!((done.stdout.text().as_str(), done.stdout.total), ("out\n", 4));
    assert_eq!(done.stderr.last_line(), "two");
    assert!(done.took < LONG);
}
