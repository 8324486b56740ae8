//! What is left over when a configuration has been taken into force: the old one, and the memory that it took to read the new
//! one.

use std::time::Duration;

use tokio::task::spawn_blocking;

use crate::host::memory;

/// After so long the first probes have run, and what goes on is what will.
const MOMENT: Duration = Duration::from_secs(2);

/// Frees `old`, and a moment later gives the system back what is not needed any more. Beside the loop, for of a large
/// configuration it takes long.
pub(super) fn clear<T: Send + 'static>(old: T) {
    tokio::spawn(async move {
        let _ = spawn_blocking(move || drop(old)).await;
        tokio::time::sleep(MOMENT).await;
        if let Ok(Err(error)) = spawn_blocking(memory::release).await {
            tracing::debug!("cannot give back memory that is not needed: {error}");
        }
    });
}
