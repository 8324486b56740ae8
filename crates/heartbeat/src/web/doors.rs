//! The sockets at which people ask, bound and ready to be listened at.
//!
//! They are opened while the process may still be root, for the sake of low ports and of keys that only root may read, and
//! before it says that it has started: an address in use is an error at the start, not a line in the log.

use std::fs;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use socket2::{Domain, Protocol, Socket, Type};

use super::Options;
use super::agent;
use super::listen::{Address, Listen, Mode};
use super::tls::{self, Alpn, Certificates};
use crate::host::activation::Activation;

/// Connections that wait to be accepted. The kernel's own bound (`net.core.somaxconn`) counts too.
const BACKLOG: i32 = 4096;

/// Every socket that the responder listens at.
#[derive(Debug)]
pub struct Doors {
    pub(super) http: Vec<Door>,
    pub(super) agents: Vec<(agent::Options, Door)>,
    pub(super) grpc: Vec<Door>,
    pub(super) connections: usize,
}

/// One socket.
#[derive(Debug)]
pub struct Door {
    /// Its address, for people; with the real port.
    pub name: String,
    pub(super) socket: Bound,
    pub(super) tls: Option<Arc<Certificates>>,
    /// Removed when the door goes.
    pub(super) file: Option<SocketFile>,
}

/// A bound socket that does not block.
#[derive(Debug)]
pub(super) enum Bound {
    Tcp(std::net::TcpListener),
    Unix(UnixListener),
}

impl Doors {
    /// Opens them all.
    ///
    /// # Errors
    /// Everything that is wrong, a sentence each that names the address and what to do.
    pub fn open(options: &Options) -> Result<Self, Vec<String>> {
        let mut passed = Activation::default();
        let mut problems = Vec::new();
        let http = open_all(&options.listen.0, tls::HTTP, &mut passed, &mut problems);
        let mut agents = Vec::new();
        for agent in &options.agents.0 {
            let doors = open_all(std::slice::from_ref(&agent.listen), tls::HTTP, &mut passed, &mut problems);
            agents.extend(doors.into_iter().map(|door| (agent.clone(), door)));
        }
        let grpc = open_all(&options.grpc.0, tls::HTTP_2, &mut passed, &mut problems);
        match problems.is_empty() {
            true => Ok(Self { http, agents, grpc, connections: options.connections() }),
            false => Err(problems),
        }
    }

    /// Where they are, for people.
    pub fn names(&self) -> Vec<&str> {
        self.all().map(|door| door.name.as_str()).collect()
    }

    /// All of them, whatever is spoken there.
    pub(super) fn all(&self) -> impl Iterator<Item = &Door> {
        self.http.iter().chain(self.agents.iter().map(|(_, door)| door)).chain(&self.grpc)
    }
}

/// Opens the doors of one protocol.
pub(super) fn open_all(
    listens: &[Listen],
    alpn: Alpn,
    passed: &mut Activation,
    problems: &mut Vec<String>,
) -> Vec<Door> {
    let mut doors = Vec::new();
    for listen in listens {
        match open(listen, alpn, passed) {
            Ok(opened) => doors.extend(opened),
            Err(problem) => problems.push(problem),
        }
    }
    doors
}

fn open(listen: &Listen, alpn: Alpn, passed: &mut Activation) -> Result<Vec<Door>, String> {
    let tls = listen.tls.as_ref().map(|files| Certificates::load(files, alpn)).transpose()?.map(Arc::new);
    let door = |socket: Bound, file| {
        let name = socket.name(&listen.address);
        Door { name, socket, tls: tls.clone(), file }
    };
    let failed = |error: io::Error| complaint(&listen.address, &error);
    Ok(match &listen.address {
        Address::Tcp(address) => vec![door(tcp(*address).map_err(failed)?, None)],
        Address::Any(port) => vec![door(any(*port).map_err(failed)?, None)],
        Address::Localhost(port) => localhost(*port).map_err(failed)?.into_iter().map(|tcp| door(tcp, None)).collect(),
        Address::Unix(path) => {
            let (socket, file) = unix(path, listen.mode.unwrap_or_default()).map_err(failed)?;
            vec![door(socket, Some(file))]
        }
        Address::Systemd(name) => {
            let sockets = passed.take(name.as_deref())?;
            sockets.into_iter().map(|socket| Ok(door(adopt(socket)?, None))).collect::<Result<_, String>>()?
        }
    })
}

impl Bound {
    fn name(&self, asked: &Address) -> String {
        match self {
            Self::Tcp(listener) => listener.local_addr().map_or_else(|_| asked.to_string(), |at| at.to_string()),
            Self::Unix(listener) => match listener.local_addr() {
                Ok(address) if address.as_pathname().is_some() => {
                    format!("unix:{}", address.as_pathname().unwrap_or(Path::new("")).display())
                }
                _ => asked.to_string(),
            },
        }
    }
}

fn tcp(address: SocketAddr) -> io::Result<Bound> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    if address.is_ipv6() {
        // All addresses means the IPv4 ones too, whatever this machine's default is (net.ipv6.bindv6only).
        socket.set_only_v6(!address.ip().is_unspecified())?;
    }
    // What is left of connections of an earlier run does not hold the port (tcp(7), TIME_WAIT).
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    socket.set_nonblocking(true)?;
    Ok(Bound::Tcp(socket.into()))
}

