//! Ends process groups in the background and sees to it that nothing is left of them.
//!
//! A thread, because what it must outlive are futures and runtimes: the probe whose deadline has passed, the command line
//! tool that is about to end. It is started when it is first needed and asleep while there is nothing to end.

use std::cell::LazyCell;
use std::collections::BTreeSet;
use std::sync::{Arc, Condvar, LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use heartbeat_core::Mono;

use super::group::Group;
use super::stat;
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
    /// Handed in and not yet seen by the thread.
    arrived: Vec<Ending>,
    /// How many groups are not gone, those included.
    left: usize,
    /// Nobody has patience any more.
    hurry: bool,
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
    let mut ward = WARDEN.wait_for_all(WARDEN.lock(), patience);
    if ward.left == 0 {
        return 0;
    }
    ward.hurry = true;
    WARDEN.changed.notify_all();
    let mut ward = WARDEN.wait_for_all(ward, KILLED);
    ward.hurry = false;
    ward.left
}

impl Warden {
    fn take(&'static self, ending: Ending) {
        let mut ward = self.lock();
        ward.left += 1;
        if !ward.has_thread {
            match std::thread::Builder::new().name("warden".to_owned()).spawn(|| self.watch()) {
                Ok(_) => ward.has_thread = true,
                // No thread to be had: the hard way now; it is looked after when the next group is handed in.
                Err(error) => {
                    tracing::warn!("cannot start the thread that ends commands: {error}");
                    ending.group.kill();
                }
            }
        }
        ward.arrived.push(ending);
        self.changed.notify_all();
    }

    /// The thread. It looks at the groups without holding the lock, for those who hand groups in must not wait.
    fn watch(&self) {
        let mut endings = Vec::new();
        let mut ward = self.lock();
        loop {
            endings.append(&mut ward.arrived);
            let hurry = ward.hurry;
            drop(ward);
            let now = clock::mono();
            let before = endings.len();
            let living = Living::new(stat::living_groups);
            endings.retain_mut(|ending| !step(ending, now, hurry, &living));
            ward = self.lock();
            ward.left -= before - endings.len();
            if endings.len() != before {
                self.changed.notify_all();
            }
            ward = match endings.iter().map(|ending| pace(ending, now)).min() {
                _ if !ward.arrived.is_empty() || ward.hurry != hurry => ward,
                Some(pace) => self.sleep(ward, pace),
                None => self.changed.wait(ward).unwrap_or_else(PoisonError::into_inner),
            };
        }
    }

    fn wait_for_all<'a>(&'a self, mut ward: MutexGuard<'a, Ward>, limit: Duration) -> MutexGuard<'a, Ward> {
        let until = clock::mono() + limit;
        while ward.left > 0 && clock::mono() < until {
            ward = self.sleep(ward, until.since(clock::mono()));
        }
        ward
    }

    fn sleep<'a>(&self, ward: MutexGuard<'a, Ward>, limit: Duration) -> MutexGuard<'a, Ward> {
        self.changed.wait_timeout(ward, limit).unwrap_or_else(PoisonError::into_inner).0
    }

    fn lock(&self) -> MutexGuard<'_, Ward> {
        self.ward.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The groups that have living members, looked up when that is first asked.
type Living = LazyCell<BTreeSet<u32>, fn() -> BTreeSet<u32>>;

/// Looks at a group once; true if nothing is left of it.
fn step(ending: &mut Ending, now: Mono, hurry: bool, living: &Living) -> bool {
    let group = &ending.group;
    group.reap();
    let is_empty = group.is_empty();
    let only_dead = !is_empty && group.is_reaped() && !living.contains(&group.pid());
    if only_dead || !is_empty && (hurry || now >= ending.kill_at) {
        // Also when only dead members were seen: one that was missed is not left behind, and the dead do not mind.
        group.kill();
    }
    let is_gone = is_empty || only_dead;
    if is_gone {
        group.announce_gone();
    } else if now >= ending.kill_at + KILLED && !ending.reported {
        ending.reported = true;
        tracing::warn!("process group {} survives KILL: it hangs in the kernel or is not ours", group.pid());
    }
    is_gone
}

fn pace(ending: &Ending, now: Mono) -> Duration {
    if now < ending.kill_at + KILLED { SOON } else { SELDOM }
}
