//! Named places at which a test may have the process killed, as by `kill -9`.
//!
//! Without the feature `failpoints` a place costs nothing and cannot be armed. With it, `HEARTBEAT_FAILPOINT=name` kills at
//! the first visit, `name:3` at the third.

/// Dies here if this place is armed.
#[cfg(not(feature = "failpoints"))]
#[inline(always)]
pub fn reach(_name: &str) {}

/// Dies here if this place is armed.
#[cfg(feature = "failpoints")]
pub fn reach(name: &str) {
    use std::sync::LazyLock;
    use std::sync::atomic::{AtomicU32, Ordering};

    static ARMED: LazyLock<Option<(String, AtomicU32)>> = LazyLock::new(|| {
        let text = super::env::variable("HEARTBEAT_FAILPOINT")?;
        let (name, visits) = text.split_once(':').unwrap_or((&text, "1"));
        Some((name.to_owned(), AtomicU32::new(visits.parse().unwrap_or(1))))
    });
    if let Some((armed, left)) = &*ARMED
        && armed == name
        && left.fetch_sub(1, Ordering::SeqCst) == 1
    {
        let _ = nix::sys::signal::raise(nix::sys::signal::Signal::SIGKILL);
    }
}
