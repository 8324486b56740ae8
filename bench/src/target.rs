//! Loopback targets, in a process of their own so that their cost is nobody else's.
//!
//! They listen on several addresses of 127.0.0.0/8: tens of thousands of connections a second to a single one make connect
//! itself slow, for the kernel searches for a free port among those in TIME_WAIT. The target closes first, so that what
//! waits there are its sockets and not the prober's.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rustls::pki_types::PrivateKeyDer;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

/// So many addresses, from 127.0.1.1 on.
pub(crate) const ADDRESSES: u16 = 16;

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
}

impl Kind {
    /// The kind of that name.
    pub(crate) fn named(name: &str) -> Option<Self> {
        Some(match name {
            "http" => Self::Http,
            "https" => Self::Https,
            "tcp" => Self::Tcp,
            "silent" => Self::Silent,
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
        }
    }

    /// Where it listens, on every address.
    pub(crate) const fn port(self) -> u16 {
        match self {
            Self::Http => 18080,
            Self::Https => 18443,
            Self::Tcp => 18022,
            Self::Silent => 18999,
        }
    }
}

/// The address of one of many checks.
pub(crate) fn address(check: usize) -> Ipv4Addr {
    Ipv4Addr::new(127, 0, 1, 1 + (check % usize::from(ADDRESSES)) as u8)
}

/// A certificate for all addresses, its key, and the authority to trust, in PEM.
pub(crate) fn certificate() -> Result<(String, String), String> {
    let names = (0..usize::from(ADDRESSES)).map(|check| address(check).to_string()).collect::<Vec<_>>();
    let made = rcgen::generate_simple_self_signed(names).map_err(|error| error.to_string())?;
    Ok((made.cert.pem(), made.signing_key.serialize_pem()))
}

/// How many connections the target of that kind has accepted so far.
pub(crate) fn hits(kind: Kind) -> Result<u64, String> {
    let mut text = String::new();
    let read = std::net::TcpStream::connect((Ipv4Addr::LOCALHOST, kind.port() + 1))
        .and_then(|mut stream| std::io::Read::read_to_string(&mut stream, &mut text));
    read.map_err(|error| format!("the target does not tell its hits: {error}"))?;
    text.trim().parse().map_err(|_| format!("expected a number of hits, found `{text}`"))
}

/// Serves until it is killed. Whoever connects to the port after the target's own is told the number of hits.
pub(crate) async fn serve(kind: Kind, tls: Option<(String, String)>) -> Result<(), String> {
    let acceptor = tls.map(|(certificate, key)| acceptor(&certificate, &key)).transpose()?;
    let counted = Arc::new(AtomicU64::new(0));
    let teller = TcpListener::bind((Ipv4Addr::LOCALHOST, kind.port() + 1)).await.map_err(|error| error.to_string())?;
    let hits = counted.clone();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = teller.accept().await {
            let _ = stream.write_all(hits.load(Ordering::Relaxed).to_string().as_bytes()).await;
        }
    });
    for check in 0..usize::from(ADDRESSES) {
        let listener = TcpListener::bind((address(check), kind.port())).await.map_err(|error| error.to_string())?;
        let (acceptor, counted) = (acceptor.clone(), counted.clone());
        tokio::spawn(async move {
            let mut held = Vec::new();
            loop {
                let Ok((stream, _)) = listener.accept().await else { continue };
                counted.fetch_add(1, Ordering::Relaxed);
                match kind {
                    Kind::Tcp => drop(stream),
                    Kind::Silent => held.push(stream),
                    Kind::Http => drop(tokio::spawn(answer(stream))),
                    Kind::Https => {
                        let acceptor = acceptor.clone().expect("a TLS target has a certificate");
                        tokio::spawn(encrypted(stream, acceptor));
                    }
                }
            }
        });
    }
    println!("ready");
    std::future::pending().await
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
