//! One request and its answer in HTTP/1.1, over a connection of their own.
//!
//! By hand, because a probe does so little: one request, written at once, and an answer that is judged while it passes by.
//! Nothing outlives the probe, no task runs beside it, and an ordinary answer fits into a buffer of its own size. The
//! grammar of heads is httparse's.
//!
//! What comes after the announced end of an answer is nobody's. A server that hangs up without TLS's goodbye is taken for
//! one that is done: the length of the body says whether it was.

mod framing;
mod head;

#[cfg(test)]
mod tests;

use std::future::poll_fn;
use std::io;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use heartbeat_core::outcome::Fault;
use http::{HeaderMap, Method, StatusCode};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use self::framing::Framing;
use self::head::Parsed;
use crate::probe::{Failure, Phase, Trace, tls};

/// So much is read at once.
const PIECE: usize = 8 << 10;

/// What is not HTTP about an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Malformed(&'static str);

impl From<Malformed> for Failure {
    fn from(Malformed(what): Malformed) -> Self {
        Self::new(Fault::Protocol, format!("what the server sent is not HTTP as it should be: {what}"))
    }
}

/// What was asked, as far as it decides how an answer is read.
pub(super) struct Question<'q> {
    /// The method.
    pub(super) method: &'q Method,
    /// Whether somebody looks at the header of this name.
    pub(super) looks_at: &'q (dyn Fn(&str) -> bool + Sync),
}

/// Sends a request, and waits for the head of its answer; the body is read from what is returned with it.
pub(super) async fn ask<S>(
    stream: S,
    request: Vec<u8>,
    question: &Question<'_>,
    trace: &Trace,
) -> Result<(StatusCode, HeaderMap, Exchange<S>), Failure>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    trace.enter(Phase::FirstByte);
    let left = Framing::UntilClosed;
    let mut exchange =
        Exchange { stream, request, sent: 0, flushed: false, deaf: None, heard: Vec::new(), used: 0, left };
    let mut is_first = true;
    loop {
        let count = exchange.hear(WAITING).await?;
        if is_first && count > 0 {
            trace.enter(Phase::Answer);
        }
        // Parsed once a line: a server that sends byte by byte costs no more than others.
        let news = &exchange.heard[exchange.heard.len() - count..];
        let is_worth_it = is_first || count == 0 || news.contains(&b'\n') || exchange.heard.len() >= head::LARGEST;
        is_first = false;
        while is_worth_it && !exchange.unused().is_empty() {
            match head::parse(exchange.unused(), question)? {
                Parsed::Whole(head, length) => {
                    exchange.used += length;
                    exchange.left = head.framing;
                    return Ok((head.status, head.headers, exchange));
                }
                Parsed::Interim(length) => exchange.used += length,
                Parsed::Part => break,
            }
        }
        if count == 0 {
            return Err(exchange.ended_early(WAITING));
        }
    }
}

const WAITING: &str = "waiting for the answer";
const RECEIVING: &str = "receiving the body";

/// A connection on which an answer comes in.
pub(super) struct Exchange<S> {
    stream: S,
    /// The request, and how much of it has gone out.
    request: Vec<u8>,
    sent: usize,
    /// Whether nothing of it waits in the stream.
    flushed: bool,
    /// Why the rest of the request will not go out.
    deaf: Option<io::Error>,
    /// What came in, and how much of it is used up.
    heard: Vec<u8>,
    used: usize,
    /// What is still to come of the body.
    left: Framing,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Exchange<S> {
    /// The next bytes of the body; `None` at its end.
    pub(super) async fn next(&mut self) -> Result<Option<&[u8]>, Failure> {
        loop {
            let mut rest = &self.heard[self.used..];
            let piece = self.left.take(&mut rest)?.map(<[u8]>::len);
            self.used = self.heard.len() - rest.len();
            if let Some(length) = piece {
                return Ok(Some(&self.heard[self.used - length..self.used]));
            }
            if self.left.is_over() {
                return Ok(None);
            }
            if self.hear(RECEIVING).await? == 0 {
                return if self.left.may_end() { Ok(None) } else { Err(self.ended_early(RECEIVING)) };
            }
        }
    }

    fn unused(&self) -> &[u8] {
        &self.heard[self.used..]
    }

    /// Waits for bytes, and how many have come; 0: the server has hung up.
    async fn hear(&mut self, doing: &str) -> Result<usize, Failure> {
        self.heard.drain(..self.used);
        self.used = 0;
        poll_fn(|cx| self.poll_hear(cx)).await.map_err(|error| tls::broken(doing, &error))
    }

    fn poll_hear(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        self.poll_send(cx);
        // Here and not in the future, which would carry it about for as long as the server is silent.
        let mut room = [MaybeUninit::uninit(); PIECE];
        let mut piece = ReadBuf::uninit(&mut room);
        match ready!(Pin::new(&mut self.stream).poll_read(cx, &mut piece)) {
            Ok(()) => {
                self.heard.extend_from_slice(piece.filled());
                Poll::Ready(Ok(piece.filled().len()))
            }
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Poll::Ready(Ok(0)),
            Err(error) => Poll::Ready(Err(error)),
        }
    }

    /// Sends what the connection takes of the request. A server may answer before it has heard all of it, or refuse to
    /// hear more and answer all the same: so that is no error before the answer has failed to come.
    fn poll_send(&mut self, cx: &mut Context<'_>) {
        while self.sent < self.request.len() {
            match Pin::new(&mut self.stream).poll_write(cx, &self.request[self.sent..]) {
                Poll::Pending => return,
                Poll::Ready(Ok(0)) => self.give_up(io::ErrorKind::WriteZero.into()),
                Poll::Ready(Ok(count)) => self.sent += count,
                Poll::Ready(Err(error)) => self.give_up(error),
            }
        }
        if !self.flushed {
            match Pin::new(&mut self.stream).poll_flush(cx) {
                Poll::Pending => {}
                Poll::Ready(Ok(())) => self.flushed = true,
                Poll::Ready(Err(error)) => self.give_up(error),
            }
        }
    }

    fn give_up(&mut self, error: io::Error) {
        (self.sent, self.flushed, self.deaf) = (self.request.len(), true, Some(error));
    }

    /// Why the answer is not whole when the server has hung up.
    fn ended_early(&self, doing: &str) -> Failure {
        match &self.deaf {
            Some(error) => tls::broken("sending the request", error),
            None => Failure::new(Fault::Reset, format!("the connection ended early while {doing}")),
        }
    }
}
