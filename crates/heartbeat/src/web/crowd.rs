//! All connections that are there, and who has to go.
//!
//! Their number is bounded. When a new one comes and there is no room, it is let in, and the one goes that has been silent
//! longest: first of those that have never asked anything, then of those that do not come to an end with their request or do
//! not take their answer, last of those that rest between two polls. So no number of half-open connections keeps a poll from its answer.
//!
//! A connection that changes its state writes two numbers; nobody waits for anybody, and no connection has a timer of its
//! own. One look around every quarter of a second ends those whose time is over.

use std::collections::HashMap;
use std::future::Future;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use heartbeat_core::Mono;
use tokio::sync::{Notify, watch};
use tokio::task::AbortHandle;

use super::Bounds;
use crate::host::clock;

/// Between two looks around.
const PACE: Duration = Duration::from_millis(250);
/// Everybody who is connected.
#[derive(Debug)]
pub(super) struct Crowd {
    room: usize,
    bounds: Bounds,
    seats: Mutex<Seats>,
    closing: AtomicBool,
    left: Notify,
}

#[derive(Debug, Default)]
struct Seats {
    next: u64,
    taken: HashMap<u64, Arc<State>>,
}

/// One connection, as the others see it.
#[derive(Debug)]
struct State {
    /// A [`Mood`].
    mood: AtomicU8,
    /// Since when; microseconds of the monotonic clock.
    since: AtomicU64,
    /// Until when at most.
    until: AtomicU64,
    task: OnceLock<AbortHandle>,
}

/// What a connection is doing. The first ones have to go first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
enum Mood {
    /// It has not asked anything yet.
    New,
    /// It has been answered before, and a request has begun that is not complete.
    Asking,
    /// An answer is being written.
    Answered,
    /// It has been answered, and may ask again.
    Resting,
}

/// A connection's place. It is free again when this is dropped.
#[derive(Debug)]
pub(super) struct Seat {
    crowd: Arc<Crowd>,
    number: u64,
    state: Arc<State>,
}

impl Crowd {
    pub(super) fn new(room: usize, bounds: Bounds) -> Arc<Self> {
        let (seats, left) = (Mutex::default(), Notify::new());
        Arc::new(Self { room, bounds, seats, closing: AtomicBool::new(false), left })
    }

    /// Lets a connection in, as a task of its own.
    pub(super) fn admit<F>(self: &Arc<Self>, visit: impl FnOnce(Seat) -> F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let now = clock::mono();
        let state = Arc::new(State {
            mood: AtomicU8::new(Mood::New as u8),
            since: AtomicU64::new(micros(now)),
            until: AtomicU64::new(micros(now + self.bounds.request)),
            task: OnceLock::new(),
        });
        let number = {
            let mut seats = lock(&self.seats);
            if seats.taken.len() >= self.room {
                seats.free_one();
            }
            seats.next += 1;
            let number = seats.next;
            seats.taken.insert(number, state.clone());
            number
        };
        let seat = Seat { crowd: self.clone(), number, state: state.clone() };
        let task = tokio::spawn(visit(seat));
        // It is the only one that is set.
        let _ = state.task.set(task.abort_handle());
    }

    /// Ends the connection that has to go first, if there is one.
    pub(super) fn free_one(&self) -> bool {
        lock(&self.seats).free_one()
    }

    fn len(&self) -> usize {
        lock(&self.seats).taken.len()
    }

    /// Ends those whose time is over, until all is to end.
    pub(super) async fn watch(&self, mut closing: watch::Receiver<bool>) {
        while tokio::time::timeout(PACE, closing.wait_for(|closing| *closing)).await.is_err() {
            let now = micros(clock::mono());
            lock(&self.seats).end(|state| state.until.load(Ordering::Relaxed) <= now);
        }
        self.closing.store(true, Ordering::Relaxed);
    }

    /// Sends everybody home: whoever has asked is answered before.
    pub(super) async fn disperse(&self) {
        let end = clock::instant(clock::mono() + self.bounds.parting);
        // Whatever has arrived by now has to be seen. Each turn of the runtime asks the kernel for news and then lets some
        // dozens of tasks work (tokio::runtime::Builder::event_interval).
        for _ in 0..4 + self.len() / 16 {
            tokio::task::yield_now().await;
        }
        lock(&self.seats).end(|state| state.mood() != Mood::Answered);
        while self.len() > 0 {
            if tokio::time::timeout_at(end, self.left.notified()).await.is_err() {
                return lock(&self.seats).end(|_| true);
            }
        }
    }
}

impl Seats {
    fn free_one(&mut self) -> bool {
        let order = |state: &State| (state.mood(), state.since.load(Ordering::Relaxed));
        let first = self.taken.iter().min_by_key(|(_, state)| order(state)).map(|(number, _)| *number);
        let Some(state) = first.and_then(|first| self.taken.remove(&first)) else { return false };
        state.end();
        true
    }

    fn end(&mut self, is_due: impl Fn(&State) -> bool) {
        self.taken.retain(|_, state| {
            let due = is_due(state);
            if due {
                state.end();
            }
            !due
        });
    }
}

impl State {
    fn mood(&self) -> Mood {
        match self.mood.load(Ordering::Relaxed) {
            0 => Mood::New,
            1 => Mood::Asking,
            2 => Mood::Answered,
            _ => Mood::Resting,
        }
    }

    fn end(&self) {
        if let Some(task) = self.task.get() {
            task.abort();
        }
    }
}

impl Seat {
    /// A request has begun; the rest of it has to follow in time. That of a new connection has begun with it.
    pub(super) fn begins(&self) {
        if self.state.mood() == Mood::Resting {
            self.turns(Mood::Asking, clock::mono(), self.crowd.bounds.request);
        }
    }

    /// A request is complete and being answered.
    pub(super) fn answers(&self, now: Mono) {
        self.turns(Mood::Answered, now, self.crowd.bounds.answer);
    }

    /// It has been answered; another request may follow.
    pub(super) fn rests(&self, now: Mono) {
        self.turns(Mood::Resting, now, self.crowd.bounds.idle);
    }

    /// Whether all is about to end, so that this connection should.
    pub(super) fn is_closing(&self) -> bool {
        self.crowd.closing.load(Ordering::Relaxed)
    }

    fn turns(&self, mood: Mood, now: Mono, bound: Duration) {
        self.state.mood.store(mood as u8, Ordering::Relaxed);
        self.state.since.store(micros(now), Ordering::Relaxed);
        self.state.until.store(micros(now + bound), Ordering::Relaxed);
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        lock(&self.crowd.seats).taken.remove(&self.number);
        self.crowd.left.notify_waiters();
    }
}

fn micros(at: Mono) -> u64 {
    u64::try_from(at.since_origin().as_micros()).unwrap_or(u64::MAX)
}

/// Nobody panics while holding it.
fn lock(seats: &Mutex<Seats>) -> MutexGuard<'_, Seats> {
    seats.lock().unwrap_or_else(PoisonError::into_inner)
}
