//! An answer as it goes over the wire, rendered once for all who ask.

use bytes::Bytes;
use heartbeat_core::answer::Answer;

/// An answer, ready to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// What it says.
    pub answer: Option<Answer>,
    /// The name of the view that was asked; `None` if there is none at that path.
    pub view: Option<std::sync::Arc<str>>,
    /// The HTTP status code.
    pub status: u16,
    /// The media type of the body.
    pub content_type: &'static str,
    /// The body. A HEAD request is answered without it, with the same headers.
    pub body: Bytes,
    /// The status line and the headers that every transport sends, each line with its CRLF. What depends on the
    /// connection (`Connection`, `Date`) and the empty line are not in it.
    pub head: Bytes,
}

impl Reply {
    /// What a view says.
    pub(crate) fn of_view(
        view: &std::sync::Arc<str>,
        answer: Answer,
        status: u16,
        content_type: &'static str,
        body: String,
    ) -> Self {
        let head = head(status, content_type, body.len(), "");
        Self { answer: Some(answer), view: Some(view.clone()), status, content_type, body: body.into(), head }
    }

    /// A word about the request itself. `header` is a further header with its CRLF, or nothing.
    pub(crate) fn refusal(status: u16, body: &str, header: &str) -> Self {
        let content_type = "text/plain; charset=utf-8";
        let head = head(status, content_type, body.len(), header);
        Self { answer: None, view: None, status, content_type, body: Bytes::copy_from_slice(body.as_bytes()), head }
    }
}

fn head(status: u16, content_type: &str, length: usize, header: &str) -> Bytes {
    let reason = http::StatusCode::from_u16(status).ok().and_then(|code| code.canonical_reason()).unwrap_or("Status");
    format!(
        "HTTP/1.1 {status} {reason}\r\nContent-Type: {content_type}\r\nContent-Length: {length}\r\n\
         Cache-Control: no-store\r\n{header}"
    )
    .into()
}
