//! TLS on a listener, and certificates that are replaced.

use std::fs;
use std::io::Write as _;
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, StreamOwned};

use crate::config::values::Secret;
use crate::net::roots;
use crate::net::testing::authority::Authority;
use crate::web::listen::{Listens, Tls};
use crate::web::testing::{Rig, answer, comes_true, loopback, status};
use crate::web::{Bounds, Doors, Options};

const POLL: &str = "GET /heartbeat/status/ HTTP/1.1\r\n\r\n";

fn options(tls: Tls) -> Options {
    Options { listen: Listens(vec![crate::web::listen::Listen { tls: Some(tls), ..loopback() }]), ..Options::default() }
}

type Secure = StreamOwned<ClientConnection, TcpStream>;

fn connect(rig: &Rig, authority: &Authority, alpn: &[&[u8]]) -> Secure {
    let mut config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots::from_file(&authority.ca()).unwrap())
        .with_no_client_auth();
    config.alpn_protocols = alpn.iter().map(|protocol| protocol.to_vec()).collect();
    config.resumption = rustls::client::Resumption::disabled();
    let name = ServerName::try_from("localhost").unwrap();
    StreamOwned::new(ClientConnection::new(Arc::new(config), name).unwrap(), rig.connect())
}

fn poll(stream: &mut Secure) -> (u16, CertificateDer<'static>) {
    stream.write_all(POLL.as_bytes()).unwrap();
    let status = status(&answer(stream).0);
    (status, stream.conn.peer_certificates().unwrap()[0].clone().into_owned())
}

#[test]
fn certificates_are_replaced_while_polls_go_on() {
    let authority = Authority::new();
    let old = authority.issue(&["localhost"]);
    let (chain, key) = (authority.file("chain.pem", &old.chain), authority.file("key.pem", &old.key));
    let rig =
        Rig::with(options(Tls { certificate: chain.clone(), key: Some(Secret::File(key.clone())) }), Bounds::default());
    let mut early = connect(&rig, &authority, &[b"h2", b"http/1.1"]);
    assert_eq!(poll(&mut early), (200, old.certificates()[0].clone()));
    assert_eq!(early.conn.alpn_protocol(), Some(&b"http/1.1"[..]));

    let new = authority.issue(&["localhost"]);
    fs::write(&chain, &new.chain).unwrap();
    let complaints = rig.web().reload();
    assert!(complaints.len() == 1 && complaints[0].ends_with("the old certificate stays in force"), "{complaints:?}");
    assert_eq!(poll(&mut connect(&rig, &authority, &[])).1, old.certificates()[0]);

    fs::write(&key, &new.key).unwrap();
    assert_eq!(rig.web().reload(), Vec::<String>::new());
    assert_eq!(poll(&mut connect(&rig, &authority, &[])).1, new.certificates()[0]);
    assert_eq!(poll(&mut early), (200, old.certificates()[0].clone()), "a connection keeps what it began with");

    fs::write(&chain, "nothing\n").unwrap();
    assert!(rig.web().reload()[0].contains("chain.pem"));
    fs::remove_file(&chain).unwrap();
    assert!(rig.web().reload()[0].contains("chain.pem"));
    assert_eq!(poll(&mut connect(&rig, &authority, &[])).1, new.certificates()[0]);
}

#[test]
fn certificate_and_key_may_be_one_file() {
    let authority = Authority::new();
    let identity = authority.issue(&["localhost"]);
    let both = authority.file("both.pem", &format!("{}{}", identity.key, identity.chain));
    let rig = Rig::with(options(Tls { certificate: both, key: None }), Bounds::default());
    assert_eq!(poll(&mut connect(&rig, &authority, &[])).0, 200);
}

#[test]
fn what_is_wrong_with_a_certificate_is_said_at_the_start() {
    let authority = Authority::new();
    let identity = authority.issue(&["localhost"]);
    let other = authority.issue(&["localhost"]);
    let chain = authority.file("chain.pem", &identity.chain);
    for (certificate, key, expected) in [
        (authority.folder().join("absent.pem"), None, "absent.pem"),
        (chain.clone(), None, "expected a private key"),
        (chain.clone(), Some(Secret::File(authority.file("other.pem", &other.key))), "cannot be used"),
        (chain, Some(Secret::Env("HEARTBEAT_NO_SUCH_KEY".into())), "HEARTBEAT_NO_SUCH_KEY"),
        (authority.file("empty.pem", ""), None, "found none"),
    ] {
        let problems = Doors::open(&options(Tls { certificate, key })).unwrap_err();
        assert!(problems.len() == 1 && problems[0].contains(expected), "{problems:?}");
        assert!(!problems[0].contains("BEGIN"), "{problems:?}");
    }
}

#[test]
fn a_handshake_that_stalls_or_fails_concerns_nobody_else() {
    let authority = Authority::new();
    let identity = authority.issue(&["localhost"]);
    let both = authority.file("both.pem", &format!("{}{}", identity.key, identity.chain));
    let bounds = Bounds { request: Duration::from_millis(400), ..Bounds::default() };
    let rig = Rig::with(options(Tls { certificate: both, key: None }), bounds);
    let mut stalled = rig.connect();
    stalled.write_all(b"\x16\x03\x01\x02\x00\x01").unwrap();
    let mut plain = rig.connect();
    plain.write_all(POLL.as_bytes()).unwrap();
    let mut stranger = connect(&rig, &Authority::named("Another"), &[]);
    assert!(stranger.write_all(POLL.as_bytes()).is_err(), "not trusted by that client");
    let mut other = connect(&rig, &authority, &[b"h2"]);
    assert!(other.write_all(POLL.as_bytes()).is_err(), "no protocol in common");
    assert_eq!(poll(&mut connect(&rig, &authority, &[])).0, 200);
    stalled.set_nonblocking(true).unwrap();
    let gone = |stream: &mut TcpStream| {
        let read = std::io::Read::read(stream, &mut [0; 64]);
        matches!(&read, Ok(0)) || read.is_err_and(|error| error.kind() != std::io::ErrorKind::WouldBlock)
    };
    assert!(comes_true(|| gone(&mut stalled)), "a handshake has to end within the limit of a request");
}
