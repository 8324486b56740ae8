//! Alert channels: how a message reaches people.
//!
//! One file a kind and one line in [`KINDS`]. Whether a refusal is worth another try is part of the answer; when that try
//! is made is decided elsewhere.

mod addresses;
mod answer;
mod command;
mod connection;
mod email;
mod gmail;
mod hook_url;
mod http;
mod json_template;
mod mail;
mod program;
mod sendmail;
mod shell;
mod smtp;
mod smtp_url;
mod twilio;
mod webhook;

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use heartbeat_core::template::Template;

use crate::config::{Fields, Node};
use crate::message::{self, Message};

/// A future of a trait object.
pub type Boxed<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// A kind of alert: one line of the table.
#[derive(Debug)]
pub struct Kind {
    /// The word for `type:`.
    pub name: &'static str,
    /// One sentence for the reference.
    pub doc: &'static str,
    /// An alert of this kind in YAML, for the reference and the tests.
    pub example: &'static str,
    /// Turns a short form (`mailto:ops@example.org`) into the map that it stands for; `None` if it is not of this kind.
    pub short: fn(&str) -> Option<Node>,
    /// Reads the keys that are its own.
    pub decode: fn(&mut Fields<'_, '_, '_>) -> Option<Box<dyn Spec>>,
}

/// A decoded alert of one kind, before anything is opened for it.
pub trait Spec: fmt::Debug + Send + Sync {
    /// Where it goes, for people: an address, a host. Never a secret.
    fn target(&self) -> String;

    /// Reads secrets and prepares the client.
    ///
    /// # Errors
    /// A sentence that names what was expected, what was found and where.
    fn build(&self) -> Result<Box<dyn Channel>, String>;
}

/// Delivers messages. One call is one attempt.
pub trait Channel: Send + Sync {
    /// One attempt; dropped at its deadline.
    fn send<'a>(&'a self, message: &'a Message) -> Boxed<'a, Result<Accepted, Refused>>;
}

/// The provider has taken the message over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Accepted {
    /// What it said, one line, without secrets.
    pub answer: String,
}

/// The provider has not taken the message over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refused {
    /// Another attempt cannot help.
    ForGood {
        /// What the provider said, one line, without secrets.
        answer: String,
    },
    /// Another attempt may help.
    ForNow {
        /// What the provider or the network said, one line, without secrets.
        answer: String,
        /// The least time to wait, if the provider named one.
        after: Option<Duration>,
    },
}

impl Refused {
    /// What the provider or the network said.
    pub fn answer(&self) -> &str {
        match self {
            Self::ForGood { answer } | Self::ForNow { answer, .. } => answer,
        }
    }
}

/// Every kind of alert.
pub static KINDS: &[Kind] = &[email::KIND, gmail::KIND, twilio::KIND, webhook::KIND, shell::KIND, command::KIND];

/// Reports the names in an alert's text that not every check has.
fn refuse_unknown_names(fields: &mut Fields<'_, '_, '_>, key: &'static str, text: &Template) {
    for name in message::unknown_in_alert(text) {
        fields.error(key, format!("`{key}` of {} names `{name}`, which not every check has", fields.what()));
    }
}

#[cfg(test)]
mod suite;
