//! Named places at which a test may have the process killed, as by `kill -9`, or a thread stand still.
//!
//! Without the feature `failpoints` a place costs nothing and cannot be armed. With it, `HEARTBEAT_FAILPOINT=name` strikes at
//! the first visit, `name:3` at the third.

/// Dies here if this place is armed.
#[cfg(not(feature = "failpoints"))]
#[inline(always)]
pub fn reach(_name: &str) {}

/// Stands still here for ever if this place is armed.
#[cfg(not(feature = "failpoints"))]
#[inline(always)]
pub fn stall(_name: &str) {}

/// Dies here if this place is armed.
#[cfg(feature = "failpoints")]
pub fn reach(name: &str) {
    if strikes(name) {
        let _ = nix::sys::signal::raise(nix::sys::signal::Signal::SIGKILL);
    }
}

/// Stands still here for ever if this place is armed.
#[cfg(feature = "failpoints")]
pub fn stall(name: &str) {
    if strikes(name) {
        loop {
            std::thread::park();
        }
    }
}

#[cfg(feature = "failpoints")]
fn strikes(name: &str) -> bool {
    use std::sync::LazyLock;
    use std::sync::atomic::{AtomicU32, Ordering};

    static ARMED: LazyLock<Option<(String, AtomicU32)>> = LazyLock::new(|| {
        let text = super::env::variable("HEARTBEAT_FAILPOINT")?;
        let (name, visits) = text.split_once(':').unwrap_or((&text, "1"));
        Some((name.to_owned(), AtomicU32::new(visits.parse().unwrap_or(1))))
    });
    ARMED.as_ref().is_some_and(|(armed, left)| armed == name && left.fetch_sub(1, Ordering::SeqCst) == 1)
}
