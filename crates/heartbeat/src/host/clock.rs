//! The two clocks.
#![allow(clippy::disallowed_methods)] // this is the door

use std::sync::LazyLock;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use heartbeat_core::{Mono, Now, Wall};
use nix::sys::time::TimeValLike as _;

/// The origin of the monotonic clock of this process.
static ORIGIN: LazyLock<Instant> = LazyLock::new(Instant::now);

/// Reads the monotonic clock.
pub fn mono() -> Mono {
    Mono::from_origin(ORIGIN.elapsed())
}

/// Reads the wall clock. A clock before 1970 is 1970.
pub fn wall() -> Wall {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Wall::from_unix_millis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

/// Reads both.
pub fn now() -> Now {
    Now { mono: mono(), wall: wall() }
}

/// A point of the monotonic clock as the runtime's timers want it.
pub fn instant(at: Mono) -> tokio::time::Instant {
    tokio::time::Instant::from_std(*ORIGIN + at.since_origin())
}

/// Microseconds of `CLOCK_MONOTONIC`, which other processes share, unlike the origin of [`mono`].
pub fn boot_micros() -> i64 {
    nix::time::clock_gettime(nix::time::ClockId::CLOCK_MONOTONIC).map_or(0, |time| time.num_microseconds())
}
