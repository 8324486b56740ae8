//! A process after the other, started with posix_spawn and waited for.

use std::io;
use std::process::Stdio;
use std::time::{Duration, Instant};

use crate::child::command;

/// Runs the program for that long, and returns how often. It must end well.
#[expect(clippy::disallowed_methods, reason = "a bare loop reads the clock as it likes")]
pub(crate) fn run(program: &str, span: Duration) -> io::Result<u64> {
    let (end, mut done) = (Instant::now() + span, 0);
    while Instant::now() < end {
        let status = command(program).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status()?;
        if !status.success() {
            return Err(io::Error::other(format!("{program}: {status}")));
        }
        done += 1;
    }
    Ok(done)
}
