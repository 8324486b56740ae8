//! The prober pool: probes in flight, each a task under its own deadline.
//!
//! It decides nothing: how many run at once, and which, is the shard's business. What is absent on purpose: connections that
//! outlive a probe, and retries.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::BuildHasherDefault;
use std::sync::Arc;
use std::time::Duration;

use heartbeat_core::id::IdHasher;
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
    /// The hash is quick rather than safe from whoever chooses the keys: nobody does.
    running: HashMap<CheckKey, (u64, AbortHandle), BuildHasherDefault<IdHasher>>,
}

impl Pool {
    /// A pool whose results come out of the returned end.
    pub fn new() -> (Self, mpsc::UnboundedReceiver<Done>) {
        let (results, ended) = mpsc::unbounded_channel();
        (Self { results, running: HashMap::default() }, ended)
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
        if let Entry::Occupied(running) = self.running.entry(check)
            && running.get().0 == attempt
        {
            running.remove();
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

#[cfg(test)]
mod tests {
    use heartbeat_core::outcome::Verdict;
    use tokio::sync::mpsc::UnboundedReceiver;

    use super::*;
    use crate::probe::{Boxed, Failure, Observation, Trace};

    /// Probes without end, and tells when one is dropped.
    struct Endless(mpsc::UnboundedSender<()>);

    struct Dropped(mpsc::UnboundedSender<()>);

    impl Drop for Dropped {
        fn drop(&mut self) {
            let _ = self.0.send(());
        }
    }

    impl Prober for Endless {
        fn probe<'a>(&'a self, _: &'a Trace) -> Boxed<'a, Result<Observation, Failure>> {
            let dropped = Dropped(self.0.clone());
            Box::pin(async move {
                let _dropped = dropped;
                std::future::pending().await
            })
        }
    }

    /// Passes at once.
    struct Passing;

    impl Prober for Passing {
        fn probe<'a>(&'a self, _: &'a Trace) -> Boxed<'a, Result<Observation, Failure>> {
            Box::pin(async { Ok(Observation::default()) })
        }
    }

    const CHECK: CheckKey = CheckKey(0);
    const TIMEOUT: Duration = Duration::from_secs(600);

    fn endless() -> (Arc<Endless>, UnboundedReceiver<()>) {
        let (dropped, drops) = mpsc::unbounded_channel();
        (Arc::new(Endless(dropped)), drops)
    }

    #[tokio::test]
    async fn a_late_answer_does_not_take_the_next_probe_out_of_hand() {
        let (mut pool, mut results) = Pool::new();
        pool.start(CHECK, 1, Arc::new(Passing), TIMEOUT);
        let late = results.recv().await.expect("it passes");
        assert_eq!((late.attempt, late.report.outcome.verdict), (1, Verdict::Pass));
        pool.abandon(CHECK);
        let (prober, mut drops) = endless();
        pool.start(CHECK, 2, prober, TIMEOUT);
        tokio::task::yield_now().await;
        pool.ended(CHECK, late.attempt);
        pool.abandon(CHECK);
        let dropped = tokio::time::timeout(Duration::from_secs(10), drops.recv()).await;
        assert_eq!(dropped, Ok(Some(())), "the second probe was not ended");
    }

    #[tokio::test]
    async fn probes_end_with_the_pool() {
        let (mut pool, _results) = Pool::new();
        let (prober, mut drops) = endless();
        pool.start(CHECK, 1, prober, TIMEOUT);
        tokio::task::yield_now().await;
        drop(pool);
        let dropped = tokio::time::timeout(Duration::from_secs(10), drops.recv()).await;
        assert_eq!(dropped, Ok(Some(())));
    }
}
