//! Accepting connections at one door, for whatever protocol.

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::net::{SocketAddr, TcpListener as StdTcpListener, TcpStream as StdTcpStream};
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use heartbeat_core::Mono;
use rustix::net::{SocketFlags, acceptfrom_with};
use socket2::SockRef;
use tokio::io::unix::AsyncFd;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, Interest};
use tokio::net::{TcpStream, UnixListener, UnixStream};
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;

use super::crowd::{Crowd, Seat};
use super::doors::{Bound, Door, SocketFile};
use super::polls::{Counters, Peer, Polls, Transport};
use super::tls::Certificates;
use crate::host::clock;

/// When we hang up while the peer still talks, so much is read on, so that the answer is not lost to a reset (RFC 9112,
/// section 9.6) …
const LAST_BYTES: usize = 256 * 1024;
/// … and for so long.
const LAST_WORDS: Duration = Duration::from_secs(1);
/// So many are accepted before any of them is seen to.
const TOGETHER: usize = 32;
/// After a failure to accept that is ours.
const BREATH: Duration = Duration::from_millis(10);
/// At the end, for those who are on their way already.
const LAST_CALL: Duration = Duration::from_millis(50);
/// Between two lines in the log about that.
const TOLD_AGAIN: Duration = Duration::from_secs(60);

/// What is spoken at a door.
pub(super) trait Protocol: Send + Sync + 'static {
    /// For the counters.
    const TRANSPORT: Transport;

    /// Answers a request that is there already when its connection is accepted, and is the only one of it. That spares a
    /// poller's connection a task, and the kernel to watch it.
    ///
    /// # Errors
    /// If the connection is broken.
    fn at_once(&self, _stream: &StdTcpStream, _counters: &mut Counters) -> io::Result<Arrived> {
        Ok(Arrived::Part(BytesMut::new()))
    }

    /// Talks with a peer until one of both hangs up. The seat's time limits end it too, by dropping it.
    fn converse<S>(&self, stream: S, visit: Visit) -> impl Future<Output = io::Result<()>> + Send
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static;
}

/// What was there of a connection when it was accepted.
#[derive(Debug)]
pub(super) enum Arrived {
    /// All that will come. It was answered.
    All,
    /// So many bytes, maybe none. The rest has to be waited for.
    Part(BytesMut),
}

/// A peer that was let in.
#[derive(Debug)]
pub(super) struct Visit {
    pub(super) seat: Seat,
    pub(super) counters: Counters,
    /// What it said before it had its seat.
    pub(super) first: BytesMut,
    /// The stream has a word of its own for its end.
    pub(super) tls: bool,
}

/// One door and what is spoken there.
#[derive(Debug)]
pub(super) struct Reception<P> {
    listener: Listener,
    tls: Option<Arc<Certificates>>,
    /// Held so that it goes with the listener.
    _file: Option<SocketFile>,
    desk: Desk<P>,
}

#[derive(Debug)]
enum Listener {
    Tcp(AsyncFd<StdTcpListener>),
    Unix(UnixListener),
}

/// What every connection is given.
#[derive(Debug)]
struct Desk<P> {
    protocol: Arc<P>,
    polls: Arc<Polls>,
    crowd: Arc<Crowd>,
}

impl<P: Protocol> Reception<P> {
    /// Prepares to accept at a door, on the runtime that is entered.
    ///
    /// # Errors
    /// If the runtime has no room for the socket.
    pub(super) fn open(door: Door, protocol: Arc<P>, polls: Arc<Polls>, crowd: Arc<Crowd>) -> io::Result<Self> {
        let Door { name: _, socket, tls, file } = door;
        let listener = match socket {
            Bound::Tcp(listener) => {
                // An answer is one segment or a few; it need not wait for another one. Who is accepted inherits this.
                let _ = SockRef::from(&listener).set_tcp_nodelay(true);
                Listener::tcp(listener)?
            }
            Bound::Unix(listener) => Listener::Unix(UnixListener::from_std(listener)?),
        };
        Ok(Self { listener, tls, _file: file, desk: Desk { protocol, polls, crowd } })
    }

    /// Lets everybody in until all is to end, and those who were on their way by then.
    pub(super) async fn serve(self, mut closing: watch::Receiver<bool>) {
        let end = async {
            // Without a sender it is the end too.
            let _ = closing.wait_for(|closing| *closing).await;
            tokio::time::sleep(LAST_CALL).await;
        };
        let mut arrived = Vec::with_capacity(TOGETHER);
        tokio::select! {
            never = self.accept(&mut arrived) => match never {},
            () = end => {}
        }
        arrived.extend(self.listener.into_waiting());
        for (socket, peer) in arrived {
            // What goes wrong with them concerns nobody any more.
            let _ = self.desk.welcome(socket, peer, self.tls.as_deref());
        }
    }

    /// Whoever is in `arrived` when this is dropped has not been welcomed.
    async fn accept(&self, arrived: &mut Vec<(Socket, Peer)>) -> Infallible {
        let mut told = None;
        loop {
            let accepted = self.listener.accept(arrived).await;
            // A request follows its connection by some microseconds; meanwhile there are others to see to.
            tokio::task::yield_now().await;
            let welcomed = arrived.drain(..).map(|(socket, peer)| self.desk.welcome(socket, peer, self.tls.as_deref()));
            let troubles = welcomed.chain([accepted]).filter_map(Result::err).collect::<Vec<_>>();
            for error in troubles {
                self.desk.endure(&error, &mut told).await;
            }
        }
    }
}

