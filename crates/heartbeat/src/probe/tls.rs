//! TLS as a new client sees it, and what is wrong with a certificate.
//!
//! No session is resumed. The verifier is ours: it asks rustls for the chain and for the name apart, so that one message
//! can say everything that is wrong, and it notes its judgement per connection, because the error of a handshake alone
//! says too little. rustls speaks TLS 1.2 and 1.3 and nothing older; a server that only speaks older ones is told apart.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use heartbeat_core::Wall;
use heartbeat_core::outcome::Fault;
use rustls::client::Resumption;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, WebPkiSupportedAlgorithms, ring};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{
    AlertDescription, CertificateError, ClientConfig, DigitallySignedStruct, Error, InvalidMessage, PeerIncompatible,
    RootCertStore, SignatureScheme,
};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::OnceCell;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use x509_parser::prelude::{FromDer as _, X509Certificate};

use super::world::World;
use super::{Failure, Phase, Trace, net};
use crate::config::{Fields, Problem};
use crate::host::clock;
use crate::net::roots;

/// How much of the server's certificate must be right.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Depth {
    /// Nothing: any certificate is accepted.
    Nothing,
    /// Its dates and the chain to an authority, whomever it names.
    Chain,
    /// All of that, and the name.
    #[default]
    Whole,
}

/// What a check says about TLS.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Options {
    depth: Depth,
    ca: Option<PathBuf>,
    client: Option<(PathBuf, PathBuf)>,
    server_name: Option<Box<ServerName<'static>>>,
}

impl Options {
    /// Reads the keys that concern TLS.
    pub fn read(fields: &mut Fields<'_, '_, '_>) -> Option<Self> {
        let verify = fields.or("verify", "Whether the server's certificate must be valid.", true);
        if !verify {
            let at = fields.span("verify");
            let problem = Problem::warning(at, format!("{} accepts any certificate: `verify: false`", fields.what()));
            fields.context().problems.push(problem.help("name the authority with `ca:` instead"));
        }
        let options = Self::read_files(fields)?;
        Some(options.of_depth(if verify { Depth::Whole } else { Depth::Nothing }))
    }

    /// Reads the keys, for a kind that says elsewhere how much of the certificate must be right.
    pub fn read_files(fields: &mut Fields<'_, '_, '_>) -> Option<Self> {
        let ca: Option<String> =
            fields.optional("ca", "A PEM file of authorities that are trusted in place of the system's.");
        let certificate: Option<String> = fields.optional("client_certificate", "Our certificate, a PEM file.");
        let key: Option<String> = fields.optional("client_key", "The key of our certificate, a PEM file.");
        let name: Option<String> =
            fields.optional("server_name", "The name that is sent and expected, in place of the URL's.");
        let mut path = |key: &str, text: String| {
            let at = fields.span(key);
            fields.context().path(&text, at)
        };
        let ca = ca.map(|text| path("ca", text));
        let certificate = certificate.map(|text| path("client_certificate", text));
        let key = key.map(|text| path("client_key", text));
        let client = match (certificate, key) {
            (Some(certificate), Some(key)) => Some((certificate, key)),
            (None, None) => None,
            (Some(_), None) => {
                fields.error("client_certificate", "`client_certificate` needs its `client_key`");
                return None;
            }
            (None, Some(_)) => {
                fields.error("client_key", "`client_key` needs its `client_certificate`");
                return None;
            }
        };
        let server_name = match name.map(ServerName::try_from) {
            None => None,
            Some(Ok(name)) => Some(Box::new(name)),
            Some(Err(_)) => {
                fields.error("server_name", "expected a host name or an address for `server_name`");
                return None;
            }
        };
        Some(Self { depth: Depth::Whole, ca, client, server_name })
    }

    /// The same with so much of the certificate looked at.
    pub fn of_depth(self, depth: Depth) -> Self {
        Self { depth, ..self }
    }

    /// Whether an authority is named, and so a verification wanted.
    pub fn names_authority(&self) -> bool {
        self.ca.is_some()
    }

