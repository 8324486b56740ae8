//! The kinds `http` and `https`: a request, its redirects, and what the last answer must be.
//!
//! Every hop is a connection of its own; nothing is reused, so that a check sees what a new client sees. Credentials,
//! headers and the client certificate that the configuration gives go to the origin that it names and to no other: after
//! a redirect elsewhere only what any client sends is left. A redirect from https to http is followed like any other, for
//! browsers do, but it is such an elsewhere. A redirect that would carry a body elsewhere is a fault.
//!
//! Absent on purpose: cookies, caches, proxies of the environment, brotli and zstd (they are not offered).

mod body;
mod exchange;
mod proxy;
mod rules;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use heartbeat_core::outcome::Fault;
use http::header::{ACCEPT, ACCEPT_ENCODING, ACCEPT_LANGUAGE, AUTHORIZATION, CONNECTION, CONTENT_LENGTH, CONTENT_TYPE};
use http::header::{LOCATION, PROXY_AUTHORIZATION, TE, TRANSFER_ENCODING, UPGRADE, USER_AGENT};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use url::Url;

use self::body::{Decoder, MOUTHFUL, Watcher};
use self::exchange::{Answer, Asked, Form};
use self::proxy::{Proxy, ProxySpec};
use self::rules::Rules;
use super::budget::Budget;
use super::expect::Limits;
use super::net::{self, Way};
use super::resolve::Resolver;
use super::target::Target;
use super::{Boxed, Failure, Kind, Observation, Phase, PickedBy, Prober, Spec, Trace, World, clip, target, tls};
use crate::config::values::{Secret, Size, words};
use crate::config::{Context, Fields, Node, Shape, Value};
use crate::host::env;

/// The line of the table.
pub const KIND: Kind = Kind {
    name: "http",
    doc: "Asks a web server and judges its answer.",
    picked_by: PickedBy::Schemes(&["http", "https"]),
    example: "\
url: https://example.org/health
headers: { x-token: { env: TOKEN } }
expect: { status: 200, body: { contains: ready, json: { $.status: ok } }, latency: 2s }
warn: { certificate: 21d }
",
    decode,
};

/// What we say that we are.
const AGENT: &str = concat!("heartbeat/", env!("CARGO_PKG_VERSION"));

/// Redirects that may be allowed at most: a chain of more is a loop to every browser.
const REDIRECTS: u32 = 10;

/// A decoded check.
#[derive(Debug)]
struct Http {
    target: Target,
    method: Method,
    headers: Vec<(HeaderName, Secret)>,
    body: Option<Secret>,
    auth: Option<Auth>,
    redirects: u32,
    version: Offer,
    way: Way,
    proxy: Option<ProxySpec>,
    tls: tls::Options,
    body_limit: usize,
    rules: Arc<Rules>,
    expect: Limits,
    warn: Limits,
}

/// How we tell who we are.
#[derive(Debug)]
enum Auth {
    Basic(String, Option<Secret>),
    Bearer(Secret),
}

/// The versions of HTTP that are offered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Offer {
    Http1,
    Http2,
    Both,
}

words!(Offer { "1.1" => Http1, "2" => Http2, "auto" => Both });

impl Offer {
    fn alpn(self) -> &'static [&'static [u8]] {
        match self {
            Self::Http1 => &[b"http/1.1"],
            Self::Http2 => &[b"h2"],
            Self::Both => &[b"h2", b"http/1.1"],
        }
    }
}

fn decode(fields: &mut Fields<'_, '_, '_>) -> Option<Box<dyn Spec>> {
    let target: Option<Target> =
        fields.required("url", "What to ask for; user and password in it are sent as `basic`.");
    let method: MethodName = fields.or("method", "The method of the request.", MethodName(Method::GET));
    let headers =
        fields.optional("headers", "Headers of the request. Each value is a secret, and goes to this host only.");
    let headers = request_headers(fields, headers.unwrap_or_default());
    let body = fields.optional("body", "The body of the request; treated as a secret.");
    let auth = auth(fields, target.as_ref());
    let redirects: u32 = fields.or("redirects", "How many redirects are followed; 0: none.", REDIRECTS);
    if redirects > REDIRECTS {
        fields.error("redirects", format!("expected at most {REDIRECTS} redirects, found {redirects}"));
    }
    let version = fields.or("http", "The version of HTTP; `auto` lets the server choose.", Offer::Http1);
    let way = Way::read(fields);
    let proxy = ProxySpec::read(fields);
    let tls = tls::Options::read(fields);
    let Size(body_limit) =
        fields.or("body_limit", "So much of the body is kept for `matches` and `json`.", Size(256 << 10));
    let expect = fields.section("expect", "What the answer must be.", |fields| {
        let limits = Limits::read(fields);
        Some((limits, Rules::read(fields)?))
    });
    let warn = Limits::read_warnings(fields);
    if let Some(target) = &target
        && target.scheme() == "http"
        && version == Offer::Both
    {
        fields.error("http", "without TLS nothing is negotiated: `http` must be `1.1` or `2`");
    }
    let (expect, rules) = expect?;
    Some(Box::new(Http {
        target: target?,
        method: method.0,
        headers: headers?,
        body,
        auth: auth?,
        redirects,
        version,
        way,
        proxy: proxy?,
        tls: tls?,
        body_limit: usize::try_from(body_limit).unwrap_or(usize::MAX),
        rules: Arc::new(rules),
        expect,
        warn,
    }))
}

