//! The three pipes of a program: fed, drained and never waited for.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::io::{self, ErrorKind};
use std::os::fd::OwnedFd;
use std::process::{ChildStderr, ChildStdin, ChildStdout};

use tokio::net::unix::pipe::{Receiver, Sender};

/// How much of each output stream is kept, in bytes: its end.
pub const TAIL: usize = 8 * 1024;

/// One read. It goes to the stack: most programs say nothing, and to ask them is no reason to allocate.
const CHUNK: usize = TAIL;

/// After so many bytes without a pause the other tasks get their turn.
const BURST: usize = 128 * 1024;

/// What is still read of a stream after the leader's end: what a pipe can hold (`pipe(7)`, the default upper limit). More
/// can only come from somebody else.
const REST: usize = 1024 * 1024;

/// The end of an output stream.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tail {
    /// The last [`TAIL`] bytes.
    pub bytes: Vec<u8>,
    /// How many bytes there were.
    pub total: u64,
}

impl Tail {
    fn push(&mut self, chunk: &[u8]) {
        self.total += chunk.len() as u64;
        let kept = &chunk[chunk.len().saturating_sub(TAIL)..];
        let surplus = (self.bytes.len() + kept.len()).saturating_sub(TAIL);
        self.bytes.drain(..surplus);
        self.bytes.extend_from_slice(kept);
    }

    /// As text; what is not UTF-8 is replaced.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes).into_owned()
    }

    /// The last line that is not blank, without control characters, at most 200 characters of it; empty if there is none.
    pub fn last_line(&self) -> String {
        let text = String::from_utf8_lossy(&self.bytes);
        let line = text.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or_default();
        line.trim().chars().filter(|c| !c.is_control()).take(200).collect()
    }
}

/// Our ends of the pipes.
#[derive(Debug, Default)]
pub(super) struct Pipes {
    stdin: Option<(Sender, VecDeque<u8>)>,
    stdout: Stream,
    stderr: Stream,
}

#[derive(Debug, Default)]
struct Stream {
    pipe: Option<Receiver>,
    tail: Tail,
}

impl Pipes {
    /// Takes the ends over and registers them with the runtime.
    ///
    /// # Errors
    /// If the kernel refuses to watch them.
    pub(super) fn new(
        (stdin, stdout, stderr): (Option<ChildStdin>, Option<ChildStdout>, Option<ChildStderr>),
        input: Vec<u8>,
    ) -> io::Result<Self> {
        let stdin = match stdin {
            Some(end) => Some((Sender::from_owned_fd(end.into())?, input.into())),
            None => None,
        };
        let stdout = Stream::new(stdout.map(OwnedFd::from))?;
        Ok(Self { stdin, stdout, stderr: Stream::new(stderr.map(OwnedFd::from))? })
    }

    /// Feeds and drains until it is dropped. It may be dropped at any time and called again.
    pub(super) async fn pump(&mut self) -> Infallible {
        tokio::join!(feed(&mut self.stdin), self.stdout.drain(), self.stderr.drain());
        std::future::pending().await
    }

    /// The tails, when the leader has ended. Whoever else holds a pipe is cut off.
    pub(super) fn close(mut self) -> (Tail, Tail) {
        self.stdout.read_rest();
        self.stderr.read_rest();
        (self.stdout.tail, self.stderr.tail)
    }

    /// The tails, when the leader has ended. Whoever else holds a pipe may go on writing: it is drained in the background
    /// and forgotten, so that a service that was started with our pipes does not die of SIGPIPE.
    pub(super) fn leave_open(mut self) -> (Tail, Tail) {
        self.stdout.read_rest();
        self.stderr.read_rest();
        let tails = (std::mem::take(&mut self.stdout.tail), std::mem::take(&mut self.stderr.tail));
        for mut stream in [self.stdout, self.stderr] {
            if stream.pipe.is_some() {
                tokio::spawn(async move { stream.drain().await });
            }
        }
        tails
    }
}

impl Stream {
    fn new(end: Option<OwnedFd>) -> io::Result<Self> {
        let watch = |end: OwnedFd| {
            // What the checked way asks of the kernel is known of a pipe that was made just now.
            rustix::io::ioctl_fionbio(&end, true)?;
            Receiver::from_owned_fd_unchecked(end)
        };
        Ok(Self { pipe: end.map(watch).transpose()?, tail: Tail::default() })
    }

    /// Reads to the end.
    async fn drain(&mut self) {
        let mut burst = 0;
        while let Some(pipe) = &self.pipe {
            if pipe.readable().await.is_err() {
                self.pipe = None;
                break;
            }
            burst += self.read().unwrap_or(0);
            if burst >= BURST {
                burst = 0;
                tokio::task::yield_now().await;
            }
        }
    }

    /// Reads what is there now.
    fn read_rest(&mut self) {
        let mut rest = 0;
        while rest < REST {
            match self.read() {
                Some(count) => rest += count,
                None => break,
            }
        }
    }

    /// One read; `None` if nothing is there now, or nothing will come any more.
    fn read(&mut self) -> Option<usize> {
        let pipe = self.pipe.as_ref()?;
        let mut buffer = [0; CHUNK];
        match pipe.try_read(&mut buffer) {
            Ok(count) if count > 0 => {
                self.tail.push(&buffer[..count]);
                Some(count)
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => None,
            Ok(_) | Err(_) => {
                self.pipe = None;
                None
            }
        }
    }
}

/// Writes everything and closes the pipe. A program that does not want it (EPIPE) is not made to read it.
async fn feed(stdin: &mut Option<(Sender, VecDeque<u8>)>) {
    while let Some((pipe, input)) = stdin {
        if input.is_empty() || pipe.writable().await.is_err() {
            *stdin = None;
            return;
        }
        match pipe.try_write(input.as_slices().0) {
            Ok(count) => drop(input.drain(..count)),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(_) => *stdin = None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tail_keeps_the_end_and_counts_all() {
        let mut tail = Tail::default();
        for chunk in ["a".repeat(TAIL - 1), "b".repeat(3), "c".repeat(3 * TAIL), "d\n".to_owned()] {
            tail.push(chunk.as_bytes());
            assert!(tail.bytes.len() <= TAIL);
        }
        assert_eq!(tail.total, (TAIL - 1 + 3 + 3 * TAIL + 2) as u64);
        assert_eq!(tail.text(), format!("{}d\n", "c".repeat(TAIL - 2)));
    }

    #[test]
    fn the_last_line_is_one_plain_line() {
        let tail = |text: &str| Tail { bytes: text.into(), total: text.len() as u64 };
        assert_eq!(tail("one\n\x1b[31mtwo\t\r\n\n  \n").last_line(), "[31mtwo");
        assert_eq!(tail("").last_line(), "");
        assert_eq!(tail(&"é".repeat(500)).last_line(), "é".repeat(200));
        assert_eq!(Tail { bytes: vec![0xff, b'x'], total: 2 }.last_line(), "\u{fffd}x");
    }
}