fn any(port: u16) -> io::Result<Bound> {
    match tcp((Ipv6Addr::UNSPECIFIED, port).into()) {
        Err(error) if lacks_ipv6(&error) => tcp((Ipv4Addr::UNSPECIFIED, port).into()),
        done => done,
    }
}

fn localhost(port: u16) -> io::Result<Vec<Bound>> {
    let first = tcp((Ipv4Addr::LOCALHOST, port).into())?;
    let same = match &first {
        Bound::Tcp(listener) => listener.local_addr()?.port(),
        Bound::Unix(_) => port,
    };
    match tcp((Ipv6Addr::LOCALHOST, same).into()) {
        Ok(second) => Ok(vec![first, second]),
        Err(error) if lacks_ipv6(&error) => Ok(vec![first]),
        // A port that is free for one may not be free for the other; while the first is held, the next try gets another.
        Err(error) if port == 0 && error.kind() == io::ErrorKind::AddrInUse => localhost(port),
        Err(error) => Err(error),
    }
}

/// The kernel has no IPv6 (socket(2)), or no address of it is configured (bind(2)).
fn lacks_ipv6(error: &io::Error) -> bool {
    let errno = error.raw_os_error().map(nix::Error::from_raw);
    matches!(errno, Some(nix::Error::EAFNOSUPPORT | nix::Error::EADDRNOTAVAIL))
}

/// Makes a socket in the place of one that nobody listens at any more.
fn unix(path: &Path, mode: Mode) -> io::Result<(Bound, SocketFile)> {
    if UnixStream::connect(path).is_ok() {
        return Err(io::ErrorKind::AddrInUse.into());
    }
    match fs::symlink_metadata(path) {
        Ok(found) if !std::os::unix::fs::FileTypeExt::is_socket(&found.file_type()) => {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        Ok(_) => fs::remove_file(path)?,
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Err(_) => {}
    }
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.bind(&socket2::SockAddr::unix(path)?)?;
    let file = SocketFile(path.to_owned());
    // Before anybody can be heard, so that nobody gets in who may not.
    fs::set_permissions(path, fs::Permissions::from_mode(mode.0))?;
    socket.listen(BACKLOG)?;
    socket.set_nonblocking(true)?;
    Ok((Bound::Unix(socket.into()), file))
}

/// A socket of the service manager's, which listens already.
fn adopt(socket: Socket) -> Result<Bound, String> {
    let refuse = |what: &str| format!("expected listening stream sockets from the service manager, found {what}");
    let error = |error: io::Error| refuse(&format!("one that cannot be used: {error}"));
    if socket.r#type().map_err(error)? != Type::STREAM {
        return Err(refuse("one of another type; write `ListenStream=` in the socket unit"));
    }
    if !socket.is_listener().map_err(error)? {
        return Err(refuse("a connection; write `Accept=no` in the socket unit"));
    }
    socket.set_nonblocking(true).map_err(error)?;
    match socket.local_addr().map_err(error)?.domain() {
        Domain::IPV4 | Domain::IPV6 => Ok(Bound::Tcp(socket.into())),
        Domain::UNIX => Ok(Bound::Unix(socket.into())),
        _ => Err(refuse("one of another address family; write an IP address or a path")),
    }
}

/// Why an address is not to be had, and what to do.
fn complaint(address: &Address, error: &io::Error) -> String {
    let advice = match (error.kind(), address) {
        (io::ErrorKind::AddrInUse, Address::Unix(_)) => {
            "somebody listens there: another heartbeat? choose another path, or end it".to_owned()
        }
        (io::ErrorKind::AlreadyExists, Address::Unix(path)) => {
            format!("`{}` is there and is no socket: move it away, or choose another path", path.display())
        }
        (io::ErrorKind::NotFound, Address::Unix(path)) => {
            format!("create the folder first: mkdir -p '{}'", path.parent().unwrap_or(Path::new("/")).display())
        }
        (io::ErrorKind::AddrInUse, _) => {
            let port = match address {
                Address::Tcp(address) => address.port(),
                Address::Localhost(port) | Address::Any(port) => *port,
                Address::Unix(_) | Address::Systemd(_) => 0,
            };
            format!("somebody listens there already; `ss -ltnp 'sport = :{port}'` names the process")
        }
        (io::ErrorKind::AddrNotAvailable, _) => {
            "this machine has no such address (now): `ip address` lists those that it has".to_owned()
        }
        (io::ErrorKind::PermissionDenied, Address::Unix(_)) => "the folder does not let us make files".to_owned(),
        (io::ErrorKind::PermissionDenied, _) => {
            "ports below 1024 want root at the start, or CAP_NET_BIND_SERVICE; or choose a higher one".to_owned()
        }
        _ => return format!("cannot listen at {address}: {error}"),
    };
    format!("cannot listen at {address}: {error}; {advice}")
}

/// The file of a Unix socket; it goes with the socket.
#[derive(Debug)]
pub(super) struct SocketFile(PathBuf);

impl Drop for SocketFile {
    fn drop(&mut self) {
        // Under another user than the one that made it, the folder may not let us; the next start replaces it.
        let _ = fs::remove_file(&self.0);
    }
}
