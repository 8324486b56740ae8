//! A conversation in lines and counted bytes, as Redis and memcached have it, of which only so much is kept.
//!
//! What a server says is read to its end, however long, so that the connection can be closed in order; the deadline of the
//! probe ends what never ends. Kept are a line up to [`LINE`] and of a value as many bytes as the caller looks at.

use heartbeat_core::outcome::Fault;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};

use crate::probe::net::Stream;
use crate::probe::{Failure, Phase, Trace, clip, tls};

/// The longest line, its end included. Errors are the longest that servers send.
pub const LINE: usize = 4096;

/// What is read at once.
const MOUTHFUL: usize = 2048;

/// A conversation with a server.
pub struct Wire<'t> {
    stream: BufReader<Box<dyn Stream>>,
    trace: &'t Trace,
    heard: bool,
}

impl<'t> Wire<'t> {
    /// Over this connection.
    pub fn new(stream: Box<dyn Stream>, trace: &'t Trace) -> Self {
        Self { stream: BufReader::with_capacity(MOUTHFUL, stream), trace, heard: false }
    }

    /// Sends a request.
    ///
    /// That it could not be sent is no failure yet: a server that turns us away says why, hangs up, and does not wait for
    /// requests. Reading fails as well if it said nothing.
    ///
    /// # Errors
    /// [`Fault::Protocol`] if the server has said more than it was asked for.
    pub async fn send(&mut self, request: &[u8]) -> Result<(), Failure> {
        self.nothing_left()?;
        self.trace.enter(if self.heard { Phase::Query } else { Phase::FirstByte });
        let stream = self.stream.get_mut();
        if stream.write_all(request).await.is_ok() {
            let _ = stream.flush().await;
        }
        Ok(())
    }

    /// The next line, without its end.
    ///
    /// # Errors
    /// [`Fault::Reset`] if the connection ends, [`Fault::Protocol`] for a line that is too long or ends in the wrong way.
    pub async fn line(&mut self) -> Result<Vec<u8>, Failure> {
        self.wait().await?;
        let mut line = Vec::new();
        let mut bounded = (&mut self.stream).take(LINE as u64);
        bounded.read_until(b'\n', &mut line).await.map_err(|error| broken(&error))?;
        if line.len() == LINE && !line.ends_with(b"\n") {
            return Err(Failure::new(Fault::Protocol, format!("the server sent a line of more than {LINE} bytes")));
        }
        if !line.ends_with(b"\n") {
            return Err(cut_short());
        }
        line.pop();
        match line.pop() {
            Some(b'\r') => Ok(line),
            _ => Err(unexpected("a line that ends with CR LF", &line)),
        }
    }

    /// A value of so many bytes and the end of line behind it; the first `kept` bytes of it.
    ///
    /// # Errors
    /// [`Fault::Reset`] if the connection ends, [`Fault::Protocol`] if the value does not end where it should.
    pub async fn value(&mut self, length: u64, kept: usize) -> Result<Vec<u8>, Failure> {
        let mut value = Vec::new();
        let mut left = length;
        while left > 0 {
            let heard = self.stream.fill_buf().await.map_err(|error| broken(&error))?;
            if heard.is_empty() {
                return Err(cut_short());
            }
            let count = heard.len().min(usize::try_from(left).unwrap_or(usize::MAX));
            value.extend_from_slice(&heard[..count.min(kept - value.len())]);
            self.stream.consume(count);
            left -= count as u64;
        }
        let mut end = [0; 2];
        self.stream.read_exact(&mut end).await.map_err(|error| broken(&error))?;
        match &end {
            b"\r\n" => Ok(value),
            _ => Err(unexpected(&format!("the end of a value of {length} bytes"), &end)),
        }
    }

    /// Ends the conversation in order.
    ///
    /// # Errors
    /// [`Fault::Protocol`] if the server has said more than it was asked for.
    pub async fn end(mut self) -> Result<(), Failure> {
        // Over TLS this says goodbye. The server may have hung up itself, which is as good.
        let _ = self.stream.get_mut().shutdown().await;
        self.nothing_left()
    }

    /// Waits for the first byte of an answer.
    async fn wait(&mut self) -> Result<(), Failure> {
        if !self.heard {
            self.stream.fill_buf().await.map_err(|error| broken(&error))?;
            self.heard = true;
            self.trace.enter(Phase::Answer);
        }
        Ok(())
    }

    fn nothing_left(&self) -> Result<(), Failure> {
        match self.stream.buffer() {
            [] => Ok(()),
            more => Err(unexpected("no more than was asked for", more)),
        }
    }
}

/// A server's own error, be it a login that it refuses or that it is not ready.
pub fn refused(failed: &str, words: &str) -> Failure {
    Failure::new(Fault::Status, format!("{failed}: {}", clip(words)))
}

/// What was not what the protocol allows.
pub fn unexpected(expected: &str, found: &[u8]) -> Failure {
    let found = String::from_utf8_lossy(&found[..found.len().min(LINE)]).into_owned();
    Failure::new(Fault::Protocol, format!("expected {expected}, the server sent `{}`", clip(&found)))
}

fn broken(error: &std::io::Error) -> Failure {
    tls::broken("waiting for the answer", error)
}

fn cut_short() -> Failure {
    broken(&std::io::ErrorKind::UnexpectedEof.into())
}
