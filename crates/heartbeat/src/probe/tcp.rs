//! The kinds `tcp` and `tls`: a connection, and if wished a word in each direction.
//!
//! What is expected is looked for in all that the server has said so far, bounded by `body_limit`; the probe ends as soon
//! as it is found.

use std::sync::Arc;

use heartbeat_core::Wall;
use heartbeat_core::outcome::Fault;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::budget::Budget;
use super::expect::Limits;
use super::net::{self, Way};
use super::resolve::Resolver;
use super::target::Target;
use super::text::{Escaped, EscapedSecret};
use super::{Boxed, Failure, Kind, Observation, Phase, PickedBy, Prober, Spec, Trace, World, tls};
use crate::config::Fields;
use crate::config::values::{Pattern, Size};

/// The line of the table.
pub const KIND: Kind = Kind {
    name: "tcp",
    doc: "Connects; if wished, sends something and expects an answer. `tls://` does the same over TLS.",
    picked_by: PickedBy::Schemes(&["tcp", "tls"]),
    example: "\
url: tcp://localhost:6379
send: 'PING\\r\\n'
expect: { contains: PONG }
",
    decode,
};

/// A decoded check.
#[derive(Debug)]
struct Tcp {
    target: Target,
    port: u16,
    send: Option<EscapedSecret>,
    way: Way,
    tls: Option<tls::Options>,
    limit: usize,
    rules: Arc<Rules>,
    expect: Limits,
    warn: Limits,
}

/// What the server must say.
#[derive(Debug, Default)]
struct Rules {
    contains: Option<Escaped>,
    matches: Option<Pattern>,
}

fn decode(fields: &mut Fields<'_, '_, '_>) -> Option<Box<dyn Spec>> {
    let target: Option<Target> = fields.required("url", "Where to connect: `tcp://host:port`, `tls://host:port`.");
    let send = fields.optional("send", "What to send once connected; escapes such as `\\r\\n`. Treated as a secret.");
    let way = Way::read(fields);
    let tls = tls::Options::read(fields);
    let Size(limit) = fields.or("body_limit", "So much of the answer is kept and looked at.", Size(256 << 10));
    let expect = fields.section("expect", "What must be the case.", |fields| {
        let limits = Limits::read(fields);
        let contains = fields.optional("contains", "Text that the server must send; escapes such as `\\x00`.");
        let matches = fields.optional("matches", "A regular expression that what the server sends must match.");
        Some((limits, Rules { contains, matches }))
    });
    let warn = Limits::read_warnings(fields);
    let target = target?;
    let Some(port) = target.port() else {
        fields.error(
            "url",
            format!("`{}` lacks a port: write {}://{}:PORT", target.shown(), target.scheme(), target.host()),
        );
        return None;
    };
    if target.user().is_some() || !matches!(target.url().path(), "" | "/") {
        let message = format!("expected only a host and a port in `url`, found `{}`", target.shown());
        fields.error("url", message);
        return None;
    }
    let encrypted = target.scheme() == "tls";
    let (expect, rules) = expect?;
    Some(Box::new(Tcp {
        tls: if encrypted { Some(tls?) } else { None },
        target,
        port,
        send,
        way,
        limit: usize::try_from(limit).unwrap_or(usize::MAX),
        rules: Arc::new(rules),
        expect,
        warn,
    }))
}

impl Spec for Tcp {
    fn target(&self) -> String {
        self.target.shown()
    }

    fn address(&self) -> Option<String> {
        Some(format!("{}:{}", self.target.host(), self.port))
    }

    fn values(&self) -> Vec<(String, String)> {
        [("url", self.target.shown()), ("host", self.target.host()), ("port", self.port.to_string())]
            .map(|(name, value)| (name.to_owned(), value))
            .into()
    }

    fn build(&self, world: &World) -> Result<Box<dyn Prober>, String> {
        Ok(Box::new(TcpProber {
            host: self.target.host(),
            port: self.port,
            send: self.send.as_ref().map(EscapedSecret::reveal).transpose()?,
            way: self.way.clone(),
            tls: self.tls.as_ref().map(|options| options.build(world, &[])).transpose()?,
            limit: self.limit,
            resolver: world.resolver().clone(),
            bodies: world.bodies().clone(),
            rules: self.rules.clone(),
            expect: self.expect,
            warn: self.warn,
        }))
    }
}

