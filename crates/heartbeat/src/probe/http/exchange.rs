//! One request and its answer, over a connection of its own.
//!
//! The connection is driven by whoever waits for something from it, never by a task that could outlive the probe; HTTP/2
//! needs tasks of its own, and those end with the exchange.

use std::future::Future;
use std::io;
use std::net::Ipv6Addr;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::task::{Context, Poll};

use bytes::Bytes;
use heartbeat_core::Wall;
use heartbeat_core::outcome::Fault;
use http::header::HOST;
use http::response::Parts;
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{HeaderMap, Method, Request, Uri, Version};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper::rt::Executor;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::task::JoinSet;
use url::Url;

use crate::probe::{Failure, Phase, Trace, target, tls};

/// The largest head of an answer, in bytes and in fields.
const HEAD: usize = 64 << 10;
const FIELDS: usize = 256;

/// How much of a body HTTP/2 may send ahead of our reading.
const WINDOW: u32 = 256 << 10;

/// What is asked for.
#[derive(Clone, Debug)]
pub(super) struct Asked {
    /// The method.
    pub(super) method: Method,
    /// What is asked for; with scheme and host.
    pub(super) url: Url,
    /// The headers, all of them but `Host`.
    pub(super) headers: HeaderMap,
    /// The body.
    pub(super) body: Bytes,
}

/// How the request is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// HTTP/1.1 to the server itself (or through a tunnel to it).
    Origin,
    /// HTTP/1.1 to a proxy, which wants the whole URL.
    Absolute,
    /// HTTP/2.
    Http2,
}

/// The head of an answer, and its body on the way.
pub(super) struct Answer {
    /// Status and headers.
    pub(super) head: Parts,
    /// When the certificate of the server ends, if there was one.
    pub(super) not_after: Option<Wall>,
    body: Incoming,
    driver: Driver,
}

impl Answer {
    /// The next bytes of the body; `None` at its end.
    pub(super) async fn next(&mut self) -> Result<Option<Bytes>, Failure> {
        let body = &mut self.body;
        match self.driver.drive(body.frame()).await {
            None => Ok(None),
            Some(Ok(frame)) => Ok(Some(frame.into_data().unwrap_or_default())),
            Some(Err(error)) => Err(explain("receiving the body", &error)),
        }
    }
}

/// Asks over a stream, and waits for the head of the answer.
pub(super) async fn ask<S>(
    asked: &Asked,
    stream: S,
    form: Form,
    not_after: Option<Wall>,
    trace: &Trace,
) -> Result<Answer, Failure>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let request = request(asked, form)?;
    trace.enter(Phase::FirstByte);
    let began = Arc::new(AtomicBool::new(false));
    let io = TokioIo::new(Watched { stream, began: began.clone() });
    let (mut driver, answer): (_, Pin<Box<dyn Future<Output = _> + Send>>) = match form {
        Form::Origin | Form::Absolute => {
            let mut builder = http1::Builder::new();
            builder.max_buf_size(HEAD).max_header_size(HEAD).max_headers(FIELDS);
            let (mut sender, connection) =
                builder.handshake(io).await.map_err(|error| explain("connecting", &error))?;
            let driver = Driver { connection: Some(Box::pin(connection)), began, told: false, tasks: None };
            (driver, Box::pin(async move { sender.send_request(request).await }))
        }
        Form::Http2 => {
            let tasks = Arc::new(Mutex::new(JoinSet::new()));
            let mut builder = http2::Builder::new(Tasks(Arc::downgrade(&tasks)));
            builder.initial_stream_window_size(WINDOW).initial_connection_window_size(WINDOW);
            builder.max_header_list_size(HEAD as u32).max_concurrent_reset_streams(8);
            let handshake = builder.handshake(io).await;
            let (mut sender, connection) =
                handshake.map_err(|error| explain("greeting the server in HTTP/2", &error))?;
            // The first bytes are greetings: the answer begins with its head.
            let driver = Driver { connection: Some(Box::pin(connection)), began, told: true, tasks: Some(tasks) };
            (driver, Box::pin(async move { sender.send_request(request).await }))
        }
    };
    let telling = driver.telling(trace, answer).await;
    let (head, body) = telling.map_err(|error| explain("waiting for the answer", &error))?.into_parts();
    trace.enter(Phase::Answer);
    Ok(Answer { head, not_after, body, driver })
}