/// Headers that HTTP itself needs to get right.
const OURS: [HeaderName; 6] = [CONNECTION, CONTENT_LENGTH, TRANSFER_ENCODING, UPGRADE, TE, PROXY_AUTHORIZATION];

fn request_headers(
    fields: &mut Fields<'_, '_, '_>,
    written: BTreeMap<String, Secret>,
) -> Option<Vec<(HeaderName, Secret)>> {
    let mut headers = Vec::with_capacity(written.len());
    let mut right = true;
    for (name, value) in written {
        match HeaderName::try_from(name.as_str()) {
            Ok(name) if OURS.contains(&name) => {
                right = false;
                fields.error("headers", format!("the header `{name}` is ours to set"));
            }
            Ok(name) => headers.push((name, value)),
            Err(_) => {
                right = false;
                fields.error("headers", format!("`{name}` cannot be the name of a header"));
            }
        }
    }
    right.then_some(headers)
}

fn auth(fields: &mut Fields<'_, '_, '_>, target: Option<&Target>) -> Option<Option<Auth>> {
    let basic = fields.section("basic", "Basic authentication (RFC 7617).", |fields| {
        let user: Option<String> = fields.optional("user", "The name to log in with.");
        let password: Option<Secret> = fields.optional("password", "The password to log in with.");
        Some((user, password))
    });
    let bearer: Option<Secret> = fields.optional("bearer", "A bearer token (RFC 6750).");
    let basic = basic?;
    let in_url = target.and_then(Target::user);
    let given = [basic.0.is_some() || basic.1.is_some(), bearer.is_some(), in_url.is_some()];
    if given.iter().filter(|given| **given).count() > 1 {
        fields.error("bearer", format!("{} says who we are more than once: `basic`, `bearer`, the URL", fields.what()));
        return None;
    }
    Some(match (basic, bearer, in_url) {
        ((Some(user), password), ..) => Some(Auth::Basic(user, password)),
        ((None, Some(_)), ..) => {
            fields.error("basic", "`basic` needs its `user`");
            return None;
        }
        (_, Some(token), _) => Some(Auth::Bearer(token)),
        (_, _, Some((user, password))) => Some(Auth::Basic(user, password.map(Secret::Literal))),
        _ => None,
    })
}

/// A method by its name (RFC 9110, section 9).
#[derive(Clone, Debug)]
struct MethodName(Method);

impl Value for MethodName {
    fn shape() -> Shape {
        Shape::Text { noun: "a method", pattern: Some("^[A-Z]+$") }
    }

    fn decode(node: &Node, context: &mut Context<'_>) -> Option<Self> {
        let noun = "a method such as `GET`";
        let text = context.text(noun, node)?;
        match Method::from_bytes(text.as_bytes()) {
            Ok(method) if method != Method::CONNECT && text.bytes().all(|byte| byte.is_ascii_uppercase()) => {
                Some(Self(method))
            }
            _ => context.expected(noun, node),
        }
    }

    fn show(&self) -> Node {
        Node::text(self.0.as_str())
    }
}

impl Http {
    /// The headers for the origin that the configuration names.
    fn own_headers(&self) -> Result<HeaderMap, String> {
        let mut headers = HeaderMap::new();
        for (name, secret) in &self.headers {
            let value = secret.reveal(&env::variable)?;
            let mut value =
                HeaderValue::try_from(value).map_err(|_| format!("the header {name} holds a line break"))?;
            value.set_sensitive(true);
            headers.insert(name.clone(), value);
        }
        let authorization = match &self.auth {
            None => None,
            Some(Auth::Basic(user, password)) => {
                let password = password.as_ref().map(|secret| secret.reveal(&env::variable)).transpose()?;
                Some(proxy::basic(user, &password.unwrap_or_default())?)
            }
            Some(Auth::Bearer(token)) => {
                let token = token.reveal(&env::variable)?;
                let mut value = HeaderValue::try_from(format!("Bearer {token}"))
                    .map_err(|_| "the bearer token holds a line break".to_owned())?;
                value.set_sensitive(true);
                Some(value)
            }
        };
        headers.extend(authorization.map(|value| (AUTHORIZATION, value)));
        Ok(headers)
    }
}

