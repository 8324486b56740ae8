//! Servers that say what a test wants, byte by byte.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// A listening server. It ends when this is dropped.
pub(crate) struct Fake {
    pub(crate) address: SocketAddr,
    task: JoinHandle<()>,
    connections: Arc<Mutex<usize>>,
}

impl Drop for Fake {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Fake {
    /// How many connections there have been.
    pub(crate) fn connections(&self) -> usize {
        *self.connections.lock().expect("not poisoned")
    }

    /// `http://127.0.0.1:PORT` with this path.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }
}

/// A server that treats every connection like this.
pub(crate) async fn serve<F, Fut>(behave: F) -> Fake
where
    F: Fn(TcpStream) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = ()> + Send + 'static,
{
    serve_at("127.0.0.1:0", behave).await
}

/// The same at an address.
pub(crate) async fn serve_at<F, Fut>(address: &str, behave: F) -> Fake
where
    F: Fn(TcpStream) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind(address).await.expect("a loopback address");
    let address = listener.local_addr().expect("bound");
    let connections = Arc::new(Mutex::new(0));
    let counted = connections.clone();
    let task = tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            *counted.lock().expect("not poisoned") += 1;
            tokio::spawn(behave(stream));
        }
    });
    Fake { address, task, connections }
}

/// An address on which nobody listens.
pub(crate) async fn closed() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a loopback address");
    listener.local_addr().expect("bound")
}

/// A web server that answers every request with these bytes, and hangs up.
pub(crate) async fn answering(answer: impl Into<Vec<u8>>) -> Fake {
    let answer = Arc::new(answer.into());
    serve(move |mut stream| {
        let answer = answer.clone();
        async move {
            let _ = request(&mut stream).await;
            let _ = stream.write_all(&answer).await;
            goodbye(stream).await;
        }
    })
    .await
}

/// A web server that answers every request as `answer` says.
pub(crate) async fn answering_to(answer: impl Fn(&str) -> String + Send + Sync + 'static) -> Fake {
    let answer = Arc::new(answer);
    serve(move |mut stream| {
        let answer = answer.clone();
        async move {
            let request = request(&mut stream).await;
            let _ = stream.write_all(answer(&request).as_bytes()).await;
            goodbye(stream).await;
        }
    })
    .await
}

/// A plain answer with a body.
pub(crate) fn ok(body: &str) -> String {
    format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}

/// A redirect.
pub(crate) fn redirect(to: &str) -> String {
    format!("HTTP/1.1 302 Found\r\nLocation: {to}\r\nContent-Length: 0\r\n\r\n")
}

/// Reads a request: its head, and the body that its length announces.
pub(crate) async fn request<S: AsyncRead + Unpin>(stream: &mut S) -> String {
    let mut read = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        let text = String::from_utf8_lossy(&read).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let announced = head.to_ascii_lowercase();
            let length = announced.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
            if body.len() >= length.unwrap_or(0) {
                return text;
            }
        }
        match stream.read(&mut buffer).await {
            Ok(0) | Err(_) => return text,
            Ok(count) => read.extend_from_slice(&buffer[..count]),
        }
    }
}

/// Hangs up without losing what is on its way: a socket that is closed with unread bytes resets its connection.
pub(crate) async fn goodbye<S: AsyncRead + AsyncWrite + Unpin>(mut stream: S) {
    let _ = stream.shutdown().await;
    let mut rest = Vec::new();
    let _ = stream.read_to_end(&mut rest).await;
}

/// Sends bytes, and then the same ones again, until nobody listens any more.
pub(crate) async fn without_end(mut stream: TcpStream, first: &[u8], again: &[u8]) {
    let _ = request(&mut stream).await;
    let _ = stream.write_all(first).await;
    while stream.write_all(again).await.is_ok() {}
}

/// Sends one byte at a time, slowly, and then nothing.
pub(crate) async fn dripping<S: AsyncRead + AsyncWrite + Unpin>(mut stream: S, bytes: &[u8]) {
    for byte in bytes {
        if stream.write_all(&[*byte]).await.is_err() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    silence(stream).await;
}

/// Says nothing for as long as the other side stays.
pub(crate) async fn silence<S: AsyncRead + Unpin>(mut stream: S) {
    let mut sink = Vec::new();
    let _ = stream.read_to_end(&mut sink).await;
}

/// Resets the connection.
pub(crate) fn reset(stream: &TcpStream) {
    socket2::SockRef::from(stream).set_linger(Some(Duration::ZERO)).expect("a socket");
}