    /// For an origin that the configuration does not name: nothing there is told who we are, or by which name we call
    /// somebody else.
    pub fn elsewhere(&self) -> Self {
        Self { client: None, server_name: None, ..self.clone() }
    }

    /// Reads the files and prepares the client. `alpn`: the protocols that are offered, the preferred first.
    ///
    /// # Errors
    /// A sentence that names the file and what is wrong with it.
    pub fn build(&self, world: &World, alpn: &[&[u8]]) -> Result<Client, String> {
        let names_files = self.ca.is_some() || self.client.is_some();
        let manner = match names_files {
            true => Arc::new(self.manner(world.tls(), alpn)?),
            false => world.tls().usual(self, alpn)?,
        };
        Ok(Client { manner, server_name: self.server_name.clone() })
    }

    fn manner(&self, shared: &Shared, alpn: &[&[u8]]) -> Result<Manner, String> {
        let provider = Arc::new(ring::default_provider());
        let algorithms = provider.signature_verification_algorithms;
        let named = self.depth == Depth::Whole;
        let trust = Arc::new(if self.depth == Depth::Nothing {
            Trust { algorithms, roots: None, pinned: Vec::new(), named }
        } else if let Some(path) = &self.ca {
            let roots = Roots::Named(roots::from_file(path)?);
            Trust { algorithms, roots: Some(roots), pinned: roots::certificates(path)?, named }
        } else {
            let roots = Roots::System(shared.authorities.clone());
            Trust { algorithms, roots: Some(roots), pinned: Vec::new(), named }
        });
        Ok(Manner { depth: self.depth, config: self.config(provider, &trust, alpn)?, trust })
    }

    fn config(
        &self,
        provider: Arc<CryptoProvider>,
        trust: &Arc<Trust>,
        alpn: &[&[u8]],
    ) -> Result<ClientConfig, String> {
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| format!("cannot set TLS up: {error}"))?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Judge::new(trust.clone())));
        let mut config = match &self.client {
            None => builder.with_no_client_auth(),
            Some((certificate, key)) => {
                let chain = roots::certificates(certificate)?;
                let key_der = PrivateKeyDer::from_pem_file(key)
                    .map_err(|error| format!("expected a private key in {}: {error}", key.display()))?;
                builder.with_client_auth_cert(chain, key_der).map_err(|error| {
                    format!("the key in {} does not fit {}: {error}", key.display(), certificate.display())
                })?
            }
        };
        config.resumption = Resumption::disabled();
        config.alpn_protocols = alpn.iter().map(|protocol| protocol.to_vec()).collect();
        Ok(config)
    }
}

/// Makes TLS connections.
#[derive(Debug)]
pub struct Client {
    manner: Arc<Manner>,
    server_name: Option<Box<ServerName<'static>>>,
}

/// How connections are made, whoever is at the other end.
#[derive(Debug)]
struct Manner {
    depth: Depth,
    config: ClientConfig,
    trust: Arc<Trust>,
}

/// What all checks share: a plan may hold 100,000 of them, and most say nothing about TLS that others do not say too.
#[derive(Debug, Default)]
pub struct Shared {
    authorities: Arc<OnceCell<RootCertStore>>,
    /// The manners of those that name no files.
    usual: Mutex<Vec<Arc<Manner>>>,
}

impl Shared {
    fn usual(&self, options: &Options, alpn: &[&[u8]]) -> Result<Arc<Manner>, String> {
        let mut usual = self.usual.lock().unwrap_or_else(PoisonError::into_inner);
        let known = |manner: &&Arc<Manner>| manner.depth == options.depth && manner.config.alpn_protocols == alpn;
        if let Some(known) = usual.iter().find(known) {
            return Ok(known.clone());
        }
        let manner = Arc::new(options.manner(self, alpn)?);
        usual.push(manner.clone());
        Ok(manner)
    }
}

/// Authorities.
#[derive(Debug)]
enum Roots {
    /// Those that this machine trusts. Their files, hundreds of them, are read before the first handshake.
    System(Arc<OnceCell<RootCertStore>>),
    /// Those of the file `ca`.
    Named(RootCertStore),
}

