//! The prober pool: probes in flight, each a task under its own deadline.
//!
//! It decides nothing: how many run at once, and which, is the shard's business. What is absent on purpose: connections that
//! outlive a probe, and retries.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use heartbeat_core::shard::CheckKey;
use tokio::sync::mpsc;
use tokio::task::AbortHandle;

use crate::probe::{self, Prober, Report};

/// A probe that has ended.
#[derive(Debug)]
pub struct Done {
    /// The check.
    pub check: CheckKey,
    /// The attempt that this answers.
    pub attempt: u64,
    /// What was found.
    pub report: Report,
}

/// Probes in flight.
#[derive(Debug)]
pub struct Pool {
    results: mpsc::UnboundedSender<Done>,
    running: HashMap<CheckKey, (u64, AbortHandle)>,
}

impl Pool {
    /// A pool whose results come out of the returned end.
    pub fn new() -> (Self, mpsc::UnboundedReceiver<Done>) {
        let (results, ended) = mpsc::unbounded_channel();
        (Self { results, running: HashMap::new() }, ended)
    }

    /// Starts one probe.
    pub fn start(&mut self, check: CheckKey, attempt: u64, prober: Arc<dyn Prober>, timeout: Duration) {
        let results = self.results.clone();
        let task = tokio::spawn(async move {
            let report = probe::run(&*prober, timeout).await;
            // Nobody listens at the end of the program.
            let _ = results.send(Done { check, attempt, report });
        });
        self.running.insert(check, (attempt, task.abort_handle()));
    }

    /// Forgets a probe that has ended. The answer of one that was abandoned may still come, when the next one runs.
    pub fn ended(&mut self, check: CheckKey, attempt: u64) {
        if self.running.get(&check).is_some_and(|(running, _)| *running == attempt) {
            self.running.remove(&check);
        }
    }

    /// Ends a probe that nobody waits for any more.
    pub fn abandon(&mut self, check: CheckKey) {
        if let Some((_, task)) = self.running.remove(&check) {
            task.abort();
        }
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        for (_, task) in self.running.values() {
            task.abort();
        }
    }
}
