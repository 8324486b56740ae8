//! The states as `heartbeat status` shows them, made from what is remembered.

use std::collections::BTreeMap;
use std::time::Duration;

use heartbeat_core::Id;
use heartbeat_core::lateness::Lateness;
use heartbeat_core::ledger::Ledger;
use heartbeat_core::record::{CheckRecord, State};
use serde::{Deserialize, Serialize};

use super::drained::OverlayStatus;
use crate::message::time::rfc3339;
use crate::plan::Plan;
use crate::web::polls::Poller;

/// The object of `heartbeat status --json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Status {
    /// In the configuration's order.
    pub checks: Vec<CheckStatus>,
    /// In the configuration's order.
    pub groups: Vec<CheckStatus>,
    /// In the configuration's order.
    pub actions: Vec<ActionStatus>,
    /// Messages and commands that are owed.
    pub outbox: u64,
    /// What is wrong with heartbeat itself; empty when nothing is.
    pub notices: Vec<String>,
    /// How late probes start; a running daemon alone knows.
    #[serde(default)]
    pub lateness: Option<LatenessStatus>,
    /// An operator's word over the measured states.
    pub overlay: Option<OverlayStatus>,
    /// Who polls the responder; a running daemon alone knows.
    #[serde(default)]
    pub pollers: Vec<Poller>,
}

/// How late probes started since the daemon did. The percentiles are rounded up to powers of two.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LatenessStatus {
    /// So many were started.
    pub probes: u64,
    /// Half of them were at most so late, in milliseconds.
    pub p50_ms: u64,
    /// 99 of 100 were at most so late, in milliseconds.
    pub p99_ms: u64,
    /// The latest, in milliseconds.
    pub worst_ms: u64,
}

impl From<&Lateness> for LatenessStatus {
    fn from(lateness: &Lateness) -> Self {
        let millis = |late: Duration| u64::try_from(late.as_millis()).unwrap_or(u64::MAX);
        Self {
            probes: lateness.count(),
            p50_ms: millis(lateness.percentile(50)),
            p99_ms: millis(lateness.percentile(99)),
            worst_ms: millis(lateness.worst()),
        }
    }
}

/// A check or group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckStatus {
    /// Its id.
    pub id: String,
    /// Its name for people.
    pub name: String,
    /// Its state; unknown while it is stale.
    pub state: State,
    /// When that state began, RFC 3339.
    pub since: Option<String>,
    /// How many transitions there have been.
    pub epoch: u64,
    /// Consecutive failures.
    pub fail_count: u32,
    /// Why.
    pub reason: String,
    /// The latest pass, RFC 3339.
    pub last_pass: Option<String>,
    /// The latest failure, RFC 3339.
    pub last_fail: Option<String>,
}

/// An action.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ActionStatus {
    /// Its id.
    pub id: String,
    /// `promoted`, `demoted` or nothing yet.
    pub verdict: Option<String>,
    /// When its last command ended, RFC 3339.
    pub last_run: Option<String>,
    /// How it ended, and whether the action is suspended.
    pub result: Option<String>,
}

impl Status {
    /// The states of what the plan names, as the ledger remembers them. `stale` says why a check is not known any more.
    pub fn new(plan: &Plan, ledger: &Ledger, stale: &BTreeMap<Id, String>) -> Self {
        let subject = |id: &Id, name: &str| {
            let record = ledger.checks.get(id).cloned().unwrap_or_default();
            CheckStatus::new(id, name, &record, stale.get(id))
        };
        Self {
            checks: plan.checks.iter().map(|check| subject(&check.id, check.name())).collect(),
            groups: plan.groups.iter().map(|group| subject(&group.about.id, &group.about.name)).collect(),
            actions: plan.actions.iter().map(|action| ActionStatus::new(&action.id, ledger)).collect(),
            outbox: ledger.outbox.len() as u64,
            notices: Vec::new(),
            lateness: None,
            overlay: None,
            pollers: Vec::new(),
        }
    }

    /// Only the check or group of that id; `None` if there is none.
    pub fn only(mut self, id: &str) -> Option<Self> {
        self.checks.retain(|check| check.id == id);
        self.groups.retain(|group| group.id == id);
        self.actions.retain(|action| action.id == id);
        (!self.checks.is_empty() || !self.groups.is_empty() || !self.actions.is_empty()).then_some(self)
    }

    /// The states of checks and groups.
    pub fn states(&self) -> impl Iterator<Item = State> + '_ {
        self.checks.iter().chain(&self.groups).map(|subject| subject.state)
    }
}

impl CheckStatus {
    fn new(id: &Id, name: &str, record: &CheckRecord, stale: Option<&String>) -> Self {
        Self {
            id: id.to_string(),
            name: name.to_owned(),
            state: if stale.is_some() { State::Unknown } else { record.state },
            since: record.since.map(rfc3339),
            epoch: record.epoch,
            fail_count: record.fail_count,
            reason: stale.cloned().unwrap_or_else(|| record.reason.to_string()),
            last_pass: record.last_pass.map(rfc3339),
            last_fail: record.last_fail.map(rfc3339),
        }
    }
}

impl ActionStatus {
    fn new(id: &Id, ledger: &Ledger) -> Self {
        let lane = ledger.lanes.get(id);
        let last = lane.and_then(|lane| lane.last_run.as_ref());
        let suspended = lane.is_some_and(|lane| lane.suspended.is_some());
        let result = last.map(|run| format!("{} {}", run.direction.as_str(), run.result));
        Self {
            id: id.to_string(),
            verdict: ledger
                .actions
                .get(id)
                .and_then(|action| action.verdict)
                .map(|verdict| format!("{}d", verdict.as_str())),
            last_run: last.map(|run| rfc3339(run.at)),
            result: match (result, suspended) {
                (result, false) => result,
                (None, true) => Some("suspended".to_owned()),
                (Some(result), true) => Some(format!("suspended; {result}")),
            },
        }
    }
}
