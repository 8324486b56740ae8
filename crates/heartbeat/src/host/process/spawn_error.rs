//! Why a program could not be started.

use std::fmt;
use std::io;
use std::path::Path;

use heartbeat_core::outcome::Fault;
use nix::errno::Errno;

use super::Command;

/// Why a program could not be started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpawnError {
    /// What kind of reason it is.
    pub class: SpawnClass,
    /// What was expected, what was found, where, and what to do: one line.
    pub message: String,
}

/// The kinds of reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SpawnClass {
    /// There is no such program, or not the folder to run it in.
    NotFound,
    /// It is there, but cannot be executed.
    NotExecutable,
    /// We will not, or may not, run it like this.
    Refused,
    /// We have no file descriptors or no processes left.
    Files,
    /// We have no memory left.
    Memory,
}

impl SpawnError {
    /// The fault of a probe that could not start its program: local ones are never held against the target.
    pub const fn fault(&self) -> Fault {
        match self.class {
            SpawnClass::NotFound | SpawnClass::NotExecutable | SpawnClass::Refused => Fault::Exit,
            SpawnClass::Files => Fault::Files,
            SpawnClass::Memory => Fault::Memory,
        }
    }

    /// Puts what the kernel said into words.
    pub(super) fn from_start(error: &io::Error, command: &Command, program: &Path) -> Self {
        let program = program.display();
        let (class, message) = match error.raw_os_error().map(Errno::from_raw) {
            Some(Errno::ENOENT | Errno::ENOTDIR) if !command.cwd.is_dir() => {
                (SpawnClass::NotFound, format!("there is no folder {} to run {program} in", command.cwd.display()))
            }
            Some(Errno::ENOENT) => (
                SpawnClass::NotFound,
                format!("cannot run {program}: the interpreter that its first line names is not there"),
            ),
            Some(Errno::ENOEXEC) => (
                SpawnClass::NotExecutable,
                format!(
                    "cannot run {program}: neither a program of this machine nor a script whose first line is like `#!/bin/sh`"
                ),
            ),
            Some(Errno::E2BIG) => {
                (SpawnClass::NotExecutable, format!("cannot run {program}: its arguments and environment are too long"))
            }
            Some(Errno::EACCES | Errno::EPERM) => {
                (SpawnClass::NotExecutable, format!("not allowed to run {program}: {error}"))
            }
            None if error.kind() == io::ErrorKind::InvalidInput => {
                (SpawnClass::NotExecutable, format!("cannot run {program}: an argument or a variable holds a NUL"))
            }
            _ => return Self::from_io(error, format!("cannot run {program}")),
        };
        Self { class, message }
    }

    /// Sorts an error by its cause; `what` begins the sentence.
    pub(super) fn from_io(error: &io::Error, what: String) -> Self {
        let (class, hint) = match error.raw_os_error().map(Errno::from_raw) {
            Some(Errno::EMFILE | Errno::ENFILE) => (SpawnClass::Files, "raise the limit on open files (`ulimit -n`)"),
            Some(Errno::EAGAIN) => (SpawnClass::Files, "raise the limit on processes (`ulimit -u`)"),
            Some(Errno::ENOMEM) => (SpawnClass::Memory, "this machine has no memory left"),
            _ => return Self { class: SpawnClass::NotExecutable, message: format!("{what}: {error}") },
        };
        Self { class, message: format!("{what}: {error}; {hint}") }
    }
}

impl fmt::Display for SpawnError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for SpawnError {}
