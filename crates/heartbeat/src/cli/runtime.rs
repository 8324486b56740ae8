//! The asynchronous runtime of commands.

/// One thread that runs tasks: probes and deliveries wait far more than they compute.
///
/// # Errors
/// If the system refuses what a runtime needs.
pub fn probing() -> Result<tokio::runtime::Runtime, String> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| format!("cannot start the runtime: {error}"))
}
