//! What alerts and commands are told about an event.

use std::collections::BTreeMap;
use std::sync::Arc;

use heartbeat_core::Id;
use heartbeat_core::intent::Intent;

/// An intent with what the configuration says about its subject.
#[derive(Clone, Debug)]
pub struct Message {
    /// What is owed.
    pub intent: Intent,
    /// The check or group; `None` for a notice about heartbeat itself.
    pub about: Option<Arc<About>>,
    /// The name of this node.
    pub node: Arc<str>,
    /// Which attempt this is, from 1.
    pub attempt: u32,
}

/// The subject of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct About {
    /// Its id.
    pub id: Id,
    /// Its name for people.
    pub name: String,
    /// Its kind; `group` for a group.
    pub kind: String,
    /// Its target without secrets.
    pub target: String,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Where to read what to do.
    pub runbook: Option<String>,
    /// The plain values of its configuration, for messages.
    pub values: BTreeMap<String, String>,
}
