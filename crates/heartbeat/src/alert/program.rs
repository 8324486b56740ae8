//! Running a program for an alert: what `shell` and `command` share.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::time::Duration;

use super::answer::Cleaner;
use super::{Accepted, Refused};
use crate::config::Fields;
use crate::config::values::{Hidden, Surroundings};
use crate::host::process::{self, Afterwards, Command, Exit};
use crate::message::Message;

/// The deadline of the attempt stands above, and ends everything when it drops us: this is only "later than that".
const WITHIN: Duration = Duration::from_secs(7 * 24 * 3600);

/// What to run.
pub(super) struct Program<'a> {
    pub(super) argv: Vec<OsString>,
    pub(super) env: &'a BTreeMap<String, String>,
    pub(super) surroundings: Surroundings,
}

/// Reads the keys that say where a program runs.
pub(super) fn keys(fields: &mut Fields<'_, '_, '_>) -> (BTreeMap<String, String>, Surroundings) {
    let env: BTreeMap<String, Hidden> =
        fields.or("env", "Variables for it; their values are not shown.", BTreeMap::new());
    let env = env.into_iter().map(|(name, value)| (name, value.0)).collect();
    let surroundings = fields.or(
        "surroundings",
        "`clean`: in `/` with a short list of variables; `launcher`: in the launch folder with the launcher's.",
        Surroundings::Clean,
    );
    (env, surroundings)
}

impl Program<'_> {
    /// One attempt. Whatever the program has started is ended with it. Every failure may be tried again: what is wrong
    /// with a script can be put right.
    pub(super) async fn run(self, message: &Message, extra: Option<(&str, String)>) -> Result<Accepted, Refused> {
        let command = self.command(message, extra);
        let for_now = |answer: &str| Refused::ForNow { answer: Cleaner::default().clean(answer), after: None };
        let child = process::spawn(&command).map_err(|error| for_now(&error.message))?;
        let finished = child.wait(WITHIN, Afterwards::ClearGroup).await;
        let answer = Cleaner::default().clean(&finished.line());
        match finished.exit {
            Exit::Code(0) => Ok(Accepted { answer }),
            _ => Err(for_now(&answer)),
        }
    }

    fn command(self, message: &Message, extra: Option<(&str, String)>) -> Command {
        let mut command = match self.surroundings {
            Surroundings::Clean => Command::clean(self.argv, None),
            Surroundings::Launcher => Command::launched(self.argv, None),
        };
        for (name, value) in self.env {
            command.set(name, value);
        }
        for (name, value) in message.environment() {
            command.set(name, value);
        }
        if let Some((name, value)) = extra {
            command.set(name, value);
        }
        command.stdin = message.document().to_string().into_bytes();
        command
    }
}
