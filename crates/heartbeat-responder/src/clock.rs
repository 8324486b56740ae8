//! The clocks of the system: the only place here that reads them.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use heartbeat_core::{Mono, Wall};

/// The monotonic clock, since the first reading of this process.
#[expect(clippy::disallowed_methods, reason = "this is the door to the clock")]
pub(crate) fn mono() -> Mono {
    static ORIGIN: std::sync::OnceLock<std::time::Instant> = std::sync::OnceLock::new();
    let now = std::time::Instant::now();
    // A little after the origin, so that what was before it can be told too.
    Mono::from_origin(now.saturating_duration_since(*ORIGIN.get_or_init(|| now)) + Duration::from_secs(3600))
}

/// The monotonic clock as Tokio's timers see it, so that a paused one pauses the runner too.
#[expect(clippy::disallowed_methods, reason = "this is the door to the clock")]
pub(crate) fn tokio_now() -> tokio::time::Instant {
    tokio::time::Instant::now()
}

/// The wall clock.
#[expect(clippy::disallowed_methods, reason = "this is the door to the clock")]
pub(crate) fn wall() -> Wall {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Wall::from_unix_millis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}
