//! One HTTP request to a provider: a fresh connection, HTTP/1.1, no redirects.
//!
//! The status decides, and everything else is for people: so once it is there, the rest of the answer is waited for only
//! shortly. A provider that says yes and then hangs has said yes. The deadline of the attempt stands above all this.

use std::fmt;
use std::path::Path;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use heartbeat_core::Wall;
use http::header::{AUTHORIZATION, CONNECTION, CONTENT_TYPE, HOST, LOCATION, RETRY_AFTER, USER_AGENT};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Uri};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use percent_encoding::percent_decode_str;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::task::JoinSet;
use url::{Position, Url};

use super::answer::Cleaner;
use super::connection::{Tls, connect, with_causes};
use super::{Accepted, Refused};
use crate::host::clock;

/// How much of an answer is read.
const LONGEST_BODY: usize = 16 * 1024;

/// How long the body of an answer is waited for.
const BODY_WITHIN: Duration = Duration::from_secs(2);

/// The largest head of an answer.
const LONGEST_HEAD: usize = 64 * 1024;

/// A place that takes requests.
pub(super) struct Endpoint {
    host: String,
    port: u16,
    /// Path and query.
    target: Uri,
    /// What the request says of the host.
    authority: HeaderValue,
    authorization: Option<HeaderValue>,
    tls: Option<Tls>,
}

impl Endpoint {
    /// Prepares for a URL. `ca`: a PEM file of authorities in place of the system's.
    ///
    /// # Errors
    /// A sentence about a URL or file that is wrong, without the URL: it may hold secrets.
    pub(super) fn new(url: &str, ca: Option<&Path>, cleaner: &mut Cleaner) -> Result<Self, String> {
        let url = parse(url)?;
        let decoded = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
        let authorization = match (decoded(url.username()), url.password().map(decoded)) {
            (user, None) if user.is_empty() => None,
            (user, password) => Some(basic(&user, &password.unwrap_or_default(), cleaner)),
        };
        let tls = (url.scheme() == "https").then(|| Tls::new(ca)).transpose()?;
        let unusable = |what: &str| format!("the {what} of the URL of {} cannot be sent over HTTP", origin(&url));
        Ok(Self {
            host: url.host_str().unwrap_or_default().to_owned(),
            port: url.port_or_known_default().unwrap_or_default(),
            target: url[Position::BeforePath..Position::AfterQuery].parse().map_err(|_| unusable("path"))?,
            authority: HeaderValue::from_str(&url[Position::BeforeHost..Position::AfterPort])
                .map_err(|_| unusable("host"))?,
            authorization,
            tls,
        })
    }

    /// Sends one request. What `headers` holds wins over the default headers.
    ///
    /// # Errors
    /// What the network said.
    pub(super) async fn post(&self, headers: HeaderMap, body: impl Into<Bytes>) -> Result<Answer, String> {
        let request = self.request(headers, body.into());
        let stream = connect(&self.host, self.port).await?;
        match &self.tls {
            Some(tls) => exchange(tls.handshake(&self.host, stream).await?, request).await,
            None => exchange(stream, request).await,
        }
    }

    fn request(&self, headers: HeaderMap, body: Bytes) -> Request<Full<Bytes>> {
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = self.target.clone();
        let all = request.headers_mut();
        all.insert(HOST, self.authority.clone());
        all.insert(USER_AGENT, HeaderValue::from_static(concat!("heartbeat/", env!("CARGO_PKG_VERSION"))));
        all.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        all.extend(self.authorization.clone().map(|value| (AUTHORIZATION, value)));
        all.extend(headers);
        all.insert(CONNECTION, HeaderValue::from_static("close"));
        request
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Endpoint({}:{})", self.host, self.port)
    }
}

/// A URL of HTTP.
///
/// # Errors
/// What is wrong with it, without the URL.
pub(super) fn parse(url: &str) -> Result<Url, String> {
    const NOUN: &str = "an http:// or https:// URL";
    let url = Url::parse(url).map_err(|error| format!("expected {NOUN}: {error}"))?;
    match url.scheme() {
        "http" | "https" => Ok(url),
        scheme => Err(format!("expected {NOUN}, found one that begins with {scheme}:")),
    }
}

/// The part of a URL that holds no secret: scheme, host and port.
pub(super) fn origin(url: &Url) -> String {
    url.origin().ascii_serialization()
}

/// The value of `Authorization` for a user (RFC 7617).
pub(super) fn basic(user: &str, password: &str, cleaner: &mut Cleaner) -> HeaderValue {
    cleaner.hide_password(user, password);
    let credentials = STANDARD.encode(format!("{user}:{password}"));
    let mut value = HeaderValue::try_from(format!("Basic {credentials}")).expect("base64 is plain");
    value.set_sensitive(true);
    value
}

async fn exchange<S>(stream: S, request: Request<Full<Bytes>>) -> Result<Answer, String>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let words = |error: hyper::Error| format!("no HTTP answer: {}", with_causes(&error));
    let (mut sender, connection) =
        http1::Builder::new().max_buf_size(LONGEST_HEAD).handshake(TokioIo::new(stream)).await.map_err(words)?;
    // Ends with this function, or when it is dropped. What goes wrong there, `sender` is told.
    let mut driver = JoinSet::new();
    driver.spawn(connection);
    let response = sender.send_request(request).await.map_err(words)?;
    Ok(Answer::read(response).await)
}

