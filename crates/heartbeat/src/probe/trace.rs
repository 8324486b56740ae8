//! The phases of one probe, told while they happen.
//!
//! A prober only says what it enters; time is read here. So the deadline, which drops the prober wherever it is, can still
//! say what it interrupted, and what was completed before stays known. A phase that comes several times (a redirect, a
//! second address) adds up.

use std::net::SocketAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use heartbeat_core::Mono;
use heartbeat_core::outcome::Fault;

use super::Failure;
use crate::config::values::duration;
use crate::host::clock;

/// What a prober is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Name resolution.
    Dns,
    /// Connecting.
    Connect,
    /// Asking a proxy for a tunnel. A part of connecting.
    Tunnel,
    /// The TLS handshake.
    Tls,
    /// From the request to the first byte of the answer.
    FirstByte,
    /// Waiting for the end of an earlier probe that hung.
    Earlier,
    /// Opening a file.
    Open,
    /// Saying who we are to a server that wants to know.
    Login,
    /// Waiting for the answer to a query, and receiving it.
    Query,
    /// Receiving the rest of the answer.
    Answer,
    /// A command is running.
    Command,
}

impl Phase {
    /// What a deadline interrupted, after the word "while".
    const fn doing(self) -> &'static str {
        match self {
            Self::Dns => "resolving the name",
            Self::Connect => "connecting",
            Self::Tunnel => "asking the proxy for a tunnel",
            Self::Tls => "in the TLS handshake",
            Self::FirstByte => "waiting for the first byte",
            Self::Earlier => "waiting for an earlier probe to end",
            Self::Open => "opening the file",
            Self::Login => "logging in",
            Self::Query => "waiting for the answer to the query",
            Self::Answer => "receiving the answer",
            Self::Command => "running the command",
        }
    }
}

/// How long each phase took; a phase that did not happen, or was not completed, is absent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Phases {
    /// Name resolution.
    pub dns: Option<Duration>,
    /// Connecting.
    pub connect: Option<Duration>,
    /// The TLS handshake.
    pub tls: Option<Duration>,
    /// From the request to the first byte of the answer.
    pub first_byte: Option<Duration>,
    /// All of it.
    pub total: Duration,
}

/// The account of one probe.
#[derive(Debug)]
pub struct Trace {
    started: Mono,
    deadline: Option<Mono>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    current: Option<(Phase, Mono)>,
    peer: Option<SocketAddr>,
    done: Phases,
}

impl Default for Trace {
    fn default() -> Self {
        Self { started: clock::mono(), deadline: None, state: Mutex::default() }
    }
}

impl Trace {
    /// A trace that begins now and ends after `timeout`.
    pub fn until(timeout: Duration) -> Self {
        let started = clock::mono();
        Self { started, deadline: Some(started + timeout), state: Mutex::default() }
    }

    /// When the probe will be interrupted; `None`: never.
    pub fn deadline(&self) -> Option<Mono> {
        self.deadline
    }

    /// The time since the probe began.
    pub fn elapsed(&self) -> Duration {
        clock::mono().since(self.started)
    }

    /// A phase begins; with it the one before is completed.
    pub fn enter(&self, phase: Phase) {
        let now = clock::mono();
        let mut state = self.state();
        state.complete(now);
        state.current = Some((phase, now));
        if phase == Phase::Dns {
            state.peer = None;
        }
    }

    /// The address that the phases from now on are about.
    pub fn peer(&self, address: SocketAddr) {
        self.state().peer = Some(address);
    }

    /// The current phase has come to its end and no other has begun.
    pub fn complete(&self) {
        self.state().complete(clock::mono());
    }

    /// What was measured up to now. A phase that was not completed is absent.
    pub fn phases(&self) -> Phases {
        Phases { total: self.elapsed(), ..self.state().done }
    }

    /// What the deadline interrupted.
    ///
    /// A name server that does not answer is a fault of name resolution rather than of the target.
    pub fn interrupted(&self, timeout: Duration) -> Failure {
        let state = self.state();
        let timeout = duration::format(timeout);
        let Some((phase, _)) = state.current else {
            return Failure::new(Fault::Timeout, format!("timed out after {timeout}"));
        };
        let fault = if phase == Phase::Dns { Fault::Dns } else { Fault::Timeout };
        let doing = phase.doing();
        Failure::new(
            fault,
            match (phase, state.peer) {
                (Phase::Connect, Some(peer)) => format!("timed out after {timeout} while {doing} to {peer}"),
                _ => format!("timed out after {timeout} while {doing}"),
            },
        )
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn complete(&mut self, now: Mono) {
        let Some((phase, since)) = self.current.take() else { return };
        let slot = match phase {
            Phase::Dns => &mut self.done.dns,
            Phase::Connect | Phase::Tunnel => &mut self.done.connect,
            Phase::Tls => &mut self.done.tls,
            Phase::FirstByte => &mut self.done.first_byte,
            Phase::Earlier | Phase::Open | Phase::Login | Phase::Query | Phase::Answer | Phase::Command => return,
        };
        *slot = Some(slot.unwrap_or_default() + now.since(since));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_what_was_completed() {
        let trace = Trace::default();
        trace.enter(Phase::Dns);
        trace.enter(Phase::Connect);
        trace.enter(Phase::FirstByte);
        let phases = trace.phases();
        assert!(phases.dns.is_some() && phases.connect.is_some());
        assert_eq!((phases.tls, phases.first_byte), (None, None));
    }

    #[test]
    fn says_what_was_interrupted() {
        let trace = Trace::default();
        let reason = |trace: &Trace| trace.interrupted(Duration::from_secs(10));
        assert_eq!(reason(&trace).reason, "timed out after 10s");
        trace.enter(Phase::Dns);
        assert_eq!(reason(&trace).fault, Fault::Dns);
        trace.enter(Phase::Connect);
        trace.peer(([127, 0, 0, 1], 80).into());
        assert_eq!(reason(&trace).reason, "timed out after 10s while connecting to 127.0.0.1:80");
        trace.enter(Phase::FirstByte);
        assert_eq!(
            reason(&trace),
            Failure::new(Fault::Timeout, "timed out after 10s while waiting for the first byte")
        );
    }
}
