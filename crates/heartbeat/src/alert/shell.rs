//! `shell`: a line for `/bin/sh`, with the message in the variable `message`.
//!
//! The message is never put into the line: a target decides what it says, and must not decide what runs.

use std::collections::BTreeMap;

use super::program::Program;
use super::{Accepted, Refused};
use super::{Boxed, Channel, Kind, Spec};
use crate::config::Fields;
use crate::config::values::{CommandLine, Surroundings, Verbatim};
use crate::message::Message;

/// The line of the table.
pub(super) const KIND: Kind = Kind {
    name: "shell",
    doc: "A line for `/bin/sh -c`; the message is in the environment variable `message`.",
    example: "\
type: shell
command: 'logger -t heartbeat \"$message\"'
",
    short: |_| None,
    decode,
};

fn decode(fields: &mut Fields<'_, '_, '_>) -> Option<Box<dyn Spec>> {
    let line = fields.required::<Verbatim>("command", "The line; `\"$message\"` in it is the message.");
    let (env, surroundings) = super::program::keys(fields);
    let line = line?.0;
    if line.trim().is_empty() {
        fields.error("command", "the command is empty");
        return None;
    }
    let line = CommandLine::Shell(line);
    Some(Box::new(Shell { line, env, surroundings }))
}

#[derive(Clone, Debug)]
struct Shell {
    line: CommandLine,
    env: BTreeMap<String, String>,
    surroundings: Surroundings,
}

impl Spec for Shell {
    fn target(&self) -> String {
        "/bin/sh".to_owned()
    }

    fn build(&self) -> Result<Box<dyn Channel>, String> {
        Ok(Box::new(self.clone()))
    }
}

impl Channel for Shell {
    fn send<'a>(&'a self, message: &'a Message) -> Boxed<'a, Result<Accepted, Refused>> {
        let text = message.environment().into_iter().find(|(name, _)| *name == "HEARTBEAT_MESSAGE");
        let program = Program { argv: self.line.argv(), env: &self.env, surroundings: self.surroundings };
        Box::pin(program.run(message, text.map(|(_, text)| ("message", text))))
    }
}
