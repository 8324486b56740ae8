//! Loopback targets, in a process of their own so that their cost is nobody else's.
//!
//! They listen on several addresses of 127.0.0.0/8: tens of thousands of connections a second to a single one make connect
//! itself slow, for the kernel searches for a free port among those in TIME_WAIT. The target closes first, so that what
//! waits there are its sockets and not the prober's.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rustls::pki_types::PrivateKeyDer;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use crate::net::{ADDRESSES, Net};

const ANSWER: &[u8] =
    b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 5\r\nConnection: close\r\n\r\nfine\n";

/// What a target does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Answers a request and closes.
    Http,
    /// The same over TLS.
    Https,
    /// Accepts and closes.
    Tcp,
    /// Accepts and says nothing.
    Silent,
    /// Nobody listens there.
    Refused,
}

impl Kind {
    /// The kind of that name.
    pub(crate) fn named(name: &str) -> Option<Self> {
        Some(match name {
            "http" => Self::Http,
            "https" => Self::Https,
            "tcp" => Self::Tcp,
            "silent" => Self::Silent,
            // Nobody serves what is refused.
            _ => return None,
        })
    }

    /// Its name on the command line.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
            Self::Tcp => "tcp",
            Self::Silent => "silent",
            Self::Refused => "refused",
        }
    }

    /// Where it listens, on every address.
    pub(crate) const fn port(self) -> u16 {
        match self {
            Self::Http => 18080,
            Self::Https => 18443,
            Self::Tcp => 18022,
            Self::Silent => 18999,
            Self::Refused => 18997,
        }
    }
}

/// A certificate for all addresses, its key, and the authority to trust, in PEM.
pub(crate) fn certificate(net: Net) -> Result<(String, String), String> {
    let names = (0..ADDRESSES).map(|check| net.address(check).to_string()).collect::<Vec<_>>();
    let made = rcgen::generate_simple_self_signed(names).map_err(|error| error.to_string())?;
    Ok((made.cert.pem(), made.signing_key.serialize_pem()))
}

/// A clock that is the same in all processes.
pub(crate) fn clock() -> Duration {
    nix::time::clock_gettime(nix::time::ClockId::CLOCK_MONOTONIC).map_or(Duration::ZERO, Duration::from)
}

/// What a target has counted.
#[derive(Debug, Default)]
struct Counted {
    hits: AtomicU64,
    /// By [`clock`], in nanoseconds; 0: there was none since somebody asked.
    first: AtomicU64,
}

impl Counted {
    fn note(&self) {
        self.hits.fetch_add(1, Ordering::Relaxed);
        if self.first.load(Ordering::Relaxed) == 0 {
            self.first.store(u64::try_from(clock().as_nanos()).unwrap_or(u64::MAX), Ordering::Relaxed);
        }
    }
}

/// Serves until it is killed. Whoever connects to the net's server is told what was counted.
pub(crate) async fn serve(net: Net, kind: Kind, tls: Option<(String, String)>) -> Result<(), String> {
    let acceptor = tls.map(|(certificate, key)| acceptor(&certificate, &key)).transpose()?;
    let counted = Arc::new(Counted::default());
    let teller = TcpListener::bind((net.server(), kind.port())).await.map_err(|error| error.to_string())?;
    let telling = counted.clone();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = teller.accept().await {
            let (hits, first) = (telling.hits.load(Ordering::Relaxed), telling.first.swap(0, Ordering::Relaxed));
            let _ = stream.write_all(format!("{hits} {first}").as_bytes()).await;
        }
    });
    for check in 0..ADDRESSES {
        let listener = TcpListener::bind((net.address(check), kind.port())).await.map_err(|error| error.to_string())?;
        tokio::spawn(listen(listener, kind, acceptor.clone(), counted.clone()));
    }
    println!("ready");
    std::future::pending().await
}

async fn listen(listener: TcpListener, kind: Kind, acceptor: Option<TlsAcceptor>, counted: Arc<Counted>) {
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            // No descriptors: some are soon given back.
            tokio::time::sleep(Duration::from_millis(10)).await;
            continue;
        };
        counted.note();
        match (kind, &acceptor) {
            (Kind::Silent, _) => drop(tokio::spawn(ignore(stream))),
            (Kind::Http, _) => drop(tokio::spawn(answer(stream))),
            (Kind::Https, Some(acceptor)) => drop(tokio::spawn(encrypted(stream, acceptor.clone()))),
            (Kind::Tcp | Kind::Https | Kind::Refused, _) => drop(stream),
        }
    }
}

/// Says nothing until the other side gives up.
async fn ignore(mut stream: TcpStream) {
    let mut heard = [0; 512];
    while matches!(stream.read(&mut heard).await, Ok(1..)) {}
}

fn acceptor(certificate: &str, key: &str) -> Result<TlsAcceptor, String> {
    use rustls::pki_types::CertificateDer;
    use rustls::pki_types::pem::PemObject as _;
    let chain: Vec<_> = CertificateDer::pem_slice_iter(certificate.as_bytes()).flatten().collect();
    let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).map_err(|error| error.to_string())?;
    let config = rustls::ServerConfig::builder().with_no_client_auth().with_single_cert(chain, key);
    Ok(TlsAcceptor::from(Arc::new(config.map_err(|error| error.to_string())?)))
}

async fn encrypted(stream: TcpStream, acceptor: TlsAcceptor) {
    if let Ok(stream) = acceptor.accept(stream).await {
        answer(stream).await;
    }
}

async fn answer<S: AsyncRead + AsyncWrite + Unpin>(mut stream: S) {
    let mut head = [0; 2048];
    let mut read = 0;
    while !head[..read].ends_with(b"\r\n\r\n") {
        match stream.read(&mut head[read..]).await {
            Ok(count @ 1..) => read += count,
            _ => return,
        }
    }
    let _ = stream.write_all(ANSWER).await;
    let _ = stream.shutdown().await;
}
