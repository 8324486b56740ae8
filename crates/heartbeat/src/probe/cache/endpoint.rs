//! Where a server listens that is no web server, who we are there, and how to get to it.
//!
//! A server listens at a port, with or without TLS, or at a Unix socket: `redis://cache:6379/2`, `rediss://…`,
//! `redis+unix:///run/redis.sock?db=2`. The scheme decides; the kinds only say which schemes mean TLS and which port is
//! usual.

use std::path::PathBuf;

use heartbeat_core::Wall;
use heartbeat_core::outcome::Fault;

use super::wire::refused;
use crate::config::values::Secret;
use crate::config::values::secret::REDACTED;
use crate::config::{Context, Fields, Node, Shape, Value};
use crate::host::env;
use crate::probe::net::{self, Stream, Way, socket};
use crate::probe::resolve::Resolver;
use crate::probe::target::Target;
use crate::probe::{Failure, Trace, World, tls};

/// What a scheme ends with if its URL names a Unix socket.
const UNIX: &str = "+unix";

/// What a kind knows of its servers.
#[derive(Debug)]
pub struct Usage {
    /// What is said about the key `url`.
    pub url: &'static str,
    /// The port of a server that names none.
    pub port: u16,
    /// The schemes that mean TLS.
    pub encrypted: &'static [&'static str],
}

/// The URL of a server. It may hold a user and a password; those are never shown.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Place {
    Host(Target),
    Socket { scheme: String, path: PathBuf, database: String },
}

impl Place {
    fn shown(&self) -> String {
        match self {
            Self::Host(target) => target.shown(),
            Self::Socket { scheme, path, database } if database.is_empty() => {
                format!("{scheme}://{}", path.display())
            }
            Self::Socket { scheme, path, database } => format!("{scheme}://{}?db={database}", path.display()),
        }
    }
}

impl Value for Place {
    fn shape() -> Shape {
        Target::shape()
    }

    fn decode(node: &Node, context: &mut Context<'_>) -> Option<Self> {
        let text = context.text("a URL", node)?;
        let parts = text.split_once("://").map(|(scheme, rest)| (scheme.to_ascii_lowercase(), rest));
        let Some((scheme, rest)) = parts.filter(|(scheme, _)| scheme.ends_with(UNIX)) else {
            return Target::decode(node, context).map(Self::Host);
        };
        let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
        let database = if query.is_empty() { Some("") } else { query.strip_prefix("db=") };
        match database {
            Some(database) if path.len() > 1 && path.starts_with('/') && !path.contains('\0') => {
                Some(Self::Socket { scheme, path: path.into(), database: database.to_owned() })
            }
            // The text may hold a password: it is not repeated.
            _ => {
                let wanted = format!("expected `{scheme}:///PATH/OF/THE/SOCKET`");
                context.error(node.span, format!("{wanted}, with nothing behind it but perhaps `?db=NUMBER`"))
            }
        }
    }

    fn show(&self) -> Node {
        Node::text(self.shown())
    }

    fn redact(written: &Node) -> Node {
        Target::redact(written)
    }
}

/// A server as a check gives it.
#[derive(Debug)]
pub struct Endpoint {
    place: Place,
    port: u16,
    username: Option<String>,
    password: Option<Secret>,
    way: Way,
    tls: Option<tls::Options>,
}

impl Endpoint {
    /// Reads the keys.
    pub fn read(fields: &mut Fields<'_, '_, '_>, usage: &Usage) -> Option<Self> {
        let place: Option<Place> = fields.required("url", usage.url);
        let username = fields.optional("username", "The user to log in as, if the URL names none.");
        let password = fields.optional("password", "The password to log in with.");
        let way = Way::read(fields);
        let tls = tls::Options::read(fields);
        let place = place?;
        let (port, encrypted, in_url) = match &place {
            Place::Socket { .. } => (0, false, (None, None)),
            Place::Host(target) => {
                if target.url().query().is_some() || target.url().fragment().is_some() {
                    fields.error("url", format!("expected nothing behind the path of `{}`", target.scheme()));
                    return None;
                }
                let encrypted = usage.encrypted.contains(&target.scheme());
                (target.port().unwrap_or(usage.port), encrypted, (target.username(), target.password()))
            }
        };
        let username = only_one(fields, "username", username, in_url.0)?;
        let password = only_one(fields, "password", password, in_url.1.map(Secret::Literal))?;
        if username.is_some() && password.is_none() {
            fields.error("url", format!("{} logs in without a `password`", fields.what()));
            return None;
        }
        let tls = tls?;
        Some(Self { place, port, username, password, way, tls: encrypted.then_some(tls) })
    }

