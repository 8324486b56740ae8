//! Connections to providers. Names are resolved as the C library does it, nothing is kept for the next attempt.

use std::error::Error;
use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustls::ClientConfig;
use rustls::client::Resumption;
use rustls::crypto::ring;
use rustls::pki_types::ServerName;
use tokio::net::{TcpStream, lookup_host};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::net::roots;

/// After this the next address of a host is tried: a dead one must not use up the whole attempt.
const PER_ADDRESS: Duration = Duration::from_secs(8);

/// Connects to the first address of a host that answers. Brackets around an IPv6 address are taken off.
///
/// # Errors
/// Which host could not be reached, and why.
pub(super) async fn connect(host: &str, port: u16) -> Result<TcpStream, String> {
    let bare = bare(host);
    let addresses = lookup_host((bare, port)).await.map_err(|error| format!("cannot resolve {host}: {error}"))?;
    let mut refusal = format!("{host} has no address");
    for address in addresses {
        match tokio::time::timeout(PER_ADDRESS, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err(error)) => refusal = format!("cannot connect to {host} at {address}: {error}"),
            Err(_) => refusal = format!("cannot connect to {host} at {address}: no answer"),
        }
    }
    Err(refusal)
}

/// Makes TLS connections.
#[derive(Clone)]
pub(super) struct Tls {
    config: Arc<ClientConfig>,
}

impl Tls {
    /// Trusts the authorities of a PEM file, or those of the system.
    ///
    /// # Errors
    /// A sentence about a file that is wrong.
    pub(super) fn new(ca: Option<&Path>) -> Result<Self, String> {
        let roots = match ca {
            Some(path) => roots::from_file(path)?,
            None => roots::system(),
        };
        let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|error| format!("cannot set TLS up: {error}"))?
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.resumption = Resumption::disabled();
        Ok(Self { config: Arc::new(config) })
    }

    /// The handshake with a host.
    ///
    /// # Errors
    /// Why it failed.
    pub(super) async fn handshake(&self, host: &str, stream: TcpStream) -> Result<TlsStream<TcpStream>, String> {
        let name = ServerName::try_from(bare(host).to_owned())
            .map_err(|_| format!("{host} is no name that a certificate can have"))?;
        TlsConnector::from(self.config.clone())
            .connect(name, stream)
            .await
            .map_err(|error| format!("TLS with {host} failed: {error}"))
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tls")
    }
}

/// A host as a resolver takes it.
fn bare(host: &str) -> &str {
    host.strip_prefix('[').and_then(|inner| inner.strip_suffix(']')).unwrap_or(host)
}

/// An error with what is behind it.
pub(super) fn with_causes(error: &dyn Error) -> String {
    let mut words = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        words = format!("{words}: {cause}");
        next = cause.source();
    }
    words
}
