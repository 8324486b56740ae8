//! Certificates that are wrong in every way, and servers that speak no TLS, or not ours.

use std::time::Duration;

use heartbeat_core::outcome::{Fault, Verdict};
use rcgen::{CertificateParams, date_time_ymd};
use rustls::RootCertStore;
use rustls::server::WebPkiClientVerifier;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio_rustls::TlsAcceptor;

use super::*;
use crate::probe::testing::authority::{Authority, Identity, self_signed};
use crate::probe::testing::{self, decode, fails, fake, passes, probe, times_out};

/// A web server over TLS.
async fn server(acceptor: TlsAcceptor) -> fake::Fake {
    fake::serve(move |stream| {
        let acceptor = acceptor.clone();
        async move {
            let Ok(mut stream) = acceptor.accept(stream).await else { return };
            fake::request(&mut stream).await;
            let _ = stream.write_all(fake::ok("hello").as_bytes()).await;
            fake::goodbye(stream).await;
        }
    })
    .await
}

async fn server_with(identity: &Identity) -> fake::Fake {
    server(identity.acceptor(&[])).await
}

/// A check of a server under the name `localhost`; that name is not resolved, so that a test needs no name server.
fn check(server: &fake::Fake, ca: &Authority, options: &str) -> String {
    let ca = ca.ca();
    format!("{{ url: 'https://{}/', server_name: localhost, ca: '{}', {options} }}", server.address, ca.display())
}

async fn accused(identity: &Identity, ca: &Authority) -> String {
    let server = server_with(identity).await;
    fails(&check(&server, ca, ""), Fault::Certificate).await
}

fn dated(from: i32, to: i32) -> impl FnOnce(&mut CertificateParams) {
    move |params| {
        params.not_before = date_time_ymd(from, 1, 1);
        params.not_after = date_time_ymd(to, 2, 3);
    }
}

#[tokio::test]
async fn a_good_certificate_passes() {
    let authority = Authority::new();
    let server = server_with(&authority.issue(&["localhost"])).await;
    let report = passes(&check(&server, &authority, "expect: { body: { contains: hello } }")).await;
    assert!(report.phases.tls.is_some(), "{:?}", report.phases);
    let by_address = server_with(&authority.issue(&["127.0.0.1"])).await;
    passes(&format!("{{ url: 'https://{}/', ca: '{}' }}", by_address.address, authority.ca().display())).await;
}

#[tokio::test]
async fn each_fault_of_a_certificate_is_named() {
    let authority = Authority::new();
    let other = Authority::named("Another");
    assert_eq!(
        accused(&authority.issue_with(&["localhost"], dated(2020, 2021)), &authority).await,
        "the server's certificate expired on 2021-02-03"
    );
    assert_eq!(
        accused(&authority.issue_with(&["localhost"], dated(2090, 2091)), &authority).await,
        "the server's certificate is not valid before 2090-01-01"
    );
    assert_eq!(
        accused(&authority.issue(&["example.org", "www.example.org"]), &authority).await,
        "the server's certificate is not for localhost but for example.org, www.example.org"
    );
    assert_eq!(
        accused(&self_signed(&["localhost"]), &authority).await,
        "the server's certificate is self-signed and not trusted"
    );
    assert_eq!(
        accused(&other.issue(&["localhost"]), &authority).await,
        "the server's certificate is signed by an authority that is not trusted, CN=Another \
         (the server sent no intermediate certificate)"
    );
    assert_eq!(
        accused(&other.issue_with(&["a", "b", "c", "d", "e", "f", "10.0.0.1"], dated(2020, 2021)), &authority).await,
        "the server's certificate expired on 2021-02-03, is signed by an authority that is not trusted, \
         CN=Another (the server sent no intermediate certificate), is not for localhost but for \
         a, b, c, d, e and 2 more"
    );
    let impostor = Authority::new();
    assert_eq!(
        accused(&impostor.issue(&["localhost"]), &authority).await,
        "the server's certificate names CN=The test authority as its issuer, but was not signed by it"
    );
}

#[tokio::test]
async fn names_in_a_certificate_execute_nothing_and_break_no_line() {
    let authority = Authority::new();
    let identity = authority.issue_with(&[], |params| {
        params.distinguished_name.push(rcgen::DnType::CommonName, "$(touch /p)\n\u{1b}[2J`id`;");
    });
    let reason = accused(&identity, &authority).await;
    assert_eq!(reason, "the server's certificate is not for localhost but for no host at all");
}

#[tokio::test]
async fn a_certificate_that_is_trusted_itself_passes() {
    let authority = Authority::new();
    let identity = self_signed(&["localhost"]);
    let server = server_with(&identity).await;
    let own = authority.file("own.pem", &identity.chain);
    passes(&format!("{{ url: 'https://{}/', server_name: localhost, ca: '{}' }}", server.address, own.display())).await;
}

