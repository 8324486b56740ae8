//! A stream of which only so much is read.
//!
//! Both protocols announce lengths of up to gigabytes, and anybody may stand at the other end: memory is taken as bytes
//! arrive, from the amount that all probes share, and never more than [`MOST`] for one probe.

use std::io;

use heartbeat_core::outcome::Fault;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, BufReader};

use crate::probe::budget::{Budget, Share};
use crate::probe::net::Stream;
use crate::probe::{Failure, tls};

/// The most that a server may say in one probe, in bytes.
pub const MOST: usize = 1 << 20;

/// So much of it, enough for a login and a short answer, needs no share of the memory for answers.
const FREE: usize = 16 << 10;

/// Bytes that are read at once.
const PIECE: usize = 8 << 10;

/// A buffered, bounded stream.
pub struct Wire {
    stream: BufReader<Box<dyn Stream>>,
    share: Share,
    heard: usize,
    /// What we are doing, after the word "while".
    pub doing: &'static str,
}

impl Wire {
    /// Nothing read yet.
    pub fn new(stream: Box<dyn Stream>, bodies: &Budget) -> Self {
        let stream = BufReader::with_capacity(1024, stream);
        Self { stream, share: bodies.share(), heard: 0, doing: "logging in" }
    }

    /// Reads so many bytes.
    ///
    /// # Errors
    /// [`Fault::Body`] for more than we listen to, otherwise whatever ended the stream.
    pub async fn take(&mut self, count: usize) -> Result<Vec<u8>, Failure> {
        let mut taken = Vec::with_capacity(count.min(PIECE));
        while taken.len() < count {
            let piece = (count - taken.len()).min(PIECE);
            self.grant(piece)?;
            let start = taken.len();
            taken.resize(start + piece, 0);
            self.stream.read_exact(&mut taken[start..]).await.map_err(|error| self.broken(&error))?;
        }
        Ok(taken)
    }

    fn grant(&mut self, count: usize) -> Result<(), Failure> {
        self.heard += count;
        if self.heard > MOST {
            let reason = format!("the server said more than {} KiB: let the query return less", MOST >> 10);
            return Err(Failure::new(Fault::Body, reason));
        }
        if self.heard > FREE && !self.share.take(count) {
            return Err(Failure::new(Fault::Body, "the answer was not read: other probes held the memory for answers"));
        }
        Ok(())
    }

    /// Sends bytes.
    ///
    /// # Errors
    /// Whatever ended the stream.
    pub async fn send(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        let sent = async {
            self.stream.write_all(bytes).await?;
            self.stream.flush().await
        };
        sent.await.map_err(|error| self.broken(&error))
    }

    /// Sends the last bytes and closes. What goes wrong here concerns nobody any more.
    pub async fn goodbye(mut self, bytes: &[u8]) {
        if self.send(bytes).await.is_ok() {
            let _ = self.stream.shutdown().await;
        }
    }

    /// The bare stream, to go on in TLS; `None` if the server has already said more than it was asked, which TLS does not
    /// protect.
    pub fn into_stream(self) -> Option<Box<dyn Stream>> {
        self.stream.buffer().is_empty().then(|| self.stream.into_inner())
    }

    fn broken(&self, error: &io::Error) -> Failure {
        tls::broken(self.doing, error)
    }
}
