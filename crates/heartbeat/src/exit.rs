//! Every way in which the program ends, in one place.

use heartbeat_core::outcome::Verdict;
use heartbeat_core::record::State;

/// How the program ends. The numbers are part of the command line's contract.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// Done; or everything is up.
    Done,
    /// Not done; the message said why.
    Failed,
    /// Something is degraded.
    Degraded,
    /// Something is down.
    Down,
    /// Something is unknown.
    Unknown,
    /// The command line makes no sense (`EX_USAGE`).
    Usage,
    /// A fault of our own (`EX_SOFTWARE`).
    Fault,
    /// Another instance holds the lock (`EX_TEMPFAIL`).
    Locked,
    /// The configuration is wrong (`EX_CONFIG`).
    Config,
}

impl Exit {
    /// The number for the system. Health follows the Nagios plugins, the rest sysexits.h.
    pub const fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Failed | Self::Degraded => 1,
            Self::Down => 2,
            Self::Unknown => 3,
            Self::Usage => 64,
            Self::Fault => 70,
            Self::Locked => 75,
            Self::Config => 78,
        }
    }

    /// The way in which another run of this program ended.
    pub const fn from_code(code: u8) -> Self {
        match code {
            0 => Self::Done,
            64 => Self::Usage,
            75 => Self::Locked,
            78 => Self::Config,
            1 => Self::Failed,
            _ => Self::Fault,
        }
    }

    /// Of several results the worst: down, then unknown, then degraded.
    pub fn worst(results: impl IntoIterator<Item = Self>) -> Self {
        const ORDER: [Exit; 3] = [Exit::Down, Exit::Unknown, Exit::Degraded];
        let results: Vec<Self> = results.into_iter().collect();
        ORDER.into_iter().find(|exit| results.contains(exit)).unwrap_or(Self::Done)
    }
}

impl From<Verdict> for Exit {
    fn from(verdict: Verdict) -> Self {
        match verdict {
            Verdict::Pass => Self::Done,
            Verdict::Warn => Self::Degraded,
            Verdict::Fail => Self::Down,
            Verdict::Local => Self::Unknown,
        }
    }
}

impl From<State> for Exit {
    fn from(state: State) -> Self {
        match state {
            State::Up => Self::Done,
            State::Degraded => Self::Degraded,
            State::Down => Self::Down,
            State::Unknown => Self::Unknown,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn down_beats_unknown_beats_degraded_beats_up() {
        assert_eq!(Exit::worst([Exit::Done, Exit::Degraded, Exit::Unknown, Exit::Down]), Exit::Down);
        assert_eq!(Exit::worst([Exit::Degraded, Exit::Unknown]), Exit::Unknown);
        assert_eq!(Exit::worst([Exit::Done, Exit::Degraded]), Exit::Degraded);
        assert_eq!(Exit::worst([]), Exit::Done);
    }
}
