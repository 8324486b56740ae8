//! Connections, and whose fault it is when there is none.
//!
//! Addresses are tried as RFC 8305 (happy eyeballs) has it: in order, the next one as soon as the one before has failed or
//! has been silent for a quarter of a second. The first connection wins. A connection is never kept for another probe.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::Duration;

use heartbeat_core::outcome::Fault;
use nix::errno::Errno;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use super::resolve::Resolver;
use super::values::{Family, Network};
use super::{Failure, Phase, Trace};
use crate::config::Fields;

pub mod socket;

/// The connection attempt delay of RFC 8305, section 5.
const NEXT_ADDRESS: Duration = Duration::from_millis(250);

/// A name may have thousands of addresses; so many are tried.
const ADDRESSES: usize = 8;

/// How to get to a target.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Way {
    /// Which addresses, in which order.
    pub family: Family,
    /// Addresses that are never connected to.
    pub deny: Arc<[Network]>,
}

impl Way {
    /// Reads the keys.
    pub fn read(fields: &mut Fields<'_, '_, '_>) -> Self {
        let family = fields.or("ip", "Which addresses of a name are used, and which are tried first.", Family::Auto);
        let deny: Vec<Network> =
            fields.or("deny", "Networks that are never connected to, wherever a name or a redirect leads.", Vec::new());
        Self { family, deny: deny.into() }
    }

    fn denies(&self, address: IpAddr) -> bool {
        self.deny.iter().any(|network| network.contains(address))
    }
}

/// A connection of any sort.
pub trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// Opens a connection to a host, which is a name or an address, for a talk of several turns.
///
/// # Errors
/// Those of [`open`].
pub async fn connect(
    resolver: &Resolver,
    host: &str,
    port: u16,
    way: &Way,
    trace: &Trace,
) -> Result<TcpStream, Failure> {
    let stream = open(resolver, host, port, way, trace).await?;
    hasten(&stream);
    Ok(stream)
}

/// From now on a small message goes out at once, whether or not the one before has arrived. Only a matter of latency.
pub fn hasten(stream: &TcpStream) {
    let _ = stream.set_nodelay(true);
}

/// Opens a connection to a host, which is a name or an address, for a talk in which all that we say is written at once.
///
/// # Errors
/// The fault of name resolution, or of the attempt that tells the most.
pub async fn open(resolver: &Resolver, host: &str, port: u16, way: &Way, trace: &Trace) -> Result<TcpStream, Failure> {
    match host.parse() {
        Ok(address) if way.family.allows(address) => {
            trace.enter(Phase::Connect);
            if way.denies(address) {
                return Err(denied(host, address));
            }
            let stream = attempt(SocketAddr::new(address, port), trace).await?;
            trace.complete();
            Ok(stream)
        }
        // Boxed, for few probes need all the room that this takes.
        _ => Box::pin(open_by_name(resolver, host, port, way, trace)).await,
    }
}

async fn open_by_name(
    resolver: &Resolver,
    host: &str,
    port: u16,
    way: &Way,
    trace: &Trace,
) -> Result<TcpStream, Failure> {
    let found = resolver.lookup(host, way.family, trace).await?;
    let allowed = found.iter().filter(|address| !way.denies(**address));
    let addresses: Vec<_> = allowed.map(|address| SocketAddr::new(*address, port)).take(ADDRESSES).collect();
    trace.enter(Phase::Connect);
    let stream = match addresses.as_slice() {
        [] => return Err(denied(host, found[0])),
        [only] => attempt(*only, trace).await?,
        several => race(several, trace).await?,
    };
    trace.complete();
    Ok(stream)
}

fn denied(host: &str, address: IpAddr) -> Failure {
    Failure::new(Fault::Refused, format!("not connected to {host}: `deny` forbids {address}"))
}

async fn attempt(address: SocketAddr, trace: &Trace) -> Result<TcpStream, Failure> {
    trace.peer(address);
    reach(address).await
}

async fn reach(address: SocketAddr) -> Result<TcpStream, Failure> {
    TcpStream::connect(address).await.map_err(|error| refused(address, &error))
}

