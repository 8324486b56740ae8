//! Proxies: from the configuration only, never from the environment, where a check would change with who starts it.
//!
//! A plain target is asked for through the proxy, an encrypted one through a tunnel (RFC 9110, section 9.3.6).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use heartbeat_core::outcome::Fault;
use http::HeaderValue;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::clip;
use crate::config::Fields;
use crate::config::values::Secret;
use crate::host::env;
use crate::probe::target::Target;
use crate::probe::{Failure, net};

/// The head of a proxy's answer is short.
const HEAD: usize = 16 << 10;

/// A proxy as configured.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct ProxySpec {
    target: Target,
    user: Option<String>,
    password: Option<Secret>,
}

impl ProxySpec {
    /// Reads the section `proxy`; `Some(None)` without one.
    pub(super) fn read(fields: &mut Fields<'_, '_, '_>) -> Option<Option<Self>> {
        fields.section("proxy", "The HTTP proxy to go through. The environment names none.", |fields| {
            let target: Option<Target> = fields.optional("url", "Where it is: `http://host:port`.");
            let user: Option<String> = fields.optional("user", "The name to log in with, there.");
            let password: Option<Secret> = fields.optional("password", "The password to log in with, there.");
            let Some(target) = target else {
                if user.is_some() || password.is_some() {
                    fields.error("user", "`proxy` needs its `url`");
                }
                return Some(None);
            };
            if target.scheme() != "http" {
                fields
                    .error("url", format!("expected a proxy such as `http://proxy:3128`, found `{}`", target.shown()));
                return None;
            }
            if target.user().is_some() {
                fields.error("url", "the name and password for a proxy belong into `user` and `password`");
                return None;
            }
            Some(Some(Self { target, user, password }))
        })
    }

    /// Fetches the password.
    ///
    /// # Errors
    /// A sentence that says where it was looked for.
    pub(super) fn build(&self) -> Result<Proxy, String> {
        let password = self.password.as_ref().map(|secret| secret.reveal(&env::variable)).transpose()?;
        let authorization = match (&self.user, password) {
            (None, None) => None,
            (user, password) => Some(basic(user.as_deref().unwrap_or_default(), &password.unwrap_or_default())?),
        };
        let host = self.target.host();
        Ok(Proxy { port: self.target.port().unwrap_or(80), host, authorization })
    }
}

/// The value of an authorization header (RFC 7617).
///
/// # Errors
/// If the user's name holds a colon.
pub(super) fn basic(user: &str, password: &str) -> Result<HeaderValue, String> {
    if user.contains(':') {
        return Err("a user's name for basic authentication cannot hold a colon".to_owned());
    }
    let mut value = HeaderValue::try_from(format!("Basic {}", STANDARD.encode(format!("{user}:{password}"))))
        .expect("base64 is fit for a header");
    value.set_sensitive(true);
    Ok(value)
}

/// A proxy to go through.
#[derive(Debug)]
pub(super) struct Proxy {
    /// Its host.
    pub(super) host: String,
    /// Its port.
    pub(super) port: u16,
    /// What it is told of us.
    pub(super) authorization: Option<HeaderValue>,
}

impl Proxy {
    /// Makes a tunnel to `authority` out of a connection to the proxy.
    pub(super) async fn tunnel(&self, stream: &mut TcpStream, authority: &str) -> Result<(), Failure> {
        let mut head = format!("CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n").into_bytes();
        if let Some(value) = &self.authorization {
            head.extend_from_slice(b"Proxy-Authorization: ");
            head.extend_from_slice(value.as_bytes());
            head.extend_from_slice(b"\r\n");
        }
        head.extend_from_slice(b"\r\n");
        let broken = |error: std::io::Error| net::broken("asking the proxy for a tunnel", &error);
        stream.write_all(&head).await.map_err(broken)?;
        // Byte by byte, for what follows the head belongs to the target.
        let mut answer = Vec::new();
        while !answer.ends_with(b"\r\n\r\n") {
            if answer.len() == HEAD {
                return Err(Failure::new(Fault::Protocol, "the proxy's answer has no end"));
            }
            answer.push(stream.read_u8().await.map_err(broken)?);
        }
        let line = answer.split(|byte| *byte == b'\r').next().unwrap_or_default();
        let line = String::from_utf8_lossy(line);
        let status = line.strip_prefix("HTTP/1.").and_then(|rest| rest.get(2..5));
        match status.and_then(|status| status.parse::<u16>().ok()) {
            Some(200..=299) => Ok(()),
            Some(status) => {
                Err(Failure::new(Fault::Refused, format!("the proxy {} made no tunnel: status {status}", self.host)))
            }
            None => Err(Failure::new(Fault::Protocol, format!("the proxy answered `{}`", clip(&line)))),
        }
    }
}
