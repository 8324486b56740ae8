//! A command of an action, run because somebody typed it.
//!
//! Nothing is decided and nothing is remembered: the action's worker does not learn of it, its limit does not count it.

use std::fmt::Write as _;
use std::sync::Arc;

use heartbeat_core::intent::{Destination, Facts, Intent};
use heartbeat_core::lane::End;
use heartbeat_core::record::Direction;
use jiff::tz::TimeZone;
use serde_json::{Value, json};
use tokio::signal::unix::{SignalKind, signal};

use super::{Action, Runner};
use crate::config::values::duration;
use crate::host::clock;
use crate::host::process::{Command, Finished, Killer};
use crate::message::{Message, Style};

/// One command of an action, ready to be shown or run.
#[derive(Debug)]
pub struct ByHand {
    runner: Runner,
    action: Arc<Action>,
    direction: Direction,
    message: Message,
    command: Command,
}

/// What became of it.
#[derive(Debug)]
pub struct Ran {
    /// How it ended.
    pub end: End,
    output: Option<Finished>,
}

impl ByHand {
    /// Prepares the command of one direction.
    ///
    /// # Errors
    /// A sentence, if the action has no such command or its user is not there.
    pub fn new(action: Arc<Action>, direction: Direction, node: Arc<str>) -> Result<Self, String> {
        let runner = Runner::build(action.clone())?;
        let at = clock::wall();
        let word = direction.as_str();
        let message = Message {
            intent: Intent {
                key: format!("{}-{word}-by-hand-{}", action.id.escape_default(), at.unix_millis()).into(),
                at,
                event: direction.into(),
                to: Destination::Action(action.id.clone()),
                subject: None,
                incident: None,
                facts: Facts::default(),
                message: format!("{word} {} by hand", action.id).into(),
            },
            about: None,
            node,
            style: Style::full(TimeZone::UTC),
            attempt: 1,
        };
        match runner.command(direction, &message) {
            Some(command) => Ok(Self { runner, action, direction, message, command }),
            None => Err(format!("action `{}` has no command to {word}: add `{word}:` to it", action.id)),
        }
    }

    /// What is run, where, as whom and with which variables: lines for people. Of variables that the configuration or our
    /// own environment gives only the names: their values may be secrets.
    pub fn describe(&self) -> String {
        let mut lines = format!("{} {}: {}\n", self.direction.as_str(), self.action.id, self.words());
        let user = self.command.user.as_ref().map(|user| format!(", as {}", user.name)).unwrap_or_default();
        let timeout = duration::format(self.action.policy.timeout);
        let _ = writeln!(lines, "  in {}{user}, for at most {timeout}", self.command.cwd.display());
        let (ours, given): (Vec<_>, Vec<_>) = self.command.env.iter().partition(|(name, _)| is_event(name));
        let names: Vec<_> = given.iter().map(|(name, _)| name.to_string_lossy()).collect();
        let _ = writeln!(lines, "  with {}", names.join(", "));
        for (name, value) in ours {
            let _ = writeln!(lines, "  {}={}", name.display(), value.display());
        }
        lines
    }

    /// The same for programs.
    pub fn to_json(&self) -> Value {
        let words: Vec<_> = self.command.argv.iter().map(|word| word.to_string_lossy()).collect();
        json!({
            "action": self.action.id.as_str(),
            "direction": self.direction.as_str(),
            "command": words,
            "cwd": self.command.cwd.display().to_string(),
            "user": self.command.user.as_ref().map(|user| &user.name),
            "event": self.message.document(),
        })
    }

    /// Runs it. An interruption at the terminal is passed on: TERM at first, then KILL.
    ///
    /// # Panics
    /// Outside a runtime with input, output and time.
    pub async fn run(&self) -> Ran {
        match self.runner.start(self.direction, &self.message) {
            Err(end) => Ran { end, output: None },
            Ok(run) => {
                let killer = run.killer();
                let (end, output) = tokio::select! {
                    done = run.finish() => done,
                    never = pass_interruptions_on(&killer) => match never {},
                };
                Ran { end, output: Some(output) }
            }
        }
    }

    fn words(&self) -> String {
        shell_words::join(self.command.argv.iter().map(|word| word.to_string_lossy()))
    }
}

impl Ran {
    /// Whether the command ended with success.
    pub const fn is_success(&self) -> bool {
        matches!(self.end, End::Done(_))
    }

    /// The output and the result: lines for people. Control characters other than line ends and tabs are taken out.
    pub fn describe(&self) -> String {
        let mut lines = String::new();
        if let Some(finished) = &self.output {
            for tail in [&finished.stdout, &finished.stderr] {
                let skipped = tail.total - tail.bytes.len() as u64;
                if skipped > 0 {
                    let _ = writeln!(lines, "… {skipped} bytes before this are not shown");
                }
                lines.extend(tail.text().chars().filter(|c| !c.is_control() || matches!(c, '\n' | '\t')));
                if !lines.is_empty() && !lines.ends_with('\n') {
                    lines.push('\n');
                }
            }
            let _ = writeln!(lines, "{} after {:.1?}", self.end.answer(), finished.took);
        } else {
            let _ = writeln!(lines, "{}", self.end.answer());
        }
        lines
    }

    /// The same for programs.
    pub fn to_json(&self) -> Value {
        let text = |pick: fn(&Finished) -> String| self.output.as_ref().map(pick);
        json!({
            "ok": self.is_success(),
            "result": &**self.end.answer(),
            "stdout": text(|finished| finished.stdout.text()),
            "stderr": text(|finished| finished.stderr.text()),
            "took_ms": self.output.as_ref().map(|finished| finished.took.as_millis()),
        })
    }
}

fn is_event(name: &std::ffi::OsStr) -> bool {
    name.to_string_lossy().starts_with("HEARTBEAT_")
}

/// The command has a process group of its own, so the terminal's interruptions reach only us.
async fn pass_interruptions_on(killer: &Killer) -> std::convert::Infallible {
    let (Ok(mut interrupt), Ok(mut terminate)) = (signal(SignalKind::interrupt()), signal(SignalKind::terminate()))
    else {
        return std::future::pending().await;
    };
    let mut times = 0;
    loop {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        times += 1;
        if times == 1 { killer.term() } else { killer.kill() }
    }
}
