//! The gRPC health service, `grpc.health.v1` (gRPC, "Health checking protocol"; `List`: gRFC A90).
//!
//! A service is a view, by its name; the empty name is the view `ready`. HTTP/2 is spoken by h2, whose bounds hold against
//! floods of resets, settings and small frames; the rest is three tiny messages and a few headers.
//!
//! A watched view is looked at four times a second, for as long as somebody watches: a scheduler that stands still is no
//! event that anybody could tell of, and services that flap a thousand times a second cost a watcher no more than others.
//!
//! Absent: reflection, compression, pushing to those who do not read.

mod call;
mod message;
mod reply;
mod request;
mod status;

use std::future::poll_fn;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use h2::{Ping, Reason, server};
use heartbeat_responder::Board;
use heartbeat_responder::board::Word;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::{interval, sleep};

use self::call::Call;
use self::status::Status;
use super::polls::Transport;
use super::reception::{Protocol, Visit};
use crate::host::clock;

/// The view that is meant by the empty name.
const DEFAULT_VIEW: &str = "ready";

/// Messages in the wire format of protocol buffers.
const CONTENT_TYPE: &str = "application/grpc";

/// The other end is asked for a sign of life at this pace, and has until the next one to give it. A connection may rest for
/// longer than two of them.
const PING_PACE: Duration = Duration::from_secs(20);

/// A connection without a call for so many pings is ended.
const QUIET_PINGS: u32 = 3;

/// Calls of one connection at a time: the least that RFC 9113 (section 6.5.2) recommends.
const CALLS: u32 = 100;

/// Calls whose end is known to the other side and not yet to us may stand beside those.
const CALLS_AND_LEFTOVERS: usize = 2 * CALLS as usize;

/// The longest headers of a call, in bytes.
const HEADERS: u32 = 8 * 1024;

/// Calls of Watch at a time, on all connections.
const WATCHERS: usize = 1024;

/// A connection has this long for its calls to end, when everything does.
const FAREWELL: Duration = Duration::from_secs(1);

/// The health service.
#[derive(Clone, Debug)]
pub(super) struct Health {
    board: Arc<Board>,
    watchers: Arc<Semaphore>,
    /// Becomes true when everything ends.
    ending: watch::Receiver<bool>,
}

impl Health {
    /// A service that tells what the board says, until everything ends: then watchers are told NOT_SERVING.
    pub(super) fn new(board: Arc<Board>, ending: watch::Receiver<bool>) -> Self {
        Self { board, watchers: Arc::new(Semaphore::new(WATCHERS)), ending }
    }

    fn word(&self, service: &str) -> Option<Word> {
        self.board.word(if service.is_empty() { DEFAULT_VIEW } else { service })
    }
}

/// Why a call stops.
enum Stop {
    /// There is nobody to answer any more.
    Gone,
    /// It has come to this end.
    Status(Status),
}

impl From<h2::Error> for Stop {
    fn from(_: h2::Error) -> Self {
        Self::Gone
    }
}

impl From<Status> for Stop {
    fn from(status: Status) -> Self {
        Self::Status(status)
    }
}

impl Protocol for Health {
    const TRANSPORT: Transport = Transport::Grpc;

    async fn converse<S>(&self, stream: S, visit: Visit) -> io::Result<()>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let mut settings = server::Builder::new();
        settings.max_concurrent_streams(CALLS).max_header_list_size(HEADERS);
        let mut connection = settings.handshake(stream).await.map_err(io::Error::other)?;
        let mut pings = connection.ping_pong().expect("nobody has taken it before");
        let mut ticks = interval(PING_PACE);
        ticks.reset();
        let mut quiet = 0;
        let mut ending = self.ending.clone();
        let mut farewell = pin!(None);
        let mut calls = JoinSet::new();
        visit.seat.rests(clock::mono());
        loop {
            tokio::select! {
                accepted = connection.accept() => {
                    let Some(accepted) = accepted else { return Ok(()) };
                    let (request, mut respond) = accepted.map_err(io::Error::other)?;
                    quiet = 0;
                    visit.seat.rests(clock::mono());
                    if calls.len() < CALLS_AND_LEFTOVERS {
                        let call = Call { health: self.clone(), counters: visit.counters.clone() };
                        calls.spawn(call.answer(request, respond));
                    } else {
                        respond.send_reset(Reason::REFUSED_STREAM);
                    }
                }
                Some(_) = calls.join_next() => {}
                _ = ticks.tick() => {
                    quiet = if calls.is_empty() { quiet + 1 } else { 0 };
                    // It is an error while the last one has not been answered.
                    if pings.send_ping(Ping::opaque()).is_err() {
                        return Err(io::ErrorKind::TimedOut.into());
                    }
                    if quiet >= QUIET_PINGS {
                        connection.graceful_shutdown();
                    }
                }
                Ok(_) = poll_fn(|cx| pings.poll_pong(cx)) => visit.seat.rests(clock::mono()),
                _ = ending.wait_for(|ending| *ending), if farewell.is_none() => {
                    visit.seat.answers(clock::mono());
                    connection.graceful_shutdown();
                    farewell.set(Some(sleep(FAREWELL)));
                }
                () = async { farewell.as_mut().as_pin_mut().expect("there is one").await }, if farewell.is_some() => {
                    return Ok(());
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
