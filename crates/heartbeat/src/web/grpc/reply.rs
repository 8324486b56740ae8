//! The way back of a call: headers, messages, and how it ended.

use std::future::poll_fn;

use bytes::Bytes;
use h2::SendStream;
use h2::server::SendResponse;
use http::{HeaderValue, Response, header};

use super::status::Status;
use super::{CONTENT_TYPE, Stop};

/// What is said to somebody. The headers go with the first message, or with the end if there is none.
pub(super) struct Reply {
    respond: SendResponse<Bytes>,
    stream: Option<SendStream<Bytes>>,
}

impl Reply {
    pub(super) fn new(respond: SendResponse<Bytes>) -> Self {
        Self { respond, stream: None }
    }

    /// Waits until so many bytes may be sent. What is sent before would be kept for as long as the other end likes.
    pub(super) async fn room(&mut self, bytes: usize) -> Result<(), Stop> {
        let stream = self.stream()?;
        stream.reserve_capacity(bytes);
        while stream.capacity() < bytes {
            poll_fn(|cx| stream.poll_capacity(cx)).await.ok_or(Stop::Gone)??;
        }
        Ok(())
    }

    /// Says a message.
    pub(super) async fn message(&mut self, message: Bytes) -> Result<(), Stop> {
        self.room(message.len()).await?;
        Ok(self.stream()?.send_data(message, false)?)
    }

    /// Waits until the other end gives up.
    pub(super) async fn given_up(&mut self) {
        if let Ok(stream) = self.stream() {
            let _ = poll_fn(|cx| stream.poll_reset(cx)).await;
        }
    }

    /// Says how the call has ended. It does not matter whether anybody listens any more.
    pub(super) fn end(mut self, status: &Status) {
        let headers = status.headers();
        let _ = match &mut self.stream {
            Some(stream) => stream.send_trailers(headers),
            None => {
                let mut response = beginning();
                response.headers_mut().extend(headers);
                self.respond.send_response(response, true).map(drop)
            }
        };
    }

    fn stream(&mut self) -> Result<&mut SendStream<Bytes>, Stop> {
        let stream = match self.stream.take() {
            Some(stream) => stream,
            None => self.respond.send_response(beginning(), false)?,
        };
        Ok(self.stream.insert(stream))
    }
}

fn beginning() -> Response<()> {
    let mut response = Response::new(());
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(CONTENT_TYPE));
    response
}
