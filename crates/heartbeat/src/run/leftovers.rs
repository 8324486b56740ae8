//! What is left over when a configuration has been taken into force: the old one, and the memory that it took to read the new
//! one.

use crate::host::memory;

/// Frees `old`, and gives the system back what is not needed any more. Beside the loop, for of a large configuration it takes
/// long.
pub(super) fn clear<T: Send + 'static>(old: T) {
    tokio::task::spawn_blocking(move || {
        drop(old);
        if let Err(error) = memory::release() {
            tracing::debug!("cannot give back memory that is not needed: {error}");
        }
    });
}
