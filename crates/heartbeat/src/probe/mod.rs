//! Check kinds: what is probed and what is expected of it.
//!
//! One file a kind and one line in [`KINDS`]: the decoder, the schema, the reference page and the tests walk that table. A
//! prober answers with an [`Observation`] or a [`Failure`]; the deadline stands above it and is nobody's business but
//! [`run`]'s. Nothing here decides states.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use heartbeat_core::outcome::{Fault, Outcome, one_line};

use crate::config::Fields;
use crate::host::clock;

pub mod budget;
pub mod cache;
pub mod command;
pub mod database;
pub mod expect;
pub mod http;
mod made;
mod manner;
pub mod memcached;
pub mod mysql;
pub mod net;
pub mod postgres;
pub mod redis;
pub mod resolve;
pub mod scratch;
pub mod sqlite;
pub mod target;
pub mod tcp;
#[cfg(test)]
mod testing;
pub mod text;
pub mod tls;
pub mod trace;
pub mod values;
pub mod world;

pub use trace::{Phase, Phases, Trace};
pub use world::World;

/// A future of a trait object.
pub type Boxed<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// A kind of check: one line of the table.
#[derive(Debug)]
pub struct Kind {
    /// Its name in the output and the reference.
    pub name: &'static str,
    /// One sentence for the reference.
    pub doc: &'static str,
    /// What in a check's map selects it.
    pub picked_by: PickedBy,
    /// A check of this kind in YAML, for the reference and the tests.
    pub example: &'static str,
    /// Reads the keys that are its own.
    pub decode: fn(&mut Fields<'_, '_, '_>) -> Option<Box<dyn Spec>>,
}

/// What selects a kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PickedBy {
    /// The scheme of the key `url`.
    Schemes(&'static [&'static str]),
    /// The presence of this key.
    Key(&'static str),
}

/// A decoded check of one kind, before anything is opened for it.
pub trait Spec: fmt::Debug + Send + Sync {
    /// The target for people: a URL without its password, `host:port`, a command line.
    fn target(&self) -> String;

    /// Host and port, in one form, for the limit of probes in flight per host; `None` for what has none.
    fn address(&self) -> Option<String>;

    /// The plain values that messages may name: never a secret, never a header.
    fn values(&self) -> Vec<(String, String)>;

    /// A fingerprint of all that a probe does, for comparisons within this process. Secrets do not show in it, and need not:
    /// whoever changes one means the same check.
    fn manner(&self) -> u64 {
        manner::of(&self)
    }

    /// Opens what probing needs: secrets, certificates, compiled roots.
    ///
    /// # Errors
    /// A sentence that names what was expected, what was found and where.
    fn build(&self, world: &World) -> Result<Box<dyn Prober>, String>;
}

/// Probes one target, again and again, never twice at once.
pub trait Prober: Send + Sync {
    /// One probe. It is dropped at the deadline; what it started must end with it.
    fn probe<'a>(&'a self, trace: &'a Trace) -> Boxed<'a, Result<Observation, Failure>>;
}

/// What a probe saw when everything was as expected.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Observation {
    /// A warning limit that was crossed.
    pub warning: Option<Failure>,
    /// Performance data as a Nagios plugin prints it.
    pub performance: Option<String>,
}

/// What was not as expected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The class.
    pub fault: Fault,
    /// One line for people: expected, found.
    pub reason: String,
}

impl Failure {
    /// A failure with its reason.
    pub fn new(fault: Fault, reason: impl Into<String>) -> Self {
        Self { fault, reason: reason.into() }
    }
}

/// Every kind of check.
pub static KINDS: &[Kind] = &[
    http::KIND,
    tcp::KIND,
    postgres::KIND,
    mysql::KIND,
    sqlite::KIND,
    redis::KIND,
    memcached::KIND,
    command::COMMAND,
    command::SHELL,
];

/// One probe's result with everything that people may want to see.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// What the engine is told.
    pub outcome: Outcome,
    /// How long each phase took.
    pub phases: Phases,
    /// Performance data as a Nagios plugin prints it.
    pub performance: Option<String>,
}

/// Probes once under one total deadline.
pub async fn run(prober: &dyn Prober, timeout: Duration) -> Report {
    let trace = Trace::until(timeout);
    let ended = tokio::time::timeout_at(clock::instant(trace.deadline()), attempt(prober, &trace)).await;
    ended.unwrap_or_else(|_| expired(&trace))
}

/// Probes once. At the trace's deadline whoever called drops this, and says that it has [`expired`].
pub async fn attempt(prober: &dyn Prober, trace: &Trace) -> Report {
    let ended = prober.probe(trace).await;
    let phases = trace.end();
    let (outcome, performance) = match ended {
        Ok(Observation { warning: None, performance }) => (Outcome::pass(phases.total), performance),
        Ok(Observation { warning: Some(limit), performance }) => {
            (Outcome::warn(limit.fault, one_line(&limit.reason), phases.total), performance)
        }
        Err(failure) => (fault(&failure, phases.total), None),
    };
    Report { outcome, phases, performance: performance.as_deref().map(one_line) }
}

/// What there is to say of an attempt that was dropped at its deadline.
pub fn expired(trace: &Trace) -> Report {
    let interrupted = trace.interrupted();
    let phases = trace.end();
    Report { outcome: fault(&interrupted, phases.total), phases, performance: None }
}

fn fault(failure: &Failure, latency: Duration) -> Outcome {
    Outcome::fault(failure.fault, one_line(&failure.reason), latency)
}

/// Text for a reason: not more of it than helps.
fn clip(text: &str) -> String {
    const LONGEST: usize = 120;
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests;
