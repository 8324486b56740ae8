//! A command that an earlier run of heartbeat has started and that may still be running.
//!
//! It is not our child, so its status cannot be known; but its end can, and it can be ended.

use std::sync::atomic::{AtomicBool, Ordering};

use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;

use super::watch::Watch;
use super::{GRACE, stat, watch};

/// A running process that is not our child. Dropping it leaves the process as it is.
#[derive(Debug)]
pub struct Adopted {
    pid: u32,
    start_ticks: u64,
    watch: Watch,
    /// Somebody wants its group to end.
    ending: AtomicBool,
}

impl Adopted {
    /// The process of this number and start time, if it is still running.
    ///
    /// # Panics
    /// Outside a runtime with input and output.
    pub fn find(pid: u32, start_ticks: u64) -> Option<Self> {
        // Watched before it is looked at: what is watched is then what was seen.
        let watch = Watch::new(pid);
        is_alive(pid, start_ticks).then_some(Self { pid, start_ticks, watch, ending: AtomicBool::new(false) })
    }

    /// Waits until it has ended, by itself or because of a signal. After one of ours what is left of its group has
    /// [`GRACE`] and is then killed.
    pub async fn ended(&self) {
        self.watch.until(|| !is_alive(self.pid, self.start_ticks)).await;
        if !self.ending.load(Ordering::SeqCst) {
            return;
        }
        let all_ended = async {
            while killpg(self.id(), None).is_ok() && stat::living_groups().contains(&self.pid) {
                tokio::time::sleep(watch::POLL).await;
            }
        };
        let _ = tokio::time::timeout(GRACE, all_ended).await;
        // A member was seen a moment ago, so the number still is that group's or nobody's, even without its leader.
        let _ = killpg(self.id(), Signal::SIGKILL);
    }

    /// Asks its group to end: TERM.
    pub fn term(&self) {
        self.signal(Signal::SIGTERM);
        self.signal(Signal::SIGCONT);
    }

    /// Ends its group: KILL.
    pub fn kill(&self) {
        self.signal(Signal::SIGKILL);
    }

    /// Signals the group while its leader lives.
    fn signal(&self, signal: Signal) {
        match stat::of(self.pid).filter(|stat| is_this(stat, self.start_ticks)) {
            Some(stat) if stat.group == self.pid => {
                self.ending.store(true, Ordering::SeqCst);
                let _ = killpg(self.id(), signal);
            }
            // It has left the group that we gave it.
            Some(_) => drop(kill(self.id(), signal)),
            None => {}
        }
    }

    fn id(&self) -> Pid {
        Pid::from_raw(self.pid as i32)
    }
}

fn is_alive(pid: u32, start_ticks: u64) -> bool {
    stat::of(pid).is_some_and(|stat| is_this(&stat, start_ticks))
}

/// Whether it is the process that was meant, and not a later one with its number, and has not ended.
fn is_this(stat: &stat::Stat, start_ticks: u64) -> bool {
    start_ticks != 0 && stat.start_ticks == start_ticks && !stat.has_ended()
}
