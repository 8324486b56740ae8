//! A command that an earlier run of heartbeat has started and that may still be running.
//!
//! It is not our child, so its status cannot be known; but its end can, and it can be ended.

use std::time::Duration;

use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;

use super::watch::Watch;
use super::{GRACE, stat, watch};

/// A running process that is not our child.
#[derive(Debug)]
pub struct Adopted {
    pid: u32,
    start_ticks: u64,
    watch: Watch,
}

/// How the wait for an adopted process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AdoptedEnd {
    /// It ended by itself; with what status, nobody knows.
    Ended,
    /// We ended it, for its time was over.
    TimedOut,
}

impl Adopted {
    /// The process of this number and start time, if it is still running.
    ///
    /// # Panics
    /// Outside a runtime with input and output.
    pub fn find(pid: u32, start_ticks: u64) -> Option<Self> {
        // Watched before it is looked at: what is watched is then what was seen.
        let watch = Watch::new(pid);
        is_alive(pid, start_ticks).then_some(Self { pid, start_ticks, watch })
    }

    /// Waits until it has ended, by itself within `timeout` from now, or else by TERM to its group and, after [`GRACE`], by
    /// KILL; then the rest of its group has ended too. Dropping the future leaves the process as it is.
    pub async fn wait(&self, timeout: Duration) -> AdoptedEnd {
        if tokio::time::timeout(timeout, self.ended()).await.is_ok() {
            return AdoptedEnd::Ended;
        }
        let leads = stat::of(self.pid).is_some_and(|stat| stat.group == self.pid);
        let pid = Pid::from_raw(self.pid as i32);
        self.term();
        let all_ended = async {
            self.ended().await;
            while leads && stat::group_lives(self.pid) {
                tokio::time::sleep(watch::POLL).await;
            }
        };
        if tokio::time::timeout(GRACE, all_ended).await.is_err() {
            self.kill();
            if leads {
                // Seen alive a moment ago, so the number is still that group's, even without its leader.
                let _ = killpg(pid, Signal::SIGKILL);
            }
            self.ended().await;
        }
        AdoptedEnd::TimedOut
    }

    /// Asks its group to end: TERM.
    pub fn term(&self) {
        self.signal(Signal::SIGTERM);
    }

    /// Ends its group: KILL.
    pub fn kill(&self) {
        self.signal(Signal::SIGKILL);
    }

    async fn ended(&self) {
        self.watch.until(|| !is_alive(self.pid, self.start_ticks)).await;
    }

    /// Signals the group if it leads one, else the process; nobody if it has ended.
    fn signal(&self, signal: Signal) {
        let Some(stat) = stat::of(self.pid).filter(|stat| is_this(stat, self.start_ticks)) else { return };
        let pid = Pid::from_raw(self.pid as i32);
        let _ = if stat.group == self.pid { killpg(pid, signal) } else { kill(pid, signal) };
    }
}

fn is_alive(pid: u32, start_ticks: u64) -> bool {
    stat::of(pid).is_some_and(|stat| is_this(&stat, start_ticks))
}

/// Whether it is the process that was meant, and not a later one with its number, and has not ended.
fn is_this(stat: &stat::Stat, start_ticks: u64) -> bool {
    start_ticks != 0 && stat.start_ticks == start_ticks && !stat.has_ended()
}
