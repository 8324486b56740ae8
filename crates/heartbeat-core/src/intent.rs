//! What a transition calls for: an action to run or a message to send.

use alloc::sync::Arc;

use core::time::Duration;

use serde::{Deserialize, Serialize};

use crate::record::{CheckRecord, Direction, State};
use crate::{Id, Wall};

/// One step of a check or group from a state to another; its epoch numbers it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Transition {
    /// The check or group.
    pub subject: Id,
    /// Which of the subject's transitions this is, counted from 1.
    pub epoch: u64,
    /// When.
    pub at: Wall,
    /// From where.
    pub from: State,
    /// To where.
    pub to: State,
    /// Why.
    pub reason: Arc<str>,
}

/// What a message or command is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Event {
    /// An action's command for good times.
    Promote,
    /// An action's command for bad times.
    Demote,
    /// A check went down.
    Down,
    /// An incident ended.
    Up,
    /// A check is still down.
    Reminder,
    /// A check is up but beyond a warning limit, or no longer so.
    Degraded,
    /// Something about heartbeat itself.
    Notice,
    /// Somebody asked whether this channel works.
    Test,
}

impl Event {
    /// The word for it in every format.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Promote => "promote",
            Self::Demote => "demote",
            Self::Down => "down",
            Self::Up => "up",
            Self::Reminder => "reminder",
            Self::Degraded => "degraded",
            Self::Notice => "notice",
            Self::Test => "test",
        }
    }
}

impl Event {
    /// The direction, if this is about an action.
    pub const fn direction(self) -> Option<Direction> {
        match self {
            Self::Promote => Some(Direction::Promote),
            Self::Demote => Some(Direction::Demote),
            Self::Down | Self::Up | Self::Reminder | Self::Degraded | Self::Notice | Self::Test => None,
        }
    }
}

impl From<Direction> for Event {
    fn from(direction: Direction) -> Self {
        match direction {
            Direction::Promote => Self::Promote,
            Direction::Demote => Self::Demote,
        }
    }
}

/// Where an intent goes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Destination {
    /// The worker of this action.
    Action(Id),
    /// This alert's channel.
    Alert(Id),
}

/// What was known of the subject when the intent was decided on. Retries say the same as the first attempt.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Facts {
    /// The state that the subject is in now.
    pub state: State,
    /// The state that it came from.
    pub previous_state: State,
    /// When `state` began.
    pub since: Option<Wall>,
    /// How long `previous_state` lasted; in a reminder, how long `state` has lasted so far.
    pub duration: Option<Duration>,
    /// Why.
    pub reason: Arc<str>,
    /// Consecutive failures; for a recovery, those of the outage that ended.
    pub fail_count: u32,
    /// The first pass of the latest run of passes.
    pub first_pass: Option<Wall>,
    /// The latest pass.
    pub last_pass: Option<Wall>,
    /// The first failure of the latest run of failures.
    pub first_fail: Option<Wall>,
    /// The latest failure.
    pub last_fail: Option<Wall>,
    /// The latency of the probe that decided.
    pub latency: Option<Duration>,
}

impl Facts {
    /// What a record says of itself.
    pub fn of(record: &CheckRecord) -> Self {
        Self {
            state: record.state,
            previous_state: record.state,
            since: record.since,
            duration: None,
            reason: record.reason.clone(),
            fail_count: record.fail_count,
            first_pass: record.first_pass,
            last_pass: record.last_pass,
            first_fail: record.first_fail,
            last_fail: record.last_fail,
            latency: None,
        }
    }

    /// What a transition tells, with the records before and after it and the latency of the probe that decided.
    pub fn of_transition(
        transition: &Transition,
        before: &CheckRecord,
        after: &CheckRecord,
        latency: Duration,
    ) -> Self {
        let recovered = transition.from == State::Down;
        Self {
            previous_state: transition.from,
            duration: before.since.map(|since| transition.at.since(since)),
            reason: transition.reason.clone(),
            fail_count: if recovered { before.fail_count } else { after.fail_count },
            latency: Some(latency),
            ..Self::of(after)
        }
    }
}

/// A command or message that is owed. It is committed together with the transition that calls for it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Intent {
    /// The same for every attempt, also after a crash. Printable ASCII without white space.
    pub key: Arc<str>,
    /// When it was decided on.
    pub at: Wall,
    /// What it is about.
    pub event: Event,
    /// Where it goes.
    pub to: Destination,
    /// The check or group; `None` for a notice about heartbeat itself.
    pub subject: Option<Id>,
    /// The epoch that opened the incident that this belongs to.
    pub incident: Option<u64>,
    /// What was known.
    pub facts: Facts,
    /// The text for people, rendered once from the configuration of that moment.
    pub message: Arc<str>,
}
