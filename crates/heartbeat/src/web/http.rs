//! HTTP/1 for load balancers: RFC 9112 over any stream, and nothing that a health check does not need.
//!
//! A poll costs a read, a look at its head, a pointer and a write. The answer is on the board already, head and body; what
//! is added is the date and whether the connection stays. Nothing is allocated per poll on a connection that stays, nothing
//! is locked, nothing is logged. What few polls need is boxed, for every connection is a task that is moved into its place.
//! What is absent: redirects, chunked answers, compression, upgrades, HTTP/2.

use std::io::{self, IoSlice, Read as _, Write as _};
use std::net::TcpStream;
use std::sync::Arc;

use arc_swap::ArcSwap;
use bytes::{Buf, Bytes, BytesMut};
use heartbeat_core::Wall;
use heartbeat_responder::Board;
use heartbeat_responder::ask::Method;
use heartbeat_responder::reply::Reply;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

use super::body::{self, Body};
use super::head::{self, Refusal};
use super::polls::{Counters, Transport};
use super::reception::{Arrived, Protocol, Visit, part};
use crate::host::clock;

/// Read at once at most, beyond what is left of an earlier read.
const READ: usize = 2048;
/// The longest body that is written without waiting: a new connection takes that whole.
const SHORT: usize = 4096;

/// Answers what is on a board.
#[derive(Debug)]
pub(super) struct Http {
    board: Arc<Board>,
    endings: ArcSwap<Endings>,
}

/// The last lines of a head, for one second.
#[derive(Debug)]
struct Endings {
    second: i64,
    keep: Bytes,
    close: Bytes,
}

impl Http {
    pub(super) fn new(board: Arc<Board>) -> Self {
        Self { board, endings: ArcSwap::from_pointee(Endings::of(Wall::default())) }
    }

    /// The end of a head at that time.
    fn ending(&self, now: Wall, stays: bool) -> Bytes {
        let mut endings = self.endings.load();
        if endings.second != now.unix_millis().div_euclid(1000) {
            self.endings.store(Arc::new(Endings::of(now)));
            endings = self.endings.load();
        }
        if stays { endings.keep.clone() } else { endings.close.clone() }
    }
}

impl Endings {
    fn of(now: Wall) -> Self {
        let second = now.unix_millis().div_euclid(1000);
        // A clock beyond the year 9999 has no date (RFC 9110, section 6.6.1: a server without a clock sends none).
        let time = jiff::Timestamp::from_second(second).ok();
        let date =
            time.and_then(|time| jiff::fmt::rfc2822::DateTimePrinter::new().timestamp_to_rfc9110_string(&time).ok());
        let date = date.map(|date| format!("Date: {date}\r\n")).unwrap_or_default();
        Self { second, keep: format!("{date}\r\n").into(), close: format!("{date}Connection: close\r\n\r\n").into() }
    }
}

/// A request that was read, and its answer.
struct Step {
    reply: Arc<Reply>,
    head_only: bool,
    length: usize,
    body: Option<Body>,
    expects: bool,
    keep: bool,
}

impl Step {
    /// Whether these bytes are the request, and its connection is over with the answer.
    fn ends(&self, bytes: &[u8]) -> bool {
        !self.keep && self.body == Some(Body::Done) && self.length == bytes.len()
    }
}

impl Protocol for Http {
    const TRANSPORT: Transport = Transport::Http;