/// A connection that was accepted. One over TCP is not watched by the runtime yet.
#[derive(Debug)]
enum Socket {
    Tcp(StdTcpStream),
    Unix(UnixStream),
}

impl Listener {
    // What is deprecated is to register things that only say that they own a descriptor; a listener does own it. The
    // replacement differs in nothing but the word `unsafe`.
    #[allow(deprecated)]
    fn tcp(listener: StdTcpListener) -> io::Result<Self> {
        AsyncFd::with_interest(listener, Interest::READABLE).map(Self::Tcp)
    }

    /// Waits for connections, and takes some of those that are there.
    async fn accept(&self, arrived: &mut Vec<(Socket, Peer)>) -> io::Result<()> {
        match self {
            Self::Tcp(listener) => {
                let mut ready = listener.readable().await?;
                while arrived.len() < TOGETHER
                    && let Ok(accepted) = ready.try_io(|listener| accept_tcp(listener.get_ref()))
                {
                    arrived.push(accepted?);
                }
            }
            Self::Unix(listener) => {
                let (stream, _) = listener.accept().await?;
                arrived.push((Socket::Unix(stream), Peer::Unix));
            }
        }
        Ok(())
    }

    /// Stops listening. Those who have connected by now are asked for without waiting; what goes wrong with them
    /// concerns nobody any more.
    fn into_waiting(self) -> Vec<(Socket, Peer)> {
        let mut waiting = Vec::new();
        match self {
            Self::Tcp(listener) => {
                let listener = listener.into_inner();
                while let Ok(accepted) = accept_tcp(&listener) {
                    waiting.push(accepted);
                }
            }
            Self::Unix(listener) => {
                let Ok(listener) = listener.into_std() else { return waiting };
                while let Ok((stream, _)) = listener.accept() {
                    let stream = stream.set_nonblocking(true).and_then(|()| UnixStream::from_std(stream));
                    waiting.extend(stream.ok().map(|stream| (Socket::Unix(stream), Peer::Unix)));
                }
            }
        }
        waiting
    }
}

/// Accepts without waiting, and without asking the kernel to watch the connection.
fn accept_tcp(listener: &StdTcpListener) -> io::Result<(Socket, Peer)> {
    let (stream, peer) = acceptfrom_with(listener, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK)?;
    let peer = peer.ok_or(io::ErrorKind::NotConnected)?;
    Ok((Socket::Tcp(stream.into()), Peer::at(SocketAddr::try_from(peer)?)))
}

impl<P: Protocol> Desk<P> {
    fn welcome(&self, socket: Socket, peer: Peer, tls: Option<&Certificates>) -> io::Result<()> {
        let mut counters = self.polls.of(peer, P::TRANSPORT);
        let acceptor = tls.map(Certificates::acceptor);
        match socket {
            Socket::Tcp(stream) => {
                let arrived = match acceptor {
                    None => self.protocol.at_once(&stream, &mut counters)?,
                    Some(_) => Arrived::Part(BytesMut::new()),
                };
                if let Arrived::Part(first) = arrived {
                    self.admit(TcpStream::from_std(stream)?, first, counters, acceptor);
                }
            }
            Socket::Unix(stream) => self.admit(stream, BytesMut::new(), counters, acceptor),
        }
        Ok(())
    }

    fn admit<S>(&self, stream: S, first: BytesMut, counters: Counters, acceptor: Option<TlsAcceptor>)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let protocol = self.protocol.clone();
        self.crowd.admit(move |seat| async move {
            let peer = counters.peer();
            let visit = Visit { seat, counters, first, tls: acceptor.is_some() };
            let ended = match acceptor {
                None => protocol.converse(stream, visit).await,
                // Boxed: a handshake takes more room than a whole conversation without one.
                Some(acceptor) => Box::pin(encrypt(protocol, acceptor, stream, visit)).await,
            };
            // Peers hang up as they like: that is no news.
            if let Err(error) = ended {
                tracing::debug!("the connection of {peer} ended: {error}");
            }
        });
    }

    /// A failure to accept. One of the connection concerns that one alone; one of ours is mended by making room.
    async fn endure(&self, error: &io::Error, told: &mut Option<Mono>) {
        let errno = error.raw_os_error().map(nix::Error::from_raw);
        if !matches!(errno, Some(nix::Error::EMFILE | nix::Error::ENFILE | nix::Error::ENOBUFS | nix::Error::ENOMEM)) {
            tracing::debug!("a connection was gone before it was accepted: {error}");
            return tokio::task::yield_now().await;
        }
        let now = clock::mono();
        if told.is_none_or(|told| now.since(told) >= TOLD_AGAIN) {
            *told = Some(now);
            tracing::warn!("cannot accept connections: {error}; making room for them, one by one");
        }
        self.crowd.free_one();
        tokio::time::sleep(BREATH).await;
    }
}

/// Talks with a peer over TLS.
async fn encrypt<P: Protocol, S>(protocol: Arc<P>, acceptor: TlsAcceptor, stream: S, visit: Visit) -> io::Result<()>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let stream = acceptor.accept(stream).await?;
    protocol.converse(stream, visit).await
}

/// Hangs up on a peer that may still be talking.
pub(super) async fn part<S: AsyncRead + AsyncWrite + Unpin>(mut stream: S) -> io::Result<()> {
    stream.shutdown().await?;
    let mut left = [0; 4096];
    let mut read = 0;
    let listening = async {
        while read < LAST_BYTES {
            match stream.read(&mut left).await? {
                0 => break,
                count => read += count,
            }
        }
        Ok(())
    };
    tokio::time::timeout(LAST_WORDS, listening).await.unwrap_or(Ok(()))
}
