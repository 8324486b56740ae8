//! Learns of a process's end without reaping it.

use std::os::fd::OwnedFd;
use std::time::Duration;

use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid};
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use tokio::io::unix::AsyncFd;
use tokio::io::{Interest, Ready};

use super::group::Group;

/// How often a process is looked at where the kernel does not tell of its end.
pub(super) const POLL: Duration = Duration::from_millis(20);

/// Tells of the end of one process.
#[derive(Debug)]
pub(super) enum Watch {
    /// The kernel tells: a descriptor of the process becomes readable (`pidfd_open(2)`, Linux 5.3).
    Told(AsyncFd<OwnedFd>),
    /// We look: there is no descriptor left, or the kernel or a sandbox has no such call.
    Look,
}

impl Watch {
    /// Watches a process, ours or not, that has not been reaped.
    pub(super) fn new(pid: u32) -> Self {
        i32::try_from(pid)
            .ok()
            .and_then(Pid::from_raw)
            .and_then(|pid| pidfd_open(pid, PidfdFlags::NONBLOCK).ok())
            .and_then(register)
            .map_or(Self::Look, Self::Told)
    }

    /// Waits until the leader of our group has ended. It may have been reaped by then.
    pub(super) async fn ended(&self, group: &Group) {
        let pid = nix::unistd::Pid::from_raw(group.pid() as i32);
        let flags = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;
        self.until(|| group.is_reaped() || waitid(Id::Pid(pid), flags) != Ok(WaitStatus::StillAlive)).await;
    }

    /// Waits until the kernel tells, or else until `look` sees that the process has ended.
    pub(super) async fn until(&self, look: impl Fn() -> bool) {
        if let Self::Told(descriptor) = self
            && descriptor.ready(Interest::READABLE).await.is_ok_and(|guard| guard.ready() != Ready::EMPTY)
        {
            return;
        }
        while !look() {
            tokio::time::sleep(POLL).await;
        }
    }
}

/// Registers a descriptor with the runtime.
// What is deprecated is to register things that only say that they own a descriptor; an `OwnedFd` does own it. The
// replacement differs in nothing but the word `unsafe`.
#[allow(deprecated)]
fn register(descriptor: OwnedFd) -> Option<AsyncFd<OwnedFd>> {
    AsyncFd::with_interest(descriptor, Interest::READABLE).ok()
}
