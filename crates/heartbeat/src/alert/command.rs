//! `command`: a program with its arguments, told of the event by its environment and its standard input.

use std::collections::BTreeMap;
use std::ffi::OsString;

use super::program::{self, Program};
use super::{Accepted, Boxed, Channel, Kind, Refused, Spec};
use crate::config::Fields;
use crate::config::values::{CommandLine, Surroundings};
use crate::message::Message;

/// The line of the table.
pub(super) const KIND: Kind = Kind {
    name: "command",
    doc: "A program without a shell; the event is in its environment and, as JSON, on its standard input.",
    example: "\
type: command
command: [/usr/local/bin/page, --team, shop]
",
    short: |_| None,
    decode,
};

fn decode(fields: &mut Fields<'_, '_, '_>) -> Option<Box<dyn Spec>> {
    let line = fields.required::<CommandLine>("command", "The program and its arguments.");
    let (env, surroundings) = program::keys(fields);
    let argv = line?.argv();
    Some(Box::new(Command { argv, env, surroundings }))
}

#[derive(Clone, Debug)]
struct Command {
    argv: Vec<OsString>,
    env: BTreeMap<String, String>,
    surroundings: Surroundings,
}

impl Spec for Command {
    fn target(&self) -> String {
        self.argv[0].display().to_string()
    }

    fn build(&self) -> Result<Box<dyn Channel>, String> {
        Ok(Box::new(self.clone()))
    }
}

impl Channel for Command {
    fn send<'a>(&'a self, message: &'a Message) -> Boxed<'a, Result<Accepted, Refused>> {
        let program = Program { argv: self.argv.clone(), env: &self.env, surroundings: self.surroundings };
        Box::pin(program.run(message, None))
    }
}
