//! What one probe found.

use alloc::string::String;
use alloc::sync::Arc;
use core::fmt;
use core::time::Duration;

use serde::{Deserialize, Serialize};

/// Why a probe failed. The last four are *local*: ours, and never held against the target.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Fault {
    /// The connection was refused.
    Refused,
    /// The connection was reset or ended early.
    Reset,
    /// The deadline passed.
    Timeout,
    /// The name did not resolve.
    Dns,
    /// The TLS handshake failed.
    Tls,
    /// The certificate is not one that we accept.
    Certificate,
    /// The status is not the expected one.
    Status,
    /// A header is not as expected.
    Header,
    /// The body is not as expected.
    Body,
    /// The answer was right but too slow.
    Latency,
    /// A command ended with the wrong status.
    Exit,
    /// The answer was not what the protocol allows.
    Protocol,
    /// Too many redirects, or one that may not be followed.
    Redirect,
    /// We have no file descriptors or no processes left.
    Files,
    /// We have no memory left.
    Memory,
    /// We have no route at all.
    Network,
    /// Our own resolver cannot be reached.
    Resolver,
}

impl Fault {
    /// Every fault, in the order of their declaration.
    pub const ALL: [Self; 17] = [
        Self::Refused,
        Self::Reset,
        Self::Timeout,
        Self::Dns,
        Self::Tls,
        Self::Certificate,
        Self::Status,
        Self::Header,
        Self::Body,
        Self::Latency,
        Self::Exit,
        Self::Protocol,
        Self::Redirect,
        Self::Files,
        Self::Memory,
        Self::Network,
        Self::Resolver,
    ];

    /// The word for it in every format.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Refused => "refused",
            Self::Reset => "reset",
            Self::Timeout => "timeout",
            Self::Dns => "dns",
            Self::Tls => "tls",
            Self::Certificate => "certificate",
            Self::Status => "status",
            Self::Header => "header",
            Self::Body => "body",
            Self::Latency => "latency",
            Self::Exit => "exit",
            Self::Protocol => "protocol",
            Self::Redirect => "redirect",
            Self::Files => "files",
            Self::Memory => "memory",
            Self::Network => "network",
            Self::Resolver => "resolver",
        }
    }

    /// Whether the fault is ours rather than the target's.
    pub const fn is_local(self) -> bool {
        matches!(self, Self::Files | Self::Memory | Self::Network | Self::Resolver)
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// What a probe says of its target.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// All is as expected.
    Pass,
    /// As expected, but a warning limit is crossed: counts as a pass.
    Warn,
    /// Not as expected.
    Fail,
    /// We could not tell, and it is our own fault: counts neither way.
    Local,
}

impl Verdict {
    /// The word for it in every format.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Warn => "warn",
            Self::Fail => "fail",
            Self::Local => "local",
        }
    }
}

/// One probe's result as the engine sees it: a verdict with its reason, no bodies and no headers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcome {
    /// The verdict.
    pub verdict: Verdict,
    /// The fault behind a failed or local verdict, or the limit behind a warning.
    pub fault: Option<Fault>,
    /// One line for people; empty for a pass.
    pub reason: Arc<str>,
    /// From the start of the probe to its end.
    pub latency: Duration,
}

impl Outcome {
    /// A pass.
    pub fn pass(latency: Duration) -> Self {
        Self { verdict: Verdict::Pass, fault: None, reason: Arc::default(), latency }
    }

    /// A warning.
    pub fn warn(fault: Fault, reason: impl Into<Arc<str>>, latency: Duration) -> Self {
        Self { verdict: Verdict::Warn, fault: Some(fault), reason: reason.into(), latency }
    }

    /// A failure, local if the fault is.
    pub fn fault(fault: Fault, reason: impl Into<Arc<str>>, latency: Duration) -> Self {
        let verdict = if fault.is_local() { Verdict::Local } else { Verdict::Fail };
        Self { verdict, fault: Some(fault), reason: reason.into(), latency }
    }
}

/// What a target said, fit for a terminal, a log and an answer: one line, no control characters, not without end.
pub fn one_line(text: &str) -> String {
    const LONGEST: usize = 1000;
    text.chars().take(LONGEST).map(|c| if c.is_control() { ' ' } else { c }).collect()
}
