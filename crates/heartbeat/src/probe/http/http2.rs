//! One request and its answer in HTTP/2, over a connection of their own.
//!
//! The connection is driven by whoever waits for something from it, never by a task that could outlive the probe; the
//! library needs tasks of its own, and those end with the exchange.

use std::future::Future;
use std::io;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use bytes::Bytes;
use heartbeat_core::outcome::Fault;
use http::response::Parts;
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use hyper::client::conn::http2;
use hyper::rt::Executor;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::task::JoinSet;

use super::asked::Asked;
use crate::probe::{Failure, Phase, Trace, tls};

/// The largest head of an answer, in bytes.
const HEAD: u32 = 64 << 10;

/// How much of a body may be sent ahead of our reading.
const WINDOW: u32 = 256 << 10;

/// Asks over a stream, and waits for the head of the answer.
pub(super) async fn ask<S>(asked: &Asked, stream: S, trace: &Trace) -> Result<(Parts, Exchange), Failure>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let request = asked.http2()?;
    trace.enter(Phase::FirstByte);
    let tasks = Arc::new(Mutex::new(JoinSet::new()));
    let mut builder = http2::Builder::new(Tasks(Arc::downgrade(&tasks)));
    builder.initial_stream_window_size(WINDOW).initial_connection_window_size(WINDOW);
    builder.max_header_list_size(HEAD).max_concurrent_reset_streams(8);
    let handshake = builder.handshake(TokioIo::new(stream)).await;
    let (mut sender, connection) = handshake.map_err(|error| explain("greeting the server in HTTP/2", &error))?;
    let mut driver = Driver { connection: Some(Box::pin(connection)), tasks };
    // The first bytes are greetings: the answer begins with its head.
    let answer = driver.drive(sender.send_request(request)).await;
    let (head, body) = answer.map_err(|error| explain("waiting for the answer", &error))?.into_parts();
    trace.enter(Phase::Answer);
    Ok((head, Exchange { body, piece: Bytes::new(), driver }))
}

/// A connection on which an answer comes in.
pub(super) struct Exchange {
    body: Incoming,
    piece: Bytes,
    driver: Driver,
}

impl Exchange {
    /// The next bytes of the body; `None` at its end.
    pub(super) async fn next(&mut self) -> Result<Option<&[u8]>, Failure> {
        match self.driver.drive(self.body.frame()).await {
            None => Ok(None),
            Some(Ok(frame)) => {
                self.piece = frame.into_data().unwrap_or_default();
                Ok(Some(&self.piece))
            }
            Some(Err(error)) => Err(explain("receiving the body", &error)),
        }
    }
}

type Connection = Pin<Box<dyn Future<Output = hyper::Result<()>> + Send>>;

/// Moves a connection forward while somebody waits.
struct Driver {
    connection: Option<Connection>,
    /// The tasks of the library: they end when this is dropped.
    #[expect(dead_code, reason = "held for its end")]
    tasks: Arc<Mutex<JoinSet<()>>>,
}

impl Driver {
    async fn drive<F: Future>(&mut self, wanted: F) -> F::Output {
        let mut wanted = pin!(wanted);
        std::future::poll_fn(|cx| {
            // What is wrong with the connection is heard again by those who wait for something from it.
            if self.connection.as_mut().is_some_and(|connection| connection.as_mut().poll(cx).is_ready()) {
                self.connection = None;
            }
            wanted.as_mut().poll(cx)
        })
        .await
    }
}

/// Runs the tasks of an HTTP/2 connection. Weak, for the tasks themselves hold it.
#[derive(Clone)]
struct Tasks(Weak<Mutex<JoinSet<()>>>);

impl<F: Future<Output = ()> + Send + 'static> Executor<F> for Tasks {
    fn execute(&self, task: F) {
        if let Some(tasks) = self.0.upgrade() {
            tasks.lock().unwrap_or_else(PoisonError::into_inner).spawn(task);
        }
    }
}

/// An error of HTTP as a failure.
fn explain(doing: &str, error: &hyper::Error) -> Failure {
    let mut source = std::error::Error::source(error);
    let mut deepest = error.to_string();
    while let Some(cause) = source {
        if let Some(io) = cause.downcast_ref::<io::Error>() {
            return tls::broken(doing, io);
        }
        deepest = cause.to_string();
        source = cause.source();
    }
    if error.is_incomplete_message() || error.is_closed() || error.is_canceled() {
        return Failure::new(Fault::Reset, format!("the connection ended early while {doing}"));
    }
    Failure::new(Fault::Protocol, format!("what the server sent is not HTTP as it should be: {deepest}"))
}
