//! Those who make probes: tasks that make one after the other.
//!
//! A task for each probe would be made and freed ten thousand times a second, and the runtime's tasks are costly to make: they
//! are aligned, listed and counted.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use heartbeat_core::shard::CheckKey;
use tokio::sync::{Notify, mpsc};
use tokio::task::AbortHandle;

use super::pool::Done;
use crate::probe::{self, Prober, Trace};

/// One probe to make.
pub(super) struct Job {
    pub(super) check: CheckKey,
    pub(super) attempt: u64,
    pub(super) prober: Arc<dyn Prober>,
    pub(super) trace: Arc<Trace>,
}

/// A task that makes probes. It ends with this, and so does the probe that it makes.
#[derive(Debug)]
pub(super) struct Worker {
    desk: Arc<Desk>,
    task: AbortHandle,
}

/// Where a job is put down for a worker.
#[derive(Default)]
struct Desk {
    job: Mutex<Option<Job>>,
    called: Notify,
}

impl Worker {
    /// One that sends what it finds.
    pub(super) fn new(results: mpsc::UnboundedSender<Done>) -> Self {
        let desk = Arc::<Desk>::default();
        let task = tokio::spawn(work(Arc::clone(&desk), results)).abort_handle();
        Self { desk, task }
    }

    /// Gives it a job. It begins when it has sent what its last one has found.
    pub(super) fn give(&self, job: Job) {
        *self.desk.job() = Some(job);
        self.desk.called.notify_one();
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Desk {
    fn job(&self) -> MutexGuard<'_, Option<Job>> {
        self.job.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for Desk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Desk").field("attempt", &self.job().as_ref().map(|job| job.attempt)).finish()
    }
}

async fn work(desk: Arc<Desk>, results: mpsc::UnboundedSender<Done>) {
    loop {
        desk.called.notified().await;
        let Some(Job { check, attempt, prober, trace }) = desk.job().take() else { continue };
        let report = probe::attempt(&*prober, &trace).await;
        // Nobody listens at the end of the program.
        let _ = results.send(Done { check, attempt, report });
    }
}
