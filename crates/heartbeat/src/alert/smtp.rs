//! One mail over SMTP (RFC 5321), through lettre's connection, command by command.
//!
//! lettre's own `send` gives up at the first recipient that is refused. Here everybody who can be reached is: the mail goes
//! to the recipients that were accepted, those that were refused for good are named in the answer, and those that were
//! refused for now are tried again without writing to the others twice.

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error as _;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use lettre::Address;
use lettre::transport::smtp::Error;
use lettre::transport::smtp::authentication::{Credentials, Mechanism};
use lettre::transport::smtp::client::{
    AsyncSmtpConnection, AsyncTokioStream, Certificate, CertificateStore, TlsParameters,
};
use lettre::transport::smtp::commands::{Data, Mail, Rcpt};
use lettre::transport::smtp::extension::{ClientId, Extension, MailParameter};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::answer::Cleaner;
use super::connection::{Tls, connect, with_causes};
use super::{Accepted, Refused};
use crate::net::roots;

/// All that a server may say in one conversation, in bytes: TLS handshake and certificates included.
const LONGEST_CONVERSATION: usize = 1024 * 1024;

/// How long a good-bye is waited for: the mail has been accepted by then.
const GOODBYE: Duration = Duration::from_millis(500);

/// So many mails are remembered that some of their recipients have got and others not yet.
const REMEMBERED: usize = 1000;

/// What one attempt carries.
pub(super) struct Envelope<'a> {
    /// The same for every attempt.
    pub(super) key: &'a Arc<str>,
    pub(super) from: &'a Address,
    pub(super) to: Vec<&'a Address>,
    pub(super) mail: &'a [u8],
}

/// How a connection is protected.
pub(super) enum Protection {
    /// Not at all.
    None,
    /// By STARTTLS, or else nothing is sent.
    StartTls(TlsParameters),
    /// From the first byte.
    Implicit(Tls),
}

impl Protection {
    /// STARTTLS for a host. `ca`: a PEM file of authorities in place of the system's.
    ///
    /// # Errors
    /// A sentence about a file that is wrong.
    pub(super) fn start_tls(host: &str, ca: Option<&Path>) -> Result<Self, String> {
        let mut builder = TlsParameters::builder(host.to_owned());
        if let Some(path) = ca {
            builder = builder.certificate_store(CertificateStore::None);
            for certificate in roots::certificates(path)? {
                let certificate = Certificate::from_der(certificate.to_vec())
                    .map_err(|error| format!("not an authority in {}: {error}", path.display()))?;
                builder = builder.add_root_certificate(certificate);
            }
        }
        let parameters = builder.build().map_err(|error| format!("cannot set TLS up: {}", with_causes(&error)))?;
        Ok(Self::StartTls(parameters))
    }
}

/// A mail server.
pub(super) struct Server {
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) protection: Protection,
    pub(super) credentials: Option<Credentials>,
    /// How we introduce ourselves.
    pub(super) hello: ClientId,
    pub(super) cleaner: Cleaner,
    /// By key: the recipients that need no further attempt.
    pub(super) done: Mutex<BTreeMap<Arc<str>, BTreeSet<Address>>>,
}

/// Why an attempt ended.
pub(super) enum Failure {
    /// There was no connection, and nothing was said.
    NoConnection(String),
    /// The conversation failed.
    Refused(Refused),
}

impl Server {
    /// One attempt.
    pub(super) async fn send(&self, envelope: Envelope<'_>) -> Result<Accepted, Failure> {
        let stream = connect(&self.host, self.port).await.map_err(Failure::NoConnection)?;
        self.converse(stream, envelope).await.map_err(Failure::Refused)
    }

    async fn converse(&self, stream: tokio::net::TcpStream, envelope: Envelope<'_>) -> Result<Accepted, Refused> {
        let mut connection = self.open(stream).await?;
        let result = self.transact(&mut connection, envelope).await;
        // Whatever it says to that changes nothing.
        let _ = tokio::time::timeout(GOODBYE, connection.quit()).await;
        result
    }

    async fn open(&self, stream: tokio::net::TcpStream) -> Result<AsyncSmtpConnection, Refused> {
        let peer = stream.peer_addr().map_err(|error| self.for_now(&error.to_string()))?;
        let stream: Box<dyn AsyncTokioStream> = match &self.protection {
            Protection::Implicit(tls) => {
                let stream = tls.handshake(&self.host, stream).await.map_err(|words| self.for_now(&words))?;
                Box::new(Bounded { stream, peer, left: LONGEST_CONVERSATION })
            }
            Protection::None | Protection::StartTls(_) => {
                Box::new(Bounded { stream, peer, left: LONGEST_CONVERSATION })
            }
        };
        let mut connection = AsyncSmtpConnection::connect_with_transport(stream, &self.hello)
            .await
            .map_err(|error| self.refused("greeting", &error))?;
        if let Protection::StartTls(parameters) = &self.protection {
            if !connection.can_starttls() {
                connection.abort().await;
                let answer = format!(
                    "{} offers no STARTTLS: use smtps://, or `starttls: never` if mail may go unprotected",
                    self.host
                );
                return Err(Refused::ForGood { answer });
            }
            let upgraded = connection.starttls(parameters.clone(), &self.hello).await;
            upgraded.map_err(|error| self.refused("STARTTLS", &error))?;
        }
        if let Some(credentials) = &self.credentials {
            let authenticated = connection.auth(&[Mechanism::Plain, Mechanism::Login], credentials).await;
            authenticated.map_err(|error| self.refused("AUTH", &error))?;
        }
        Ok(connection)
    }

