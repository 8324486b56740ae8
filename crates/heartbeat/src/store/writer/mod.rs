//! The one writer: a thread that owns the store, and the handle through which everybody else reaches it.
//!
//! A plain thread, because stores block. What somebody waits for is committed as soon as the thread is free, with whatever
//! has queued meanwhile; it never waits to fill a group. What nobody waits for, results and counters, is gathered for
//! [`GATHER`]. Changes of state keep their order and are never dropped, and of two for one key the later counts. They
//! overtake results of probes; if too many of those wait, the oldest go, counted.
//!
//! The thread has a [mirror](Mirror) of the whole ledger. When the store fails, it goes on with the mirror, answers
//! [`Durability::Volatile`] at once, and tries again by and by until the store can be made equal to the mirror, in one
//! transaction. Nobody waits longer than [`PATIENCE`], not for a disk that hangs either.

mod mirror;
mod queue;
#[cfg(test)]
mod tests;

use std::future::Future;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use heartbeat_core::ledger::{Batch, Ledger};
use heartbeat_core::{Mono, Wall};
use tokio::sync::{oneshot, watch};

use self::mirror::Mirror;
use self::queue::Queue;
use super::{Flush, Opened, Store, StoreError};
use crate::host::{clock, failpoint};

/// So long a caller waits for the disk. Then the store counts as failing until it answers.
pub const PATIENCE: Duration = Duration::from_secs(5);

/// So long a batch that nobody waits for may wait for company: a transaction costs as much as the rows of many.
const GATHER: Duration = Duration::from_millis(500);

/// Between the first failure and the next try …
const FIRST_DELAY: Duration = Duration::from_millis(500);

/// … doubled up to this.
const LAST_DELAY: Duration = Duration::from_secs(8);

/// While the store fails, so many entries of each list of the history are kept for it.
const MISSED: usize = 20_000;

/// What became of a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Durability {
    /// It is on the disk.
    Durable,
    /// It is not, for this reason. It is remembered, and stored as soon as that is possible.
    Volatile(Arc<str>),
}

/// How the store is doing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Health {
    /// It takes what it is given.
    Ok,
    /// It does not: everything goes on from memory.
    Failing {
        /// Since when.
        since: Wall,
        /// What it said last.
        reason: Arc<str>,
    },
}

/// The handle. When the last one is dropped the thread commits what waits, and ends.
#[derive(Clone, Debug)]
pub struct Writer {
    handle: Arc<Handle>,
    patience: Duration,
}

#[derive(Debug)]
struct Handle {
    shared: Arc<Shared>,
    ended: watch::Receiver<Option<Durability>>,
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.shared.close();
    }
}

struct Shared {
    inbox: Mutex<Inbox>,
    wake: Condvar,
    health: watch::Sender<Health>,
    dropped: AtomicU64,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").field("health", &*self.health.borrow()).finish_non_exhaustive()
    }
}

#[derive(Default)]
struct Inbox {
    queue: Queue,
    /// When what is in the queue must be committed, if nobody waits for it before.
    due: Option<Mono>,
    /// Who waits for what is in the queue.
    waiting: Vec<oneshot::Sender<Durability>>,
    /// Who wants to see the mirror.
    curious: Vec<oneshot::Sender<Ledger>>,
    closed: bool,
}

impl Writer {
    /// Starts the thread.
    ///
    /// # Errors
    /// If the operating system gives us no thread.
    pub fn start(opened: Opened) -> io::Result<Self> {
        Self::with_patience(opened, PATIENCE)
    }

