//! What the configuration says about deciding.

use core::fmt;
use core::time::Duration;

/// How one check is scheduled and judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Between the starts of two probes.
    pub interval: Duration,
    /// The interval while a fall or rise is being counted.
    pub fast_interval: Duration,
    /// The total deadline of one probe.
    pub timeout: Duration,
    /// Consecutive failures before down; at least 1.
    pub fall: u32,
    /// Consecutive passes before up; at least 1.
    pub rise: u32,
    /// The pace of reminders while down.
    pub remind: Remind,
}

impl Default for Policy {
    fn default() -> Self {
        let interval = Duration::from_secs(60);
        Self {
            interval,
            fast_interval: Duration::from_secs(10),
            timeout: Duration::from_secs(10),
            fall: 3,
            rise: 2,
            remind: Remind::Every(Duration::from_secs(3600)),
        }
    }
}

/// When a lasting outage is spoken of again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Remind {
    /// Once is enough.
    Never,
    /// At a failing probe, when this much time has passed since the incident's last message. Zero: at every failing probe.
    Every(Duration),
}

/// When a group is down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DownWhen {
    /// One member down is enough.
    Any,
    /// Only when every member is down.
    All,
    /// When at least this many members are down.
    AtLeast(u32),
}

/// The first verdict of an action on a fresh store.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnStart {
    /// A first promoted verdict runs nothing, a first demoted one runs.
    #[default]
    Adopt,
    /// Both run.
    Run,
}

/// What a crash in the middle of a command means for it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Guarantee {
    /// Run it again: the command bears repetition.
    #[default]
    AtLeastOnce,
    /// Never run it again, whatever its exit; say that it is uncertain.
    AtMostOnce,
}

/// How often a failed command is tried again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retry {
    /// So many attempts after the first, with exponential backoff and jitter.
    Backoff {
        /// Attempts after the first one.
        attempts: u32,
    },
    /// Without end, at this pace.
    Every(Duration),
}

/// How many first attempts, in both directions, an action may make in a window before it is suspended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    /// First attempts allowed.
    pub count: u32,
    /// The window they are counted in.
    pub window: Duration,
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let millis = self.window.as_millis();
        let (size, unit) = [(86_400_000, "d"), (3_600_000, "h"), (60_000, "m"), (1_000, "s")]
            .into_iter()
            .find(|&(size, _)| millis >= size && millis.is_multiple_of(size))
            .unwrap_or((1, "ms"));
        write!(f, "{} per {}{unit}", self.count, millis / size)
    }
}

/// How an action decides and delivers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ActionPolicy {
    /// What a first verdict does.
    pub on_start: OnStart,
    /// What a crash means.
    pub delivery: Guarantee,
    /// What a failure means.
    pub retry: Retry,
    /// Run again at this pace while the verdict stands; `None`: never.
    pub repeat: Option<Duration>,
    /// Beyond it the action is suspended; `None`: no limit.
    pub limit: Option<Limit>,
    /// After this a command is ended.
    pub timeout: Duration,
}

impl Default for ActionPolicy {
    fn default() -> Self {
        Self {
            on_start: OnStart::Adopt,
            delivery: Guarantee::AtLeastOnce,
            retry: Retry::Backoff { attempts: 5 },
            repeat: None,
            limit: Some(Limit { count: 5, window: Duration::from_secs(600) }),
            timeout: Duration::from_secs(30),
        }
    }
}

/// How an alert channel delivers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChannelPolicy {
    /// After this one attempt is given up.
    pub timeout: Duration,
    /// A message older than this is folded into a summary.
    pub expire: Duration,
    /// Messages per window; what is beyond becomes one summary. `None`: no limit.
    pub limit: Option<Limit>,
}

impl Default for ChannelPolicy {
    fn default() -> Self {
        Self {
            timeout: Duration::from_secs(30),
            expire: Duration::from_secs(24 * 3600),
            limit: Some(Limit { count: 20, window: Duration::from_secs(600) }),
        }
    }
}

/// Bounds on probes in flight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Over all checks; at least 1.
    pub probes: u32,
    /// Per address and port; at least 1.
    pub per_host: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self { probes: 2000, per_host: 64 }
    }
}
