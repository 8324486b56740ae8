//! What is asked for, and how it is written down.

use std::sync::Arc;

use bytes::Bytes;
use heartbeat_core::outcome::Fault;
use http::header::{ACCEPT, ACCEPT_ENCODING, CONTENT_LENGTH, HOST, USER_AGENT};
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Uri, Version};
use http_body_util::Full;
use url::{Position, Url};

use crate::probe::Failure;

/// What is asked for.
#[derive(Clone, Debug)]
pub(super) struct Asked {
    /// Where; with scheme and host, without user and password.
    pub(super) url: Arc<Url>,
    /// What is said there.
    pub(super) message: Arc<Message>,
}

/// A request but for its URL.
#[derive(Clone, Debug)]
pub(super) struct Message {
    /// The method.
    pub(super) method: Method,
    /// The headers that are not the [usual](USUAL) ones: of most checks none.
    pub(super) headers: HeaderMap,
    /// The body.
    pub(super) body: Bytes,
}

/// What we say that we are.
const AGENT: &str = concat!("heartbeat/", env!("CARGO_PKG_VERSION"));

/// What every client sends, unless a check has its own word for it.
const USUAL: [(HeaderName, &str); 3] = [(USER_AGENT, AGENT), (ACCEPT, "*/*"), (ACCEPT_ENCODING, "gzip, deflate")];

/// To whom a request in HTTP/1.1 is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// To the server itself, or through a tunnel to it.
    Origin,
    /// To a proxy, which wants the whole URL.
    Absolute,
}

impl Message {
    /// What is sent besides its own headers.
    fn usual(&self) -> impl Iterator<Item = (HeaderName, &'static str)> {
        USUAL.into_iter().filter(|(name, _)| !self.headers.contains_key(name))
    }
}

impl Asked {
    /// The host: a name, or an address without brackets.
    pub(super) fn host(&self) -> &str {
        self.url.host_str().unwrap_or_default().trim_start_matches('[').trim_end_matches(']')
    }

    /// The port, written or the scheme's.
    pub(super) fn port(&self) -> u16 {
        self.url.port_or_known_default().unwrap_or(80)
    }

    /// Whether it goes over TLS.
    pub(super) fn is_encrypted(&self) -> bool {
        self.url.scheme() == "https"
    }

    /// Host and, unless it is the scheme's own, port, as a URL has them.
    fn authority(&self) -> &str {
        &self.url[Position::BeforeHost..Position::AfterPort]
    }

    /// The request in HTTP/1.1 (RFC 9112, sections 3 and 5). Of a URL nothing has to be refused here: it is ASCII without
    /// blanks and control characters (URL Standard, section 4.5).
    pub(super) fn http1(&self, form: Form) -> Vec<u8> {
        let Self { url, message } = self;
        let mut request = Vec::with_capacity(256 + message.body.len());
        let from = if form == Form::Absolute { Position::BeforeScheme } else { Position::BeforePath };
        request.extend_from_slice(message.method.as_str().as_bytes());
        request.extend_from_slice(b" ");
        request.extend_from_slice(url[from..Position::AfterQuery].as_bytes());
        request.extend_from_slice(b" HTTP/1.1\r\n");
        let mut field = |name: HeaderName, value: &[u8]| {
            request.extend_from_slice(name.as_str().as_bytes());
            request.extend_from_slice(b": ");
            request.extend_from_slice(value);
            request.extend_from_slice(b"\r\n");
        };
        message.headers.iter().for_each(|(name, value)| field(name.clone(), value.as_bytes()));
        message.usual().for_each(|(name, value)| field(name, value.as_bytes()));
        if !message.headers.contains_key(HOST) {
            field(HOST, self.authority().as_bytes());
        }
        if !message.body.is_empty() {
            field(CONTENT_LENGTH, message.body.len().to_string().as_bytes());
        }
        request.extend_from_slice(b"\r\n");
        request.extend_from_slice(&message.body);
        request
    }

    /// The request in HTTP/2.
    ///
    /// # Errors
    /// [`Fault::Protocol`] for a URL that the library's own rules do not allow.
    pub(super) fn http2(&self) -> Result<Request<Full<Bytes>>, Failure> {
        let unfit =
            |what: &str| Failure::new(Fault::Protocol, format!("{what} of {} is none that HTTP allows", self.url));
        let path = PathAndQuery::try_from(&self.url[Position::BeforePath..Position::AfterQuery])
            .map_err(|_| unfit("the path"))?;
        let authority = Authority::try_from(self.authority()).map_err(|_| unfit("the host"))?;
        // The host stands in the URL alone: what the check says of it goes there.
        let mut headers = self.message.headers.clone();
        headers.extend(self.message.usual().map(|(name, value)| (name, HeaderValue::from_static(value))));
        let named = headers.remove(HOST).and_then(|host| Authority::try_from(host.as_bytes()).ok());
        let scheme = if self.is_encrypted() { Scheme::HTTPS } else { Scheme::HTTP };
        let uri = Uri::builder().scheme(scheme).authority(named.unwrap_or(authority)).path_and_query(path);
        let mut request = Request::new(Full::new(self.message.body.clone()));
        *request.method_mut() = self.message.method.clone();
        *request.uri_mut() = uri.build().map_err(|_| unfit("the URL"))?;
        *request.version_mut() = Version::HTTP_2;
        *request.headers_mut() = headers;
        Ok(request)
    }
}