impl Roots {
    /// Reads what is still to be read, beside the loop that probes.
    async fn read(&self) {
        let Self::System(system) = self else { return };
        let reading = || async { tokio::task::spawn_blocking(roots::system).await.expect("reading does not panic") };
        system.get_or_init(reading).await;
    }

    fn get(&self) -> &RootCertStore {
        match self {
            Self::System(system) => system.get().expect("a handshake begins when they are read"),
            Self::Named(roots) => roots,
        }
    }
}

impl Client {
    /// The handshake with a host over a stream.
    ///
    /// # Errors
    /// [`Fault::Certificate`] for a certificate that is not accepted, [`Fault::Tls`] for a handshake that fails,
    /// [`Fault::Reset`] for a connection that ends.
    pub async fn connect<S>(&self, host: &str, stream: S, trace: &Trace) -> Result<TlsStream<S>, Failure>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        if let Some(roots) = &self.manner.trust.roots {
            roots.read().await;
        }
        trace.enter(Phase::Tls);
        let name = match &self.server_name {
            Some(name) => ServerName::clone(name),
            None => ServerName::try_from(host.to_owned())
                .map_err(|_| Failure::new(Fault::Tls, format!("{host} is no name that a certificate can have")))?,
        };
        let judge = Arc::new(Judge::new(self.manner.trust.clone()));
        let mut config = self.manner.config.clone();
        config.dangerous().set_certificate_verifier(judge.clone());
        match TlsConnector::from(Arc::new(config)).connect(name, stream).await {
            Ok(stream) => {
                trace.complete();
                Ok(stream)
            }
            Err(error) => Err(judge.refusal().unwrap_or_else(|| broken("in the TLS handshake", &error))),
        }
    }
}

/// When the certificate of the server ends; `None` if that cannot be read.
///
/// Only the server's own certificate counts: servers send intermediates that nobody needs, and those expire quietly.
pub fn not_after<S>(stream: &TlsStream<S>) -> Option<Wall> {
    let (_, connection) = stream.get_ref();
    let (_, leaf) = X509Certificate::from_der(connection.peer_certificates()?.first()?).ok()?;
    Some(wall(leaf.validity().not_after.timestamp()))
}

/// Why a stream that may be encrypted broke.
pub fn broken(doing: &str, error: &std::io::Error) -> Failure {
    match error.get_ref().and_then(|inner| inner.downcast_ref::<Error>()) {
        Some(tls) => Failure::new(Fault::Tls, explain(tls)),
        None => net::broken(doing, error),
    }
}

/// A failure of TLS in words. Certificates are judged elsewhere.
fn explain(error: &Error) -> String {
    use AlertDescription as Alert;
    const OLD: &str = "the server speaks neither TLS 1.2 nor TLS 1.3, and heartbeat speaks nothing older";
    match error {
        Error::AlertReceived(Alert::ProtocolVersion)
        | Error::PeerIncompatible(
            PeerIncompatible::ServerDoesNotSupportTls12Or13 | PeerIncompatible::ServerTlsVersionIsDisabledByOurConfig,
        ) => OLD.to_owned(),
        Error::AlertReceived(Alert::HandshakeFailure | Alert::InsufficientSecurity) => {
            "the server refused the handshake: it may speak only older versions of TLS (heartbeat speaks 1.2 and 1.3), \
             or want a client certificate"
                .to_owned()
        }
        Error::AlertReceived(Alert::CertificateRequired) => {
            "the server wants a client certificate: set `client_certificate` and `client_key`".to_owned()
        }
        Error::AlertReceived(
            Alert::BadCertificate
            | Alert::UnsupportedCertificate
            | Alert::CertificateRevoked
            | Alert::CertificateExpired
            | Alert::CertificateUnknown
            | Alert::UnknownCA
            | Alert::AccessDenied,
        ) => "the server refused our client certificate".to_owned(),
        Error::AlertReceived(Alert::UnrecognisedName) => "the server knows no host of that name".to_owned(),
        Error::AlertReceived(Alert::NoApplicationProtocol) | Error::NoApplicationProtocol => {
            "the server speaks none of the protocols that were offered (ALPN)".to_owned()
        }
        Error::AlertReceived(alert) => format!("the server ended TLS with the alert {alert:?}"),
        Error::InvalidMessage(
            InvalidMessage::HandshakePayloadTooLarge | InvalidMessage::CertificatePayloadTooLarge,
        ) => "the server's handshake is larger than a client accepts".to_owned(),
        Error::InvalidMessage(_) => "what the server sent is not TLS".to_owned(),
        other => format!("TLS failed: {other}"),
    }
}