    /// The URL for people.
    pub fn shown(&self) -> String {
        self.place.shown()
    }

    /// What the URL names on the server, without slashes: of a host's URL the path, of a socket's what `db` is.
    pub fn database(&self) -> &str {
        match &self.place {
            Place::Host(target) => target.url().path().trim_matches('/'),
            Place::Socket { database, .. } => database,
        }
    }

    /// Whether there is a password but no user.
    pub fn has_only_password(&self) -> bool {
        self.username.is_none() && self.password.is_some()
    }

    /// Host and port, or the path of the socket.
    pub fn address(&self) -> String {
        match &self.place {
            Place::Host(target) => format!("{}:{}", target.host(), self.port),
            Place::Socket { path, .. } => path.display().to_string(),
        }
    }

    /// The values that messages may name.
    pub fn values(&self) -> Vec<(String, String)> {
        let mut values = vec![("url", self.shown())];
        match &self.place {
            Place::Host(target) => values.extend([("host", target.host()), ("port", self.port.to_string())]),
            Place::Socket { path, .. } => values.push(("path", path.display().to_string())),
        }
        values.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
    }

    /// Who we are there, if we are to say so.
    ///
    /// # Errors
    /// A sentence that says where the password was looked for.
    pub fn login(&self) -> Result<Option<Login>, String> {
        let Some(password) = &self.password else { return Ok(None) };
        Ok(Some(Login { username: self.username.clone(), password: password.reveal(&env::variable)? }))
    }

    /// Opens what connecting needs.
    ///
    /// # Errors
    /// A sentence that names what was expected, what was found and where.
    pub fn build(&self, world: &World) -> Result<Dialer, String> {
        Ok(match &self.place {
            Place::Socket { path, .. } => Dialer::Socket(path.clone()),
            Place::Host(target) => Dialer::Host {
                host: target.host(),
                port: self.port,
                way: self.way.clone(),
                tls: self.tls.as_ref().map(|options| options.build(world, &[])).transpose()?.map(Box::new),
                resolver: world.resolver().clone(),
            },
        })
    }
}

/// What stands in a key or in the URL; that it stands in both has been reported on `None`.
fn only_one<T>(
    fields: &mut Fields<'_, '_, '_>,
    key: &'static str,
    in_key: Option<T>,
    in_url: Option<T>,
) -> Option<Option<T>> {
    if in_key.is_some() && in_url.is_some() {
        fields.error(key, format!("{} has a {key} in its URL and another in `{key}`", fields.what()));
        return None;
    }
    Some(in_key.or(in_url))
}

/// Who we are.
pub struct Login {
    /// The user; `None` where the server knows only a password.
    pub username: Option<String>,
    /// The password. Never shown.
    pub password: String,
}

impl Login {
    /// The failure of a login that the server refused, in its words, without our password should they repeat it.
    pub fn refused(&self, words: &str) -> Failure {
        /// Shorter ones would blank ordinary words, and are found by anybody.
        const SHORTEST: usize = 4;
        let said = match self.password.len() >= SHORTEST {
            true => words.replace(&self.password, REDACTED),
            false => words.to_owned(),
        };
        refused("the login was refused", &said)
    }

    /// The failure of a login that was not answered: nothing is shown of what came instead, for it may be what was sent.
    pub fn unanswered(failure: Failure) -> Failure {
        match failure.fault {
            Fault::Protocol => Failure::new(Fault::Protocol, "the login was answered with something that is no answer"),
            _ => failure,
        }
    }
}

/// Connects to one server, again and again.
pub enum Dialer {
    /// Over TCP.
    Host {
        /// A name or an address.
        host: String,
        /// Its port.
        port: u16,
        /// How to get there.
        way: Way,
        /// TLS, if it is spoken.
        tls: Option<Box<tls::Client>>,
        /// Resolves the name.
        resolver: Resolver,
    },
    /// At a Unix socket.
    Socket(PathBuf),
}

impl Dialer {
    /// A connection, and when the certificate of the server ends.
    ///
    /// # Errors
    /// The fault of name resolution, of connecting, of TLS.
    pub async fn connect(&self, trace: &Trace) -> Result<(Box<dyn Stream>, Option<Wall>), Failure> {
        match self {
            Self::Socket(path) => Ok((Box::new(socket::connect(path, trace).await?), None)),
            Self::Host { host, port, way, tls, resolver } => {
                let stream = net::connect(resolver, host, *port, way, trace).await?;
                let Some(tls) = tls else { return Ok((Box::new(stream), None)) };
                let stream = tls.connect(host, stream, trace).await?;
                let not_after = tls::not_after(&stream);
                Ok((Box::new(stream), not_after))
            }
        }
    }
}
