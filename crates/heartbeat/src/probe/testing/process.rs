//! Real servers as processes of the tests.
#![allow(clippy::disallowed_methods)] // servers of the tests, not programs of ours

use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::AMPLE;

/// Waits until something is there.
pub(crate) async fn eventually<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let waiting = async {
        loop {
            if let Some(found) = look() {
                return found;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(AMPLE, waiting).await.unwrap_or_else(|_| panic!("never: {what}"))
}

/// A port that was free a moment ago.
pub(crate) fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr()).expect("loopback").port()
}

/// A command that does not outlive the thread that starts it, however that ends: what comes behind it are further options
/// of setpriv(1), the program and its arguments.
pub(crate) fn mortal() -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL"]);
    command
}

/// A process that ends with this value, stopped or not.
pub(crate) struct Process(Child);

impl Process {
    /// Starts a command; what it says goes to the end of a file.
    pub(crate) fn start(command: &mut Command, log: &Path) -> Self {
        let log = fs::File::options().create(true).append(true).open(log).expect("a folder of ours");
        let other = log.try_clone().expect("a descriptor");
        let shown = format!("{command:?}");
        let child = command.stdin(Stdio::null()).stdout(log).stderr(other).spawn();
        Self(child.unwrap_or_else(|error| panic!("{shown}: {error}")))
    }

    /// Whether it has come to its end by itself.
    pub(crate) fn has_ended(&mut self) -> bool {
        self.0.try_wait().expect("a child of ours").is_some()
    }

    /// Halts it where it is: the kernel still takes connections for it.
    pub(crate) fn stop(&self) {
        self.signal(Signal::SIGSTOP);
    }

    /// Lets it go on.
    pub(crate) fn go_on(&self) {
        self.signal(Signal::SIGCONT);
    }

    /// Ends it here and now.
    pub(crate) fn end(&mut self) {
        self.0.kill().expect("it runs");
        self.0.wait().expect("a child of ours");
    }

    fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(i32::try_from(self.0.id()).expect("a process number")), signal).expect("it runs");
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
