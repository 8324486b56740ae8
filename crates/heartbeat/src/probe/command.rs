//! The kinds `command` and `shell`: a program decides.
//!
//! Exit 0 passes. With `exit_codes: nagios` the status means what it means to a plugin (Monitoring Plugins Development
//! Guidelines): 0 passes, 1 warns, 2 fails; 3, which the guidelines call unknown, fails too, for a plugin that cannot tell
//! has not found its target well; every other status fails. The first line of the output is the reason.
//!
//! When the probe ends, in time or not, everything of the program's process group is ended with it, behind our back: the
//! verdict does not wait for that.

use std::collections::BTreeMap;
use std::time::Duration;

use heartbeat_core::outcome::Fault;
use nix::sys::signal::Signal;

use super::expect::Limits;
use super::{Boxed, Failure, Kind, Observation, Phase, PickedBy, Prober, Spec, Trace, World};
use crate::config::Fields;
use crate::config::values::{CommandLine, Secret, Surroundings, Verbatim, words};
use crate::host::env;
use crate::host::process::{self, Afterwards, Command, Exit, Finished, Tail};

/// The line of the table for programs.
pub const COMMAND: Kind = Kind {
    name: "command",
    doc: "Runs a program, without a shell; its exit status is the verdict.",
    picked_by: PickedBy::Key("command"),
    example: "\
command: [/usr/lib/nagios/plugins/check_raid, -v]
exit_codes: nagios
",
    decode: decode_command,
};

/// The line of the table for the shell.
pub const SHELL: Kind = Kind {
    name: "shell",
    doc: "Runs a line through `/bin/sh -c`; its exit status is the verdict.",
    picked_by: PickedBy::Key("shell"),
    example: "shell: df / | awk 'END { exit $5 + 0 > 90 }'\n",
    decode: decode_shell,
};

/// A decoded check.
#[derive(Debug)]
struct Program {
    line: CommandLine,
    env: BTreeMap<String, Secret>,
    surroundings: Surroundings,
    codes: Codes,
    expect: Limits,
    warn: Limits,
}

/// What exit statuses mean.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Codes {
    #[default]
    Zero,
    Nagios,
}

words!(Codes { "zero" => Zero, "nagios" => Nagios });

fn decode_command(fields: &mut Fields<'_, '_, '_>) -> Option<Box<dyn Spec>> {
    let line = fields.required("command", "The program and its arguments, as a list or as one line; no shell.");
    decode(fields, line)
}

fn decode_shell(fields: &mut Fields<'_, '_, '_>) -> Option<Box<dyn Spec>> {
    let line: Option<Verbatim> = fields.required("shell", "A line for `/bin/sh -c`.");
    if line.as_ref().is_some_and(|line| line.0.trim().is_empty()) {
        fields.error("shell", "the command is empty");
    }
    decode(fields, line.map(|line| CommandLine::Shell(line.0)))
}

fn decode(fields: &mut Fields<'_, '_, '_>, line: Option<CommandLine>) -> Option<Box<dyn Spec>> {
    let codes = fields.or(
        "exit_codes",
        "`zero`: 0 passes, all else fails; `nagios`: 0 passes, 1 warns, all else fails.",
        Codes::Zero,
    );
    let env: BTreeMap<String, Secret> =
        fields.or("env", "Variables for the command; their values are treated as secrets.", BTreeMap::new());
    let surroundings = fields.or(
        "surroundings",
        "`clean`: in `/` with a short environment; `launcher`: where and with what heartbeat was started, less `LD_*`.",
        Surroundings::Clean,
    );
    for name in env.keys().filter(|name| name.is_empty() || name.contains(['=', '\0'])) {
        fields.error("env", format!("`{}` cannot be the name of a variable", name.escape_debug()));
    }
    let expect = fields.section("expect", "What must be the case.", |fields| Some(Limits::read_latency(fields)));
    let warn = fields.section("warn", "Limits beyond which the check passes with a warning.", |fields| {
        Some(Limits::read_latency(fields))
    });
    Some(Box::new(Program { line: line?, env, surroundings, codes, expect: expect?, warn: warn? }))
}

impl Program {
    fn shown(&self) -> String {
        match &self.line {
            CommandLine::Words(words) => shell_words::join(words),
            CommandLine::Shell(line) => line.clone(),
        }
    }
}