fn request(asked: &Asked, form: Form) -> Result<Request<Full<Bytes>>, Failure> {
    let unfit = |what: &str| Failure::new(Fault::Protocol, format!("{what} of {} is none that HTTP allows", asked.url));
    let path = match asked.url.query() {
        Some(query) => format!("{}?{query}", asked.url.path()),
        None => asked.url.path().to_owned(),
    };
    let path = PathAndQuery::try_from(path).map_err(|_| unfit("the path"))?;
    let authority = Authority::try_from(authority(&asked.url)).map_err(|_| unfit("the host"))?;
    let mut headers = asked.headers.clone();
    let uri = match form {
        Form::Origin => Uri::from(path),
        Form::Absolute | Form::Http2 => {
            // In HTTP/2 the host stands in the URL alone: what the check says of it goes there.
            let named = if form == Form::Http2 { headers.remove(HOST) } else { None };
            let named = named.and_then(|host| Authority::try_from(host.as_bytes()).ok());
            let scheme = if asked.url.scheme() == "https" { Scheme::HTTPS } else { Scheme::HTTP };
            let uri = Uri::builder().scheme(scheme).authority(named.unwrap_or_else(|| authority.clone()));
            uri.path_and_query(path).build().map_err(|_| unfit("the URL"))?
        }
    };
    if form != Form::Http2 && !headers.contains_key(HOST) {
        let host = authority.as_str().try_into().map_err(|_| unfit("the host"))?;
        headers.insert(HOST, host);
    }
    let mut request = Request::new(Full::new(asked.body.clone()));
    *request.method_mut() = asked.method.clone();
    *request.uri_mut() = uri;
    *request.version_mut() = if form == Form::Http2 { Version::HTTP_2 } else { Version::HTTP_11 };
    *request.headers_mut() = headers;
    Ok(request)
}

/// Host and, unless it is the scheme's own, port.
pub(super) fn authority(url: &Url) -> String {
    let host = target::host(url);
    let host = if host.parse::<Ipv6Addr>().is_ok() { format!("[{host}]") } else { host };
    match url.port() {
        Some(port) => format!("{host}:{port}"),
        None => host,
    }
}

type Connection = Pin<Box<dyn Future<Output = hyper::Result<()>> + Send>>;

/// Moves a connection forward while somebody waits.
struct Driver {
    connection: Option<Connection>,
    /// Whether a byte has come.
    began: Arc<AtomicBool>,
    /// Whether that has been told.
    told: bool,
    /// The tasks of HTTP/2: they end when this is dropped.
    #[expect(dead_code, reason = "held for its end")]
    tasks: Option<Arc<Mutex<JoinSet<()>>>>,
}

impl Driver {
    async fn drive<F: Future>(&mut self, wanted: F) -> F::Output {
        let mut wanted = pin!(wanted);
        std::future::poll_fn(|cx| {
            self.move_on(cx);
            wanted.as_mut().poll(cx)
        })
        .await
    }

    /// The same, and the first byte that comes is told to the trace.
    async fn telling<F: Future>(&mut self, trace: &Trace, wanted: F) -> F::Output {
        let mut wanted = pin!(wanted);
        std::future::poll_fn(|cx| {
            self.move_on(cx);
            if !self.told && self.began.load(Ordering::Relaxed) {
                self.told = true;
                trace.enter(Phase::Answer);
            }
            wanted.as_mut().poll(cx)
        })
        .await
    }

    fn move_on(&mut self, cx: &mut Context<'_>) {
        // What is wrong with the connection is heard again by those who wait for something from it.
        if self.connection.as_mut().is_some_and(|connection| connection.as_mut().poll(cx).is_ready()) {
            self.connection = None;
        }
    }
}

/// Runs the tasks of an HTTP/2 connection. Weak, for the tasks themselves hold it.
#[derive(Clone)]
struct Tasks(Weak<Mutex<JoinSet<()>>>);

impl<F: Future<Output = ()> + Send + 'static> Executor<F> for Tasks {
    fn execute(&self, task: F) {
        if let Some(tasks) = self.0.upgrade() {
            tasks.lock().unwrap_or_else(PoisonError::into_inner).spawn(task);
        }
    }
}

/// A stream that notes its first byte, and takes a server that hangs up without TLS's goodbye for one that is done: the
/// length of the body says whether it was.
struct Watched<S> {
    stream: S,
    began: Arc<AtomicBool>,
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(cx, buf);
        if buf.filled().len() > before {
            self.began.store(true, Ordering::Relaxed);
        }
        match read {
            Poll::Ready(Err(error)) if error.kind() == io::ErrorKind::UnexpectedEof => Poll::Ready(Ok(())),
            other => other,
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// An error of HTTP as a failure.
fn explain(doing: &str, error: &hyper::Error) -> Failure {
    let mut source = std::error::Error::source(error);
    let mut deepest = error.to_string();
    while let Some(cause) = source {
        if let Some(io) = cause.downcast_ref::<io::Error>()
            && !is_about_framing(io)
        {
            return tls::broken(doing, io);
        }
        deepest = cause.to_string();
        source = cause.source();
    }
    if error.is_incomplete_message() || error.is_closed() || error.is_canceled() {
        return Failure::new(Fault::Reset, format!("the connection ended early while {doing}"));
    }
    Failure::new(Fault::Protocol, format!("what the server sent is not HTTP as it should be: {deepest}"))
}

/// Whether an error is hyper's own about chunks and trailers, which it dresses as one of input and output.
fn is_about_framing(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput)
        && error.get_ref().is_none_or(|inner| !inner.is::<rustls::Error>())
}
