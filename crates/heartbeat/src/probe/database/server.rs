//! A check of a database that is reached over a network or a socket of this machine, whatever its protocol.

use std::fmt;
use std::future::Future;
use std::path::PathBuf;
use std::sync::Arc;

use heartbeat_core::Wall;
use heartbeat_core::outcome::Fault;

use super::encryption::{Attempt, Encryption, Mode};
use super::questions::Questions;
use super::url::DatabaseUrl;
use super::wire::Wire;
use super::{Refusal, Session, Wrong, without_password};
use crate::config::Fields;
use crate::config::values::Secret;
use crate::host::{env, user};
use crate::probe::budget::Budget;
use crate::probe::expect::Limits;
use crate::probe::net::{self, Stream, Way, socket};
use crate::probe::resolve::Resolver;
use crate::probe::{Boxed, Failure, Observation, Phase, Prober, Spec, Trace, World, tls};

/// A protocol that databases speak.
pub trait Protocol: fmt::Debug + Send + Sync + 'static {
    /// What it opens.
    type Session: Session;

    /// Where servers listen unless told otherwise.
    const PORT: u16;

    /// The parameter of the URL that says how much encryption is wanted, and its words.
    const MODES: (&'static str, &'static [(&'static str, Mode)]);

    /// The parameter of the URL that names a socket of this machine.
    const SOCKET: &'static str;

    /// Further parameters that are taken.
    const PARAMETERS: &'static [&'static str];

    /// The path of the socket behind the parameter.
    fn socket(parameter: &str, port: u16) -> PathBuf;

    /// Whether a refused login may succeed with encryption instead of without, or the other way round.
    fn is_about_encryption(refusal: &Refusal) -> bool;

    /// Logs in.
    fn open(
        wire: Wire,
        login: &Login,
        encryption: Option<Encryption<'_>>,
        bodies: &Budget,
        trace: &Trace,
    ) -> impl Future<Output = Result<Opened<Self::Session>, Wrong>> + Send;
}

/// Who we are.
#[derive(Debug)]
pub struct Login {
    /// The user.
    pub user: String,
    /// Its password.
    pub password: Option<String>,
    /// The database that we want to use.
    pub database: Option<String>,
    /// The parameters of the URL.
    pub parameters: Vec<(String, String)>,
    /// Whether what is said does not leave this machine.
    pub is_local: bool,
}

/// A session, and what was learned on the way.
#[derive(Debug)]
pub struct Opened<S> {
    /// The session.
    pub session: S,
    /// The end of the certificate; `None` without encryption.
    pub not_after: Option<Wall>,
}

/// Where a server is.
#[derive(Clone, Debug)]
enum Place {
    Host(String, u16),
    Socket(PathBuf),
}

/// A decoded check.
#[derive(Debug)]
pub struct Server<P> {
    url: DatabaseUrl,
    place: Place,
    mode: Mode,
    password: Option<Secret>,
    way: Way,
    tls: tls::Options,
    questions: Questions,
    expect: Limits,
    warn: Limits,
    protocol: std::marker::PhantomData<P>,
}

/// Reads the keys of a check.
pub fn decode<P: Protocol>(fields: &mut Fields<'_, '_, '_>, url_doc: &'static str) -> Option<Box<dyn Spec>> {
    let url: Option<DatabaseUrl> = fields.required("url", url_doc);
    let password: Option<Secret> = fields.optional("password", "The password to log in with.");
    let way = Way::read(fields);
    let tls = tls::Options::read_files(fields);
    let asked = Questions::read(fields, Limits::read);
    let warn = Limits::read_warnings(fields);
    let (url, tls, (questions, expect)) = (url?, tls?, asked?);
    if url.password().is_some() && password.is_some() {
        fields.error("password", format!("{} has a password in its URL and another in `password`", fields.what()));
        return None;
    }
    let parts = place::<P>(&url).and_then(|place| Ok((place, mode::<P>(&url)?)));
    let (place, mode) = match parts {
        Ok(parts) => parts,
        Err(wrong) => {
            fields.error("url", wrong);
            return None;
        }
    };
    let mode = mode.unwrap_or_else(|| Mode::default_for(tls.names_authority()));
    Some(Box::new(Server::<P> {
        password: password.or_else(|| url.password()),
        url,
        place,
        mode,
        way,
        tls,
        questions,
        expect,
        warn,
        protocol: std::marker::PhantomData,
    }))
}

fn place<P: Protocol>(url: &DatabaseUrl) -> Result<Place, String> {
    let (mode, socket) = (P::MODES.0, P::SOCKET);
    let parameters = url.parameters();
    for (name, _) in &parameters {
        if name == "password" {
            return Err("a password does not belong into a parameter of the URL: use the key `password`".to_owned());
        }
        if name != mode && name != socket && !P::PARAMETERS.contains(&name.as_str()) {
            let known: Vec<_> = [mode, socket].iter().chain(P::PARAMETERS).map(|known| format!("`{known}`")).collect();
            return Err(format!("unknown parameter `{name}` in `url`: known are {}", known.join(", ")));
        }
    }
    let parameter = |key: &str| parameters.iter().find(|(name, _)| name == key).map(|(_, value)| value.clone());
    // A URL without a host has no place for a port.
    let port = match (url.port(), parameter("port")) {
        (Some(port), _) => port,
        (None, None) => P::PORT,
        (None, Some(written)) => written
            .parse()
            .ok()
            .filter(|port| *port > 0)
            .ok_or_else(|| format!("expected a port from 1 to 65535 for `port`, found `{written}`"))?,
    };
    let host = url.host();
    let named = parameter(socket);
    match named.or_else(|| host.starts_with('/').then(|| host.clone())) {
        Some(path) if path.starts_with('/') => Ok(Place::Socket(P::socket(&path, port))),
        Some(path) => Err(format!("expected an absolute path for `{socket}`, found `{path}`")),
        None if host.is_empty() => {
            Err(format!("`{}` lacks a host: name one, or a socket with `?{socket}=PATH`", url.shown()))
        }
        None if host.contains(',') => Err(format!("`{}` names several hosts: give each its own check", url.shown())),
        None => Ok(Place::Host(host, port)),
    }
}

fn mode<P: Protocol>(url: &DatabaseUrl) -> Result<Option<Mode>, String> {
    let (key, words) = P::MODES;
    let Some((_, written)) = url.parameters().into_iter().find(|(name, _)| name == key) else { return Ok(None) };
    match words.iter().find(|(word, _)| word.eq_ignore_ascii_case(&written)) {
        Some((_, mode)) => Ok(Some(*mode)),
        None => {
            let known: Vec<_> = words.iter().map(|(word, _)| format!("`{word}`")).collect();
            Err(format!("expected one of {} for `{key}`, found `{written}`", known.join(", ")))
        }
    }
}

impl<P: Protocol> Spec for Server<P> {
    fn target(&self) -> String {
        self.url.shown()
    }

    fn address(&self) -> Option<String> {
        Some(match &self.place {
            Place::Host(host, port) => format!("{host}:{port}"),
            Place::Socket(path) => path.display().to_string(),
        })
    }

    fn values(&self) -> Vec<(String, String)> {
        let (host, port) = match &self.place {
            Place::Host(host, port) => (host.clone(), port.to_string()),
            Place::Socket(path) => (path.display().to_string(), String::new()),
        };
        let database = self.url.database().unwrap_or_default();
        [("url", self.url.shown()), ("host", host), ("port", port), ("database", database)]
            .map(|(name, value)| (name.to_owned(), value))
            .into()
    }

    fn build(&self, world: &World) -> Result<Box<dyn Prober>, String> {
        let user = match self.url.user() {
            Some(user) => user.to_owned(),
            None => user::current()
                .map(|user| user.name)
                .ok_or_else(|| format!("`{}` names no user, and that of this process has no name", self.url.shown()))?,
        };
        let names_authority = self.tls.names_authority();
        let tls = match (&self.place, self.mode) {
            // A socket does not leave the machine: neither client encrypts it.
            (Place::Socket(_), _) | (_, Mode::Disable) => None,
            (Place::Host(..), mode) => Some(self.tls.clone().of_depth(mode.depth(names_authority)).build(world, &[])?),
        };
        Ok(Box::new(ServerProber::<P> {
            place: self.place.clone(),
            login: Login {
                user,
                password: self.password.as_ref().map(|secret| secret.reveal(&env::variable)).transpose()?,
                database: self.url.database(),
                parameters: self.url.parameters(),
                is_local: matches!(self.place, Place::Socket(_)),
            },
            mode: self.mode,
            way: self.way.clone(),
            tls,
            resolver: world.resolver().clone(),
            bodies: world.bodies().clone(),
            node: world.node().clone(),
            questions: self.questions.clone(),
            expect: self.expect,
            warn: self.warn,
            protocol: std::marker::PhantomData,
        }))
    }
}

/// Ready to probe.
struct ServerProber<P> {
    place: Place,
    login: Login,
    mode: Mode,
    way: Way,
    tls: Option<tls::Client>,
    resolver: Resolver,
    bodies: Budget,
    node: Arc<str>,
    questions: Questions,
    expect: Limits,
    warn: Limits,
    protocol: std::marker::PhantomData<P>,
}

impl<P: Protocol> Prober for ServerProber<P> {
    fn probe<'a>(&'a self, trace: &'a Trace) -> Boxed<'a, Result<Observation, Failure>> {
        Box::pin(async move {
            let seen = self.visit(trace).await;
            seen.map_err(|failure| without_password(failure, self.login.password.as_deref()))
        })
    }
}

impl<P: Protocol> ServerProber<P> {
    async fn visit(&self, trace: &Trace) -> Result<Observation, Failure> {
        let Opened { mut session, not_after } = self.open(trace).await?;
        trace.enter(Phase::Query);
        let asked = self.questions.ask(&mut session, &self.node).await;
        trace.complete();
        let took = trace.elapsed();
        session.goodbye().await;
        asked?;
        if not_after.is_none() && self.expect.certificate.is_some() {
            return Err(Failure::new(Fault::Certificate, "the connection is not encrypted, expected a certificate"));
        }
        self.expect.observe(&self.warn, took, not_after)
    }

    async fn open(&self, trace: &Trace) -> Result<Opened<P::Session>, Failure> {
        let attempts = if self.tls.is_some() { self.mode.attempts() } else { &[Attempt::Plain] };
        let mut attempts = attempts.iter().peekable();
        loop {
            let attempt = *attempts.next().expect("every mode has attempts, and the last one returns");
            match self.attempt(attempt, trace).await {
                Ok(opened) => return Ok(opened),
                Err(wrong) if attempts.peek().is_some() && may_succeed_otherwise::<P>(&wrong) => {}
                Err(wrong) => return Err(wrong.failure("the login was refused")),
            }
        }
    }

    async fn attempt(&self, attempt: Attempt, trace: &Trace) -> Result<Opened<P::Session>, Wrong> {
        let (stream, host): (Box<dyn Stream>, _) = match &self.place {
            Place::Host(host, port) => {
                (Box::new(net::connect(&self.resolver, host, *port, &self.way, trace).await?), host.as_str())
            }
            Place::Socket(path) => (Box::new(socket::connect(path, trace).await?), ""),
        };
        let encryption = match (&self.tls, attempt) {
            (None, _) | (_, Attempt::Plain) => None,
            (Some(client), _) => Some(Encryption { client, host, insists: attempt == Attempt::Encrypted }),
        };
        P::open(Wire::new(stream, &self.bodies), &self.login, encryption, &self.bodies, trace).await
    }
}

/// Whether the next attempt, with more or less encryption, may fare better.
fn may_succeed_otherwise<P: Protocol>(wrong: &Wrong) -> bool {
    match wrong {
        Wrong::Refused(refusal) => P::is_about_encryption(refusal),
        Wrong::Broken(failure) => failure.fault == Fault::Tls,
    }
}