/// What a provider answered.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    /// The beginning of the body.
    pub(super) body: Vec<u8>,
    /// Where it wants us to go: only the part that holds no secret.
    elsewhere: Option<String>,
    /// How long it wants us to wait.
    after: Option<Duration>,
}

impl Answer {
    async fn read(response: Response<Incoming>) -> Self {
        let (head, mut incoming) = response.into_parts();
        let text = |name| head.headers.get(name).and_then(|value| value.to_str().ok());
        let elsewhere = text(LOCATION).map(|location| match Url::parse(location) {
            Ok(url) => origin(&url),
            Err(_) => "another path".to_owned(),
        });
        let after = text(RETRY_AFTER).and_then(|value| retry_after(value, clock::wall()));
        let mut body = Vec::new();
        let rest = async {
            while let Some(Ok(frame)) = incoming.frame().await {
                body.extend_from_slice(frame.data_ref().map_or(&[], |data| data));
                if body.len() >= LONGEST_BODY {
                    break;
                }
            }
        };
        // What came until then is enough for people.
        let _ = tokio::time::timeout(BODY_WITHIN, rest).await;
        body.truncate(LONGEST_BODY);
        Self { status: head.status, body, elsewhere, after }
    }

    /// What the status means: 2xx is delivered; 408, 429 and 5xx may be tried again; all others are final, redirects too.
    ///
    /// `says` is what the body says to people.
    pub(super) fn judge(&self, says: &str, cleaner: &Cleaner) -> Result<Accepted, Refused> {
        let status = self.status;
        let redirect = self.elsewhere.as_deref().filter(|_| status.is_redirection());
        let answer = match redirect {
            Some(elsewhere) => format!("{status}: redirects are not followed, and this one leads to {elsewhere}"),
            None if says.trim().is_empty() => status.to_string(),
            None => format!("{status}: {says}"),
        };
        let answer = cleaner.clean(&answer);
        match status {
            _ if status.is_success() => Ok(Accepted { answer }),
            StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS => {
                Err(Refused::ForNow { answer, after: self.after })
            }
            _ if status.is_server_error() => Err(Refused::ForNow { answer, after: self.after }),
            _ => Err(Refused::ForGood { answer }),
        }
    }
}

/// `Retry-After`: seconds, or a date (RFC 9110, section 10.2.3).
fn retry_after(value: &str, now: Wall) -> Option<Duration> {
    if let Ok(seconds) = value.trim().parse::<u64>() {
        return Some(Duration::from_secs(seconds));
    }
    let date = jiff::fmt::rfc2822::parse(value.trim()).ok()?;
    Some(Wall::from_unix_millis(date.timestamp().as_millisecond()).since(now))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retry_after_has_two_forms() {
        let now = Wall::from_unix_millis(784_111_777_000); // Sun, 06 Nov 1994 08:49:37 GMT
        for (value, expected) in [
            ("120", Some(120)),
            (" 0 ", Some(0)),
            ("Sun, 06 Nov 1994 08:50:07 GMT", Some(30)),
            ("Sun, 06 Nov 1994 08:00:00 GMT", Some(0)),
            ("soon", None),
            ("-1", None),
            ("", None),
        ] {
            assert_eq!(retry_after(value, now), expected.map(Duration::from_secs), "{value:?}");
        }
    }

    #[test]
    fn urls_are_checked_and_never_repeated() {
        for url in ["ftp://example.org/s3cret", "https:// s3cret", "s3cret", "mailto:s3cret@example.org"] {
            let error = parse(url).expect_err(url);
            assert!(!error.contains("s3cret"), "{error}");
        }
        let url = parse("https://user:s3cret@example.org:8443/s3cret?s3cret").expect("a URL");
        assert_eq!(origin(&url), "https://example.org:8443");
    }

    #[test]
    fn whatever_a_url_holds_can_be_sent_or_is_refused() {
        for odd in ["//x", "/a|b`c{d}^", "/?q=`|{}^\\'", "/%zz", "/é?ü=ö", "/;a=b", "?a", ""] {
            let _ = Endpoint::new(&format!("http://example.org{odd}"), None, &mut Cleaner::default());
        }
    }

    #[test]
    fn requests_go_to_the_path_and_not_to_the_user() {
        let mut cleaner = Cleaner::default();
        let endpoint =
            Endpoint::new("http://u%40x:p%20w@[::1]:8080/a/b?c=d#e", None, &mut cleaner).expect("an endpoint");
        let request = endpoint.request(HeaderMap::new(), Bytes::new());
        assert_eq!(request.uri(), "/a/b?c=d");
        assert_eq!(request.headers()[HOST], "[::1]:8080");
        assert_eq!(request.headers()[AUTHORIZATION], format!("Basic {}", STANDARD.encode("u@x:p w")));
        assert_eq!(format!("{endpoint:?}"), "Endpoint([::1]:8080)");
    }
}
