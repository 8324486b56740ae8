//! heartbeat as it is measured: the real program with a real file.

use std::fmt::Write as _;
use std::path::Path;

use crate::child::{Child, command};
use crate::lab::Lab;
use crate::target::{Kind, address};

/// The checks of a measurement.
pub(crate) struct Checks {
    /// What they probe.
    pub(crate) kind: Kind,
    /// So many.
    pub(crate) number: usize,
    /// `interval` and `timeout`, as they are written.
    pub(crate) interval: &'static str,
    /// The deadline of a probe.
    pub(crate) timeout: &'static str,
    /// One of so many is silent; 0: none.
    pub(crate) silent: usize,
    /// Probes in flight.
    pub(crate) width: usize,
}

impl Checks {
    /// The file for them.
    fn text(&self, folder: &Path, rest: &str) -> String {
        let Self { kind, number, interval, timeout, silent, width } = self;
        let mut text = format!(
            "defaults: {{ interval: {interval}, fast_interval: {interval}, timeout: {timeout}, remind: never }}\n\
             limits: {{ probes: {width}, per_host: {width} }}\nalerts: []\n\
             storage: sqlite:{}/bench.db\n{rest}\nchecks:\n",
            folder.display()
        );
        for check in 0..*number {
            let host = address(check);
            let is_silent = *silent > 0 && check % silent == 0;
            let kind = if is_silent { Kind::Silent } else { *kind };
            let port = kind.port();
            let line = match kind {
                Kind::Http => format!("url: \"http://{host}:{port}/\""),
                Kind::Https => format!("url: \"https://{host}:{port}/\", ca: {}/target.pem", folder.display()),
                Kind::Tcp => format!("url: \"tcp://{host}:{port}\""),
                Kind::Silent => format!("url: \"http://{host}:{port}/\""),
            };
            writeln!(text, "  c{check}: {{ {line} }}").expect("a string takes everything");
        }
        text
    }
}

/// Starts the program on these checks, with further keys.
pub(crate) fn start(lab: &Lab, checks: &Checks, rest: &str) -> Result<Child, String> {
    start_on(lab, &checks.text(lab.folder.path(), rest))
}

/// Starts the program on this file.
pub(crate) fn start_on(lab: &Lab, text: &str) -> Result<Child, String> {
    let folder = lab.folder.path();
    for name in ["bench.db", "bench.db-wal", "bench.db-shm"] {
        let _ = std::fs::remove_file(folder.join(name));
    }
    let file = folder.join("bench.yaml");
    std::fs::write(&file, text).map_err(|error| error.to_string())?;
    let mut program = command(&lab.heartbeat);
    program.args(["run", "-c"]).arg(&file);
    Child::start(program, "started with")
}
