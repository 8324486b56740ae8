//! A full handshake with a fresh connection for every probe, certificate checked: tokio and rustls, nothing else.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::plain::{judge, request};
use crate::net::Net;
use crate::target::Kind;

/// Probes for that long, so many at a time, and returns how many probes were made. All must pass.
#[expect(clippy::disallowed_methods, reason = "a bare loop reads the clock as it likes")]
pub(crate) async fn run(net: Net, authority: &str, width: usize, span: Duration) -> io::Result<u64> {
    let mut roots = rustls::RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(authority.as_bytes()).flatten() {
        roots.add(certificate).map_err(io::Error::other)?;
    }
    let mut config = rustls::ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    config.resumption = rustls::client::Resumption::disabled();
    let connector = TlsConnector::from(Arc::new(config));
    let end = Instant::now() + span;
    let mut workers = tokio::task::JoinSet::new();
    for worker in 0..width {
        let connector = connector.clone();
        workers.spawn(async move {
            let mut done = 0;
            while Instant::now() < end {
                probe(net, &connector, worker + done as usize).await?;
                done += 1;
            }
            Ok::<u64, io::Error>(done)
        });
    }
    let mut total = 0;
    while let Some(done) = workers.join_next().await {
        total += done.map_err(io::Error::other)??;
    }
    Ok(total)
}

async fn probe(net: Net, connector: &TlsConnector, check: usize) -> io::Result<()> {
    let host = net.address(check);
    let stream = TcpStream::connect((host, Kind::Https.port())).await?;
    let mut stream = connector.connect(ServerName::IpAddress(std::net::IpAddr::V4(host).into()), stream).await?;
    stream.write_all(request(host).as_bytes()).await?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await?;
    judge(&answer)
}
