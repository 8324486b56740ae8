//! Connections to the Unix sockets of servers on this machine.

use std::io;
use std::path::Path;

use heartbeat_core::outcome::Fault;
use nix::errno::Errno;
use tokio::net::UnixStream;

use super::{errno, exhausted, words};
use crate::probe::{Failure, Phase, Trace};

/// Opens a connection to a socket of this machine.
///
/// # Errors
/// [`Fault::Refused`], or that this process has run out of something.
pub async fn connect(path: &Path, trace: &Trace) -> Result<UnixStream, Failure> {
    trace.enter(Phase::Connect);
    let stream = UnixStream::connect(path).await.map_err(|error| refused(path, &error))?;
    trace.complete();
    Ok(stream)
}

fn refused(path: &Path, error: &io::Error) -> Failure {
    if let Some(failure) = exhausted(error) {
        return failure;
    }
    let path = path.display();
    let reason = match errno(error) {
        Some(Errno::ENOENT) => format!("there is no socket {path}: is the server running?"),
        Some(Errno::ECONNREFUSED) => format!("connection to {path} refused: nobody listens there any more"),
        Some(Errno::EAGAIN) => format!("connection to {path} refused: too many others wait for one"),
        _ => format!("cannot connect to {path}: {}", words(error)),
    };
    Failure::new(Fault::Refused, reason)
}
