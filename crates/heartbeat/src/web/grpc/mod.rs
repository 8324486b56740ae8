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
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use h2::{Ping, server};
use heartbeat_responder::Board;
use heartbeat_responder::board::Word;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::{interval, sleep, timeout};

use self::call::Call;
use self::status::Status;
use crate::web::polls::Counters;

/// The name of the protocol in TLS's negotiation (RFC 9113, section 3.1).
pub const ALPN: &[u8] = b"h2";

/// The view that is meant by the empty name.
const DEFAULT_VIEW: &str = "ready";

/// Messages in the wire format of protocol buffers.
const CONTENT_TYPE: &str = "application/grpc";

/// A connection begins with its preface within this.
const PREFACE: Duration = Duration::from_secs(5);

/// The other end is asked for a sign of life at this pace, and has until the next one to give it.
const PING_PACE: Duration = Duration::from_secs(20);

/// A connection without a call for so many pings is ended.
const QUIET_PINGS: u32 = 15;

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
#[derive(Debug)]
pub struct Health {
    board: Arc<Board>,
    watchers: Arc<Semaphore>,
}

impl Health {
    /// A service that tells what the board says.
    pub fn new(board: Arc<Board>) -> Self {
        Self { board, watchers: Arc::new(Semaphore::new(WATCHERS)) }
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

/// Serves a connection until it ends. `counters` makes those of a call; `ending` becomes true when the program ends: then
/// watchers are told NOT_SERVING, and the connection ends within a second.
pub async fn serve<T: AsyncRead + AsyncWrite + Unpin>(
    health: &Arc<Health>,
    connection: T,
    counters: impl Fn() -> Counters,
    mut ending: watch::Receiver<bool>,
) {
    let mut settings = server::Builder::new();
    settings.max_concurrent_streams(CALLS).max_header_list_size(HEADERS);
    let Ok(Ok(mut connection)) = timeout(PREFACE, settings.handshake(connection)).await else { return };
    let Some(mut pings) = connection.ping_pong() else { return };
    let mut ticks = interval(PING_PACE);
    ticks.reset();
    let (mut quiet, mut waiting) = (0, false);
    let mut farewell = pin!(None);
    let mut calls = JoinSet::new();
    let until = ending.clone();
    loop {
        tokio::select! {
            accepted = connection.accept() => match accepted {
                Some(Ok((request, mut respond))) => {
                    quiet = 0;
                    if calls.len() < CALLS_AND_LEFTOVERS {
                        let call = Call { health: health.clone(), counters: counters(), ending: until.clone() };
                        calls.spawn(call.answer(request, respond));
                    } else {
                        respond.send_reset(h2::Reason::REFUSED_STREAM);
                    }
                }
                Some(Err(_)) | None => return,
            },
            Some(_) = calls.join_next() => {}
            _ = ticks.tick() => {
                quiet = if calls.is_empty() { quiet + 1 } else { 0 };
                if waiting || pings.send_ping(Ping::opaque()).is_err() {
                    return;
                }
                waiting = true;
                if quiet > QUIET_PINGS {
                    connection.graceful_shutdown();
                }
            }
            _ = poll_fn(|cx| pings.poll_pong(cx)), if waiting => waiting = false,
            _ = ending.wait_for(|ending| *ending), if farewell.is_none() => {
                connection.graceful_shutdown();
                farewell.set(Some(sleep(FAREWELL)));
            }
            () = async { farewell.as_mut().as_pin_mut().expect("checked").await }, if farewell.is_some() => return,
        }
    }
}

#[cfg(test)]
mod tests;
