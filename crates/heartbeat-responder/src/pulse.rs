//! A sign of life: whoever works gives it, whoever answers looks at it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::clock;

/// Somebody who has not been heard of for so long is taken for dead.
pub const BOUND: Duration = Duration::from_secs(5);

/// The latest sign of life of a thread. Nobody waits for it: it is one number.
#[derive(Debug, Default)]
pub struct Pulse {
    /// Milliseconds of the monotonic clock; 0: never.
    last: AtomicU64,
}

impl Pulse {
    /// Says that its owner lives. To be called at least every second.
    pub fn beat(&self) {
        self.last.store(millis(), Ordering::Release);
    }

    /// Whether its owner has been heard of within [`BOUND`].
    pub fn is_alive(&self) -> bool {
        let last = self.last.load(Ordering::Acquire);
        last != 0 && Duration::from_millis(millis().saturating_sub(last)) <= BOUND
    }
}

fn millis() -> u64 {
    u64::try_from(clock::mono().since_origin().as_millis()).unwrap_or(u64::MAX)
}
