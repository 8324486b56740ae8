//! Expectations that several kinds share: latency and the certificate's lifetime.

use std::time::Duration;

use heartbeat_core::Wall;
use heartbeat_core::outcome::Fault;

use super::{Failure, Observation};
use crate::config::Fields;
use crate::config::values::duration;
use crate::host::clock;

/// How long an answer may take and how long a certificate must last; once as an expectation, once as a warning.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// The most that the whole probe may take.
    pub latency: Option<Duration>,
    /// The least that the certificate must last.
    pub certificate: Option<Duration>,
}

impl Limits {
    /// Reads the keys, for a kind that has certificates.
    pub fn read(fields: &mut Fields<'_, '_, '_>) -> Self {
        let latency = Self::read_latency(fields).latency;
        let certificate =
            fields.optional("certificate", "The least time that the server's certificate must still last.");
        Self { latency, certificate }
    }

    /// Reads the keys, for a kind without certificates.
    pub fn read_latency(fields: &mut Fields<'_, '_, '_>) -> Self {
        Self { latency: fields.optional("latency", "The longest that the whole probe may take."), certificate: None }
    }

    /// Reads the section `warn`, for a kind that has certificates.
    pub fn read_warnings(fields: &mut Fields<'_, '_, '_>) -> Self {
        fields
            .section("warn", "Limits beyond which the check passes with a warning.", |fields| Some(Self::read(fields)))
            .unwrap_or_default()
    }

    /// The first limit that is crossed. `not_after` is the end of the certificate, where there is one.
    pub fn judge(&self, took: Duration, not_after: Option<Wall>) -> Option<Failure> {
        self.judge_certificate(not_after).or_else(|| self.judge_latency(took))
    }

    /// What a probe saw that took so long: a failure beyond these limits, a warning beyond those of `warn`.
    ///
    /// # Errors
    /// The first of these limits that is crossed.
    pub fn observe(&self, warn: &Self, took: Duration, not_after: Option<Wall>) -> Result<Observation, Failure> {
        match self.judge(took, not_after) {
            Some(failure) => Err(failure),
            None => Ok(Observation { warning: warn.judge(took, not_after), performance: None }),
        }
    }

    fn judge_certificate(&self, not_after: Option<Wall>) -> Option<Failure> {
        let (least, end) = (self.certificate?, not_after?);
        let left = end.since(clock::wall());
        (left < least).then(|| {
            let reason = format!("the certificate lasts {} more, expected {}", rough(left), duration::format(least));
            Failure::new(Fault::Certificate, reason)
        })
    }

    fn judge_latency(&self, took: Duration) -> Option<Failure> {
        let most = self.latency?;
        (took > most).then(|| {
            let reason = format!("took {}, expected at most {}", duration::format(took), duration::format(most));
            Failure::new(Fault::Latency, reason)
        })
    }
}

/// A long duration without what nobody wants to know of it.
fn rough(duration: Duration) -> String {
    const HOUR: u64 = 3600;
    let seconds = duration.as_secs();
    let unit = if seconds >= 2 * 24 * HOUR {
        24 * HOUR
    } else if seconds >= HOUR {
        HOUR
    } else {
        1
    };
    duration::format(Duration::from_secs(seconds / unit * unit))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    #[test]
    fn says_which_limit_is_crossed() {
        let limits = Limits { latency: Some(Duration::from_secs(2)), certificate: Some(HOUR * 24 * 21) };
        let end = |left| Some(clock::wall() + left);
        assert_eq!(limits.judge(Duration::from_secs(2), end(HOUR * 24 * 22)), None);
        assert_eq!(limits.judge(Duration::from_secs(2), None), None);
        assert_eq!(
            limits.judge(Duration::from_millis(2500), None),
            Some(Failure::new(Fault::Latency, "took 2s500ms, expected at most 2s"))
        );
        assert_eq!(
            limits.judge(Duration::ZERO, end(HOUR * 24 * 12 + HOUR / 2)),
            Some(Failure::new(Fault::Certificate, "the certificate lasts 12d more, expected 21d"))
        );
    }
}
