//! Whose fault it is, and the way to what answers.

use super::*;
use crate::probe::testing::names::{self, Say};
use crate::probe::testing::{AMPLE, fails, fake, no_names, passes, probe_in, world_of};

#[tokio::test]
async fn the_next_address_is_tried_when_one_refuses() {
    let web = fake::answering(fake::ok("")).await;
    let port = web.address.port();
    let names = names::server(|_, six| {
        Say::Addresses(if six {
            vec![Ipv6Addr::LOCALHOST.into()]
        } else {
            vec![Ipv4Addr::new(127, 0, 0, 9).into(), Ipv4Addr::LOCALHOST.into()]
        })
    })
    .await;
    let text = format!("url: 'http://two.example:{port}/'");
    let report = probe_in(&world_of(names.address), &text, AMPLE).await;
    assert_eq!(report.outcome.fault, None, "{:?}", report.outcome);
}

#[tokio::test]
async fn the_next_address_is_tried_when_one_is_silent() {
    // A listener whose queue is full drops what comes: no answer to the first packet.
    let full = tokio::net::TcpSocket::new_v4().expect("a socket");
    full.bind("127.0.0.8:0".parse().expect("an address")).expect("bound");
    let full = full.listen(0).expect("listening");
    let silent = full.local_addr().expect("bound");
    let mut queued = Vec::new();
    while let Ok(stream) = tokio::time::timeout(Duration::from_millis(200), TcpStream::connect(silent)).await {
        queued.push(stream);
        assert!(queued.len() < 100, "the queue is never full");
    }
    let web = fake::serve_at(&format!("127.0.0.1:{}", silent.port()), |mut stream| async move {
        fake::request(&mut stream).await;
        let _ = tokio::io::AsyncWriteExt::write_all(&mut stream, fake::ok("").as_bytes()).await;
    })
    .await;
    let names = names::server(move |_, six| {
        Say::Addresses(if six { vec![] } else { vec![silent.ip(), Ipv4Addr::LOCALHOST.into()] })
    })
    .await;
    let text = format!("{{ url: 'http://two.example:{}/', ip: 4 }}", web.address.port());
    let report = probe_in(&world_of(names.address), &text, AMPLE).await;
    assert_eq!(report.outcome.fault, None, "{:?}", report.outcome);
    assert!(report.phases.connect.is_some_and(|took| took >= NEXT_ADDRESS), "{:?}", report.phases);
}

#[tokio::test]
async fn when_all_refuse_one_of_them_is_named() {
    let closed = fake::closed().await;
    let names = names::all_here().await;
    let text = format!("url: 'tcp://two.example:{}'", closed.port());
    let report = probe_in(&world_of(names.address), &text, AMPLE).await;
    assert_eq!(report.outcome.reason.as_ref(), format!("connection to {closed} refused"));
}

#[tokio::test]
async fn ipv6_works() {
    let web = fake::serve_at("[::1]:0", |mut stream| async move {
        let request = fake::request(&mut stream).await;
        assert!(request.contains("\r\nhost: [::1]:"), "{request}");
        let _ = tokio::io::AsyncWriteExt::write_all(&mut stream, fake::ok("").as_bytes()).await;
    })
    .await;
    passes(&format!("url: 'http://{}/'", web.address)).await;
    fails(&format!("{{ url: 'http://{}/', ip: 4 }}", web.address), Fault::Dns).await;
}

#[test]
fn errors_have_their_owner() {
    let address = SocketAddr::from(([127, 0, 0, 1], 80));
    for (errno, fault) in [
        (Errno::ECONNREFUSED, Fault::Refused),
        (Errno::ETIMEDOUT, Fault::Timeout),
        (Errno::ECONNRESET, Fault::Reset),
        (Errno::EMFILE, Fault::Files),
        (Errno::ENFILE, Fault::Files),
        (Errno::ENOMEM, Fault::Memory),
        (Errno::ENOBUFS, Fault::Memory),
        (Errno::EADDRNOTAVAIL, Fault::Network),
        (Errno::EACCES, Fault::Network),
        (Errno::ENETUNREACH, if has_route(address.ip()) { Fault::Refused } else { Fault::Network }),
    ] {
        let failure = refused(address, &io::Error::from(errno));
        assert_eq!(failure.fault, fault, "{failure:?}");
        assert!(!failure.reason.contains("os error"), "{failure:?}");
    }
}

#[tokio::test]
async fn a_denied_address_is_not_connected_to() {
    let web = fake::answering(fake::ok("")).await;
    let text = format!("{{ url: '{}', deny: ['127.0.0.0/8'] }}", web.url("/"));
    let report = probe_in(&no_names(), &text, AMPLE).await;
    assert_eq!(report.outcome.fault, Some(Fault::Refused));
    assert_eq!(web.connections(), 0);
}
