//! heartbeat as it is measured: the real program with a real file.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;

use crate::child::{Child, command, output};
use crate::lab::Lab;
use crate::target::Kind;

/// The checks of a measurement.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Checks<'a> {
    /// What they probe.
    pub(crate) kind: Kind,
    /// So many.
    pub(crate) number: usize,
    /// As it is written in the file.
    pub(crate) interval: &'a str,
    /// The deadline of a probe.
    pub(crate) timeout: &'a str,
    /// Further keys of `defaults`, each with a comma before it.
    pub(crate) defaults: &'static str,
    /// One of so many is silent; 0: none.
    pub(crate) silent: usize,
    /// Probes in flight.
    pub(crate) width: usize,
}

impl<'a> Checks<'a> {
    /// Checks that pass, none of them silent.
    pub(crate) const fn new(kind: Kind, number: usize, interval: &'a str, timeout: &'a str) -> Self {
        Self { kind, number, interval, timeout, defaults: "", silent: 0, width: 2000 }
    }

    /// The file for them, with further keys.
    pub(crate) fn text(&self, lab: &Lab, rest: &str) -> String {
        let Self { kind, number, interval, timeout, defaults, silent, width } = self;
        let folder = lab.folder.path().display();
        let mut text = format!(
            "defaults: {{ interval: {interval}, fast_interval: {interval}, timeout: {timeout}, remind: never{defaults} }}\n\
             limits: {{ probes: {width}, per_host: {width} }}\nalerts: []\n\
             storage: sqlite:{folder}/bench.db\n{rest}\nchecks:\n"
        );
        for check in 0..*number {
            let host = lab.net.address(check);
            let is_silent = *silent > 0 && check % silent == 0;
            let kind = if is_silent { Kind::Silent } else { *kind };
            let port = kind.port();
            let line = match kind {
                Kind::Http | Kind::Silent | Kind::Refused => format!("url: \"http://{host}:{port}/\""),
                Kind::Https => format!("url: \"https://{host}:{port}/\", ca: {folder}/target.pem"),
                Kind::Tcp => format!("url: \"tcp://{host}:{port}\""),
            };
            writeln!(text, "  c{check}: {{ {line} }}").expect("a string takes everything");
        }
        text
    }
}

/// The running program with its file.
pub(crate) struct Subject {
    /// The running program.
    pub(crate) child: Child,
    heartbeat: PathBuf,
    file: PathBuf,
}

impl Subject {
    /// Starts the program on these checks and a fresh store, with further keys.
    pub(crate) fn start(lab: &Lab, checks: &Checks<'_>, rest: &str) -> Result<Self, String> {
        forget(lab);
        Self::start_on(lab, "bench.yaml", &checks.text(lab, rest))
    }

    /// Starts the program on this file, with the store that is there.
    pub(crate) fn start_on(lab: &Lab, name: &str, text: &str) -> Result<Self, String> {
        let file = lab.folder.path().join(name);
        std::fs::write(&file, text).map_err(|error| format!("cannot write {}: {error}", file.display()))?;
        Self::launch(lab, file)
    }

    /// Starts the program on a file that is there.
    pub(crate) fn launch(lab: &Lab, file: PathBuf) -> Result<Self, String> {
        let mut program = command(&lab.heartbeat);
        program.args(["run", "-c"]).arg(&file);
        Ok(Self { child: Child::start(program, "started with")?, heartbeat: lab.heartbeat.clone(), file })
    }

    /// A command for the same file.
    pub(crate) fn command(&self, words: &[&str]) -> Command {
        let mut program = command(&self.heartbeat);
        program.args(words).arg("-c").arg(&self.file);
        program
    }

    /// Writes its file anew, and has it read.
    pub(crate) fn reload(&self, text: &str) -> Result<(), String> {
        std::fs::write(&self.file, text).map_err(|error| format!("cannot write {}: {error}", self.file.display()))?;
        output(&mut self.command(&["reload"])).map(drop)
    }

    /// What `status --json` prints, whatever the states.
    pub(crate) fn status(&self) -> Result<Value, String> {
        let mut status = self.command(&["status", "--json"]);
        let output = status.output().map_err(|error| error.to_string())?;
        serde_json::from_slice(&output.stdout)
            .map_err(|error| format!("status: {error}: {}", String::from_utf8_lossy(&output.stderr)))
    }

    /// How late probes have started since the program did.
    pub(crate) fn lateness(&self) -> Result<Lateness, String> {
        let status = self.status()?;
        let number = |name: &str| {
            let found = &status["lateness"][name];
            found.as_u64().ok_or_else(|| format!("expected `lateness.{name}`, found {found}"))
        };
        Ok(Lateness { probes: number("probes")?, p99: number("p99_ms")? as f64, worst: number("worst_ms")? as f64 })
    }
}

/// How late probes start, in milliseconds. The percentile is rounded up to a power of two.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Lateness {
    /// So many were started.
    pub(crate) probes: u64,
    /// Of 100, 99 were at most so late.
    pub(crate) p99: f64,
    /// The latest.
    pub(crate) worst: f64,
}

/// A probe may start so much later than it could, in milliseconds.
pub(crate) const SLACK: f64 = 50.0;

/// Forgets what the program has stored.
pub(crate) fn forget(lab: &Lab) {
    for name in ["bench.db", "bench.db-wal", "bench.db-shm"] {
        let _ = std::fs::remove_file(lab.folder.path().join(name));
    }
}

/// So many bytes are stored.
pub(crate) fn stored(lab: &Lab) -> u64 {
    let size = |name: &str| std::fs::metadata(lab.folder.path().join(name)).map_or(0, |found| found.len());
    size("bench.db") + size("bench.db-wal")
}