/// Ready to probe.
struct TcpProber {
    host: String,
    port: u16,
    send: Option<Vec<u8>>,
    way: Way,
    tls: Option<tls::Client>,
    limit: usize,
    resolver: Resolver,
    bodies: Budget,
    rules: Arc<Rules>,
    expect: Limits,
    warn: Limits,
}

impl Prober for TcpProber {
    fn probe<'a>(&'a self, trace: &'a Trace) -> Boxed<'a, Result<Observation, Failure>> {
        Box::pin(async move {
            let stream = net::open(&self.resolver, &self.host, self.port, &self.way, trace).await?;
            let not_after = match &self.tls {
                None => {
                    self.talk(stream, trace).await?;
                    None
                }
                Some(tls) => Box::pin(self.talk_encrypted(tls, stream, trace)).await?,
            };
            self.expect.observe(&self.warn, trace.elapsed(), not_after)
        })
    }
}

impl TcpProber {
    async fn talk_encrypted(
        &self,
        tls: &tls::Client,
        stream: TcpStream,
        trace: &Trace,
    ) -> Result<Option<Wall>, Failure> {
        net::hasten(&stream);
        let stream = tls.connect(&self.host, stream, trace).await?;
        let not_after = tls::not_after(&stream);
        self.talk(stream, trace).await?;
        Ok(not_after)
    }

    async fn talk<S: AsyncRead + AsyncWrite + Unpin>(&self, mut stream: S, trace: &Trace) -> Result<(), Failure> {
        if let Some(bytes) = &self.send {
            stream.write_all(bytes).await.map_err(|error| tls::broken("sending", &error))?;
            stream.flush().await.map_err(|error| tls::broken("sending", &error))?;
        }
        if self.rules.contains.is_none() && self.rules.matches.is_none() {
            return Ok(());
        }
        // Boxed, for most checks only connect, and this takes much room.
        Box::pin(self.listen(stream, trace)).await
    }

    async fn listen<S: AsyncRead + Unpin>(&self, mut stream: S, trace: &Trace) -> Result<(), Failure> {
        trace.enter(Phase::FirstByte);
        let mut share = self.bodies.share();
        let mut heard = Vec::new();
        let mut buffer = [0; 4096];
        loop {
            let count =
                stream.read(&mut buffer).await.map_err(|error| tls::broken("waiting for the answer", &error))?;
            if heard.is_empty() {
                trace.enter(Phase::Answer);
            }
            let room = self.limit.saturating_sub(heard.len()).min(count);
            let granted = share.take(room);
            if granted {
                heard.extend_from_slice(&buffer[..room]);
            }
            let Some(missing) = self.rules.missing(&heard) else { return Ok(()) };
            let end = match (count, granted, room < count) {
                (0, ..) => "the server ended the connection",
                (_, false, _) => "other probes held the memory for answers",
                (_, _, true) => "the answer is longer than `body_limit`",
                _ => continue,
            };
            let said = String::from_utf8_lossy(&heard[..heard.len().min(80)]).into_owned();
            return Err(Failure::new(Fault::Body, format!("{missing} was not found in the answer `{said}`: {end}")));
        }
    }
}

impl Rules {
    /// What has not been said yet.
    fn missing(&self, heard: &[u8]) -> Option<String> {
        if let Some(text) = &self.contains
            && !contains(heard, &text.0)
        {
            return Some(format!("{text:?}"));
        }
        let pattern = self.matches.as_ref()?;
        (!pattern.0.is_match(&String::from_utf8_lossy(heard))).then(|| format!("a match of `{}`", pattern.0))
    }
}

fn contains(heard: &[u8], text: &[u8]) -> bool {
    text.is_empty() || heard.windows(text.len()).any(|window| window == text)
}

#[cfg(test)]
mod tests;
