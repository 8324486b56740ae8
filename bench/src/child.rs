//! Processes that a measurement starts and ends.

use std::io::{BufRead as _, BufReader};
use std::process::{Child as Process, Command, Stdio};
use std::time::Duration;

use crate::cpu;

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
            match lines.recv_timeout(Duration::from_secs(60)) {
                Ok(line) if line.contains(ready) => return Ok(child),
                Ok(line) => heard.push(line),
                Err(_) => return Err(format!("{shown} did not say `{ready}`; it said:\n{}", heard.join("\n"))),
            }
        }
    }

    /// Starts a program that says nothing and is ready when it listens.
    pub(crate) fn start_listening(mut command: Command, port: u16) -> Result<Self, String> {
        let shown = format!("{command:?}");
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let child = Self(command.spawn().map_err(|error| format!("cannot start {shown}: {error}"))?);
        for _ in 0..1000 {
            if std::net::TcpStream::connect(("127.0.0.1", port)).is_ok() {
                return Ok(child);
            }
            pause(Duration::from_millis(10));
        }
        Err(format!("{shown} does not listen at port {port}"))
    }

    /// Its process number.
    pub(crate) fn pid(&self) -> u32 {
        self.0.id()
    }

    /// What it has cost so far.
    pub(crate) fn cpu(&self) -> Duration {
        cpu::of(self.pid())
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Lets time go by, while others are measured.
#[expect(clippy::disallowed_methods, reason = "a measurement is a span of time")]
pub(crate) fn pause(span: Duration) {
    std::thread::sleep(span);
}

/// A command, for programs that are measured.
#[expect(clippy::disallowed_methods, reason = "nothing here has to be reaped by the program's own rules")]
pub(crate) fn command(program: impl AsRef<std::ffi::OsStr>) -> Command {
    Command::new(program)
}
