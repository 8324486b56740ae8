//! What is configured, as the outbox needs it.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use heartbeat_core::Id;
use heartbeat_core::lane::Commands;
use heartbeat_core::policy::{ActionPolicy, ChannelPolicy};

use crate::alert::Channel;
use crate::message::{About, Style};
use crate::plan::Plan;

/// Who receives, and what is said of whom.
#[derive(Clone)]
pub struct Roster {
    /// The name of this node.
    pub node: Arc<str>,
    /// Actions and which commands they have.
    pub actions: BTreeMap<Id, (ActionPolicy, Commands)>,
    /// Alerts and their clients.
    pub alerts: BTreeMap<Id, (ChannelPolicy, Arc<dyn Channel>)>,
    /// Finds checks, groups and the flag. There may be a million checks, of which few are ever spoken.
    pub subjects: Subjects,
    /// How times are written where no check says otherwise.
    pub style: Style,
}

/// Finds what a message is about.
pub(super) type Subjects = Arc<dyn Fn(&Id) -> Option<Subject> + Send + Sync>;

/// A check or group, for messages.
#[derive(Clone, Debug)]
pub struct Subject {
    /// What the configuration says about it.
    pub about: Arc<About>,
    /// How its messages write times.
    pub style: Style,
}

impl Roster {
    /// What a plan says. `channels` are its alerts, built.
    pub fn new(plan: &Arc<Plan>, channels: &BTreeMap<Id, Arc<dyn Channel>>, node: Arc<str>, style: Style) -> Self {
        let actions = plan.actions.iter().map(|action| {
            let commands = Commands { promote: action.promote.is_some(), demote: action.demote.is_some() };
            (action.id.clone(), (action.policy, commands))
        });
        let alerts = plan.alerts.iter().filter_map(|alert| {
            let channel = channels.get(&alert.id)?;
            Some((alert.id.clone(), (alert.policy, channel.clone())))
        });
        let (speaking, zone) = (plan.clone(), style.zone.clone());
        let subjects = move |id: &Id| {
            let (about, texts) = speaking.subject(id)?;
            Some(Subject { about, style: Style::of(texts, zone.clone()) })
        };
        Self { node, actions: actions.collect(), alerts: alerts.collect(), subjects: Arc::new(subjects), style }
    }
}

impl fmt::Debug for Roster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Roster")
            .field("actions", &self.actions.keys())
            .field("alerts", &self.alerts.keys())
            .finish_non_exhaustive()
    }
}
