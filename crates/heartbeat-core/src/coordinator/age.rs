//! How long ago something was, whatever happens to the wall clock.

use core::time::Duration;

use crate::{Mono, Now, Wall};

/// A time in the past: within this process by the monotonic clock, and only for what was before it by the wall clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Age {
    noticed: Mono,
    age: Duration,
}

impl Age {
    /// It happens now.
    pub(super) const fn new(now: Now) -> Self {
        Self { noticed: now.mono, age: Duration::ZERO }
    }

    /// It was then, says the store.
    pub(super) fn remembered(at: Wall, now: Now) -> Self {
        Self { noticed: now.mono, age: now.wall.since(at) }
    }

    /// How long ago it was.
    pub(super) fn at(self, now: Mono) -> Duration {
        self.age.saturating_add(now.since(self.noticed))
    }

    /// When it will be, or was, so long ago; not before it was noticed.
    pub(super) fn reaches(self, age: Duration) -> Mono {
        self.noticed + age.saturating_sub(self.age)
    }
}
