//! What the engine needs to know of a plan.

use std::collections::HashSet;
use std::fmt::{self, Write as _};
use std::hash::{DefaultHasher, Hasher as _};
use std::sync::Arc;

use heartbeat_core::coordinator::{ActionWiring, CheckWiring, GroupWiring, Wiring};
use heartbeat_core::policy::Remind;
use heartbeat_core::shard::CheckSpec;

use crate::plan::references::share;
use crate::plan::responder::Flag;
use crate::plan::{Check, Plan};

/// For the coordinator.
pub fn coordinator(plan: &Plan) -> Wiring {
    let checks = plan.checks.iter().map(|check| CheckWiring {
        id: check.id.clone(),
        target: check.target,
        actions: check.actions.to_vec(),
        alerts: check.alerts.to_vec(),
        depends_on: check.depends_on.to_vec(),
        remind: check.policy.remind,
    });
    Wiring {
        checks: checks.chain(plan.flag().map(flag)).collect(),
        groups: plan
            .groups
            .iter()
            .map(|group| GroupWiring {
                id: group.about.id.clone(),
                checks: group.checks.clone(),
                down_when: group.down_when,
            })
            .collect(),
        actions: plan
            .actions
            .iter()
            .map(|action| ActionWiring { id: action.id.clone(), policy: action.policy })
            .collect(),
        alerts: plan.alerts.iter().map(|alert| alert.id.clone()).collect(),
    }
}

/// The flag is to the coordinator what a check is: down while it drains this server. Of a drain that lasts nobody is
/// reminded, for somebody wanted it.
fn flag(flag: &Flag) -> CheckWiring {
    CheckWiring {
        id: flag.about.id.clone(),
        target: FLAG_TARGET,
        actions: Vec::new(),
        alerts: flag.alerts.clone(),
        depends_on: Vec::new(),
        remind: Remind::Never,
    }
}

/// The state of the flag goes on when its file is moved.
pub const FLAG_TARGET: u64 = 1;

/// For the shard.
pub fn shard(plan: &Plan) -> Vec<CheckSpec> {
    let mut hosts: HashSet<Arc<str>> = HashSet::new();
    (0..)
        .zip(&plan.checks)
        .map(|(place, check)| CheckSpec {
            id: check.id.clone(),
            place,
            policy: check.policy.clone(),
            host: check.spec.address().map(|address| share(&mut hosts, address)),
            target: check.target,
            manner: manner(check),
        })
        .collect()
}

/// Only compared within a process. Secrets do not show, and need not: whoever changes one means the same check.
fn manner(check: &Check) -> u64 {
    let mut hashing = Hashing(DefaultHasher::new());
    write!(hashing, "{:?}", check.spec).expect("a hasher takes everything");
    hashing.0.finish()
}

/// Hashes a text as it is written, without the text.
struct Hashing(DefaultHasher);

impl fmt::Write for Hashing {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0.write(text.as_bytes());
        Ok(())
    }
}
