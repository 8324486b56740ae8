//! What the kinds for databases share: the URL, the stream, and what is asked once we are in.
//!
//! Three layers. A kind brings its protocol, which turns a connection into a [`Session`];
//! [`Questions`](questions::Questions) asks any session the same things; [`server`] is the check around both for those that
//! are reached over a network. What a server says of its own accord, be it a refused login, a missing database or a query
//! that fails, is [`Fault::Status`], with its code in the reason; what nobody who speaks the protocol would say is
//! [`Fault::Protocol`]; a value that is not the expected one is [`Fault::Body`].
//!
//! Absent on purpose: pools and prepared statements (a check sees what a new client sees), types (a value is compared as
//! the text that the server makes of it).

pub mod encryption;
pub mod questions;
pub mod server;
#[cfg(test)]
pub(crate) mod suite;
pub mod url;
pub mod wire;
mod write;

use std::fmt;
use std::future::Future;

use heartbeat_core::outcome::Fault;

use super::Failure;
use crate::config::values::secret::REDACTED;

pub use write::Dialect;

/// A conversation with a database, after the login.
pub trait Session: Send {
    /// How it wants its SQL.
    const DIALECT: Dialect;

    /// The cheapest round trip that shows that queries are answered.
    fn ping(&mut self) -> impl Future<Output = Result<(), Wrong>> + Send;

    /// Runs statements as a transaction of their own.
    fn run(&mut self, sql: &str) -> impl Future<Output = Result<Answer, Wrong>> + Send;

    /// Takes leave, so that the server logs no lost connection.
    fn goodbye(self) -> impl Future<Output = ()> + Send;
}

/// The first column of the first row.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Answer {
    /// There was no row, or it had no column.
    #[default]
    Nothing,
    /// It is NULL.
    Null,
    /// It is this.
    Text(String),
}

/// Why a session did not do what it was asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wrong {
    /// The server refused, and the session goes on.
    Refused(Refusal),
    /// The session is of no use any more.
    Broken(Failure),
}

/// What a server says when it refuses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Its number or SQLSTATE.
    pub code: String,
    /// Its words.
    pub message: String,
}

impl Refusal {
    /// A failure of what we were doing: `the login was refused`, `the query failed`.
    pub fn failure(&self, doing: &str) -> Failure {
        Failure::new(Fault::Status, format!("{doing}: {self}"))
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.message, self.code)
    }
}

impl Wrong {
    /// A failure of what we were doing.
    pub fn failure(self, doing: &str) -> Failure {
        match self {
            Self::Refused(refusal) => refusal.failure(doing),
            Self::Broken(failure) => failure,
        }
    }
}

impl From<Failure> for Wrong {
    fn from(failure: Failure) -> Self {
        Self::Broken(failure)
    }
}

/// A failure without our password, should a server repeat it to us.
pub fn without_password(failure: Failure, password: Option<&str>) -> Failure {
    /// Shorter ones would blank ordinary words, and are found by anybody.
    const SHORTEST: usize = 4;
    match password {
        Some(password) if password.len() >= SHORTEST => {
            Failure { reason: failure.reason.replace(password, REDACTED), ..failure }
        }
        _ => failure,
    }
}

/// What a server sent that does not belong to the protocol.
pub fn garbage(protocol: &str, bytes: &[u8]) -> Failure {
    const SHOWN: usize = 20;
    let shown = bytes[..bytes.len().min(SHOWN)].escape_ascii();
    Failure::new(Fault::Protocol, format!("what the server sent is not the protocol of {protocol}: `{shown}`"))
}
