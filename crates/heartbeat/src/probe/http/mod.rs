//! The kinds `http` and `https`: a request, its redirects, and what the last answer must be.
//!
//! Every hop is a connection of its own; nothing is reused, so that a check sees what a new client sees. Credentials,
//! headers and the client certificate that the configuration gives go to the origin that it names and to no other: after
//! a redirect elsewhere only what any client sends is left. A redirect from https to http is followed like any other, for
//! browsers do, but it is such an elsewhere. A redirect that would carry a body elsewhere is a fault.
//!
//! Absent on purpose: cookies, caches, proxies of the environment, brotli and zstd (they are not offered).

mod answer;
mod asked;
mod body;
mod http1;
mod http2;
mod prober;
mod proxy;
mod rules;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::Arc;

use bytes::Bytes;
use http::header::{AUTHORIZATION, CONNECTION, CONTENT_LENGTH, PROXY_AUTHORIZATION, TE, TRANSFER_ENCODING, UPGRADE};
use http::{HeaderMap, HeaderName, HeaderValue, Method};

use self::asked::Message;
use self::prober::{HttpProber, Means};
use self::proxy::ProxySpec;
use self::rules::Rules;
use super::expect::Limits;
use super::made::Made;
use super::manner;
use super::net::Way;
use super::target::Target;
use super::{Kind, PickedBy, Prober, Spec, World, clip, tls};
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

/// Redirects that may be allowed at most: a chain of more is a loop to every browser.
const REDIRECTS: u32 = 10;

/// A decoded check. There may be very many, and most differ in nothing but their URL.
#[derive(Debug)]
struct Http {
    target: Target,
    common: Arc<Common>,
}

/// What a check says besides its URL, and what is made of it.
#[derive(Debug, PartialEq)]
struct Common {
    method: Method,
    headers: Vec<(HeaderName, Secret)>,
    body: Option<Secret>,
    auth: Option<Auth>,
    proxy: Option<ProxySpec>,
    tls: tls::Options,
    terms: Arc<Terms>,
    means: Made<Result<Arc<Means>, String>>,
    fingerprint: Made<u64>,
}

/// What a probe goes by, whatever it asks for.
#[derive(Debug, PartialEq)]
struct Terms {
    redirects: u32,
    version: Offer,
    way: Way,
    body_limit: usize,
    rules: Rules,
    expect: Limits,
    warn: Limits,
}

/// How we tell who we are.
#[derive(Debug, PartialEq)]
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
    let body: Option<Secret> = fields.optional("body", "The body of the request; treated as a secret.");
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
    let body_limit = usize::try_from(body_limit).unwrap_or(usize::MAX);
    let common = Common {
        method: method.0,
        headers: headers?,
        body,
        auth: auth?,
        proxy: proxy?,
        tls: tls?,
        terms: Arc::new(Terms { redirects, version, way, body_limit, rules, expect, warn }),
        means: Made::default(),
        fingerprint: Made::default(),
    };
    Some(Box::new(Http { target: target?, common: fields.context().share(common) }))
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

impl Common {
    /// What its probers share.
    fn means(&self, world: &World) -> Result<Arc<Means>, String> {
        self.means.get_or_make(|| self.make_means(world).map(Arc::new)).clone()
    }

    fn make_means(&self, world: &World) -> Result<Means, String> {
        let body = self.body.as_ref().map(|secret| secret.reveal(&env::variable)).transpose()?;
        let headers = self.own_headers()?;
        let proxy = self.proxy.as_ref().map(ProxySpec::build).transpose()?;
        let alpn = self.terms.version.alpn();
        Ok(Means {
            message: Arc::new(Message {
                method: self.method.clone(),
                headers,
                body: Bytes::from(body.unwrap_or_default()),
            }),
            proxy,
            tls: self.tls.build(world, alpn)?,
            tls_elsewhere: self.tls.elsewhere().build(world, alpn)?,
            resolver: world.resolver().clone(),
            bodies: world.bodies().clone(),
            terms: Arc::clone(&self.terms),
        })
    }

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
            ("method", self.common.method.to_string()),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .into()
    }

    fn manner(&self) -> u64 {
        let common = self.common.fingerprint.get_or_make(|| manner::of(&self.common));
        let mut hasher = DefaultHasher::new();
        (self.target.shown(), common).hash(&mut hasher);
        hasher.finish()
    }

    fn build(&self, world: &World) -> Result<Box<dyn Prober>, String> {
        Ok(Box::new(HttpProber { url: self.target.plain(), means: self.common.means(world)? }))
    }
}