    fn with_patience(opened: Opened, patience: Duration) -> io::Result<Self> {
        let Opened { store, ledger, unwritable, .. } = opened;
        let shared = Arc::new(Shared {
            inbox: Mutex::default(),
            wake: Condvar::new(),
            health: watch::Sender::new(Health::Ok),
            dropped: AtomicU64::new(0),
        });
        let (end, ended) = watch::channel(None);
        let mut worker = Worker { store, mirror: Mirror::of(ledger), outage: None, shared: shared.clone() };
        if let Some(error) = unwritable {
            worker.fail(&error, Batch::default());
            worker.show_health();
        }
        thread::Builder::new().name("store".to_owned()).spawn(move || {
            let last = worker.run();
            end.send_replace(Some(last));
        })?;
        Ok(Self { handle: Arc::new(Handle { shared, ended }), patience })
    }

    /// Hands a batch over and says what became of it: when it is on the disk, or as soon as it is known that it will not
    /// be for now. The batch is taken when this is called, in the order of the calls, whether or not the answer is awaited.
    pub fn commit(&self, batch: Batch) -> impl Future<Output = Durability> + Send + use<> {
        let shared = self.handle.shared.clone();
        let patience = self.patience;
        let answer = shared.enqueue(batch);
        async move {
            match answer {
                Ok(answer) => shared.wait(answer, patience).await,
                Err(reason) => Durability::Volatile(reason),
            }
        }
    }

    /// Hands over a batch that nobody waits for: results, counters.
    pub fn post(&self, batch: Batch) {
        let shared = &self.handle.shared;
        let mut inbox = shared.lock();
        if !inbox.closed {
            shared.add(&mut inbox, batch);
        }
    }

    /// Everything remembered, with all that was handed over before this call; empty once the store is closed.
    pub fn ledger(&self) -> impl Future<Output = Ledger> + Send + use<> {
        let (sender, answer) = oneshot::channel();
        let shared = &self.handle.shared;
        let mut inbox = shared.lock();
        if !inbox.closed {
            inbox.curious.push(sender);
            shared.wake.notify_one();
        }
        async move { answer.await.unwrap_or_default() }
    }

    /// How the store is doing, now and from now on.
    pub fn health(&self) -> watch::Receiver<Health> {
        self.handle.shared.health.subscribe()
    }

    /// How many results of probes were not kept, because the store was too slow or away.
    pub fn dropped_results(&self) -> u64 {
        self.handle.shared.dropped.load(Ordering::Relaxed)
    }

    /// Takes nothing more, commits what waits and closes the store: with `Durable` it is all on the disk and the lock is
    /// free. Waits no longer than `deadline`.
    pub async fn shutdown(&self, deadline: Duration) -> Durability {
        self.handle.shared.close();
        let mut ended = self.handle.ended.clone();
        let last = tokio::time::timeout(deadline, ended.wait_for(Option::is_some)).await;
        match last {
            Ok(Ok(last)) => last.clone().expect("waited for"),
            Ok(Err(_)) => Durability::Volatile(DIED.into()),
            Err(_) => Durability::Volatile(format!("the store did not end within {deadline:?}").into()),
        }
    }
}

