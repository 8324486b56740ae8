//! Ends process groups in the background and sees to it that nothing is left of them.
//!
//! A thread, because what it must outlive are futures and runtimes: the probe whose deadline has passed, the command line
//! tool that is about to end. It is started when it is first needed and asleep while there is nothing to end.

use std::sync::{Arc, Condvar, LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use heartbeat_core::Mono;

use super::group::Group;
use crate::host::clock;

/// How often groups that are being ended are looked at.
const SOON: Duration = Duration::from_millis(20);

/// How often a group is looked at that has survived KILL: it hangs in the kernel, or is not ours any more.
const SELDOM: Duration = Duration::from_secs(1);

/// How long after KILL a group may still be expected to be gone at any moment.
const KILLED: Duration = Duration::from_secs(1);

/// Children belong to the process, so there is one warden.
static WARDEN: LazyLock<Warden> = LazyLock::new(Warden::default);

#[derive(Default)]
struct Warden {
    ward: Mutex<Ward>,
    /// Something was handed in, or is gone.
    changed: Condvar,
}

#[derive(Default)]
struct Ward {
    endings: Vec<Ending>,
    has_thread: bool,
}

struct Ending {
    group: Arc<Group>,
    /// KILL follows at this time.
    kill_at: Mono,
    /// Whether somebody was told that it survived KILL.
    reported: bool,
}

/// Sends TERM to a group and hands it over: KILL after `grace`, the leader reaped, nothing left. Does not block; does
/// nothing for a group that it has been given before.
pub(super) fn end(group: &Arc<Group>, grace: Duration) {
    if !group.begin_ending() {
        return;
    }
    group.term();
    WARDEN.take(Ending { group: group.clone(), kill_at: clock::mono() + grace, reported: false });
}

/// Blocks until every group that is being ended is gone; what is left after `patience` gets KILL and a second more.
/// Call it before the process ends.
///
/// Returns how many groups could not be ended: they hang in the kernel, or have become another user's.
pub fn settle(patience: Duration) -> usize {
    let mut ward = WARDEN.lock();
    for (last, limit) in [(false, patience), (true, KILLED)] {
        if last {
            for ending in &mut ward.endings {
                ending.kill_at = ending.kill_at.min(clock::mono());
            }
            WARDEN.changed.notify_all();
        }
        let until = clock::mono() + limit;
        while !ward.endings.is_empty() && clock::mono() < until {
            ward = WARDEN.sleep(ward, until.since(clock::mono()));
        }
    }
    ward.endings.len()
}

impl Warden {
    fn take(&'static self, ending: Ending) {
        let mut ward = self.lock();
        ward.endings.push(ending);
        if !ward.has_thread {
            match std::thread::Builder::new().name("warden".to_owned()).spawn(|| self.watch()) {
                Ok(_) => ward.has_thread = true,
                // No thread to be had: end this one the hard way now, look after it when the next one is handed in.
                Err(error) => {
                    tracing::warn!("cannot start the thread that ends commands: {error}");
                    ward.endings.retain_mut(|ending| !step(ending, ending.kill_at));
                }
            }
        }
        self.changed.notify_all();
    }

    /// The thread.
    fn watch(&self) {
        let mut ward = self.lock();
        loop {
            let now = clock::mono();
            let before = ward.endings.len();
            ward.endings.retain_mut(|ending| !step(ending, now));
            if ward.endings.len() != before {
                self.changed.notify_all();
            }
            ward = match ward.endings.iter().map(|ending| pace(ending, now)).min() {
                Some(pace) => self.sleep(ward, pace),
                None => self.changed.wait(ward).unwrap_or_else(PoisonError::into_inner),
            };
        }
    }

    fn sleep<'a>(&self, ward: MutexGuard<'a, Ward>, limit: Duration) -> MutexGuard<'a, Ward> {
        self.changed.wait_timeout(ward, limit).unwrap_or_else(PoisonError::into_inner).0
    }

    fn lock(&self) -> MutexGuard<'_, Ward> {
        self.ward.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Looks at a group once; true if nothing is left of it.
fn step(ending: &mut Ending, now: Mono) -> bool {
    ending.group.reap();
    if ending.group.has_ended() {
        ending.group.announce_gone();
        return true;
    }
    if now >= ending.kill_at {
        ending.group.kill();
    }
    if now >= ending.kill_at + KILLED && !ending.reported {
        ending.reported = true;
        tracing::warn!("process group {} survives KILL: it hangs in the kernel or is not ours", ending.group.pid());
    }
    false
}

fn pace(ending: &Ending, now: Mono) -> Duration {
    if now < ending.kill_at + KILLED { SOON } else { SELDOM }
}