impl Spec for Http {
    fn target(&self) -> String {
        self.target.shown()
    }

    fn address(&self) -> Option<String> {
        Some(format!("{}:{}", self.target.host(), self.target.port().unwrap_or_default()))
    }

    fn values(&self) -> Vec<(String, String)> {
        let port = self.target.port().unwrap_or_default().to_string();
        [
            ("url", self.target.shown()),
            ("host", self.target.host()),
            ("port", port),
            ("path", self.target.url().path().to_owned()),
            ("method", self.method.to_string()),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .into()
    }

    fn build(&self, world: &World) -> Result<Box<dyn Prober>, String> {
        let body = self.body.as_ref().map(|secret| secret.reveal(&env::variable)).transpose()?;
        Ok(Box::new(HttpProber {
            first: Asked {
                method: self.method.clone(),
                url: self.target.url().clone(),
                headers: self.own_headers()?,
                body: Bytes::from(body.unwrap_or_default()),
            },
            redirects: self.redirects,
            version: self.version,
            way: self.way.clone(),
            proxy: self.proxy.as_ref().map(ProxySpec::build).transpose()?,
            tls: self.tls.build(world, self.version.alpn())?,
            tls_elsewhere: self.tls.elsewhere().build(world, self.version.alpn())?,
            resolver: world.resolver().clone(),
            body_limit: self.body_limit,
            bodies: world.bodies().clone(),
            rules: self.rules.clone(),
            expect: self.expect,
            warn: self.warn,
        }))
    }
}

/// Ready to probe.
struct HttpProber {
    first: Asked,
    redirects: u32,
    version: Offer,
    way: Way,
    proxy: Option<Proxy>,
    tls: tls::Client,
    tls_elsewhere: tls::Client,
    resolver: Resolver,
    body_limit: usize,
    bodies: Budget,
    rules: Arc<Rules>,
    expect: Limits,
    warn: Limits,
}

impl Prober for HttpProber {
    fn probe<'a>(&'a self, trace: &'a Trace) -> Boxed<'a, Result<Observation, Failure>> {
        Box::pin(async move {
            let mut asked = self.first.clone();
            complete(&mut asked);
            let mut hops = 0;
            let answer = loop {
                let answer = self.ask(&asked, trace).await.map_err(|failure| after(hops, &asked.url, failure))?;
                let Some(location) = self.redirect(&answer) else { break answer };
                hops += 1;
                if hops > self.redirects {
                    let reason = format!("more than {} redirects, the last one to {}", self.redirects, clip(&location));
                    return Err(Failure::new(Fault::Redirect, reason));
                }
                asked = self.follow(&asked, answer.head.status, &location)?;
            };
            self.judge(answer, trace).await.map_err(|failure| after(hops, &asked.url, failure))
        })
    }
}

/// Says where a failure was met, if that is not the URL that the check names.
fn after(hops: u32, url: &Url, failure: Failure) -> Failure {
    if hops == 0 || failure.fault.is_local() {
        return failure;
    }
    Failure::new(failure.fault, format!("{} (redirected to {})", failure.reason, clip(url.as_str())))
}

/// Adds what every client sends.
fn complete(asked: &mut Asked) {
    let _ = asked.url.set_username("");
    let _ = asked.url.set_password(None);
    asked.url.set_fragment(None);
    let usual = [(USER_AGENT, AGENT), (ACCEPT, "*/*"), (ACCEPT_ENCODING, "gzip, deflate")];
    for (name, value) in usual {
        asked.headers.entry(name).or_insert(HeaderValue::from_static(value));
    }
}

/// Whether what is meant for one URL may be sent to another: the same scheme, host and port, or the same host over TLS
/// instead of without, both at their usual ports.
fn is_same_origin(ours: &Url, other: &Url) -> bool {
    let (port, other_port) = (ours.port_or_known_default(), other.port_or_known_default());
    let upgraded = ours.scheme() == "http" && other.scheme() == "https" && port == Some(80) && other_port == Some(443);
    let same = ours.scheme() == other.scheme() && port == other_port;
    ours.host() == other.host() && (same || upgraded)
}

impl HttpProber {
    async fn ask(&self, asked: &Asked, trace: &Trace) -> Result<Answer, Failure> {
        let encrypted = asked.url.scheme() == "https";
        let host = target::host(&asked.url);
        let port = asked.url.port_or_known_default().unwrap_or(80);
        let (via, via_port) = match &self.proxy {
            Some(proxy) => (proxy.host.as_str(), proxy.port),
            None => (host.as_str(), port),
        };
        let mut stream = net::connect(&self.resolver, via, via_port, &self.way, trace).await?;
        if !encrypted {
            let plain = if self.version == Offer::Http2 { Form::Http2 } else { Form::Origin };
            let Some(proxy) = &self.proxy else { return exchange::ask(asked, stream, plain, None, trace).await };
            let mut asked = asked.clone();
            asked.headers.extend(proxy.authorization.clone().map(|value| (PROXY_AUTHORIZATION, value)));
            return exchange::ask(&asked, stream, Form::Absolute, None, trace).await;
        }
        if let Some(proxy) = &self.proxy {
            let bracketed = if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") };
            trace.enter(Phase::Tunnel);
            proxy.tunnel(&mut stream, &bracketed).await?;
        }
        let at_home = is_same_origin(&self.first.url, &asked.url);
        let tls = if at_home { &self.tls } else { &self.tls_elsewhere };
        let stream = tls.connect(&host, stream, trace).await?;
        let form = match (self.version, stream.get_ref().1.alpn_protocol()) {
            (_, Some(b"h2")) => Form::Http2,
            (Offer::Http2, _) => return Err(Failure::new(Fault::Protocol, "the server does not speak HTTP/2")),
            _ => Form::Origin,
        };
        let not_after = tls::not_after(&stream);
        exchange::ask(asked, stream, form, not_after, trace).await
    }

