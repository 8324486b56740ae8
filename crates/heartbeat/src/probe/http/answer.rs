//! An answer on its way, in whatever version of HTTP, over whatever connection.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use heartbeat_core::Wall;
use http::{HeaderMap, StatusCode};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

use super::{http1, http2};
use crate::probe::Failure;

/// A connection to a web server.
pub(super) enum Wire {
    /// As it is.
    Plain(TcpStream),
    /// Encrypted. A server that hangs up without TLS's goodbye is taken for one that is done: the length of the body says
    /// whether it was.
    Encrypted(Box<TlsStream<TcpStream>>),
}

impl AsyncRead for Wire {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match &mut *self {
            Self::Plain(stream) => Pin::new(stream).poll_read(cx, buf),
            Self::Encrypted(stream) => match Pin::new(stream).poll_read(cx, buf) {
                Poll::Ready(Err(error)) if error.kind() == io::ErrorKind::UnexpectedEof => Poll::Ready(Ok(())),
                other => other,
            },
        }
    }
}

impl AsyncWrite for Wire {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match &mut *self {
            Self::Plain(stream) => Pin::new(stream).poll_write(cx, bytes),
            Self::Encrypted(stream) => Pin::new(stream).poll_write(cx, bytes),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut *self {
            Self::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Self::Encrypted(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut *self {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Encrypted(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}

/// The head of an answer, and its body on the way.
pub(super) struct Answer {
    /// The status.
    pub(super) status: StatusCode,
    /// The headers; of HTTP/1.1 those that the check looks at.
    pub(super) headers: HeaderMap,
    /// When the certificate of the server ends, if there was one.
    pub(super) not_after: Option<Wall>,
    /// The rest.
    pub(super) body: Body,
}

/// A body on its way.
pub(super) enum Body {
    /// In HTTP/1.1.
    Http1(http1::Exchange<Wire>),
    /// In HTTP/2.
    Http2(Box<http2::Exchange>),
}

impl Body {
    /// The next bytes of the body; `None` at its end.
    pub(super) async fn next(&mut self) -> Result<Option<&[u8]>, Failure> {
        match self {
            Self::Http1(exchange) => exchange.next().await,
            Self::Http2(exchange) => Box::pin(exchange.next()).await,
        }
    }
}