async fn race(addresses: &[SocketAddr], trace: &Trace) -> Result<TcpStream, Failure> {
    let mut attempts = JoinSet::new();
    let mut waiting = addresses.iter();
    let mut telling: Option<Failure> = None;
    loop {
        if let Some(address) = waiting.next() {
            trace.peer(*address);
            attempts.spawn(reach(*address));
        }
        let ended = if waiting.len() == 0 {
            attempts.join_next().await
        } else {
            match tokio::time::timeout(NEXT_ADDRESS, attempts.join_next()).await {
                Ok(ended) => ended,
                Err(_) => continue,
            }
        };
        match ended {
            Some(Ok(Ok(stream))) => return Ok(stream),
            Some(Ok(Err(failure))) => {
                // What the target said tells more than that one family has no route from here.
                if telling.as_ref().is_none_or(|before| before.fault.is_local()) {
                    telling = Some(failure);
                }
            }
            Some(Err(_)) => {}
            None => {
                let nothing = || Failure::new(Fault::Network, "no attempt to connect was made");
                return Err(telling.unwrap_or_else(nothing));
            }
        }
    }
}

/// Why no connection was made.
fn refused(address: SocketAddr, error: &io::Error) -> Failure {
    if let Some(failure) = exhausted(error) {
        return failure;
    }
    let words = words(error);
    match errno(error) {
        Some(Errno::ECONNREFUSED) => Failure::new(Fault::Refused, format!("connection to {address} refused")),
        Some(Errno::ETIMEDOUT) => Failure::new(Fault::Timeout, format!("connection to {address} timed out")),
        Some(Errno::ECONNRESET) => Failure::new(Fault::Reset, format!("connection to {address} reset")),
        Some(Errno::EADDRNOTAVAIL) => {
            Failure::new(Fault::Network, format!("no address or port of our own to reach {address} from: {words}"))
        }
        Some(Errno::EPERM | Errno::EACCES) => {
            Failure::new(Fault::Network, format!("this machine forbids the connection to {address}: {words}"))
        }
        Some(Errno::ENETUNREACH | Errno::ENETDOWN | Errno::EHOSTUNREACH) if !has_route(address.ip()) => {
            Failure::new(Fault::Network, format!("this machine has no route to {address} nor to anywhere: {words}"))
        }
        _ => Failure::new(Fault::Refused, format!("cannot connect to {address}: {words}")),
    }
}

/// Why an established connection ended before its time.
pub fn broken(doing: &str, error: &io::Error) -> Failure {
    if let Some(failure) = exhausted(error) {
        return failure;
    }
    match error.kind() {
        io::ErrorKind::UnexpectedEof => Failure::new(Fault::Reset, format!("the connection ended early while {doing}")),
        io::ErrorKind::TimedOut => Failure::new(Fault::Timeout, format!("the connection timed out while {doing}")),
        _ => Failure::new(Fault::Reset, format!("the connection broke while {doing}: {}", words(error))),
    }
}

/// A failure that says that this machine or process has run out of something.
pub fn exhausted(error: &io::Error) -> Option<Failure> {
    let (fault, what) = match errno(error)? {
        Errno::EMFILE => (Fault::Files, "this process has no file descriptors left"),
        Errno::ENFILE => (Fault::Files, "this machine has no file descriptors left"),
        Errno::ENOMEM | Errno::ENOBUFS => (Fault::Memory, "this machine has no memory left"),
        _ => return None,
    };
    Some(Failure::new(fault, format!("{what}: {}", words(error))))
}

/// The number of an error of the operating system.
pub fn errno(error: &io::Error) -> Option<Errno> {
    error.raw_os_error().map(Errno::from_raw)
}

/// An error in words, without the number that Rust adds.
pub fn words(error: &io::Error) -> String {
    match errno(error) {
        Some(errno) => errno.desc().to_owned(),
        None => error.to_string(),
    }
}

/// Whether this machine has a route out of itself for addresses of this kind.
///
/// Connecting a datagram socket sends nothing: the kernel only looks its routes up. The addresses are those that RFC 5737
/// and RFC 3849 set aside, so that only a default route leads there.
pub fn has_route(to: IpAddr) -> bool {
    let (from, far): (IpAddr, IpAddr) = match to {
        IpAddr::V4(_) => (Ipv4Addr::UNSPECIFIED.into(), Ipv4Addr::new(198, 51, 100, 1).into()),
        IpAddr::V6(_) => (Ipv6Addr::UNSPECIFIED.into(), Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1).into()),
    };
    match UdpSocket::bind((from, 0)).and_then(|socket| socket.connect((far, 9))) {
        Ok(()) => true,
        Err(error) => !matches!(
            errno(&error),
            Some(
                Errno::ENETUNREACH | Errno::ENETDOWN | Errno::EHOSTUNREACH | Errno::EADDRNOTAVAIL | Errno::EAFNOSUPPORT
            )
        ),
    }
}

/// Whether this machine has a route out of itself at all.
pub fn has_any_route() -> bool {
    has_route(Ipv4Addr::UNSPECIFIED.into()) || has_route(Ipv6Addr::UNSPECIFIED.into())
}

#[cfg(test)]
mod tests;
