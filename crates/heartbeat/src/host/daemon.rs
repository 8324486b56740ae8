//! Detaching, as daemons of old did, and as honestly as a foreground program: the launcher ends only when the daemon has
//! had a good start, with its exit status if it had not.
//!
//! The daemon is a fresh run of this program in a session of its own rather than a fork of a running one, so that no thread
//! and no lock is left behind half-copied.
#![allow(clippy::disallowed_methods)] // this is the door

use std::ffi::OsString;
use std::fs::OpenOptions;
use std::io::{self, Read as _, Write as _};
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Command, Stdio};

/// What the daemon says on its standard output when it has had a good start.
const READY: &[u8] = b"ready\n";

/// What became of a launch.
#[derive(Debug, PartialEq, Eq)]
pub enum Launch {
    /// The daemon runs, as this process.
    Running(u32),
    /// It ended at its start, with this exit status.
    Ended(u8),
}

/// Starts this very program with `arguments` and waits until it is ready or has ended. Its messages go to our stderr.
///
/// # Errors
/// If it cannot be started.
pub fn launch(arguments: &[OsString]) -> io::Result<Launch> {
    let mut child =
        Command::new(std::env::current_exe()?).args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).spawn()?;
    let mut said = Vec::new();
    if let Some(mut stdout) = child.stdout.take() {
        let mut byte = [0];
        while !said.ends_with(READY) && matches!(stdout.read(&mut byte), Ok(1)) {
            said.push(byte[0]);
        }
    }
    if said.ends_with(READY) {
        return Ok(Launch::Running(child.id()));
    }
    let status = child.wait()?;
    let by_signal = status.signal().map_or(1, |signal| 128 + signal);
    Ok(Launch::Ended(u8::try_from(status.code().unwrap_or(by_signal)).unwrap_or(1)))
}

/// In the daemon, first: leaves the launcher's session and terminal.
///
/// # Errors
/// As setsid(2).
pub fn detach() -> io::Result<()> {
    nix::unistd::setsid()?;
    Ok(())
}

/// In the daemon, last: tells the launcher of the good start and lets go of its standard streams.
///
/// # Errors
/// If `/dev/null` cannot be opened.
pub fn tell_ready() -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    // A launcher that was killed meanwhile needs no answer.
    let _ = stdout.write_all(READY).and_then(|()| stdout.flush());
    let null = OpenOptions::new().read(true).write(true).open("/dev/null")?;
    nix::unistd::dup2_stdin(&null)?;
    nix::unistd::dup2_stdout(&null)?;
    nix::unistd::dup2_stderr(&null)?;
    Ok(())
}
