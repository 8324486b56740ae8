//! What is remembered of a check, a group, an incident and an action, over restarts too.

use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use core::fmt;

use serde::{Deserialize, Serialize};

use crate::{Id, Wall};

/// The state of a check or group.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// Not known yet, or not known any more.
    #[default]
    Unknown,
    /// As it should be.
    Up,
    /// Up, but beyond a warning limit: healthy for actions and load balancers.
    Degraded,
    /// Failed often enough.
    Down,
}

impl State {
    /// The word for it in every format.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Up => "up",
            Self::Degraded => "degraded",
            Self::Down => "down",
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// Everything that a check's next transition depends on, and what people ask about it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckRecord {
    /// The state that transitions have led to. Staleness is not a transition and is not recorded here.
    pub state: State,
    /// When that state began; `None` before the first transition.
    pub since: Option<Wall>,
    /// How many transitions there have been.
    pub epoch: u64,
    /// Consecutive failures. Kept through a rise, so that the message of the recovery can say how long the outage was.
    pub fail_count: u32,
    /// Consecutive passes, warnings included.
    pub passes: u32,
    /// Consecutive warnings.
    pub warns: u32,
    /// Consecutive passes without a warning.
    pub cleans: u32,
    /// The first pass of the latest run of passes.
    pub first_pass: Option<Wall>,
    /// The latest pass.
    pub last_pass: Option<Wall>,
    /// The first failure of the latest run of failures.
    pub first_fail: Option<Wall>,
    /// The latest failure.
    pub last_fail: Option<Wall>,
    /// The reason of the latest failure or warning; empty after a pass.
    pub reason: Arc<str>,
    /// A fingerprint of kind and target: what was counted of another one is not carried over.
    pub target: u64,
}

/// From a transition to down until the one that ends it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Incident {
    /// The epoch of the transition that opened it: with the check's id, its name.
    pub epoch: u64,
    /// When it was opened.
    pub opened: Wall,
    /// The state before.
    #[serde(default)]
    pub from: State,
    /// When a message of it was last decided on.
    pub last_message: Option<Wall>,
    /// How many reminders were decided on.
    pub reminders: u32,
    /// What each alert has heard of it.
    pub told: BTreeMap<Id, Told>,
    /// Why a message of it is withheld, since the latest one that was not.
    #[serde(default)]
    pub withheld: Option<Arc<str>>,
}

impl Incident {
    /// One that nobody has heard of.
    pub const fn opened(epoch: u64, at: Wall, from: State) -> Self {
        Self { epoch, opened: at, from, last_message: None, reminders: 0, told: BTreeMap::new(), withheld: None }
    }
}

/// What one alert has heard of an incident.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Told {
    /// Messages of this incident that are not settled yet.
    pub pending: u32,
    /// Whether at least one was accepted.
    pub delivered: bool,
}

/// The two directions of an action.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Direction {
    /// All checks that name the action are up or degraded.
    Promote,
    /// One of them is down.
    Demote,
}

impl Direction {
    /// The word for it in every format.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Promote => "promote",
            Self::Demote => "demote",
        }
    }
}

/// What was last decided for an action.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ActionRecord {
    /// The last determined verdict.
    pub verdict: Option<Direction>,
    /// When it was reached.
    pub since: Option<Wall>,
    /// How many intents were decided on: part of their keys.
    pub epoch: u64,
    /// When the latest intent was decided on, for `repeat`.
    pub last_intent: Option<Wall>,
}

/// What an action's worker remembers between runs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LaneRecord {
    /// The command that ended last.
    pub last_run: Option<LastRun>,
    /// When first attempts were made, within the window of the limit.
    pub starts: alloc::vec::Vec<Wall>,
    /// Since when the limit has suspended the action.
    pub suspended: Option<Wall>,
}

/// How an action's last command ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastRun {
    /// When it ended.
    pub at: Wall,
    /// Which one it was.
    pub direction: Direction,
    /// Whether it ended with success.
    pub ok: bool,
    /// One line: `exit 0`, `exit 1: …`, `timed out after 30s`.
    pub result: Arc<str>,
}

/// What an alert's worker remembers between runs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChannelRecord {
    /// When messages were accepted, within the window of the limit.
    pub accepted: alloc::vec::Vec<Wall>,
}
