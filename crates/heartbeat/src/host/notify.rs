//! Telling the service manager how we are: the protocol of sd_notify(3), a datagram of lines to `$NOTIFY_SOCKET`.

use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

use super::{clock, env};

/// The line to the service manager; silent where there is none.
#[derive(Debug)]
pub struct Notifier {
    socket: Option<(UnixDatagram, SocketAddr)>,
}

impl Notifier {
    /// Connects to the manager that started us, if one did.
    pub fn from_environment() -> Self {
        Self { socket: env::variable("NOTIFY_SOCKET").and_then(|name| open(&name)) }
    }

    /// Ready to serve.
    pub fn ready(&self, status: &str) {
        self.send(&format!("READY=1\nSTATUS={}", one_line(status)));
    }

    /// A reload has begun; [`ready`](Self::ready) ends it. systemd.service(5), `Type=notify-reload`, wants the time of it.
    pub fn reloading(&self) {
        self.send(&format!("RELOADING=1\nMONOTONIC_USEC={}", clock::boot_micros()));
    }

    /// The orderly end has begun.
    pub fn stopping(&self) {
        self.send("STOPPING=1");
    }

    /// Progress was made. Only the scheduler calls this.
    pub fn watchdog(&self) {
        self.send("WATCHDOG=1");
    }

    fn send(&self, lines: &str) {
        if let Some((socket, manager)) = &self.socket {
            // A manager that does not listen is no reason to stop checking.
            let _ = socket.send_to_addr(lines.as_bytes(), manager);
        }
    }
}

/// How often the manager wants to hear of progress: half of its limit, as sd_watchdog_enabled(3) advises.
pub fn watchdog_interval() -> Option<Duration> {
    let ours = env::variable("WATCHDOG_PID").is_none_or(|pid| pid.parse() == Ok(std::process::id()));
    let micros: u64 = env::variable("WATCHDOG_USEC")?.parse().ok()?;
    (ours && micros > 0).then(|| Duration::from_micros(micros / 2))
}

fn open(name: &str) -> Option<(UnixDatagram, SocketAddr)> {
    let manager = match name.strip_prefix('@') {
        Some(abstract_name) => SocketAddr::from_abstract_name(abstract_name).ok()?,
        None => SocketAddr::from_pathname(name).ok()?,
    };
    let socket = UnixDatagram::unbound().ok()?;
    socket.set_nonblocking(true).ok()?;
    Some((socket, manager))
}

fn one_line(text: &str) -> String {
    text.replace(['\n', '\r'], " ")
}
