//! What follows from a drain besides the answers: promotions wait, and people are told.
//!
//! To the engine the flag is a check that is judged at once: its transitions, its incident and its messages are those of
//! every check, and so survive a restart.

use std::time::Duration;

use heartbeat_core::coordinator::Overlay;
use heartbeat_core::outcome::{Fault, Outcome};
use heartbeat_core::policy::Policy;
use heartbeat_core::record::CheckRecord;
use heartbeat_core::shard::Report;
use heartbeat_core::state::step;
use heartbeat_core::{Id, Wall};
use heartbeat_responder::flag::Drain;
use serde::{Deserialize, Serialize};

use super::wiring::FLAG_TARGET;
use crate::message::time::rfc3339;
use crate::plan::responder::FLAG;

/// An operator's word over the states, as `heartbeat status --json` shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OverlayStatus {
    /// `drain`.
    pub word: String,
    /// What says so.
    pub why: String,
    /// The operator's words.
    pub reason: Option<String>,
    /// Since when, RFC 3339.
    pub since: Option<String>,
    /// When it ends by itself, RFC 3339.
    pub until: Option<String>,
}

impl From<&Drain> for OverlayStatus {
    fn from(drain: &Drain) -> Self {
        Self {
            word: WORD.to_owned(),
            why: drain.why.to_string(),
            reason: drain.reason.as_deref().map(str::to_owned),
            since: drain.since.map(rfc3339),
            until: drain.until.map(rfc3339),
        }
    }
}

const WORD: &str = "drain";

/// The overlay of a drain.
pub fn overlay(drain: &Drain, now: Wall) -> Overlay {
    let reason = drain.reason.as_ref().unwrap_or(&drain.why).clone();
    Overlay { word: WORD.into(), since: drain.since.unwrap_or(now), reason }
}

/// What the flag's word is to the coordinator; `None` if it is no news.
pub fn report(record: &CheckRecord, drain: Option<&Drain>, at: Wall) -> Option<Report> {
    let policy = Policy { fall: 1, rise: 1, ..Policy::default() };
    let outcome = match drain {
        None => Outcome::pass(Duration::ZERO),
        Some(Drain { why, reason: None, .. }) => Outcome::fault(Fault::Status, why.clone(), Duration::ZERO),
        Some(Drain { why, reason: Some(reason), .. }) => {
            Outcome::fault(Fault::Status, format!("{why}: {reason}"), Duration::ZERO)
        }
    };
    let id = Id::from(FLAG);
    let (record, transition) = step(&id, &CheckRecord { target: FLAG_TARGET, ..record.clone() }, &policy, &outcome, at);
    transition.is_some().then_some(Report { id, record: record.into(), outcome, transition })
}
