//! How the command line talks to a running daemon: one JSON line there, one back, over a Unix socket beside the store.
//!
//! Whoever may open the socket (mode 0600: the daemon's user and root) may ask. There is no request that adds or changes a
//! command: those come from the configuration file alone.

use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use heartbeat_core::Id;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{mpsc, oneshot};

use super::pollers::Pollers;
use super::status::Status;

/// Longest request, in bytes.
const REQUEST_LIMIT: u64 = 64 * 1024;
/// A client that says nothing for so long is sent away.
const PATIENCE: Duration = Duration::from_secs(5);
/// A daemon that says nothing for so long is taken for stuck.
const ANSWER_PATIENCE: Duration = Duration::from_secs(30);

/// What a daemon can be asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "request", rename_all = "snake_case")]
pub enum Request {
    /// Read the configuration again.
    Reload,
    /// Let a suspended action run again.
    Resume {
        /// The action.
        action: Id,
    },
    /// The states, as `heartbeat status --json` prints them.
    Status,
    /// Who polls this server, and what of it is drained.
    Pollers,
}

/// What it says. The variant is the key of an object: what is under it is read in place, however much it is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// Done; one line for people.
    Done {
        /// What was done.
        message: String,
    },
    /// Not done; the text says why.
    Refused {
        /// Why, and what to do.
        message: String,
        /// Whether the configuration is at fault.
        configuration: bool,
    },
    /// The states.
    Status(Box<Status>),
    /// Those who poll.
    Pollers(Pollers),
}

/// A request with the way back.
#[derive(Debug)]
pub struct Call {
    /// What is asked.
    pub request: Request,
    /// Where the answer goes.
    pub reply: oneshot::Sender<Answer>,
}

/// The socket that belongs to a store: beside it, with its stem.
pub fn socket_path(folder: &Path, stem: &str) -> PathBuf {
    folder.join(format!("{stem}.sock"))
}

/// The daemon's end. The socket's file goes with it.
#[derive(Debug)]
pub struct Server {
    listener: UnixListener,
    path: PathBuf,
}

impl Server {
    /// Listens at `path`, in the place of a socket that nobody listens at any more.
    ///
    /// # Errors
    /// If somebody listens there, or the path cannot be bound; one of more than 107 bytes cannot (unix(7)).
    pub fn bind(path: &Path) -> io::Result<Self> {
        if std::os::unix::net::UnixStream::connect(path).is_ok() {
            return Err(io::Error::new(io::ErrorKind::AddrInUse, "another instance listens there"));
        }
        match std::fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let listener = UnixListener::bind(path)?;
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
        Ok(Self { listener, path: path.to_owned() })
    }

    /// Passes calls on until it is dropped.
    pub async fn serve(self, calls: mpsc::Sender<Call>) {
        loop {
            match self.listener.accept().await {
                Ok((stream, _)) => {
                    tokio::spawn(converse(stream, calls.clone()));
                }
                // Out of descriptors: there will be some again.
                Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
            }
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

async fn converse(mut stream: UnixStream, calls: mpsc::Sender<Call>) {
    let (read, mut write) = stream.split();
    let mut line = String::new();
    let mut reader = tokio::io::BufReader::new(read.take(REQUEST_LIMIT));
    if !matches!(tokio::time::timeout(PATIENCE, reader.read_line(&mut line)).await, Ok(Ok(1..))) {
        return;
    }
    let answer = match serde_json::from_str(&line) {
        Ok(request) => {
            let (reply, answer) = oneshot::channel();
            let _ = calls.send(Call { request, reply }).await;
            answer.await.unwrap_or_else(|_| refused("heartbeat is about to end"))
        }
        Err(error) => refused(&format!("not a request that this version knows: {error}")),
    };
    // The states of very many checks are very many words.
    let writing = tokio::task::spawn_blocking(move || {
        let mut line = serde_json::to_string(&answer).unwrap_or_default();
        line.push('\n');
        line
    });
    let _ = write.write_all(writing.await.unwrap_or_default().as_bytes()).await;
}

fn refused(message: &str) -> Answer {
    Answer::Refused { message: message.to_owned(), configuration: false }
}

/// Asks the daemon at `path`. `None` if none is there.
///
/// # Errors
/// If one is there but does not answer.
pub fn ask(path: &Path, request: &Request) -> io::Result<Option<Answer>> {
    let mut stream = match std::os::unix::net::UnixStream::connect(path) {
        Ok(stream) => stream,
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused) => {
            return Ok(None);
        }
        Err(error) => return Err(error),
    };
    stream.set_read_timeout(Some(ANSWER_PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let mut line = serde_json::to_string(request)?;
    line.push('\n');
    stream.write_all(line.as_bytes())?;
    let mut answer = String::new();
    BufReader::new(stream.take(256 * 1024 * 1024)).read_line(&mut answer)?;
    if answer.is_empty() {
        return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the daemon ended without an answer"));
    }
    Ok(Some(serde_json::from_str(&answer)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_request_reaches_the_daemon_and_its_answer_comes_back() {
        let folder = tempfile::tempdir().unwrap();
        let path = socket_path(folder.path(), "web");
        assert_eq!(ask(&path, &Request::Status).unwrap(), None);
        let server = Server::bind(&path).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let (calls, mut inbox) = mpsc::channel(1);
        let serving = tokio::spawn(server.serve(calls));
        let asked = path.clone();
        let asking = tokio::task::spawn_blocking(move || ask(&asked, &Request::Resume { action: "nginx".into() }));
        let call = inbox.recv().await.unwrap();
        assert_eq!(call.request, Request::Resume { action: "nginx".into() });
        let done = Answer::Done { message: "resumed".to_owned() };
        call.reply.send(done.clone()).unwrap();
        assert_eq!(asking.await.unwrap().unwrap(), Some(done));
        serving.abort();
        assert!(serving.await.unwrap_err().is_cancelled());
        assert!(!path.exists());
    }
}
