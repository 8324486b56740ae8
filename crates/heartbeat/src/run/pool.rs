//! The prober pool: probes in flight, those who make them, and their deadlines.
//!
//! It decides nothing: how many run at once, and which, is the shard's business. What is absent on purpose: connections that
//! outlive a probe, and retries.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::BuildHasherDefault;
use std::sync::Arc;
use std::time::Duration;

use heartbeat_core::Mono;
use heartbeat_core::id::IdHasher;
use heartbeat_core::shard::CheckKey;
use tokio::sync::mpsc;

use super::deadlines::Deadlines;
use super::worker::{Job, Worker};
use crate::probe::{self, Prober, Report, Trace};

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

/// So many workers wait for their next probe at most.
const IDLE: usize = 256;

/// Probes in flight.
#[derive(Debug)]
pub struct Pool {
    results: mpsc::UnboundedSender<Done>,
    /// The hash is quick rather than safe from whoever chooses the keys: nobody does.
    running: HashMap<CheckKey, Flight, BuildHasherDefault<IdHasher>>,
    deadlines: Deadlines,
    idle: Vec<Worker>,
}

/// One probe in flight.
#[derive(Debug)]
struct Flight {
    attempt: u64,
    worker: Worker,
    trace: Arc<Trace>,
}

impl Pool {
    /// A pool whose results come out of the returned end.
    pub fn new() -> (Self, mpsc::UnboundedReceiver<Done>) {
        let (results, ended) = mpsc::unbounded_channel();
        (Self { results, running: HashMap::default(), deadlines: Deadlines::default(), idle: Vec::new() }, ended)
    }

    /// Starts one probe.
    pub fn start(&mut self, check: CheckKey, attempt: u64, prober: Arc<dyn Prober>, timeout: Duration) {
        let trace = Arc::new(Trace::until(timeout));
        self.deadlines.set(timeout, trace.deadline(), (check, attempt));
        let worker = self.idle.pop().unwrap_or_else(|| Worker::new(self.results.clone()));
        worker.give(Job { check, attempt, prober, trace: Arc::clone(&trace) });
        self.running.insert(check, Flight { attempt, worker, trace });
    }

    /// When to call [`overdue`](Self::overdue); `None`: nothing is in flight.
    pub fn next_deadline(&mut self) -> Option<Mono> {
        let running = &self.running;
        self.deadlines.earliest(|(check, attempt)| running.get(&check).is_some_and(|flight| flight.attempt == attempt))
    }

    /// Ends a probe whose deadline has passed, if there is one. Not one whose result is on its way.
    pub fn overdue(&mut self, now: Mono) -> Option<Done> {
        while let Some((check, attempt)) = self.deadlines.pop_due(now) {
            let Some(flight) = self.landed(check, attempt) else { continue };
            if !flight.trace.has_ended() {
                return Some(Done { check, attempt, report: probe::expired(&flight.trace) });
            }
            self.rest(flight.worker);
        }
        None
    }

    /// Forgets a probe that has ended. The answer of one that was abandoned may still come, when the next one runs.
    pub fn ended(&mut self, check: CheckKey, attempt: u64) {
        if let Some(flight) = self.landed(check, attempt) {
            self.rest(flight.worker);
        }
    }

    /// Ends a probe that nobody waits for any more.
    pub fn abandon(&mut self, check: CheckKey) {
        self.running.remove(&check);
    }

    fn rest(&mut self, worker: Worker) {
        if self.idle.len() < IDLE {
            self.idle.push(worker);
        }
    }

    fn landed(&mut self, check: CheckKey, attempt: u64) -> Option<Flight> {
        match self.running.entry(check) {
            Entry::Occupied(flight) if flight.get().attempt == attempt => Some(flight.remove()),
            _ => None,
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
    async fn a_probe_is_ended_at_its_deadline_and_says_so() {
        let (mut pool, mut results) = Pool::new();
        let (prober, mut drops) = endless();
        pool.start(CHECK, 1, prober, Duration::from_millis(50));
        pool.start(CheckKey(1), 2, Arc::new(Passing), Duration::from_millis(50));
        tokio::task::yield_now().await;
        let deadline = pool.next_deadline().expect("two are in flight");
        assert!(pool.overdue(Mono::ZERO).is_none(), "before its deadline");
        let late = deadline + TIMEOUT;
        let done = pool.overdue(late).expect("one has not ended");
        assert_eq!((done.check, done.attempt), (CHECK, 1));
        assert_eq!(done.report.outcome.reason.as_ref(), "timed out after 50ms");
        assert!(pool.overdue(late).is_none(), "the result of the other one is on its way");
        assert_eq!(results.recv().await.map(|done| done.attempt), Some(2));
        assert_eq!(pool.next_deadline(), None);
        let dropped = tokio::time::timeout(Duration::from_secs(10), drops.recv()).await;
        assert_eq!(dropped, Ok(Some(())));
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
