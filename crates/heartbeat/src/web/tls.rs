//! The server's side of TLS, with certificates that can be replaced while it runs.

use std::fs;
use std::sync::Arc;

use arc_swap::ArcSwap;
use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject as _;
use tokio_rustls::TlsAcceptor;

use super::listen::Tls;
use crate::host::env;
use crate::net::roots;

/// A protocol's name in the negotiation of TLS (RFC 7301, section 6).
pub(super) type Alpn = &'static [u8];

/// HTTP/1.1.
pub(super) const HTTP: Alpn = b"http/1.1";
/// HTTP/2.
pub(super) const HTTP_2: Alpn = b"h2";

/// A certificate with its key, and where they are.
#[derive(Debug)]
pub struct Certificates {
    files: Tls,
    alpn: Alpn,
    current: ArcSwap<ServerConfig>,
}

impl Certificates {
    /// Reads them, for a door at which that protocol is spoken.
    ///
    /// # Errors
    /// A sentence that names the file and what is wrong with it.
    pub(super) fn load(files: &Tls, alpn: Alpn) -> Result<Self, String> {
        let current = ArcSwap::from_pointee(read(files, alpn)?);
        Ok(Self { files: files.clone(), alpn, current })
    }

    /// Reads them again. Connections that are there keep what they have.
    ///
    /// # Errors
    /// A sentence about what is wrong with the new ones; the old ones stay in force.
    pub fn reload(&self) -> Result<(), String> {
        match read(&self.files, self.alpn) {
            Ok(config) => {
                self.current.store(Arc::new(config));
                Ok(())
            }
            Err(problem) => Err(format!("{problem}; the old certificate stays in force")),
        }
    }

    /// For the next connection.
    pub fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(self.current.load_full())
    }
}

fn read(files: &Tls, alpn: Alpn) -> Result<ServerConfig, String> {
    let shown = files.certificate.display();
    let chain = roots::certificates(&files.certificate)?;
    let (pem, place) = match &files.key {
        Some(secret) => (secret.reveal(&env::variable)?, format!("`key` of the certificate {shown}")),
        None => {
            let text = fs::read_to_string(&files.certificate);
            (text.map_err(|error| format!("cannot read {shown}: {error}"))?, shown.to_string())
        }
    };
    let key = PrivateKeyDer::from_pem_slice(pem.as_bytes())
        .map_err(|error| format!("expected a private key in PEM in {place}: {error}"))?;
    let mut config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .and_then(|builder| builder.with_no_client_auth().with_single_cert(chain, key))
        .map_err(|error| format!("the certificate {shown} and its key cannot be used: {error}"))?;
    config.alpn_protocols = vec![alpn.to_vec()];
    Ok(config)
}
