//! An epoll loop that opens a connection for every probe.

use std::collections::VecDeque;
use std::io::{self, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};

use crate::net::Net;
use crate::target::Kind;

/// How probes are started.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Pace {
    /// So many at a time, one after the other.
    Full(usize),
    /// So many checks, each once in this time; those due within the same 50 ms start together.
    Steady(usize, Duration),
}

/// Between two starts of a steady loop.
const GRID: Duration = Duration::from_millis(50);

struct Flight {
    stream: TcpStream,
    host: Ipv4Addr,
    sent: bool,
    heard: Vec<u8>,
}

/// Probes for that long, and returns how many probes were made. All must pass.
#[expect(clippy::disallowed_methods, reason = "a bare loop reads the clock as it likes")]
pub(crate) fn run(net: Net, kind: Kind, pace: Pace, span: Duration) -> io::Result<u64> {
    let mut poll = Poll::new()?;
    let mut events = Events::with_capacity(1024);
    let mut flights: Vec<Option<Flight>> = Vec::new();
    let mut free = VecDeque::new();
    let (start, mut next, mut done, mut begun) = (Instant::now(), 0_usize, 0_u64, 0_u64);
    loop {
        let now = start.elapsed();
        let wanted = match pace {
            _ if now >= span => 0,
            Pace::Full(width) => width - (begun - done) as usize,
            Pace::Steady(checks, interval) => {
                let tick = GRID * (now.as_millis() / GRID.as_millis()) as u32;
                let due = (checks as f64 * tick.as_secs_f64() / interval.as_secs_f64()) as u64;
                due.saturating_sub(begun) as usize
            }
        };
        for _ in 0..wanted {
            let slot = free.pop_front().unwrap_or_else(|| {
                flights.push(None);
                flights.len() - 1
            });
            let host = net.address(next);
            let mut stream = TcpStream::connect(SocketAddr::from((host, kind.port())))?;
            poll.registry().register(&mut stream, Token(slot), Interest::READABLE | Interest::WRITABLE)?;
            flights[slot] = Some(Flight { stream, host, sent: false, heard: Vec::new() });
            next += 1;
            begun += 1;
        }
        if now >= span && begun == done {
            return Ok(done);
        }
        let rest = match pace {
            Pace::Full(_) => None,
            Pace::Steady(..) => Some(GRID - Duration::from_nanos((now.as_nanos() % GRID.as_nanos()) as u64)),
        };
        poll.poll(&mut events, rest)?;
        for event in &events {
            let slot = event.token().0;
            let Some(flight) = &mut flights[slot] else { continue };
            if advance(kind, flight)? {
                // Dropping it closes it, which deregisters it.
                flights[slot] = None;
                free.push_back(slot);
                done += 1;
            }
        }
    }
}

/// Goes on with a probe; whether it has ended well.
fn advance(kind: Kind, flight: &mut Flight) -> io::Result<bool> {
    let host = flight.host;
    if !flight.sent {
        match flight.stream.peer_addr() {
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotConnected => return Ok(false),
            Err(error) => return Err(error),
        }
        if kind == Kind::Tcp {
            return Ok(true);
        }
        // In one piece: formatted onto the socket, every part of the address would be a segment of its own.
        flight.stream.write_all(request(host).as_bytes())?;
        flight.sent = true;
    }
    let mut buffer = [0; 4096];
    loop {
        match flight.stream.read(&mut buffer) {
            Ok(0) => return judge(&flight.heard).map(|()| true),
            Ok(count) => flight.heard.extend_from_slice(&buffer[..count]),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
            Err(error) => return Err(error),
        }
    }
}

/// What is asked of a target.
pub(crate) fn request(host: Ipv4Addr) -> String {
    format!("GET / HTTP/1.1\r\nHost: {host}\r\nUser-Agent: bare\r\nConnection: close\r\n\r\n")
}

/// Status, length, body.
pub(crate) fn judge(answer: &[u8]) -> io::Result<()> {
    let text = std::str::from_utf8(answer).map_err(io::Error::other)?;
    let (head, body) = text.split_once("\r\n\r\n").ok_or_else(|| io::Error::other("no end of the head"))?;
    match head.starts_with("HTTP/1.1 200") && content_length(head) == Some(body.len()) {
        true => Ok(()),
        false => Err(io::Error::other(format!("not as expected: {head}"))),
    }
}

/// The length of a body as the head before it says.
pub(crate) fn content_length(head: &str) -> Option<usize> {
    head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse().ok())?
    })
}