    /// Most pollers open a connection for every poll, and their request is there by the time that they are let in.
    fn at_once(&self, mut stream: &TcpStream, counters: &mut Counters) -> io::Result<Arrived> {
        let mut room = [0; READ];
        let bytes = match stream.read(&mut room) {
            Ok(count) => &room[..count],
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => &[],
            Err(error) => return Err(error),
        };
        if let Ok(Some(step)) = self.answer(bytes, counters.peer().is_local())
            && step.ends(bytes)
            && step.reply.body.len() <= SHORT
        {
            let now = clock::now();
            let answer = self.words(&step, now.wall, false);
            let mut pieces = [IoSlice::new(&[]); 3];
            let count = answer.chunks_vectored(&mut pieces);
            match stream.write_vectored(&pieces[..count]) {
                Ok(written) if written == answer.remaining() => {
                    counters.count(&step.reply, now);
                    return Ok(Arrived::All);
                }
                Ok(_) => return Err(io::ErrorKind::WriteZero.into()),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
        Ok(Arrived::Part(bytes.into()))
    }

    async fn converse<S>(&self, mut stream: S, mut visit: Visit) -> io::Result<()>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let is_local = visit.counters.peer().is_local();
        let mut buffer = std::mem::take(&mut visit.first);
        loop {
            let step = match self.listen(&mut stream, &mut buffer, &visit, is_local).await? {
                Some(Ok(step)) => step,
                Some(Err(refusal)) => return Box::pin(refuse(stream, refusal)).await,
                None => return Ok(()),
            };
            buffer.advance(step.length);
            let mut keep = step.keep && step.body.is_some();
            let mut clean = true;
            match step.body {
                Some(Body::Done) => {}
                Some(body) => {
                    visit.seat.begins();
                    if step.expects && buffer.is_empty() {
                        stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").await?;
                        stream.flush().await?;
                    }
                    match pass(&mut stream, &mut buffer, body).await? {
                        Passed::Whole => {}
                        Passed::TooLong => (keep, clean) = (false, false),
                        Passed::Garbage => return Box::pin(refuse(stream, Refusal::Garbage)).await,
                    }
                }
                None => clean = false,
            }
            let now = clock::now();
            visit.seat.answers(now.mono);
            keep &= !visit.seat.is_closing();
            let mut answer = self.words(&step, now.wall, keep);
            stream.write_all_buf(&mut answer).await?;
            stream.flush().await?;
            visit.counters.count(&step.reply, now);
            if !keep {
                return match clean && buffer.is_empty() {
                    // Without TLS, to close the connection says it all.
                    true if !visit.tls => Ok(()),
                    true => stream.shutdown().await,
                    false => Box::pin(part(stream)).await,
                };
            }
            visit.seat.rests(now.mono);
        }
    }
}

impl Http {
    /// Waits for a request. `None`: the peer hung up.
    async fn listen<S>(
        &self,
        stream: &mut S,
        buffer: &mut BytesMut,
        visit: &Visit,
        is_local: bool,
    ) -> io::Result<Option<Result<Step, Refusal>>>
    where
        S: AsyncRead + Unpin,
    {
        // A head that comes byte by byte is read once when it is complete, and on the way as often as its length doubles:
        // what is no HTTP is seen early, and no peer has us read the same bytes over and over.
        let (mut seen, mut worth) = (0, 1);
        loop {
            if buffer.len() >= worth || has_blank_line(buffer, seen) {
                match self.answer(buffer, is_local) {
                    Ok(None) => worth = buffer.len() * 2,
                    Ok(Some(step)) => return Ok(Some(Ok(step))),
                    Err(refusal) => return Ok(Some(Err(refusal))),
                }
            }
            worth = worth.min(head::LONGEST);
            seen = buffer.len();
            if seen > 0 {
                visit.seat.begins();
            }
            buffer.reserve(READ);
            if stream.read_buf(buffer).await? == 0 {
                return Ok(None);
            }
        }
    }

    /// An answer as it is written.
    fn words(&self, step: &Step, now: Wall, stays: bool) -> impl Buf + use<> {
        let body = if step.head_only { Bytes::new() } else { step.reply.body.clone() };
        step.reply.head.clone().chain(self.ending(now, stays)).chain(body)
    }

    fn answer(&self, bytes: &[u8], is_local: bool) -> Result<Option<Step>, Refusal> {
        let Some(mut head) = head::read(bytes)? else { return Ok(None) };
        head.asked.local &= is_local;
        let reply = self.board.ask(&head.asked);
        Ok(Some(Step {
            // The latter two have no body (RFC 9112, section 6.3).
            head_only: head.asked.method == Method::Head || matches!(reply.status, 204 | 304),
            reply,
            length: head.length,
            body: Body::of(head.framing),
            expects: head.expects,
            keep: head.keep,
        }))
    }
}

/// Whether a line without text ends among the bytes from `from` on.
fn has_blank_line(bytes: &[u8], from: usize) -> bool {
    let mut rest = &bytes[from.saturating_sub(2)..];
    while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
        rest = &rest[end + 1..];
        if rest.starts_with(b"\n") || rest.starts_with(b"\r\n") {
            return true;
        }
    }
    false
}

/// How it went to read past a body.
enum Passed {
    Whole,
    TooLong,
    Garbage,
}

async fn pass<S: AsyncRead + Unpin>(stream: &mut S, buffer: &mut BytesMut, mut body: Body) -> io::Result<Passed> {
    let mut passed = 0;
    loop {
        match body.skip(buffer) {
            Ok(count) => {
                buffer.advance(count);
                passed += count as u64;
            }
            Err(_) => return Ok(Passed::Garbage),
        }
        if body == Body::Done {
            return Ok(Passed::Whole);
        }
        if passed > body::LONGEST {
            return Ok(Passed::TooLong);
        }
        buffer.reserve(READ);
        if stream.read_buf(buffer).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
}

/// Says why a request is not answered, and hangs up.
async fn refuse<S: AsyncRead + AsyncWrite + Unpin>(mut stream: S, refusal: Refusal) -> io::Result<()> {
    let (status, phrase, words) = refusal.words();
    let length = words.len() + 1;
    let answer = format!(
        "HTTP/1.1 {status} {phrase}\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: {length}\r\n\
         Cache-Control: no-store\r\nConnection: close\r\n\r\n{words}\n"
    );
    stream.write_all(answer.as_bytes()).await?;
    stream.flush().await?;
    part(stream).await
}
