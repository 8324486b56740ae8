//! A process group of ours, from its start until nothing of it is left.
//!
//! The number of a group cannot be given to another one while its leader is not reaped or a member lives. So a signal goes
//! out either while we hold the leader, or, in the [warden](super::warden), milliseconds after a member was seen.

use std::process::{Child, ExitStatus};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use nix::errno::Errno;
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use tokio::sync::Notify;

/// A group that we have started.
#[derive(Debug)]
pub(super) struct Group {
    id: Pid,
    leader: Mutex<Leader>,
    ending: AtomicBool,
    gone: Notify,
}

#[derive(Debug)]
enum Leader {
    /// Running, or ended and not reaped.
    Held(Child),
    /// Reaped, with its status if it was there for us.
    Reaped(Option<ExitStatus>),
}

impl Group {
    /// The group of this leader, which must have been started as one.
    pub(super) fn new(leader: Child) -> Self {
        let id = Pid::from_raw(i32::try_from(leader.id()).expect("the kernel's process numbers are positive i32"));
        Self { id, leader: Mutex::new(Leader::Held(leader)), ending: AtomicBool::new(false), gone: Notify::new() }
    }

    /// The number of the leader and of the group.
    pub(super) fn pid(&self) -> u32 {
        self.id.as_raw().unsigned_abs()
    }

    /// Reaps the leader if it has ended; its status if it has been reaped, now or before.
    pub(super) fn reap(&self) -> Option<ExitStatus> {
        let mut leader = self.leader();
        if let Leader::Held(child) = &mut *leader {
            match child.try_wait() {
                Ok(None) => {}
                Ok(Some(status)) => *leader = Leader::Reaped(Some(status)),
                // Somebody else has reaped it; asking again would not help.
                Err(_) => *leader = Leader::Reaped(None),
            }
        }
        match *leader {
            Leader::Held(_) => None,
            Leader::Reaped(status) => status,
        }
    }

    /// Whether the leader has been reaped.
    pub(super) fn is_reaped(&self) -> bool {
        matches!(*self.leader(), Leader::Reaped(_))
    }

    /// Asks every member to end. One that is stopped is woken, so that it can.
    pub(super) fn term(&self) {
        self.signal(Signal::SIGTERM);
        self.signal(Signal::SIGCONT);
    }

    /// Ends every member.
    pub(super) fn kill(&self) {
        self.signal(Signal::SIGKILL);
    }

    /// Whether the leader is reaped and the kernel knows no member any more; cheap. A member that has ended but was not
    /// reaped by its new parent yet counts as one here.
    pub(super) fn is_empty(&self) -> bool {
        self.is_reaped() && killpg(self.id, None) == Err(Errno::ESRCH)
    }

    /// Notes that the warden has it; false if that was so before.
    pub(super) fn begin_ending(&self) -> bool {
        !self.ending.swap(true, Ordering::SeqCst)
    }

    /// Says that nothing is left.
    pub(super) fn announce_gone(&self) {
        self.gone.notify_one();
    }

    /// Waits until the warden has said that nothing is left. For one waiter.
    pub(super) async fn gone(&self) {
        self.gone.notified().await;
    }

    /// For the warden and for the holder of an unreaped leader.
    fn signal(&self, signal: Signal) {
        // ESRCH: none is left. EPERM: what is left is not ours, and will be seen to be there.
        let _ = killpg(self.id, signal);
    }

    fn leader(&self) -> MutexGuard<'_, Leader> {
        self.leader.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Ends a running group from outside. Once its leader has ended, it does nothing.
#[derive(Clone, Debug)]
pub struct Killer(Arc<Group>);

impl Killer {
    pub(super) fn new(group: Arc<Group>) -> Self {
        Self(group)
    }

    /// Asks the group to end: TERM.
    pub fn term(&self) {
        self.while_held(Group::term);
    }

    /// Ends the group: KILL.
    pub fn kill(&self) {
        self.while_held(Group::kill);
    }

    fn while_held(&self, signal: fn(&Group)) {
        // Locked while the signal is sent: nobody reaps the leader meanwhile.
        let leader = self.0.leader();
        if let Leader::Held(_) = *leader {
            signal(&self.0);
        }
    }
}
