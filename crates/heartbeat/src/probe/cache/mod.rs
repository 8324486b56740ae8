//! What the kinds for caches share: a check that is a short conversation with one server.
//!
//! A kind brings its protocol as a [`Talk`]; here are the URL and the login ([`endpoint`]), the connection of which only so
//! much is kept ([`wire`]), the questions that every cache is asked, and the check around them. What a server says of its
//! own accord, be it a refused login or that it is still loading, is [`Fault::Status`]; what nobody who speaks the protocol
//! would say is [`Fault::Protocol`]; a value that is not the expected one is [`Fault::Body`].
//!
//! Absent on purpose: pools and pipelines (a check sees what a new client sees, one answer after the other).

use std::fmt;
use std::future::Future;
use std::sync::Arc;

use heartbeat_core::outcome::Fault;

use self::endpoint::{Dialer, Endpoint, Login};
use self::wire::Wire;
use super::expect::Limits;
use super::{Boxed, Failure, Observation, Prober, Spec, Trace, World, clip, scratch};
use crate::config::{Fields, Value};

pub mod endpoint;
#[cfg(test)]
pub(crate) mod suite;
pub mod wire;

/// So much of an answer is kept even if less would do to compare it: it is shown.
pub const SHOWN: usize = 512;

/// For so many seconds the server keeps what a probe that was interrupted has left behind.
pub const KEPT: u32 = 60;

/// What is said to a server, in the words of its protocol.
pub trait Talk: fmt::Debug + Send + Sync + 'static {
    /// Says it, and judges the answers.
    fn talk(&self, wire: &mut Wire<'_>, us: &Us) -> impl Future<Output = Result<(), Failure>> + Send;
}

/// Who talks.
pub struct Us {
    /// Our login, if we are to log in.
    pub login: Option<Login>,
    node: Arc<str>,
}

impl Us {
    /// A key that is this probe's own.
    pub fn key(&self) -> String {
        scratch::key(&self.node)
    }
}

/// What every cache is asked; `Q` is a query as the protocol has it.
#[derive(Debug)]
pub struct Questions<Q> {
    /// The query, in place of the cheapest round trip.
    pub query: Option<Q>,
    /// What it must be answered with.
    value: Option<String>,
    /// Whether a value is written, read back and deleted.
    pub write: bool,
}

impl<Q: Value> Questions<Q> {
    /// Reads `query`, `write` and `expect`; in the latter also the limits, and what `more` reads.
    pub fn read<E>(
        fields: &mut Fields<'_, '_, '_>,
        query: &'static str,
        more: fn(&mut Fields<'_, '_, '_>) -> E,
    ) -> Option<(Self, Limits, E)> {
        let query = fields.optional("query", query);
        let write = fields.or(
            "write",
            "Whether a value is written, read back and deleted at every probe, under a key of this probe's own.",
            false,
        );
        let (limits, value, more) = fields.section("expect", "What must be the case.", |fields| {
            let limits = Limits::read(fields);
            let value: Option<String> =
                fields.optional("value", "The value that `query` returns, as text. A missing key has no value.");
            Some((limits, value, more(fields)))
        })?;
        if value.is_some() && query.is_none() {
            fields.error("expect", "`expect.value` needs a `query` that returns it");
            return None;
        }
        Some((Self { query, value, write }, limits, more))
    }
}

impl<Q> Questions<Q> {
    /// How much of a value must be kept: one byte more than expected tells a longer one from an equal one.
    pub fn kept(&self) -> usize {
        SHOWN.max(self.value.as_ref().map_or(0, |value| value.len() + 1))
    }

    /// Judges what the query returned: a value, or what to say of what is none.
    ///
    /// # Errors
    /// [`Fault::Body`] if another value is expected.
    pub fn judge(&self, found: Result<&[u8], &str>) -> Result<(), Failure> {
        let Some(expected) = &self.value else { return Ok(()) };
        let found = match found {
            Ok(value) if value == expected.as_bytes() => return Ok(()),
            Ok(value) => format!("`{}`", clip(&String::from_utf8_lossy(value))),
            Err(other) => other.to_owned(),
        };
        Err(Failure::new(Fault::Body, format!("the query returned {found}, expected `{}`", clip(expected))))
    }
}

/// A decoded check.
#[derive(Debug)]
pub struct Conversation<T> {
    /// With whom.
    pub endpoint: Endpoint,
    /// About what.
    pub talk: Arc<T>,
    /// What must be the case.
    pub expect: Limits,
    /// Beyond what there is a warning.
    pub warn: Limits,
}

impl<T: Talk> Spec for Conversation<T> {
    fn target(&self) -> String {
        self.endpoint.shown()
    }

    fn address(&self) -> Option<String> {
        Some(self.endpoint.address())
    }

    fn values(&self) -> Vec<(String, String)> {
        self.endpoint.values()
    }

    fn build(&self, world: &World) -> Result<Box<dyn Prober>, String> {
        Ok(Box::new(Client {
            dialer: self.endpoint.build(world)?,
            us: Us { login: self.endpoint.login()?, node: world.node().clone() },
            talk: self.talk.clone(),
            expect: self.expect,
            warn: self.warn,
        }))
    }
}

/// Ready to probe.
struct Client<T> {
    dialer: Dialer,
    us: Us,
    talk: Arc<T>,
    expect: Limits,
    warn: Limits,
}

impl<T: Talk> Prober for Client<T> {
    fn probe<'a>(&'a self, trace: &'a Trace) -> Boxed<'a, Result<Observation, Failure>> {
        Box::pin(async move {
            let (stream, not_after) = self.dialer.connect(trace).await?;
            let mut wire = Wire::new(stream, trace);
            let talked = self.talk.talk(&mut wire, &self.us).await;
            let took = trace.elapsed();
            let ended = wire.end().await;
            talked.and(ended)?;
            self.expect.observe(&self.warn, took, not_after)
        })
    }
}