    async fn transact(
        &self,
        connection: &mut AsyncSmtpConnection,
        envelope: Envelope<'_>,
    ) -> Result<Accepted, Refused> {
        let mut parameters = Vec::new();
        if envelope.to.iter().chain([&envelope.from]).any(|address| !AsRef::<str>::as_ref(*address).is_ascii()) {
            if !connection.server_info().supports_feature(Extension::SmtpUtfEight) {
                let answer = format!("{} takes no addresses beyond ASCII (SMTPUTF8)", self.host);
                return Err(Refused::ForGood { answer });
            }
            parameters.push(MailParameter::SmtpUtfEight);
        }
        let from = Mail::new(Some(envelope.from.clone()), parameters);
        connection.command(from).await.map_err(|error| self.refused("MAIL FROM", &error))?;

        let mut done = self.done(envelope.key);
        let (mut taken, mut refusals) = (Vec::new(), Vec::new());
        let open: Vec<_> = envelope.to.into_iter().filter(|address| !done.contains(*address)).collect();
        for address in open {
            match connection.command(Rcpt::new(address.clone(), Vec::new())).await {
                Ok(_) => taken.push(address.clone()),
                Err(error) if error.status().is_some() => {
                    let refusal = self.refused(&format!("RCPT TO {address}"), &error);
                    if matches!(refusal, Refused::ForGood { .. }) {
                        done.insert(address.clone());
                    }
                    refusals.push(refusal);
                }
                Err(error) => return Err(self.refused("RCPT TO", &error)),
            }
        }
        let mut said = String::new();
        if !taken.is_empty() {
            connection.command(Data).await.map_err(|error| self.refused("DATA", &error))?;
            let response =
                connection.message(envelope.mail).await.map_err(|error| self.refused("after the mail", &error))?;
            said = format!("{} {}", response.code(), response.message().collect::<Vec<_>>().join(" "));
        }
        self.settle(envelope.key, done, taken, &said, refusals)
    }

    /// What the answers to all recipients together mean.
    fn settle(
        &self,
        key: &Arc<str>,
        mut done: BTreeSet<Address>,
        taken: Vec<Address>,
        said: &str,
        refusals: Vec<Refused>,
    ) -> Result<Accepted, Refused> {
        let words = |refusals: &[Refused]| {
            let all: Vec<_> = refusals.iter().map(|refusal| refusal.answer().to_owned()).collect();
            all.join("; ")
        };
        let reached = !taken.is_empty();
        done.extend(taken);
        if refusals.iter().any(|refusal| matches!(refusal, Refused::ForNow { .. })) {
            self.remember(key, done);
            return Err(self.for_now(&words(&refusals)));
        }
        self.forget(key);
        let answer = match (reached, refusals.is_empty()) {
            (_, true) => said.to_owned(),
            (true, false) => format!("{said}; but not to all: {}", words(&refusals)),
            (false, false) => return Err(Refused::ForGood { answer: self.cleaner.clean(&words(&refusals)) }),
        };
        Ok(Accepted { answer: self.cleaner.clean(&answer) })
    }

    fn done(&self, key: &Arc<str>) -> BTreeSet<Address> {
        self.done.lock().unwrap_or_else(PoisonError::into_inner).get(key).cloned().unwrap_or_default()
    }

    fn remember(&self, key: &Arc<str>, recipients: BTreeSet<Address>) {
        let mut done = self.done.lock().unwrap_or_else(PoisonError::into_inner);
        if recipients.is_empty() {
            return;
        }
        if done.len() >= REMEMBERED && !done.contains_key(key) {
            done.pop_first();
        }
        done.insert(key.clone(), recipients);
    }

    fn forget(&self, key: &Arc<str>) {
        self.done.lock().unwrap_or_else(PoisonError::into_inner).remove(key);
    }

    /// What an error means: 5yz is final, and so is what no server will change (no common way to authenticate); 4yz, the
    /// network, TLS and nonsense may pass.
    fn refused(&self, at: &str, error: &Error) -> Refused {
        let answer = match (error.status(), error.source()) {
            (Some(code), Some(text)) => format!("{at}: {code} {text}"),
            (Some(code), None) => format!("{at}: {code}"),
            (None, _) => format!("{at}: {}", with_causes(error)),
        };
        match error.is_permanent() || error.is_client() {
            true => Refused::ForGood { answer: self.cleaner.clean(&answer) },
            false => self.for_now(&answer),
        }
    }

    fn for_now(&self, answer: &str) -> Refused {
        Refused::ForNow { answer: self.cleaner.clean(answer), after: None }
    }
}

/// A stream of which only so much can be read.
struct Bounded<S> {
    stream: S,
    peer: SocketAddr,
    left: usize,
}

impl<S> fmt::Debug for Bounded<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Bounded({})", self.peer)
    }
}

impl<S: AsyncRead + AsyncWrite + Send + Sync + Unpin> AsyncTokioStream for Bounded<S> {
    fn peer_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.peer)
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Bounded<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buf.filled().len();
        let polled = Pin::new(&mut this.stream).poll_read(cx, buf);
        match this.left.checked_sub(buf.filled().len() - before) {
            Some(left) => {
                this.left = left;
                polled
            }
            None => Poll::Ready(Err(io::Error::other("the server says more than a mail server has to say"))),
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Bounded<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write(cx, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }
}
