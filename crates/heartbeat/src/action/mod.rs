//! Actions: the commands that promote and demote, how they are run and what became of them.
//!
//! A [`Runner`] turns a message for an action into a process and the process's end into a word for the action's worker. It
//! runs what it is told to, when it is told to: order, retries, limits and the memory of what ran are the worker's.
//!
//! What is run comes from the configuration alone. What a target could have had a hand in (a reason, a message) reaches a
//! command in its environment and on its standard input, never in its words.

mod by_hand;
mod runner;

use std::collections::BTreeMap;

use heartbeat_core::Id;
use heartbeat_core::policy::ActionPolicy;
use heartbeat_core::record::Direction;

use crate::config::values::{CommandLine, Surroundings};

pub use by_hand::{ByHand, Ran};
pub use runner::{Run, Runner, adopt};

/// An action: a pair of commands. At least one is there.
#[derive(Debug)]
pub struct Action {
    /// Its id.
    pub id: Id,
    /// For good times.
    pub promote: Option<CommandLine>,
    /// For bad times.
    pub demote: Option<CommandLine>,
    /// How it decides and delivers.
    pub policy: ActionPolicy,
    /// Variables for its commands.
    pub env: BTreeMap<String, String>,
    /// The user that its commands run as.
    pub user: Option<String>,
    /// Whether its commands see the launcher's environment and folder, as those of a forerunner's file do.
    pub surroundings: Surroundings,
}

impl Action {
    /// The command of one direction, if it has one.
    pub const fn command(&self, direction: Direction) -> Option<&CommandLine> {
        match direction {
            Direction::Promote => self.promote.as_ref(),
            Direction::Demote => self.demote.as_ref(),
        }
    }
}

#[cfg(test)]
mod tests;
