//! The log: transitions, intents, deliveries, and why something was not done.
//!
//! `tracing` carries the events; the two forms of a line and the rotation by size are ours, because the INI daemon's users
//! have scripts that read its lines.

mod line;
mod rotate;

use std::io::{self, IsTerminal as _};
use std::path::Path;
use std::sync::Arc;

use tracing::level_filters::LevelFilter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::plan;
pub use rotate::LogFile;

/// The sink that everything is written to. It can be reopened when somebody else has moved the file.
#[derive(Clone, Debug)]
pub struct Log {
    file: Option<Arc<LogFile>>,
}

impl Log {
    /// Opens what the plan asks for and makes it the destination of every event of this process.
    ///
    /// `least` overrides the plan's level, as `-q` and `-v` do.
    ///
    /// # Errors
    /// If the log file cannot be opened: a sentence that names it.
    pub fn start(plan: &plan::Log, least: Option<LevelFilter>) -> Result<Self, String> {
        let file = plan.file.as_deref().map(|path| open(path, plan)).transpose()?;
        let form = match plan.format {
            Some(plan::LogFormat::Json) => line::Form::Json,
            Some(plan::LogFormat::Text) => line::Form::Text,
            None if file.is_some() || io::stderr().is_terminal() => line::Form::Text,
            None => line::Form::Json,
        };
        let level = least.unwrap_or(match plan.level {
            plan::Level::Error => LevelFilter::ERROR,
            plan::Level::Warn => LevelFilter::WARN,
            plan::Level::Info => LevelFilter::INFO,
            plan::Level::Debug => LevelFilter::DEBUG,
            plan::Level::Trace => LevelFilter::TRACE,
        });
        let log = Self { file };
        // Other crates speak only when something is wrong with them.
        let targets = tracing_subscriber::filter::Targets::new()
            .with_default(LevelFilter::WARN.min(level))
            // It warns of what its peer does wrong: strangers do not write our log.
            .with_target("h2", LevelFilter::OFF)
            .with_target("heartbeat", level);
        let lines = line::Lines::new(form, log.file.clone());
        // A second start in one process (tests) keeps the first destination.
        let _ = tracing_subscriber::registry().with(targets).with(lines).try_init();
        Ok(log)
    }

    /// As [`start`](Self::start), for a dry run: for people, on standard error, and the level is `info`.
    pub fn rehearse(least: Option<LevelFilter>) -> Self {
        Self::start(&plan::Log { format: Some(plan::LogFormat::Text), ..plan::Log::default() }, least)
            .expect("without a file there is nothing that cannot be opened")
    }

    /// Gives the file to the user that this process is about to become.
    ///
    /// # Errors
    /// As chown(2).
    pub fn hand_to(&self, user: u32, group: u32) -> io::Result<()> {
        self.file.as_deref().map_or(Ok(()), |file| file.hand_to(user, group))
    }

    /// Opens the file anew, after somebody has moved it away.
    ///
    /// # Errors
    /// If it cannot be opened; the old one stays in use.
    pub fn reopen(&self) -> io::Result<()> {
        self.file.as_deref().map_or(Ok(()), LogFile::reopen)
    }
}

fn open(path: &Path, plan: &plan::Log) -> Result<Arc<LogFile>, String> {
    LogFile::open(path, plan.rotate, plan.keep)
        .map(Arc::new)
        .map_err(|error| format!("cannot open the log file {}: {error}", path.display()))
}