#[tokio::test]
async fn the_systems_authorities_do_not_know_ours() {
    let server = server_with(&Authority::new().issue(&["127.0.0.1"])).await;
    let reason = fails(&format!("url: 'https://{}/'", server.address), Fault::Certificate).await;
    assert!(reason.contains("CN=The test authority"), "{reason}");
}

#[tokio::test]
async fn verification_can_be_switched_off() {
    let server = server_with(&self_signed(&["elsewhere"])).await;
    passes(&format!("{{ url: 'https://{}/', verify: false }}", server.address)).await;
}

#[tokio::test]
async fn the_lifetime_is_judged() {
    let authority = Authority::new();
    let identity = authority.issue_with(&["localhost"], |params| {
        params.not_after = (std::time::UNIX_EPOCH
            + Duration::from_millis(clock::wall().unix_millis().unsigned_abs())
            + Duration::from_secs(10 * 24 * 3600 + 3600))
        .into();
    });
    let server = server_with(&identity).await;
    passes(&check(&server, &authority, "expect: { certificate: 9d }, warn: { certificate: 10d }")).await;
    let reason = fails(&check(&server, &authority, "expect: { certificate: 21d }"), Fault::Certificate).await;
    assert_eq!(reason, "the certificate lasts 10d more, expected 21d");
    let report = probe(&check(&server, &authority, "warn: { certificate: 21d }")).await;
    assert_eq!((report.outcome.verdict, report.outcome.fault), (Verdict::Warn, Some(Fault::Certificate)));
    let plain = fake::answering(fake::ok("")).await;
    passes(&format!("{{ url: '{}', warn: {{ certificate: 21d }} }}", plain.url("/"))).await;
}

/// A server that demands a certificate of that authority.
async fn demanding(authority: &Authority) -> fake::Fake {
    let identity = authority.issue(&["localhost", "127.0.0.1"]);
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(authority.ca()).expect("PEM")).expect("an authority");
    let provider = Arc::new(ring::default_provider());
    let verifier = WebPkiClientVerifier::builder_with_provider(roots.into(), provider).build().expect("roots");
    let config = identity.builder().with_client_cert_verifier(verifier);
    let config = config.with_single_cert(identity.certificates(), identity.key()).expect("fits");
    server(TlsAcceptor::from(Arc::new(config))).await
}

/// The keys of a check that has a certificate of that authority.
fn certified(authority: &Authority) -> String {
    let ours = authority.issue_with(&["client"], |params| {
        params.extended_key_usages.push(rcgen::ExtendedKeyUsagePurpose::ClientAuth);
    });
    authority.file("ours.pem", &ours.chain);
    authority.file("ours.key", &ours.key);
    let folder = authority.folder().display();
    format!("client_certificate: '{folder}/ours.pem', client_key: '{folder}/ours.key'")
}

#[tokio::test]
async fn a_redirect_elsewhere_is_not_told_who_we_are() {
    let authority = Authority::new();
    let elsewhere = demanding(&authority).await;
    let away = format!("https://{}/", elsewhere.address);
    let options = certified(&authority);
    passes(&format!("{{ url: '{away}', ca: '{}', {options} }}", authority.ca().display())).await;
    let start = fake::answering_to(move |_| fake::redirect(&away)).await;
    let check = format!("{{ url: '{}', ca: '{}', {options} }}", start.url("/"), authority.ca().display());
    let reason = fails(&check, Fault::Tls).await;
    assert!(reason.contains("the server wants a client certificate"), "{reason}");
}

#[tokio::test]
async fn client_certificates() {
    let authority = Authority::new();
    let server = demanding(&authority).await;
    let options = certified(&authority);
    passes(&check(&server, &authority, &options)).await;
    let reason = fails(&check(&server, &authority, ""), Fault::Tls).await;
    assert!(reason.contains("the server wants a client certificate"), "{reason}");
    let strange = self_signed(&["client"]);
    authority.file("ours.pem", &strange.chain);
    authority.file("ours.key", &strange.key);
    let reason = fails(&check(&server, &authority, &options), Fault::Tls).await;
    assert_eq!(reason, "the server refused our client certificate");
}

#[tokio::test]
async fn files_that_are_wrong_are_named_at_the_start() {
    let authority = Authority::new();
    let ours = authority.issue(&["client"]);
    let other = authority.issue(&["other"]);
    authority.file("ours.pem", &ours.chain);
    authority.file("other.key", &other.key);
    authority.file("empty.pem", "");
    let folder = authority.folder().display().to_string();
    let build = |options: &str| {
        let options = options.replace("DIR", &folder);
        let check = testing::spec(&format!("{{ url: 'https://localhost/', {options} }}"));
        check.build(&testing::no_names()).err().unwrap_or_else(|| panic!("built: {options}"))
    };
    for (options, said) in [
        ("ca: DIR/gone.pem", "gone.pem"),
        ("ca: DIR/empty.pem", "empty.pem, found none (is it a PEM file?)"),
        ("ca: DIR/other.key", "other.key, found none"),
        ("client_certificate: DIR/ours.pem, client_key: DIR/ours.pem", "expected a private key in"),
        ("client_certificate: DIR/ours.pem, client_key: DIR/other.key", "does not fit"),
    ] {
        let found = build(options);
        assert!(found.contains(said) && found.contains(&folder), "{options}: {found}");
    }
    assert!(decode("{ url: 'https://localhost/', server_name: 'a b' }").said.contains("expected a host name"));
}