const DIED: &str = "the thread that writes the store has died; please report this";

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Inbox> {
        // Nothing under this lock can panic half way.
        self.inbox.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Where the answer will come, or why it is known already.
    fn enqueue(&self, batch: Batch) -> Result<oneshot::Receiver<Durability>, Arc<str>> {
        let mut inbox = self.lock();
        if inbox.closed {
            return Err("the store is closed".into());
        }
        self.add(&mut inbox, batch);
        self.wake.notify_one();
        if let Health::Failing { reason, .. } = &*self.health.borrow() {
            // The next try shall have it.
            inbox.due = Some(Mono::ZERO);
            return Err(reason.clone());
        }
        let (sender, answer) = oneshot::channel();
        inbox.waiting.push(sender);
        Ok(answer)
    }

    fn add(&self, inbox: &mut Inbox, batch: Batch) {
        self.count_dropped(inbox.queue.add(batch));
        let due = match inbox.due {
            _ if inbox.queue.is_full() => Mono::ZERO,
            Some(due) => due,
            None => clock::mono() + GATHER,
        };
        // A call to wake the thread costs more than all of this, so it is made only when there is something to learn.
        if inbox.due.replace(due) != Some(due) {
            self.wake.notify_one();
        }
    }

    fn count_dropped(&self, results: usize) {
        if results > 0 && self.dropped.fetch_add(results as u64, Ordering::Relaxed) == 0 {
            tracing::warn!("the store does not keep up: the oldest results of probes are not kept");
        }
    }

    async fn wait(&self, mut answer: oneshot::Receiver<Durability>, patience: Duration) -> Durability {
        match tokio::time::timeout(patience, &mut answer).await {
            Ok(Ok(durability)) => durability,
            Ok(Err(_)) => self.give_up(DIED.into()),
            Err(_) => {
                // Under the lock, for the writer answers under it: either it has, or it will find the health changed.
                let _inbox = self.lock();
                answer
                    .try_recv()
                    .unwrap_or_else(|_| self.give_up(format!("it has not answered for {patience:?}").into()))
            }
        }
    }

    fn give_up(&self, reason: Arc<str>) -> Durability {
        self.health.send_if_modified(|health| {
            let changed = *health == Health::Ok;
            if changed {
                *health = Health::Failing { since: clock::wall(), reason: reason.clone() };
            }
            changed
        });
        Durability::Volatile(reason)
    }

    fn close(&self) {
        self.lock().closed = true;
        self.wake.notify_one();
    }

    /// Waits for something to do. A try that is due comes first, so that no stream of batches can starve it.
    fn next(&self, retry: Option<Mono>) -> Job {
        let mut inbox = self.lock();
        loop {
            let now = clock::mono();
            let left = |at: Option<Mono>| at.map(|at| at.since(now));
            if left(retry) == Some(Duration::ZERO) {
                return Job::Retry;
            }
            // Who wants to see the mirror wants to see in it what waits.
            let wanted = inbox.closed || !inbox.curious.is_empty() && !inbox.queue.is_stateless();
            if !inbox.waiting.is_empty() || wanted && !inbox.queue.is_empty() || left(inbox.due) == Some(Duration::ZERO)
            {
                let waiting = std::mem::take(&mut inbox.waiting);
                let batch = Box::new(inbox.queue.take(!waiting.is_empty()));
                if inbox.queue.is_empty() {
                    inbox.due = None;
                }
                return Job::Commit { batch, waiting };
            }
            if !inbox.curious.is_empty() {
                return Job::Show(std::mem::take(&mut inbox.curious));
            }
            if inbox.closed {
                return Job::End;
            }
            inbox = match left(retry).into_iter().chain(left(inbox.due)).min() {
                Some(left) => self.wake.wait_timeout(inbox, left).map_or_else(|e| e.into_inner().0, |(inbox, _)| inbox),
                None => self.wake.wait(inbox).unwrap_or_else(PoisonError::into_inner),
            };
        }
    }
}

enum Job {
    Commit { batch: Box<Batch>, waiting: Vec<oneshot::Sender<Durability>> },
    Show(Vec<oneshot::Sender<Ledger>>),
    Retry,
    End,
}

/// The thread.
struct Worker {
    store: Box<dyn Store>,
    mirror: Mirror,
    outage: Option<Outage>,
    shared: Arc<Shared>,
}

struct Outage {
    since: Wall,
    reason: Arc<str>,
    retry: Mono,
    delay: Duration,
    /// The history of this time.
    missed: Batch,
}

impl Worker {
    fn run(mut self) -> Durability {
        loop {
            match self.shared.next(self.outage.as_ref().map(|outage| outage.retry)) {
                Job::Commit { batch, waiting } => {
                    let results = !batch.results.is_empty();
                    self.commit(*batch, waiting);
                    if results {
                        self.tend();
                    }
                }
                Job::Show(curious) => {
                    for asker in curious {
                        // Somebody who does not wait any more does not mind.
                        let _ = asker.send(self.mirror.ledger());
                    }
                }
                Job::Retry => self.recover(),
                Job::End => break,
            }
        }
        let rest = self.mirror.rest();
        if self.outage.is_some() {
            self.recover();
        } else if !rest.is_empty() {
            self.write(rest, Vec::new());
        }
        // The store is dropped, and its lock given back, before anybody hears of the end.
        self.durability()
    }

