//! Who is bound to whom, as configured, and the index that is made of it.

use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use alloc::vec::Vec;

use super::groups::Group;
use super::verdicts::Action;
use crate::Id;
use crate::id::IdMap;
use crate::policy::{ActionPolicy, DownWhen, Remind};

/// What the coordinator must know of a plan. References are resolved: every name that is used is defined.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wiring {
    /// Checks. No check and no group has the id of another.
    pub checks: Vec<CheckWiring>,
    /// Groups.
    pub groups: Vec<GroupWiring>,
    /// Actions.
    pub actions: Vec<ActionWiring>,
    /// Alerts, for notices about heartbeat itself.
    pub alerts: Vec<Id>,
}

/// What a check is bound to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckWiring {
    /// The check.
    pub id: Id,
    /// A fingerprint of kind and target, as in [`CheckSpec`](crate::shard::CheckSpec).
    pub target: u64,
    /// The actions that follow it.
    pub actions: Vec<Id>,
    /// The alerts that hear of it.
    pub alerts: Vec<Id>,
    /// Checks and groups: while one is down or failing, the alerts of this check are withheld.
    pub depends_on: Vec<Id>,
    /// The pace of its reminders.
    pub remind: Remind,
}

/// A group and its members.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupWiring {
    /// The group.
    pub id: Id,
    /// Its members: checks.
    pub checks: Vec<Id>,
    /// When it is down.
    pub down_when: DownWhen,
}

/// An action.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ActionWiring {
    /// The action.
    pub id: Id,
    /// How it decides.
    pub policy: ActionPolicy,
}

/// A check with everything that a change of it may move.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Check {
    pub(super) alerts: Vec<Id>,
    pub(super) depends_on: Vec<Id>,
    pub(super) remind: Remind,
    pub(super) actions: Vec<Id>,
    pub(super) groups: Vec<Id>,
}

/// The wiring, to be looked up from either end.
#[derive(Clone, Debug, Default)]
pub(super) struct Index {
    /// Most checks are bound as others are, and share what is said of it.
    pub(super) checks: IdMap<Arc<Check>>,
    pub(super) groups: BTreeMap<Id, Group>,
    pub(super) actions: BTreeMap<Id, Action>,
    pub(super) alerts: Vec<Id>,
}

impl Index {
    /// Turns the references around. Nothing is counted yet.
    pub(super) fn of(wiring: Wiring) -> Self {
        let mut index = Self { alerts: wiring.alerts, ..Self::default() };
        for (timer, action) in (0..).zip(wiring.actions) {
            index.actions.insert(action.id, Action::new(timer, action.policy));
        }
        index.checks.reserve(wiring.checks.len());
        let mut last: Option<Arc<Check>> = None;
        for CheckWiring { id, actions, alerts, depends_on, remind, .. } in wiring.checks {
            for action in &actions {
                if let Some(action) = index.actions.get_mut(action) {
                    action.checks.push(id.clone());
                }
            }
            let check = Check { alerts, depends_on, remind, actions, groups: Vec::new() };
            let check = last.filter(|last| **last == check).unwrap_or_else(|| Arc::new(check));
            index.checks.insert(id, check.clone());
            last = Some(check);
        }
        for GroupWiring { id, checks, down_when } in wiring.groups {
            for check in &checks {
                if let Some(check) = index.checks.get_mut(check) {
                    Arc::make_mut(check).groups.push(id.clone());
                }
            }
            index.groups.insert(id, Group::new(checks, down_when));
        }
        index
    }

    /// Whether this is a check or a group.
    pub(super) fn is_subject(&self, id: &Id) -> bool {
        self.checks.contains_key(id) || self.groups.contains_key(id)
    }
}
