//! The phases of one probe, told while they happen.
//!
//! A prober only says what it enters; time is read here. So the deadline, which drops the prober wherever it is, can still
//! say what it interrupted, and what was completed before stays known. A phase that comes several times (a redirect, a
//! second address) adds up.

use std::net::SocketAddr;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicU64, AtomicUsize};
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
    /// Every phase at its own place.
    const ALL: [Self; 11] = [
        Self::Dns,
        Self::Connect,
        Self::Tunnel,
        Self::Tls,
        Self::FirstByte,
        Self::Earlier,
        Self::Open,
        Self::Login,
        Self::Query,
        Self::Answer,
        Self::Command,
    ];

    /// What its time counts as; `None`: it is part of the total alone.
    const fn measured(self) -> Option<Measured> {
        Some(match self {
            Self::Dns => Measured::Dns,
            Self::Connect | Self::Tunnel => Measured::Connect,
            Self::Tls => Measured::Tls,
            Self::FirstByte => Measured::FirstByte,
            Self::Earlier | Self::Open | Self::Login | Self::Query | Self::Answer | Self::Command => return None,
        })
    }

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
///
/// Written by the probe's own task alone; atomics without an order are what lets others see it at no price.
#[derive(Debug)]
pub struct Trace {
    started: Mono,
    timeout: Duration,
    /// The place in [`Phase::ALL`] of what is being done, or [`NOTHING`].
    current: AtomicUsize,
    /// Since then, in nanoseconds since `started`.
    since: AtomicU64,
    /// Nanoseconds, in the order of [`Measured`], or [`ABSENT`].
    done: [AtomicU64; 4],
    peer: Mutex<Option<SocketAddr>>,
}

/// No phase is under way.
const NOTHING: usize = usize::MAX;

/// Nor will one be.
const OVER: usize = NOTHING - 1;

/// A phase that was not completed.
const ABSENT: u64 = u64::MAX;

/// What a phase counts as in [`Phases`].
#[derive(Clone, Copy, Debug)]
enum Measured {
    Dns,
    Connect,
    Tls,
    FirstByte,
}

#[cfg(test)]
impl Default for Trace {
    /// Nobody waits for its end.
    fn default() -> Self {
        Self::until(Duration::from_secs(600))
    }
}

impl Trace {
    /// A trace that begins now and ends after `timeout`.
    pub fn until(timeout: Duration) -> Self {
        Self {
            started: clock::mono(),
            timeout,
            current: AtomicUsize::new(NOTHING),
            since: AtomicU64::new(0),
            done: [const { AtomicU64::new(ABSENT) }; 4],
            peer: Mutex::default(),
        }
    }

    /// When the probe is interrupted.
    pub fn deadline(&self) -> Mono {
        self.started + self.timeout
    }

    /// The time since the probe began.
    pub fn elapsed(&self) -> Duration {
        clock::mono().since(self.started)
    }

    /// A phase begins; with it the one before is completed.
    pub fn enter(&self, phase: Phase) {
        let now = self.nanos();
        self.complete_at(now);
        self.current.store(phase as usize, Relaxed);
        self.since.store(now, Relaxed);
        if phase == Phase::Dns {
            *self.lock_peer() = None;
        }
    }

    /// The address that the phases from now on are about.
    pub fn peer(&self, address: SocketAddr) {
        *self.lock_peer() = Some(address);
    }

    /// The current phase has come to its end and no other has begun.
    pub fn complete(&self) {
        self.complete_at(self.nanos());
    }

    /// The probe is over.
    pub fn end(&self) -> Phases {
        let phases = self.phases();
        self.current.store(OVER, Relaxed);
        phases
    }

    /// Whether the probe is over.
    pub fn has_ended(&self) -> bool {
        self.current.load(Relaxed) == OVER
    }

    /// What was measured up to now. A phase that was not completed is absent.
    fn phases(&self) -> Phases {
        let done = |which: Measured| {
            let nanos = self.done[which as usize].load(Relaxed);
            (nanos != ABSENT).then(|| Duration::from_nanos(nanos))
        };
        Phases {
            dns: done(Measured::Dns),
            connect: done(Measured::Connect),
            tls: done(Measured::Tls),
            first_byte: done(Measured::FirstByte),
            total: self.elapsed(),
        }
    }

    /// What the deadline interrupted.
    ///
    /// A name server that does not answer is a fault of name resolution rather than of the target.
    pub fn interrupted(&self) -> Failure {
        let timeout = duration::format(self.timeout);
        let Some(phase) = Phase::ALL.get(self.current.load(Relaxed)) else {
            return Failure::new(Fault::Timeout, format!("timed out after {timeout}"));
        };
        let fault = if *phase == Phase::Dns { Fault::Dns } else { Fault::Timeout };
        let doing = phase.doing();
        Failure::new(
            fault,
            match (phase, *self.lock_peer()) {
                (Phase::Connect, Some(peer)) => format!("timed out after {timeout} while {doing} to {peer}"),
                _ => format!("timed out after {timeout} while {doing}"),
            },
        )
    }

    fn complete_at(&self, now: u64) {
        let phase = Phase::ALL.get(self.current.load(Relaxed));
        self.current.store(NOTHING, Relaxed);
        let Some(measured) = phase.and_then(|phase| phase.measured()) else { return };
        let done = &self.done[measured as usize];
        let before = match done.load(Relaxed) {
            ABSENT => 0,
            nanos => nanos,
        };
        done.store(before + now.saturating_sub(self.since.load(Relaxed)), Relaxed);
    }

    /// Nanoseconds since the probe began. 584 years fit.
    fn nanos(&self) -> u64 {
        u64::try_from(self.elapsed().as_nanos()).unwrap_or(ABSENT - 1)
    }

    fn lock_peer(&self) -> MutexGuard<'_, Option<SocketAddr>> {
        self.peer.lock().unwrap_or_else(PoisonError::into_inner)
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
    fn every_phase_stands_at_its_place() {
        for (place, phase) in Phase::ALL.into_iter().enumerate() {
            assert_eq!(phase as usize, place, "{phase:?}");
        }
    }

    #[test]
    fn adds_up_what_comes_twice() {
        let trace = Trace::default();
        for _ in 0..3 {
            trace.enter(Phase::Connect);
            let begun = trace.elapsed();
            while trace.elapsed() < begun + Duration::from_millis(2) {}
            trace.complete();
        }
        let Phases { connect, total, .. } = trace.phases();
        let connect = connect.expect("it was completed");
        assert!(connect >= Duration::from_millis(6) && connect <= total, "{connect:?} of {total:?}");
    }

    #[test]
    fn says_what_was_interrupted() {
        let trace = Trace::until(Duration::from_secs(10));
        let reason = Trace::interrupted;
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
