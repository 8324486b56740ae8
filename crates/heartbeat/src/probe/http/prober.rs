//! One probe: a request, the redirects that it leads through, the judgement of the last answer.
//!
//! A prober is small, for there may be very many: a request is written down anew for every probe. What few probes need (names, TLS, HTTP/2, redirects) is
//! boxed, so that a plain probe in flight is small.

use std::sync::Arc;

use bytes::Bytes;
use heartbeat_core::Wall;
use heartbeat_core::outcome::Fault;
use http::header::{
    ACCEPT, ACCEPT_ENCODING, ACCEPT_LANGUAGE, CONTENT_ENCODING, CONTENT_TYPE, LOCATION, PROXY_AUTHORIZATION, USER_AGENT,
};
use http::{HeaderMap, Method, StatusCode};
use tokio::net::TcpStream;
use url::Url;

use super::answer::{Answer, Body, Wire};
use super::asked::{Asked, Form, Message};
use super::body::{Decoder, MOUTHFUL, Watcher};
use super::proxy::Proxy;
use super::{Offer, Terms, clip, http1, http2};
use crate::probe::budget::Budget;
use crate::probe::net;
use crate::probe::resolve::Resolver;
use crate::probe::{Boxed, Failure, Observation, Phase, Prober, Trace, target, tls};

/// Ready to probe.
pub(super) struct HttpProber {
    /// What the configuration asks for.
    pub(super) url: Arc<Url>,
    pub(super) means: Arc<Means>,
}

/// What the probers of checks share that differ only in their URL.
#[derive(Debug)]
pub(super) struct Means {
    pub(super) message: Arc<Message>,
    pub(super) proxy: Option<Proxy>,
    pub(super) tls: tls::Client,
    pub(super) tls_elsewhere: tls::Client,
    pub(super) resolver: Resolver,
    pub(super) bodies: Budget,
    pub(super) terms: Arc<Terms>,
}

impl Prober for HttpProber {
    fn probe<'a>(&'a self, trace: &'a Trace) -> Boxed<'a, Result<Observation, Failure>> {
        Box::pin(async move {
            let answer = self.ask(&self.first(), trace).await?;
            match self.redirect(&answer) {
                None => self.judge(answer, trace).await,
                Some(location) => Box::pin(self.go_on(answer.status, location, trace)).await,
            }
        })
    }
}

/// Says where a failure was met that is not the URL that the check names.
fn elsewhere(url: &Url, failure: Failure) -> Failure {
    if failure.fault.is_local() {
        return failure;
    }
    Failure::new(failure.fault, format!("{} (redirected to {})", failure.reason, clip(url.as_str())))
}

/// Whether what is meant for one URL may be sent to another: the same scheme, host and port, or the same host over TLS
/// instead of without, both at their usual ports.
fn is_same_origin(ours: &Url, other: &Url) -> bool {
    let (port, other_port) = (ours.port_or_known_default(), other.port_or_known_default());
    let upgraded = ours.scheme() == "http" && other.scheme() == "https" && port == Some(80) && other_port == Some(443);
    let same = ours.scheme() == other.scheme() && port == other_port;
    ours.host() == other.host() && (same || upgraded)
}

async fn ask_http2(asked: &Asked, wire: Wire, not_after: Option<Wall>, trace: &Trace) -> Result<Answer, Failure> {
    let (head, exchange) = http2::ask(asked, wire, trace).await?;
    Ok(Answer { status: head.status, headers: head.headers, not_after, body: Body::Http2(Box::new(exchange)) })
}

impl HttpProber {
    fn first(&self) -> Asked {
        Asked { url: Arc::clone(&self.url), message: Arc::clone(&self.means.message) }
    }

    async fn ask(&self, asked: &Asked, trace: &Trace) -> Result<Answer, Failure> {
        let (via, port) = match &self.means.proxy {
            Some(proxy) => (proxy.host.as_str(), proxy.port),
            None => (asked.host(), asked.port()),
        };
        let stream = net::open(&self.means.resolver, via, port, &self.means.terms.way, trace).await?;
        if asked.is_encrypted() {
            Box::pin(self.ask_encrypted(asked, stream, trace)).await
        } else if self.means.terms.version == Offer::Http2 && self.means.proxy.is_none() {
            net::hasten(&stream);
            Box::pin(ask_http2(asked, Wire::Plain(stream), None, trace)).await
        } else {
            self.ask_http1(asked, Wire::Plain(stream), None, trace).await
        }
    }

    async fn ask_encrypted(&self, asked: &Asked, mut stream: TcpStream, trace: &Trace) -> Result<Answer, Failure> {
        let (host, port) = (asked.host(), asked.port());
        if let Some(proxy) = &self.means.proxy {
            let bracketed = if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") };
            trace.enter(Phase::Tunnel);
            proxy.tunnel(&mut stream, &bracketed).await?;
        }
        let at_home = is_same_origin(&self.url, &asked.url);
        let tls = if at_home { &self.means.tls } else { &self.means.tls_elsewhere };
        net::hasten(&stream);
        let stream = tls.connect(host, stream, trace).await?;
        let not_after = tls::not_after(&stream);
        let is_http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
        let wire = Wire::Encrypted(Box::new(stream));
        match (self.means.terms.version, is_http2) {
            (_, true) => ask_http2(asked, wire, not_after, trace).await,
            (Offer::Http2, false) => Err(Failure::new(Fault::Protocol, "the server does not speak HTTP/2")),
            (_, false) => self.ask_http1(asked, wire, not_after, trace).await,
        }
    }

