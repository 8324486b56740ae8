//! The asynchronous runtime of commands.

/// Runs a command's work on one thread: probes and deliveries wait far more than they compute.
///
/// What still blocks a helper thread afterwards (a name server that does not answer) is not waited for.
///
/// # Errors
/// If the system refuses what a runtime needs.
pub fn block_on<T>(work: impl Future<Output = T>) -> Result<T, String> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| format!("cannot start the runtime: {error}"))?;
    let done = runtime.block_on(work);
    runtime.shutdown_background();
    Ok(done)
}
