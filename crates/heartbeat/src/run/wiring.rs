//! What the engine needs to know of a plan.

use std::collections::HashSet;
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

/// For the shard: checks that stand one after the other in their plan, the first of them at this place.
pub fn shard(first: usize, checks: &[Arc<Check>]) -> impl Iterator<Item = CheckSpec> {
    let mut hosts: HashSet<Arc<str>> = HashSet::new();
    let places = u32::try_from(first).expect("a shard numbers its checks so")..;
    places.zip(checks).map(move |(place, check)| CheckSpec {
        id: check.id.clone(),
        place,
        policy: check.policy.clone(),
        host: check.spec.address().map(|address| share(&mut hosts, address)),
        target: check.target,
        manner: check.spec.manner(),
    })
}
