//! What a call asks: its headers, and the one message that it sends.

use bytes::{Bytes, BytesMut};
use h2::RecvStream;
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode, header, request};

use super::message::{FRAME, LONGEST};
use super::status::{Code, Status};
use super::{CONTENT_TYPE, Stop};

/// The name of a method, after the path's slash.
const SERVICE: &str = "/grpc.health.v1.Health/";

/// What the service can be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Asked {
    Check,
    Watch,
    List,
}

impl Asked {
    /// By its path.
    ///
    /// # Errors
    /// If there is no such method.
    pub(super) fn by_path(path: &str) -> Result<Self, Status> {
        match path.strip_prefix(SERVICE) {
            Some("Check") => Ok(Self::Check),
            Some("Watch") => Ok(Self::Watch),
            Some("List") => Ok(Self::List),
            _ => Err(Status::new(Code::Unimplemented, "expected Check, Watch or List of grpc.health.v1.Health")),
        }
    }
}

/// The answer to what is no gRPC call at all (gRPC over HTTP/2, "Requests").
pub(super) fn refusal(head: &request::Parts) -> Option<Response<()>> {
    let refuse = |status, name, value: &'static str| {
        let mut response = Response::new(());
        *response.status_mut() = status;
        response.headers_mut().insert(name, HeaderValue::from_static(value));
        Some(response)
    };
    if head.method != Method::POST {
        return refuse(StatusCode::METHOD_NOT_ALLOWED, header::ALLOW, "POST");
    }
    match head.headers.get(header::CONTENT_TYPE).is_some_and(is_ours) {
        true => None,
        false => refuse(StatusCode::UNSUPPORTED_MEDIA_TYPE, header::ACCEPT, CONTENT_TYPE),
    }
}

/// What follows a plus names the encoding of messages, which is that of protocol buffers unless it is said.
fn is_ours(content_type: &HeaderValue) -> bool {
    let text = content_type.to_str().unwrap_or_default().to_ascii_lowercase();
    let media_type = text.split(';').next().unwrap_or_default().trim();
    media_type.strip_prefix(CONTENT_TYPE).is_some_and(|rest| matches!(rest, "" | "+proto"))
}

/// Reads the one message of a call.
pub(super) async fn message(body: &mut RecvStream, headers: &HeaderMap) -> Result<Bytes, Stop> {
    let mut bytes = BytesMut::new();
    while let Some(chunk) = body.data().await {
        let chunk = chunk?;
        body.flow_control().release_capacity(chunk.len())?;
        bytes.extend_from_slice(&chunk);
        if let Some((frame, rest)) = bytes.split_first_chunk() {
            let length = length(frame, headers)?;
            if rest.len() > length {
                return Err(Status::new(Code::Internal, "expected one message, found more").into());
            }
        }
    }
    let whole = bytes.split_first_chunk().map(|(frame, rest)| Ok::<_, Status>(length(frame, headers)? == rest.len()));
    match whole.transpose()? {
        Some(true) => Ok(bytes.freeze().slice(FRAME..)),
        _ => Err(Status::new(Code::Internal, "expected one message, found less").into()),
    }
}

/// The length that a frame announces.
fn length(&[compressed, length @ ..]: &[u8; FRAME], headers: &HeaderMap) -> Result<usize, Status> {
    let encoding = headers.get("grpc-encoding").map_or(&b"identity"[..], HeaderValue::as_bytes);
    match compressed {
        0 => {}
        1 if encoding != b"identity" => {
            let encoding = String::from_utf8_lossy(encoding);
            return Err(Status::new(Code::Unimplemented, format!("messages compressed by {encoding} are not read")));
        }
        _ => return Err(Status::new(Code::Internal, "a message says that it is compressed, the headers do not")),
    }
    match usize::try_from(u32::from_be_bytes(length)) {
        Ok(length @ ..=LONGEST) => Ok(length),
        _ => Err(Status::new(Code::ResourceExhausted, format!("a message here has at most {LONGEST} bytes"))),
    }
}