#[tokio::test]
async fn a_handshake_that_stalls_ends_at_the_deadline() {
    let server = fake::serve(fake::silence).await;
    let reason = times_out(&format!("url: 'https://{}/'", server.address)).await;
    assert_eq!(reason, "timed out after 300ms while in the TLS handshake");
    let server = fake::serve(|stream| async { fake::dripping(stream, &[0x16, 3, 3, 0x40, 0, 2, 0, 0x3f]).await }).await;
    times_out(&format!("url: 'https://{}/'", server.address)).await;
}

/// What a check says of a server that answers a hello with these bytes.
async fn greeted_with(bytes: &'static [u8]) -> String {
    let server = fake::serve(move |mut stream| async move {
        let _ = stream.read(&mut [0; 4096]).await;
        let _ = stream.write_all(bytes).await;
        fake::goodbye(stream).await;
    })
    .await;
    fails(&format!("url: 'https://{}/'", server.address), Fault::Tls).await
}

#[tokio::test]
async fn old_servers_and_no_servers() {
    const OLD: &str = "the server speaks neither TLS 1.2 nor TLS 1.3, and heartbeat speaks nothing older";
    // The alert `protocol_version`, and a hello of TLS 1.0 with TLS_RSA_WITH_AES_128_CBC_SHA.
    assert_eq!(greeted_with(b"\x15\x03\x01\x00\x02\x02\x46").await, OLD);
    const HELLO: &[u8] =
        b"\x16\x03\x01\x00\x2a\x02\x00\x00\x26\x03\x01rrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrr\x00\x00\x2f\x00";
    assert_eq!(greeted_with(HELLO).await, OLD);
    let refused = greeted_with(b"\x15\x03\x03\x00\x02\x02\x28").await;
    assert!(refused.contains("heartbeat speaks 1.2 and 1.3"), "{refused}");
    assert_eq!(greeted_with(b"\x15\x03\x03\x00\x02\x02\x70").await, "the server knows no host of that name");
    assert_eq!(greeted_with(b"HTTP/1.1 400 Bad Request\r\n\r\n").await, "what the server sent is not TLS");
    assert_eq!(greeted_with(b"SSH-2.0-OpenSSH_9.2\r\n").await, "what the server sent is not TLS");
}

#[tokio::test]
async fn hanging_up_is_a_reset() {
    let server = fake::serve(|mut stream| async move {
        let _ = stream.read(&mut [0; 4096]).await;
        fake::goodbye(stream).await;
    })
    .await;
    let reason = fails(&format!("url: 'https://{}/'", server.address), Fault::Reset).await;
    assert_eq!(reason, "the connection ended early while in the TLS handshake");
}

#[tokio::test]
async fn a_huge_chain_is_refused_quickly() {
    let authority = Authority::new();
    let other = Authority::new();
    for (count, fault) in [(60, Fault::Certificate), (400, Fault::Tls)] {
        let mut identity = other.issue(&["localhost"]);
        let further = other.issue(&["intermediate"]).chain;
        for _ in 0..count {
            identity.chain.push_str(&further);
        }
        let server = server_with(&identity).await;
        let report = probe(&check(&server, &authority, "")).await;
        assert_eq!(report.outcome.fault, Some(fault), "{:?}", report.outcome);
        assert!(report.outcome.latency < testing::SLACK);
    }
}

#[tokio::test]
async fn sessions_are_not_resumed() {
    let authority = Authority::new();
    let (send, mut kinds) = tokio::sync::mpsc::unbounded_channel();
    let acceptor = authority.issue(&["localhost"]).acceptor(&[]);
    let server = fake::serve(move |stream| {
        let (acceptor, send) = (acceptor.clone(), send.clone());
        async move {
            let mut stream = acceptor.accept(stream).await.expect("a handshake");
            let _ = send.send(stream.get_ref().1.handshake_kind());
            fake::request(&mut stream).await;
            let _ = stream.write_all(fake::ok("").as_bytes()).await;
            fake::goodbye(stream).await;
        }
    })
    .await;
    let prober = testing::spec(&check(&server, &authority, "")).build(&testing::no_names()).expect("built");
    for _ in 0..3 {
        assert_eq!(crate::probe::run(&*prober, testing::AMPLE).await.outcome.verdict, Verdict::Pass);
        assert_eq!(kinds.recv().await.flatten(), Some(rustls::HandshakeKind::Full));
    }
}