/// What is trusted.
#[derive(Debug)]
struct Trust {
    algorithms: WebPkiSupportedAlgorithms,
    /// `None`: everything.
    roots: Option<Roots>,
    /// Certificates that are trusted themselves: those of the file `ca`, for it often holds the server's own.
    pinned: Vec<CertificateDer<'static>>,
    /// Whether the certificate must be for the name that we call the server by.
    named: bool,
}

/// The verifier of one connection, with its judgement.
#[derive(Debug)]
struct Judge {
    trust: Arc<Trust>,
    refusal: Mutex<Option<Failure>>,
}

impl Judge {
    fn new(trust: Arc<Trust>) -> Self {
        Self { trust, refusal: Mutex::default() }
    }

    fn refusal(&self) -> Option<Failure> {
        self.refusal.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn chain(
        &self,
        roots: &RootCertStore,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<(), Error> {
        if self.trust.pinned.iter().any(|pinned| pinned == leaf) {
            return in_time(leaf, now);
        }
        let parsed = ParsedCertificate::try_from(leaf)?;
        let algorithms = self.trust.algorithms.all;
        rustls::client::verify_server_cert_signed_by_trust_anchor(&parsed, roots, intermediates, now, algorithms)
    }
}

/// The dates of a certificate that is trusted itself.
fn in_time(leaf: &CertificateDer<'_>, now: UnixTime) -> Result<(), Error> {
    let (_, parsed) =
        X509Certificate::from_der(leaf).map_err(|_| Error::InvalidCertificate(CertificateError::BadEncoding))?;
    let now = i64::try_from(now.as_secs()).unwrap_or(i64::MAX);
    if now > parsed.validity().not_after.timestamp() {
        return Err(Error::InvalidCertificate(CertificateError::Expired));
    }
    if now < parsed.validity().not_before.timestamp() {
        return Err(Error::InvalidCertificate(CertificateError::NotValidYet));
    }
    Ok(())
}

impl ServerCertVerifier for Judge {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let Some(roots) = self.trust.roots.as_ref().map(Roots::get) else {
            return Ok(ServerCertVerified::assertion());
        };
        let chain = self.chain(roots, end_entity, intermediates, now);
        let name = match self.trust.named {
            true => ParsedCertificate::try_from(end_entity)
                .and_then(|parsed| rustls::client::verify_server_name(&parsed, server_name)),
            false => Ok(()),
        };
        let Some(error) = chain.as_ref().err().or(name.as_ref().err()) else {
            return Ok(ServerCertVerified::assertion());
        };
        // Dates are judged first, and hide whether the chain leads to an authority: ask again for a day on which they fit.
        let apart = match nearest_valid(end_entity, now) {
            Some(day) if day != now => self.chain(roots, end_entity, intermediates, day),
            _ => chain.clone(),
        };
        let reason = accuse(end_entity, intermediates, server_name, apart.as_ref().err(), name.as_ref().err());
        let failure = Failure::new(Fault::Certificate, reason);
        *self.refusal.lock().unwrap_or_else(PoisonError::into_inner) = Some(failure);
        Err(error.clone())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        rustls::crypto::verify_tls12_signature(message, cert, dss, &self.trust.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        rustls::crypto::verify_tls13_signature(message, cert, dss, &self.trust.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.trust.algorithms.supported_schemes()
    }
}

/// The time nearest to `now` at which a certificate is valid; `None` if it cannot be read.
fn nearest_valid(leaf: &CertificateDer<'_>, now: UnixTime) -> Option<UnixTime> {
    let (_, leaf) = X509Certificate::from_der(leaf).ok()?;
    let seconds = |time: x509_parser::time::ASN1Time| u64::try_from(time.timestamp()).ok();
    let (begin, end) = (seconds(leaf.validity().not_before)?, seconds(leaf.validity().not_after)?);
    let nearest = now.as_secs().min(end).max(begin);
    Some(UnixTime::since_unix_epoch(std::time::Duration::from_secs(nearest)))
}

/// Everything that is wrong with a certificate, in one sentence. `chain_error` is apart from the certificate's own dates.
fn accuse(
    leaf: &CertificateDer<'_>,
    intermediates: &[CertificateDer<'_>],
    name: &ServerName<'_>,
    chain_error: Option<&Error>,
    name_error: Option<&Error>,
) -> String {
    let Ok((_, leaf)) = X509Certificate::from_der(leaf) else {
        return "the server's certificate cannot be read".to_owned();
    };
    let now = clock::wall();
    let mut wrong = Vec::new();
    let (begin, end) = (wall(leaf.validity().not_before.timestamp()), wall(leaf.validity().not_after.timestamp()));
    if now > end {
        wrong.push(format!("expired on {}", day(end)));
    }
    if now < begin {
        wrong.push(format!("is not valid before {}", day(begin)));
    }
    match chain_error {
        None => {}
        Some(_) if leaf.issuer() == leaf.subject() => wrong.push("is self-signed and not trusted".to_owned()),
        Some(Error::InvalidCertificate(CertificateError::UnknownIssuer)) => {
            let issuer = leaf.issuer();
            let hint = if intermediates.is_empty() { " (the server sent no intermediate certificate)" } else { "" };
            wrong.push(format!("is signed by an authority that is not trusted, {issuer}{hint}"));
        }
        Some(Error::InvalidCertificate(CertificateError::BadSignature)) => {
            wrong.push(format!("names {} as its issuer, but was not signed by it", leaf.issuer()));
        }
        Some(Error::InvalidCertificate(CertificateError::Expired | CertificateError::ExpiredContext { .. })) => {
            wrong.push("rests on an authority's certificate that has expired".to_owned());
        }
        Some(other) => wrong.push(format!("is not accepted: {other}")),
    }
    if name_error.is_some() {
        wrong.push(format!("is not for {} but for {}", name.to_str(), names(&leaf)));
    }
    format!("the server's certificate {}", wrong.join(", "))
}

/// The names that a certificate is for; the first few of them.
fn names(leaf: &X509Certificate<'_>) -> String {
    use x509_parser::extensions::GeneralName;
    const SHOWN: usize = 5;
    let alternative = leaf.subject_alternative_name().ok().flatten();
    let all: Vec<String> = alternative
        .iter()
        .flat_map(|extension| &extension.value.general_names)
        .filter_map(|name| match name {
            GeneralName::DNSName(name) => Some((*name).to_owned()),
            GeneralName::IPAddress(bytes) => match <[u8; 4]>::try_from(*bytes) {
                Ok(four) => Some(std::net::Ipv4Addr::from(four).to_string()),
                Err(_) => Some(std::net::Ipv6Addr::from(<[u8; 16]>::try_from(*bytes).ok()?).to_string()),
            },
            _ => None,
        })
        .collect();
    match all.len() {
        0 => "no host at all".to_owned(),
        count if count > SHOWN => format!("{} and {} more", all[..SHOWN].join(", "), count - SHOWN),
        _ => all.join(", "),
    }
}

fn wall(seconds: i64) -> Wall {
    Wall::from_unix_millis(seconds.saturating_mul(1000))
}

/// The day of a time, in UTC.
fn day(at: Wall) -> String {
    match jiff::Timestamp::from_millisecond(at.unix_millis()) {
        Ok(time) => time.strftime("%Y-%m-%d").to_string(),
        Err(_) => "a day that no calendar has".to_owned(),
    }
}

#[cfg(test)]
mod tests;