impl Spec for Program {
    fn target(&self) -> String {
        self.shown()
    }

    fn address(&self) -> Option<String> {
        None
    }

    fn values(&self) -> Vec<(String, String)> {
        vec![("command".to_owned(), self.shown())]
    }

    fn build(&self, _world: &World) -> Result<Box<dyn Prober>, String> {
        let argv = self.line.argv();
        let mut command = match self.surroundings {
            Surroundings::Clean => Command::clean(argv, None),
            Surroundings::Launcher => Command::launched(argv, None),
        };
        for (name, secret) in &self.env {
            command.set(name, secret.reveal(&env::variable)?);
        }
        Ok(Box::new(Runner { command, codes: self.codes, expect: self.expect, warn: self.warn }))
    }
}

/// Ready to probe.
struct Runner {
    command: Command,
    codes: Codes,
    expect: Limits,
    warn: Limits,
}

impl Prober for Runner {
    fn probe<'a>(&'a self, trace: &'a Trace) -> Boxed<'a, Result<Observation, Failure>> {
        /// The deadline of the probe is the one that counts, and it ends this future; nothing waits for longer.
        const LONGEST: Duration = Duration::from_secs(24 * 3600);
        Box::pin(async move {
            let child = process::spawn(&self.command).map_err(|error| Failure::new(error.fault(), error.message))?;
            trace.enter(Phase::Command);
            let finished = child.wait(LONGEST, Afterwards::ClearGroup).await;
            trace.complete();
            let seen = self.codes.judge(&finished)?;
            let took = trace.elapsed();
            match self.expect.judge(took, None) {
                Some(failure) => Err(failure),
                None => Ok(Observation { warning: seen.warning.or_else(|| self.warn.judge(took, None)), ..seen }),
            }
        })
    }
}

impl Codes {
    fn judge(self, finished: &Finished) -> Result<Observation, Failure> {
        let code = match finished.exit {
            Exit::Code(code) => code,
            Exit::Signal(number) => {
                let name = Signal::try_from(number).map_or_else(|_| number.to_string(), |signal| signal.to_string());
                return Err(Failure::new(Fault::Exit, format!("the command was ended by the signal {name}")));
            }
            Exit::TimedOut => return Err(Failure::new(Fault::Timeout, "the command did not come to its end")),
        };
        match self {
            Self::Zero if code == 0 => Ok(Observation::default()),
            Self::Zero => Err(Failure::new(Fault::Exit, with_last_words(format!("exit status {code}"), finished))),
            Self::Nagios => plugin(code, finished),
        }
    }
}

fn with_last_words(what: String, finished: &Finished) -> String {
    let words = [&finished.stderr, &finished.stdout].map(Tail::last_line);
    match words.into_iter().find(|line| !line.is_empty()) {
        Some(line) => format!("{what}: {line}"),
        None => what,
    }
}

fn plugin(code: i32, finished: &Finished) -> Result<Observation, Failure> {
    let output = PluginOutput::of(&finished.stdout.text());
    let reason = match output.status.as_str() {
        "" => with_last_words(format!("exit status {code}"), finished),
        status => status.to_owned(),
    };
    let performance = (!output.performance.is_empty()).then_some(output.performance);
    match code {
        0 => Ok(Observation { warning: None, performance }),
        1 => Ok(Observation { warning: Some(Failure::new(Fault::Exit, reason)), performance }),
        _ => Err(Failure::new(Fault::Exit, reason)),
    }
}

/// What a plugin printed: a line for people, and behind a `|` numbers for machines. Further lines are long text, behind
/// their own `|` more numbers.
#[derive(Debug, PartialEq, Eq)]
struct PluginOutput {
    status: String,
    performance: String,
}

impl PluginOutput {
    fn of(text: &str) -> Self {
        let text = text.trim();
        let (first, long) = text.split_once('\n').unwrap_or((text, ""));
        let (status, numbers) = first.split_once('|').unwrap_or((first, ""));
        let more = long.split_once('|').map_or("", |(_, more)| more);
        let words = numbers.split_whitespace().chain(more.split_whitespace());
        Self { status: status.trim().to_owned(), performance: words.collect::<Vec<_>>().join(" ") }
    }
}

#[cfg(test)]
mod tests;