    fn commit(&mut self, mut batch: Batch, waiting: Vec<oneshot::Sender<Durability>>) {
        self.mirror.apply(&mut batch);
        self.write(batch, waiting);
    }

    fn write(&mut self, batch: Batch, waiting: Vec<oneshot::Sender<Durability>>) {
        if let Some(outage) = &mut self.outage {
            self.shared.count_dropped(remember(&mut outage.missed, batch));
        } else {
            let urgent = batch.is_urgent();
            if urgent {
                failpoint::reach("before-commit");
            }
            let flush = if urgent || !waiting.is_empty() { Flush::Now } else { Flush::Later };
            match self.store.commit(&batch, flush) {
                Ok(()) if urgent => failpoint::reach("after-commit"),
                Ok(()) => {}
                Err(error) => self.fail(&error, batch),
            }
        }
        let durability = self.durability();
        let shared = self.shared.clone();
        let _inbox = shared.lock();
        // First the health: who has heard that a batch is volatile finds the store failing.
        self.show_health();
        for waiter in waiting {
            // Somebody who does not wait any more does not mind.
            let _ = waiter.send(durability.clone());
        }
    }

    /// What there is to do beside, when those who wait have their answer.
    fn tend(&mut self) {
        if self.outage.is_none()
            && let Err(error) = self.store.tend()
        {
            self.fail(&error, Batch::default());
            self.show_health();
        }
    }

    fn fail(&mut self, error: &StoreError, batch: Batch) {
        let mut missed = Batch::default();
        self.shared.count_dropped(remember(&mut missed, batch));
        self.outage = Some(Outage {
            since: clock::wall(),
            reason: error.message.as_str().into(),
            retry: clock::mono() + FIRST_DELAY,
            delay: FIRST_DELAY,
            missed,
        });
    }

    fn recover(&mut self) {
        let Some(outage) = &mut self.outage else { return };
        // What was settled and is due again belongs to the ledger alone.
        outage.missed.deliveries.retain(|delivery| !self.mirror.owes(&delivery.intent.key));
        match self.store.replace(&self.mirror.ledger(), &outage.missed) {
            Ok(()) => {
                self.mirror.caught_up();
                self.outage = None;
            }
            Err(error) => {
                outage.reason = error.message.into();
                outage.delay = (outage.delay * 2).min(LAST_DELAY);
                outage.retry = clock::mono() + outage.delay;
            }
        }
        let shared = self.shared.clone();
        let _inbox = shared.lock();
        self.show_health();
    }

    fn durability(&self) -> Durability {
        match &self.outage {
            None => Durability::Durable,
            Some(outage) => Durability::Volatile(outage.reason.clone()),
        }
    }

    fn show_health(&self) {
        let now = match &self.outage {
            None => Health::Ok,
            Some(outage) => Health::Failing { since: outage.since, reason: outage.reason.clone() },
        };
        self.shared.health.send_if_modified(|health| {
            let changed = *health != now;
            *health = now;
            changed
        });
    }
}

/// Keeps what belongs to the history in `batch`, as far as there is room; returns how many results were too many.
fn remember(missed: &mut Batch, mut batch: Batch) -> usize {
    batch.deliveries.retain(|delivery| !delivery.status.is_unsettled());
    missed.deliveries.append(&mut batch.deliveries);
    missed.transitions.append(&mut batch.transitions);
    missed.results.append(&mut batch.results);
    missed.deliveries.drain(..missed.deliveries.len().saturating_sub(MISSED));
    missed.transitions.drain(..missed.transitions.len().saturating_sub(MISSED));
    let excess = missed.results.len().saturating_sub(queue::WAITING_RESULTS);
    missed.results.drain(..excess);
    excess
}