    /// Where an answer sends us, if we are to follow: a redirect that the check expects is an answer like others.
    fn redirect(&self, answer: &Answer) -> Option<String> {
        let status = answer.head.status;
        let redirects = [
            StatusCode::MOVED_PERMANENTLY,
            StatusCode::FOUND,
            StatusCode::SEE_OTHER,
            StatusCode::TEMPORARY_REDIRECT,
            StatusCode::PERMANENT_REDIRECT,
        ];
        if self.redirects == 0 || !redirects.contains(&status) || self.rules.status.holds(status) {
            return None;
        }
        let location = answer.head.headers.get(LOCATION)?;
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
            StatusCode::SEE_OTHER => asked.method == Method::HEAD,
            StatusCode::MOVED_PERMANENTLY | StatusCode::FOUND => asked.method != Method::POST,
            _ => true,
        };
        let home = is_same_origin(&self.first.url, &url);
        let mut next = Asked { url, headers: self.first.headers.clone(), ..asked.clone() };
        if !keeps_method {
            next.method = Method::GET;
            next.body = Bytes::new();
            next.headers.remove(CONTENT_TYPE);
        }
        if !home {
            if !next.body.is_empty() {
                return refuse(format!(
                    "redirected to {}: a body does not follow to another host",
                    clip(next.url.as_str())
                ));
            }
            let harmless = [ACCEPT, ACCEPT_ENCODING, ACCEPT_LANGUAGE, USER_AGENT];
            let kept = harmless.map(|name| next.headers.get(&name).map(|value| (name.clone(), value.clone())));
            next.headers = kept.into_iter().flatten().collect();
        }
        complete(&mut next);
        Ok(next)
    }

    async fn judge(&self, mut answer: Answer, trace: &Trace) -> Result<Observation, Failure> {
        self.rules.judge_head(answer.head.status, &answer.head.headers)?;
        let watcher = Watcher::new(&self.rules.body, self.body_limit, &self.bodies);
        let mut decoder = Decoder::new(&answer.head.headers, watcher)?;
        while let Some(bytes) = answer.next().await? {
            let mouthful = if decoder.is_coded() { MOUTHFUL } else { usize::MAX };
            for bytes in bytes.chunks(mouthful) {
                decoder.feed(bytes)?;
                tokio::task::consume_budget().await;
            }
        }
        decoder.finish()?;
        let encrypted = self.first.url.scheme() == "https";
        if encrypted && answer.not_after.is_none() && self.expect.certificate.is_some() {
            return Err(Failure::new(Fault::Certificate, "the answer came without TLS, expected a certificate"));
        }
        let took = trace.elapsed();
        self.expect.observe(&self.warn, took, answer.not_after)
    }
}
