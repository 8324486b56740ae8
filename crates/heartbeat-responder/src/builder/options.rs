//! What can be said of a check and of a view when a [`Health`](crate::Health) is built.

use std::time::Duration;

use heartbeat_core::answer::{Question, Statuses};
use heartbeat_core::policy::Policy;

use crate::view::Details;

/// How a check is run and judged. What is not said here is as in the builder's [`defaults`](crate::Builder::defaults), and what is
/// not said there is as given at each method.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Options {
    pub(super) takedown: Option<bool>,
    interval: Option<Duration>,
    fast_interval: Option<Duration>,
    timeout: Option<Duration>,
    rise: Option<u32>,
    fall: Option<u32>,
}

impl Options {
    /// Nothing is said.
    pub const fn new() -> Self {
        Self { takedown: None, interval: None, fast_interval: None, timeout: None, rise: None, fall: None }
    }

    /// Whether the check decides if requests are welcome, rather than being shown only. By default it does.
    pub const fn takedown(mut self, takedown: bool) -> Self {
        self.takedown = Some(takedown);
        self
    }

    /// Between the starts of two runs; 10 s by default.
    pub const fn interval(mut self, interval: Duration) -> Self {
        self.interval = Some(interval);
        self
    }

    /// The interval while a fall or a rise is being counted; 2 s by default, and never more than the interval.
    pub const fn fast_interval(mut self, interval: Duration) -> Self {
        self.fast_interval = Some(interval);
        self
    }

    /// After so long a run has failed; 5 s by default.
    pub const fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// So many passes in a row bring a check that is down up again; 2 by default.
    pub const fn rise(mut self, passes: u32) -> Self {
        self.rise = Some(passes);
        self
    }

    /// So many failures in a row take a check down; 3 by default.
    pub const fn fall(mut self, failures: u32) -> Self {
        self.fall = Some(failures);
        self
    }

    /// With `defaults` for what is not said.
    pub(super) fn or(self, defaults: Self) -> Self {
        Self {
            takedown: self.takedown.or(defaults.takedown),
            interval: self.interval.or(defaults.interval),
            fast_interval: self.fast_interval.or(defaults.fast_interval),
            timeout: self.timeout.or(defaults.timeout),
            rise: self.rise.or(defaults.rise),
            fall: self.fall.or(defaults.fall),
        }
    }

    pub(super) fn policy(self) -> Policy {
        let interval = self.interval.unwrap_or(Duration::from_secs(10));
        Policy {
            interval,
            fast_interval: self.fast_interval.unwrap_or(Duration::from_secs(2)).min(interval),
            timeout: self.timeout.unwrap_or(Duration::from_secs(5)),
            fall: self.fall.unwrap_or(3),
            rise: self.rise.unwrap_or(2),
            ..Policy::default()
        }
    }
}

/// A view of one's own, for [`Builder::view`](crate::Builder::view).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ViewOptions {
    pub(super) path: String,
    pub(super) checks: Option<Vec<String>>,
    pub(super) question: Question,
    pub(super) format: String,
    pub(super) statuses: Option<Statuses>,
    pub(super) details: Option<Details>,
}

impl ViewOptions {
    /// A view at this path over all checks: whether requests are welcome, in the format `services`.
    pub fn at(path: impl Into<String>) -> Self {
        Self {
            path: path.into(),
            checks: None,
            question: Question::Ready,
            format: "services".to_owned(),
            statuses: None,
            details: None,
        }
    }

    /// Over these checks alone, shown in this order.
    pub fn checks<I: Into<String>>(mut self, names: impl IntoIterator<Item = I>) -> Self {
        self.checks = Some(names.into_iter().map(Into::into).collect());
        self
    }

    /// What it answers.
    pub const fn question(mut self, question: Question) -> Self {
        self.question = question;
        self
    }

    /// The format by its name in [`FORMATS`](crate::format::FORMATS), unless a request asks for another.
    pub fn format(mut self, name: impl Into<String>) -> Self {
        self.format = name.into();
        self
    }

    /// The HTTP status of each answer; by default the builder's.
    pub const fn statuses(mut self, statuses: Statuses) -> Self {
        self.statuses = Some(statuses);
        self
    }

    /// Who sees reasons; by default the builder's.
    pub const fn details(mut self, details: Details) -> Self {
        self.details = Some(details);
        self
    }
}
