//! The answers as a service of tower and hyper.

use std::convert::Infallible;
use std::fmt;
use std::future::{Ready, ready};
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::header::{self, HeaderName, HeaderValue};
use http::{Extensions, Request, Response, StatusCode};
use http_body::{Frame, SizeHint};
use tower_service::Service;

use crate::ask::{self, Asked, Method};
use crate::health::Health;
use crate::reply::Reply;

/// Who asks: put it into a request's extensions, or tell the builder [how to find it](crate::Builder::peer) there. Without
/// it whoever asks is a stranger, who is shown no details.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Peer {
    /// Somebody at this address.
    Address(IpAddr),
    /// Somebody at a Unix socket of this machine.
    Unix,
}

impl Peer {
    /// Whether this is somebody on our machine.
    pub fn is_local(self) -> bool {
        match self {
            Self::Address(address) => address.to_canonical().is_loopback(),
            Self::Unix => true,
        }
    }
}

impl From<SocketAddr> for Peer {
    fn from(address: SocketAddr) -> Self {
        Self::Address(address.ip())
    }
}

type Find = dyn Fn(&Extensions) -> Option<Peer> + Send + Sync;

/// Finds who asks in a request's extensions.
#[derive(Clone)]
pub(crate) struct FindPeer(Arc<Find>);

impl FindPeer {
    pub(crate) fn by(find: impl Fn(&Extensions) -> Option<Peer> + Send + Sync + 'static) -> Self {
        Self(Arc::new(find))
    }
}

impl Default for FindPeer {
    fn default() -> Self {
        Self::by(|extensions| extensions.get::<Peer>().copied())
    }
}

impl fmt::Debug for FindPeer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FindPeer(…)")
    }
}

impl Health {
    /// Answers a request, whatever its body. Nothing is waited for.
    pub fn respond<B>(&self, request: &Request<B>) -> Response<Body> {
        let headers = request.headers();
        let text = |name: HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
        let peer = (self.find_peer().0)(request.extensions());
        let forwarded = ask::FORWARDED.iter().any(|name| headers.contains_key(*name));
        let method = Method::named(request.method().as_str());
        let reply = self.board().ask(&Asked {
            method,
            path: request.uri().path(),
            query: request.uri().query(),
            accept: text(header::ACCEPT),
            authorization: text(header::AUTHORIZATION),
            local: peer.is_some_and(Peer::is_local) && !forwarded,
        });
        response(&reply, method)
    }
}

impl<B> Service<Request<B>> for Health {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Ready<Result<Response<Body>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        ready(Ok(self.respond(&request)))
    }
}

fn response(reply: &Reply, method: Method) -> Response<Body> {
    let body = if method == Method::Head { Bytes::new() } else { reply.body.clone() };
    let mut response = Response::new(Body(body));
    *response.status_mut() = StatusCode::from_u16(reply.status).unwrap_or(StatusCode::SERVICE_UNAVAILABLE);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(reply.content_type));
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(reply.body.len()));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if reply.status == StatusCode::METHOD_NOT_ALLOWED.as_u16() {
        headers.insert(header::ALLOW, HeaderValue::from_static(ask::ALLOW));
    }
    response
}

/// The body of an answer: all of it at once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Body(Bytes);

impl Body {
    /// All of it.
    pub fn into_bytes(self) -> Bytes {
        self.0
    }
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let bytes = std::mem::take(&mut self.0);
        Poll::Ready((!bytes.is_empty()).then(|| Ok(Frame::data(bytes))))
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.0.len() as u64)
    }
}
