//! Through a proxy, plainly and by a tunnel.

use heartbeat_core::outcome::Fault;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::mpsc;

use crate::probe::testing::authority::Authority;
use crate::probe::testing::{fails, fake, passes, times_out};

/// A proxy that tunnels everything to one address and tells what it was asked for.
async fn tunnelling(to: std::net::SocketAddr) -> (fake::Fake, mpsc::UnboundedReceiver<String>) {
    let (send, asked) = mpsc::unbounded_channel();
    let server = fake::serve(move |mut stream| {
        let send = send.clone();
        async move {
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                head.push(stream.read_u8().await.expect("a request"));
            }
            let _ = send.send(String::from_utf8(head).expect("text"));
            let mut target = TcpStream::connect(to).await.expect("the target");
            let _ = stream.write_all(b"HTTP/1.1 200 Connection established\r\nX: y\r\n\r\n").await;
            let _ = tokio::io::copy_bidirectional(&mut stream, &mut target).await;
        }
    })
    .await;
    (server, asked)
}

#[tokio::test]
async fn a_plain_target_is_asked_for_by_its_whole_url() {
    let (send, mut asked) = mpsc::unbounded_channel();
    let proxy = fake::answering_to(move |request| {
        let _ = send.send(request.to_owned());
        fake::ok("by proxy")
    })
    .await;
    // Nobody resolves the name but the proxy.
    let text = format!(
        "{{ url: 'http://target.example:81/a?b', proxy: {{ url: 'http://{}', user: me, password: pass }} }}",
        proxy.address
    );
    passes(&text).await;
    let request = asked.recv().await.expect("a request");
    assert!(request.starts_with("GET http://target.example:81/a?b HTTP/1.1\r\n"), "{request}");
    assert!(request.contains("\r\nhost: target.example:81\r\n"), "{request}");
    assert!(request.contains("\r\nproxy-authorization: Basic bWU6cGFzcw==\r\n"), "{request}");
}

#[tokio::test]
async fn an_encrypted_target_is_reached_through_a_tunnel() {
    let authority = Authority::new();
    let acceptor = authority.issue(&["target.example"]).acceptor(&[]);
    let (send, mut heard) = mpsc::unbounded_channel();
    let target = fake::serve(move |stream| {
        let (acceptor, send) = (acceptor.clone(), send.clone());
        async move {
            let mut stream = acceptor.accept(stream).await.expect("a handshake");
            let _ = send.send(fake::request(&mut stream).await);
            let _ = stream.write_all(fake::ok("hello").as_bytes()).await;
            fake::goodbye(stream).await;
        }
    })
    .await;
    let (proxy, mut asked) = tunnelling(target.address).await;
    let text = format!(
        "{{ url: 'https://target.example/', ca: '{}', proxy: {{ url: 'http://{}', user: me, password: pass }}, expect: {{ certificate: 1d }} }}",
        authority.ca().display(),
        proxy.address
    );
    passes(&text).await;
    assert_eq!(
        asked.recv().await.expect("a request"),
        "CONNECT target.example:443 HTTP/1.1\r\nHost: target.example:443\r\nProxy-Authorization: Basic bWU6cGFzcw==\r\n\r\n"
    );
    let request = heard.recv().await.expect("a request");
    assert!(request.starts_with("GET / HTTP/1.1\r\n") && !request.contains("roxy"), "{request}");
}

#[tokio::test]
async fn proxies_that_do_not_help() {
    let check = |proxy: std::net::SocketAddr| {
        format!("{{ url: 'https://target.example/', proxy: {{ url: 'http://{proxy}' }} }}")
    };
    let proxy = fake::answering("HTTP/1.1 407 Proxy Authentication Required\r\n\r\n").await;
    assert_eq!(fails(&check(proxy.address), Fault::Refused).await, "the proxy 127.0.0.1 made no tunnel: status 407");
    let proxy = fake::answering("SSH-2.0-x\r\n\r\n").await;
    assert_eq!(fails(&check(proxy.address), Fault::Protocol).await, "the proxy answered `SSH-2.0-x`");
    let proxy = fake::answering("HTTP/1.1 20").await;
    fails(&check(proxy.address), Fault::Reset).await;
    let proxy = fake::serve(|stream| fake::without_end(stream, b"HTTP/1.1 200 OK\r\n", b"a: b\r\n")).await;
    assert_eq!(fails(&check(proxy.address), Fault::Protocol).await, "the proxy's answer has no end");
    fails(&check(fake::closed().await), Fault::Refused).await;
    let proxy = fake::serve(fake::silence).await;
    assert_eq!(times_out(&check(proxy.address)).await, "timed out after 300ms while asking the proxy for a tunnel");
}
