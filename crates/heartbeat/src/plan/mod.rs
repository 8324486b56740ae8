//! The whole configuration, resolved: defaults, templates and references are gone, every value is typed.
//!
//! A plan is immutable and opens nothing; what it describes is built from it.

mod action;
mod alert;
mod check;
mod checks;
mod convert;
pub mod documentation;
mod entries;
mod glob;
mod group;
pub mod load;
mod log;
mod merge;
mod places;
mod process;
pub(crate) mod references;
pub mod responder;
mod root;
pub mod shape;
mod source;
mod storage;

use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use heartbeat_core::Id;
pub use heartbeat_core::policy::Limits;
use heartbeat_core::policy::{ChannelPolicy, DownWhen};

pub use crate::action::Action;
pub use crate::config::values::{CommandLine, Surroundings};
use crate::message::About;
pub use crate::message::Texts;
pub use crate::store::Storage;

pub use check::Check;
pub use convert::convert;
pub use load::{Loaded, Loader, from_text, load, one_target, show};
pub use responder::Responder;

use places::Places;

/// The tables that the words of a configuration are looked up in. Tests bring tables of their own.
#[derive(Clone, Copy, Debug)]
pub struct Kinds {
    /// Kinds of checks.
    pub checks: &'static [crate::probe::Kind],
    /// Kinds of alerts.
    pub alerts: &'static [crate::alert::Kind],
}

impl Kinds {
    /// Everything in this build.
    pub const fn built_in() -> Self {
        Self { checks: crate::probe::KINDS, alerts: crate::alert::KINDS }
    }
}

/// A resolved configuration.
#[derive(Debug)]
pub struct Plan {
    /// The file that it was read from.
    pub origin: Option<PathBuf>,
    /// What kind of file that is.
    pub format: Format,
    /// In the file's order.
    pub checks: Vec<Arc<Check>>,
    /// In the file's order.
    pub groups: Vec<Arc<Group>>,
    /// In the file's order.
    pub actions: Vec<Arc<Action>>,
    /// In the file's order.
    pub alerts: Vec<Arc<Alert>>,
    /// Where the state is kept; `None`: the default place.
    pub storage: Option<Storage>,
    /// Logging.
    pub log: Log,
    /// The process itself.
    pub process: Process,
    /// The name of this node; `None`: the host's.
    pub node: Option<String>,
    /// Probes in flight.
    pub limits: Limits,
    /// What load balancers are answered, if they are.
    pub responder: Option<Arc<Responder>>,
    /// The places of the checks by their ids; made at the first search.
    places: OnceLock<Places>,
}

impl Plan {
    /// The place of a check among all.
    pub fn place(&self, id: &str) -> Option<usize> {
        self.places.get_or_init(|| Places::of(&self.checks)).find(id, &self.checks)
    }

    /// What messages say of a check, a group or the flag, and the texts of a check. It is put together when somebody
    /// asks: most checks of a plan never have anything said of them.
    pub fn subject(&self, id: &Id) -> Option<(Arc<About>, &Texts)> {
        if let Some(place) = self.place(id) {
            let check = &self.checks[place];
            return Some((Arc::new(check.about()), check.texts()));
        }
        let mut groups = self.groups.iter().map(|group| &group.about);
        let about = groups.find(|about| about.id == *id).or_else(|| {
            let flag = self.flag()?;
            (flag.about.id == *id).then_some(&flag.about)
        })?;
        Some((about.clone(), Texts::standard()))
    }

    /// What takes this server out of service, if there is such a thing.
    pub fn flag(&self) -> Option<&responder::Flag> {
        self.responder.as_ref()?.flag.as_ref()
    }
}

/// The files that we read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Our own, in YAML or TOML.
    Native,
    /// The INI daemon's.
    Ini,
    /// The YAML cron utility's.
    Cron,
}

/// A group: a state derived from its members.
#[derive(Debug)]
pub struct Group {
    /// Its id and name.
    pub about: Arc<About>,
    /// Its members, checks only.
    pub checks: Vec<Id>,
    /// When it is down.
    pub down_when: DownWhen,
}

/// An alert.
#[derive(Debug)]
pub struct Alert {
    /// Its id.
    pub id: Id,
    /// Its line in the table of kinds.
    pub kind: &'static crate::alert::Kind,
    /// What the kind decoded.
    pub spec: Box<dyn crate::alert::Spec>,
    /// How it delivers.
    pub policy: ChannelPolicy,
}

/// Logging.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Log {
    /// The least severe level that is written.
    pub level: Level,
    /// The file; `None`: standard error.
    pub file: Option<PathBuf>,
    /// The form of a line; `None`: text on a terminal and in a file of the INI daemon, JSON otherwise.
    pub format: Option<LogFormat>,
    /// The file is rotated when it grows beyond so many bytes.
    pub rotate: u64,
    /// So many rotated files are kept.
    pub keep: u32,
}

impl Default for Log {
    fn default() -> Self {
        Self { level: Level::Info, file: None, format: None, rotate: 1_000_000, keep: 4 }
    }
}

/// Levels of severity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Only errors.
    Error,
    /// And warnings.
    Warn,
    /// And what happened.
    Info,
    /// And why.
    Debug,
    /// Everything.
    Trace,
}

/// The form of a log line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// `YYYY-MM-DD HH:MM:SS LEVEL    message`.
    Text,
    /// One JSON object a line.
    Json,
}

/// The process itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Process {
    /// Run as this user.
    pub user: Option<String>,
    /// Run as this group.
    pub group: Option<String>,
    /// Written and locked while the daemon runs.
    pub pidfile: Option<PathBuf>,
    /// Whether a bare call detaches, as an INI file may say.
    pub daemonize: bool,
}

#[cfg(test)]
mod bad;
#[cfg(test)]
mod documents;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod toy;