    async fn ask_http1(
        &self,
        asked: &Asked,
        wire: Wire,
        not_after: Option<Wall>,
        trace: &Trace,
    ) -> Result<Answer, Failure> {
        let looks_at =
            |name: &str| LOCATION == name || CONTENT_ENCODING == name || self.means.terms.rules.looks_at(name);
        let question = http1::Question { method: &asked.message.method, looks_at: &looks_at };
        let (status, headers, exchange) = http1::ask(wire, self.written(asked), &question, trace).await?;
        Ok(Answer { status, headers, not_after, body: Body::Http1(exchange) })
    }

    /// A request as it goes out, through the proxy if there is one.
    fn written(&self, asked: &Asked) -> Vec<u8> {
        match &self.means.proxy {
            Some(proxy) if !asked.is_encrypted() => {
                let mut told = asked.clone();
                let authorization = proxy.authorization.clone().map(|value| (PROXY_AUTHORIZATION, value));
                Arc::make_mut(&mut told.message).headers.extend(authorization);
                told.http1(Form::Absolute)
            }
            _ => asked.http1(Form::Origin),
        }
    }

    /// Goes where an answer sends us, and on from there.
    async fn go_on(&self, mut status: StatusCode, mut to: String, trace: &Trace) -> Result<Observation, Failure> {
        let (first, mut from) = (self.first(), None::<Asked>);
        for _ in 0..self.means.terms.redirects {
            let next = self.follow(from.as_ref().unwrap_or(&first), status, &to)?;
            let there = |failure| elsewhere(&next.url, failure);
            let answer = self.ask(&next, trace).await.map_err(there)?;
            match self.redirect(&answer) {
                None => return self.judge(answer, trace).await.map_err(there),
                Some(location) => (status, to) = (answer.status, location),
            }
            drop(answer);
            from = Some(next);
        }
        let reason = format!("more than {} redirects, the last one to {}", self.means.terms.redirects, clip(&to));
        Err(Failure::new(Fault::Redirect, reason))
    }

    /// Where an answer sends us, if we are to follow: a redirect that the check expects is an answer like others.
    fn redirect(&self, answer: &Answer) -> Option<String> {
        let status = answer.status;
        let redirects = [
            StatusCode::MOVED_PERMANENTLY,
            StatusCode::FOUND,
            StatusCode::SEE_OTHER,
            StatusCode::TEMPORARY_REDIRECT,
            StatusCode::PERMANENT_REDIRECT,
        ];
        if self.means.terms.redirects == 0
            || !redirects.contains(&status)
            || self.means.terms.rules.status.holds(status)
        {
            return None;
        }
        let location = answer.headers.get(LOCATION)?;
        Some(String::from_utf8_lossy(location.as_bytes()).into_owned())
    }

    /// The request that a redirect leads to (RFC 9110, section 15.4).
    fn follow(&self, asked: &Asked, status: StatusCode, location: &str) -> Result<Asked, Failure> {
        let refuse = |reason: String| Err(Failure::new(Fault::Redirect, reason));
        let Ok(url) = asked.url.join(location) else {
            return refuse(format!("redirected to `{}`, which is no URL", clip(location)));
        };
        if !["http", "https"].contains(&url.scheme()) || !url.has_host() {
            return refuse(format!("redirected to `{}`: only http and https are followed", clip(location)));
        }
        let keeps_method = match status {
            StatusCode::SEE_OTHER => asked.message.method == Method::HEAD,
            StatusCode::MOVED_PERMANENTLY | StatusCode::FOUND => asked.message.method != Method::POST,
            _ => true,
        };
        let url = target::plain(&Arc::new(url));
        let home = is_same_origin(&self.url, &url);
        let mut message = Message { headers: self.means.message.headers.clone(), ..Message::clone(&asked.message) };
        if !keeps_method {
            message.method = Method::GET;
            message.body = Bytes::new();
            message.headers.remove(CONTENT_TYPE);
        }
        if !home {
            if !message.body.is_empty() {
                return refuse(format!("redirected to {}: a body does not follow to another host", clip(url.as_str())));
            }
            let harmless = [ACCEPT, ACCEPT_ENCODING, ACCEPT_LANGUAGE, USER_AGENT];
            let kept = harmless.map(|name| message.headers.get(&name).map(|value| (name.clone(), value.clone())));
            message.headers = kept.into_iter().flatten().collect();
        }
        Ok(Asked { url, message: Arc::new(message) })
    }

    async fn judge(&self, mut answer: Answer, trace: &Trace) -> Result<Observation, Failure> {
        self.means.terms.rules.judge_head(answer.status, &answer.headers)?;
        if self.means.terms.rules.body.is_empty() {
            // Nobody looks at it, but an answer that breaks off is none.
            while answer.body.next().await?.is_some() {
                tokio::task::consume_budget().await;
            }
        } else {
            Box::pin(self.judge_body(&answer.headers, &mut answer.body)).await?;
        }
        if self.url.scheme() == "https" && answer.not_after.is_none() && self.means.terms.expect.certificate.is_some() {
            return Err(Failure::new(Fault::Certificate, "the answer came without TLS, expected a certificate"));
        }
        self.means.terms.expect.observe(&self.means.terms.warn, trace.elapsed(), answer.not_after)
    }

    async fn judge_body(&self, headers: &HeaderMap, body: &mut Body) -> Result<(), Failure> {
        let watcher = Watcher::new(&self.means.terms.rules.body, self.means.terms.body_limit, &self.means.bodies);
        let mut decoder = Decoder::new(headers, watcher)?;
        let mouthful = if decoder.is_coded() { MOUTHFUL } else { usize::MAX };
        while let Some(bytes) = body.next().await? {
            for bytes in bytes.chunks(mouthful) {
                decoder.feed(bytes)?;
                tokio::task::consume_budget().await;
            }
        }
        decoder.finish()
    }
}
