//! From a message to a process, and from its end to a word about it.

use std::sync::Arc;

use heartbeat_core::delivery::Running;
use heartbeat_core::lane::End;
use heartbeat_core::record::Direction;

use super::Action;
use crate::config::values::{Surroundings, duration};
use crate::host::clock;
use crate::host::process::adopted::Adopted;
use crate::host::process::{self, Afterwards, Child, Command, Exit, Finished, Killer};
use crate::host::user::{self, User};
use crate::message::{Message, one_line};

/// Runs the commands of one action.
#[derive(Debug)]
pub struct Runner {
    action: Arc<Action>,
    user: Option<User>,
}

impl Runner {
    /// Looks up the user of the action.
    ///
    /// # Errors
    /// A sentence, if there is no such user.
    pub fn build(action: Arc<Action>) -> Result<Self, String> {
        let user = action.user.as_deref().map(user::user).transpose();
        let user = user.map_err(|error| format!("action `{}`: {error}", action.id))?;
        Ok(Self { action, user })
    }

    /// The command of one direction as it is started for this message; `None` if the action has none.
    pub fn command(&self, direction: Direction, message: &Message) -> Option<Command> {
        let argv = self.action.command(direction)?.argv();
        let mut command = match self.action.surroundings {
            Surroundings::Clean => Command::clean(argv, self.user.clone()),
            Surroundings::Launcher => Command::launched(argv, self.user.clone()),
        };
        for (name, value) in &self.action.env {
            command.set(name, value);
        }
        for (name, value) in message.environment() {
            command.set(name, value);
        }
        command.stdin = format!("{}\n", message.document()).into_bytes();
        Some(command)
    }

    /// Starts the command of one direction.
    ///
    /// # Errors
    /// [`End::NotStarted`] with the reason.
    ///
    /// # Panics
    /// Outside a runtime with input and output.
    pub fn start(&self, direction: Direction, message: &Message) -> Result<Run, End> {
        let Some(command) = self.command(direction, message) else {
            return Err(End::NotStarted(format!("the action has no command to {}", direction.as_str()).into()));
        };
        let at = clock::wall();
        let child = process::spawn(&command).map_err(|error| End::NotStarted(error.message.into()))?;
        let running = Running { at, pid: child.pid(), start_ticks: child.start_ticks() };
        Ok(Run { action: self.action.clone(), direction, child, running })
    }
}

/// A command that runs. Dropping it ends the command and all that it started.
#[derive(Debug)]
pub struct Run {
    action: Arc<Action>,
    direction: Direction,
    child: Child,
    running: Running,
}

impl Run {
    /// The process, for the store.
    pub const fn running(&self) -> Running {
        self.running
    }

    /// A handle that ends the command from outside.
    pub fn killer(&self) -> Killer {
        self.child.killer()
    }

    /// Waits until the command has ended, by itself or at the action's timeout. What a command that ended in time has
    /// started is left alone.
    pub async fn end(self) -> End {
        let (action, direction) = (self.action.clone(), self.direction);
        let (end, finished) = self.finish().await;
        if !matches!(end, End::Done(_)) {
            tell_output(&action, direction, &finished);
        }
        end
    }

    /// As [`end`](Self::end), with everything that is known and nothing logged.
    pub(super) async fn finish(self) -> (End, Finished) {
        let timeout = self.action.policy.timeout;
        let finished = self.child.wait(timeout, Afterwards::LeaveAlone).await;
        let end = match finished.exit {
            Exit::Code(0) => End::Done(finished.line().into()),
            Exit::TimedOut => End::Failed(format!("timed out after {}", duration::format(timeout)).into()),
            Exit::Code(_) | Exit::Signal(_) => End::Failed(finished.line().into()),
        };
        (end, finished)
    }
}

/// The process of a command that an earlier life of heartbeat started, if it still runs.
///
/// # Panics
/// Outside a runtime with input and output.
pub fn adopt(running: Running) -> Option<Adopted> {
    Adopted::find(running.pid, running.start_ticks)
}

/// A failed command's output goes to the log: the one line of its result is often not the telling one.
fn tell_output(action: &Action, direction: Direction, finished: &Finished) {
    for (name, tail) in [("output", &finished.stdout), ("error output", &finished.stderr)] {
        if tail.total > 0 {
            let text = one_line(tail.text().trim_end());
            tracing::warn!(action = %action.id, "{} of {}: {text}", name, direction.as_str());
        }
    }
}
