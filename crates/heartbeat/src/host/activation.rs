//! The sockets that the service manager opened for us: sd_listen_fds(3).
//!
//! They come as bare numbers, and std takes a number for a descriptor only in unsafe code: nobody can know who else uses
//! it. So each is sent over a socket pair to ourselves (unix(7), `SCM_RIGHTS`): the kernel hands out a new descriptor of the
//! same socket, closed in children and ours beyond doubt, or says that there is none of that number.

use std::io::{IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd as _, OwnedFd, RawFd};
use std::os::unix::net::UnixDatagram;

use nix::sys::socket::{ControlMessage, MsgFlags, sendmsg};
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};
use socket2::Socket;

use super::env;

/// The first descriptor that is passed (SD_LISTEN_FDS_START).
const START: RawFd = 3;

/// What was passed. It can be taken once.
#[derive(Debug)]
pub struct Activation {
    /// Name and number.
    passed: Vec<(String, RawFd)>,
}

impl Default for Activation {
    /// What the environment says.
    fn default() -> Self {
        Self { passed: passed(&env::variable) }
    }
}

/// The names and numbers of `$LISTEN_FDS`, if it is meant for this process.
fn passed(variable: &dyn Fn(&str) -> Option<String>) -> Vec<(String, RawFd)> {
    let number = |name: &str| variable(name).and_then(|text| text.parse::<u32>().ok());
    if number("LISTEN_PID") != Some(std::process::id()) {
        return Vec::new();
    }
    // More than the kernel would give to a process is no number of descriptors.
    let count = number("LISTEN_FDS").filter(|count| *count <= 1 << 16).unwrap_or(0);
    let names = variable("LISTEN_FDNAMES").unwrap_or_default();
    let names = names
        .split(':')
        .filter(|name| !name.is_empty())
        .map(str::to_owned)
        .chain(std::iter::repeat("unknown".to_owned()));
    names.zip(START..).take(count as usize).collect()
}

impl Activation {
    /// What a test passes.
    #[cfg(test)]
    pub(crate) fn of(passed: impl IntoIterator<Item = (String, RawFd)>) -> Self {
        Self { passed: passed.into_iter().collect() }
    }

    /// The sockets of that name, or all that are left.
    ///
    /// # Errors
    /// If there is none, or one is no socket: a sentence that says what to do.
    pub fn take(&mut self, name: Option<&str>) -> Result<Vec<Socket>, String> {
        let (taken, left): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.passed).into_iter().partition(|(known, _)| name.is_none_or(|name| name == known));
        self.passed = left;
        if taken.is_empty() {
            let (what, unit) = match name {
                Some(name) => (format!("sockets of the name `{name}`"), format!(" with `FileDescriptorName={name}`")),
                None => ("sockets".to_owned(), String::new()),
            };
            let others: Vec<_> = self.passed.iter().map(|(name, _)| format!("`{name}`")).collect();
            let found = if others.is_empty() { "none".to_owned() } else { others.join(", ") };
            return Err(format!(
                "expected {what} from the service manager ($LISTEN_FDS), found {found}: start heartbeat through a socket unit{unit}"
            ));
        }
        let own = |(_, number): (String, RawFd)| own(number).map(Socket::from);
        taken.into_iter().map(own).collect()
    }
}

/// Makes a passed descriptor ours.
fn own(number: RawFd) -> Result<OwnedFd, String> {
    let failed = |error: std::io::Error| format!("cannot take the descriptor {number} of $LISTEN_FDS: {error}");
    let (here, there) = UnixDatagram::pair().map_err(failed)?;
    let rights = [number];
    sendmsg::<()>(
        here.as_raw_fd(),
        &[IoSlice::new(b"-")],
        &[ControlMessage::ScmRights(&rights)],
        MsgFlags::empty(),
        None,
    )
    .map_err(|errno| failed(errno.into()))?;
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let mut byte = [0];
    recvmsg(&there, &mut [IoSliceMut::new(&mut byte)], &mut ancillary, RecvFlags::CMSG_CLOEXEC)
        .map_err(|errno| failed(errno.into()))?;
    let received = ancillary.drain().find_map(|message| match message {
        RecvAncillaryMessage::ScmRights(mut descriptors) => descriptors.next(),
        _ => None,
    });
    // The one that was passed would go on into every child.
    nix::unistd::close(number).map_err(|errno| failed(errno.into()))?;
    received.ok_or_else(|| failed(std::io::ErrorKind::UnexpectedEof.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn passed_by(listen: &[(&str, &str)]) -> Vec<(String, RawFd)> {
        let variable =
            |name: &str| listen.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned());
        passed(&variable)
    }

    #[test]
    fn only_what_is_meant_for_this_process_is_taken() {
        let pid = std::process::id().to_string();
        let named = |names: &[(&str, RawFd)]| -> Vec<_> {
            names.iter().map(|(name, number)| ((*name).to_owned(), *number)).collect()
        };
        assert_eq!(passed_by(&[]), []);
        assert_eq!(passed_by(&[("LISTEN_PID", "1"), ("LISTEN_FDS", "1")]), []);
        assert_eq!(passed_by(&[("LISTEN_FDS", "1")]), []);
        assert_eq!(passed_by(&[("LISTEN_PID", &pid), ("LISTEN_FDS", "-1")]), []);
        assert_eq!(passed_by(&[("LISTEN_PID", &pid), ("LISTEN_FDS", "99999999")]), []);
        let unnamed = passed_by(&[("LISTEN_PID", &pid), ("LISTEN_FDS", "2")]);
        assert_eq!(unnamed, named(&[("unknown", 3), ("unknown", 4)]));
        let some = passed_by(&[("LISTEN_PID", &pid), ("LISTEN_FDS", "2"), ("LISTEN_FDNAMES", "web:agent")]);
        assert_eq!(some, named(&[("web", 3), ("agent", 4)]));
    }
}
