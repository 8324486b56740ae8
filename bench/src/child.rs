//! Processes that a measurement starts and ends.

use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::process::{Child as Process, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{SigSet, Signal, kill};
use nix::unistd::Pid;

use crate::cpu;

/// The largest file is read in this time.
const PATIENCE: Duration = Duration::from_secs(180);

/// A child, killed when it is forgotten.
pub(crate) struct Child(Process);

impl Child {
    /// Starts a program and waits until it has printed a line that holds `ready` on one of its streams.
    pub(crate) fn start(mut command: Command, ready: &str) -> Result<Self, String> {
        let shown = format!("{command:?}");
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut process = command.spawn().map_err(|error| format!("cannot start {shown}: {error}"))?;
        let (said, lines) = std::sync::mpsc::channel();
        let stdout = process.stdout.take().expect("it is piped");
        let stderr = process.stderr.take().expect("it is piped");
        let streams: [Box<dyn std::io::Read + Send>; 2] = [Box::new(stdout), Box::new(stderr)];
        for stream in streams {
            let said = said.clone();
            // Read to the end: a full pipe would hold the child.
            std::thread::spawn(move || {
                BufReader::new(stream).lines().map_while(Result::ok).for_each(|line| drop(said.send(line)))
            });
        }
        drop(said);
        let child = Self(process);
        let mut heard = Vec::new();
        loop {
            match lines.recv_timeout(PATIENCE) {
                Ok(line) if line.contains(ready) => return Ok(child),
                Ok(line) => heard.push(line),
                Err(_) => return Err(format!("{shown} did not say `{ready}`; it said:\n{}", heard.join("\n"))),
            }
        }
    }

    /// Starts a program that says nothing and is ready when it listens.
    pub(crate) fn start_listening(mut command: Command, server: SocketAddr) -> Result<Self, String> {
        let shown = format!("{command:?}");
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let child = Self(command.spawn().map_err(|error| format!("cannot start {shown}: {error}"))?);
        wait_for(&format!("{shown} listens at {server}"), Duration::from_secs(10), || {
            Ok(std::net::TcpStream::connect(server).ok())
        })?;
        Ok(child)
    }

    /// Its process number.
    pub(crate) fn pid(&self) -> u32 {
        self.0.id()
    }

    /// What it has cost so far.
    pub(crate) fn cpu(&self) -> Duration {
        cpu::of(self.pid())
    }

    /// Its resident memory, in megabytes.
    pub(crate) fn memory(&self) -> f64 {
        cpu::megabytes(self.pid(), "VmRSS")
    }

    /// The most memory that was resident, in megabytes.
    pub(crate) fn peak(&self) -> f64 {
        cpu::megabytes(self.pid(), "VmHWM")
    }

    /// Asks it to end, and waits until it has.
    pub(crate) fn end(mut self) -> Result<ExitStatus, String> {
        kill(Pid::from_raw(self.pid().cast_signed()), Signal::SIGTERM).map_err(|error| error.to_string())?;
        wait_for("a process ends that was asked to", Duration::from_secs(30), || {
            self.0.try_wait().map_err(|error| error.to_string())
        })
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Takes all children along when this process is asked to end. To be called while it has one thread.
#[expect(clippy::disallowed_methods, reason = "main is in the middle of a measurement")]
pub(crate) fn end_together() -> Result<(), String> {
    let mut signals = SigSet::empty();
    [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP].into_iter().for_each(|signal| signals.add(signal));
    // Every thread inherits the mask, so that only the one that waits is told. Children inherit it too: heartbeat begins
    // by taking it off, and all others are killed.
    signals.thread_block().map_err(|error| error.to_string())?;
    std::thread::spawn(move || {
        let signal = signals.wait();
        for child in cpu::children(std::process::id()) {
            let _ = kill(Pid::from_raw(child.cast_signed()), Signal::SIGKILL);
        }
        std::process::exit(128 + signal.map_or(0, |signal| signal as i32));
    });
    Ok(())
}

/// Asks until there is an answer.
pub(crate) fn wait_for<T>(
    what: &str,
    patience: Duration,
    mut ask: impl FnMut() -> Result<Option<T>, String>,
) -> Result<T, String> {
    let end = now() + patience;
    loop {
        if let Some(answer) = ask()? {
            return Ok(answer);
        }
        if now() > end {
            return Err(format!("waited {patience:?} in vain until {what}"));
        }
        pause(Duration::from_millis(5));
    }
}

/// Lets time go by, while others are measured.
#[expect(clippy::disallowed_methods, reason = "a measurement is a span of time")]
pub(crate) fn pause(span: Duration) {
    std::thread::sleep(span);
}

/// The clock.
#[expect(clippy::disallowed_methods, reason = "a measurement is a span of time")]
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// A command, for programs that are measured.
#[expect(clippy::disallowed_methods, reason = "nothing here has to be reaped by the program's own rules")]
pub(crate) fn command(program: impl AsRef<std::ffi::OsStr>) -> Command {
    Command::new(program)
}

/// Runs a command to its end, which must be a good one, and gives what it printed.
pub(crate) fn output(command: &mut Command) -> Result<String, String> {
    let shown = format!("{command:?}");
    let output = command.stdin(Stdio::null()).output().map_err(|error| format!("cannot start {shown}: {error}"))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    Err(format!("{shown}: {}: {}", output.status, String::from_utf8_lossy(&output.stderr)))
}
