//! Against servers that are no PostgreSQL, or not a good one.

use heartbeat_core::outcome::Fault;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::probe::testing::{fails, fake, probe, times_out};

/// A server that says these things, one for each time that it is spoken to, and then hangs up.
async fn saying(words: &'static [&'static [u8]]) -> fake::Fake {
    fake::serve(move |mut stream| async move {
        for word in words {
            let _ = stream.read(&mut [0; 4096]).await;
            let _ = stream.write_all(word).await;
        }
        fake::goodbye(stream).await;
    })
    .await
}

fn check(server: &fake::Fake) -> String {
    format!("{{ url: 'postgres://app@{}/app?sslmode=disable', password: s3cret }}", server.address)
}

const OK: &[u8] = b"R\0\0\0\x08\0\0\0\0Z\0\0\0\x05I";

#[tokio::test]
async fn garbage_is_told_at_once() {
    for (words, said) in [
        (
            &[b"HTTP/1.1 400 Bad Request\r\n\r\n" as &[u8]] as &'static [&'static [u8]],
            "the protocol of PostgreSQL: `HTTP/`",
        ),
        (&[b"SSH-2.0-OpenSSH_9.2\r\n"], "the protocol of PostgreSQL: `SSH-2`"),
        (&[b"R\x7f\xff\xff\xff"], "the protocol of PostgreSQL"),
        (&[b"R\0\0\0\0"], "the protocol of PostgreSQL"),
        (&[b"R\0\0\0\x05x"], "the protocol of PostgreSQL"),
        (&[b"R\0\0\0\x08\0\0\0\x63"], "the protocol of PostgreSQL"),
        (&[b"R\0\0\0\x08\0\0\0\x07"], "a login by GSSAPI, SSPI or Kerberos, which heartbeat does not speak"),
        (&[b"R\0\0\0\x0f\0\0\0\x0aOTHER\0\0"], "another SASL mechanism"),
        (&[b"R\0\0\0\x0c\0\0\0\x0bxxxx"], "would not send here"),
        (&[b"R\0\0\0\x17\0\0\0\x0aSCRAM-SHA-256\0\0", b"R\0\0\0\x0c\0\0\0\x0br=xx"], "would not send here"),
        (&[OK, b"T\0\0\0\x06\0\0K\0\0\0\x0c\0\0\0\0\0\0\0\0"], "would not send here"),
        (&[OK, b"D\0\0\0\x0a\0\x01\0\xff\xff\xff"], "would not send here"),
    ] {
        let server = saying(words).await;
        let found = fails(&check(&server), Fault::Protocol).await;
        assert!(found.contains(said), "{words:?}: {found}");
    }
}

#[tokio::test]
async fn a_server_that_hangs_up_is_a_reset() {
    for words in [&[b"" as &[u8]] as &'static [&'static [u8]], &[b"R\0\0"], &[OK, b""], &[OK, b"D\0\0\xff\xffxxx"]] {
        let server = saying(words).await;
        let found = fails(&check(&server), Fault::Reset).await;
        assert!(found.starts_with("the connection ended early while "), "{words:?}: {found}");
    }
}

#[tokio::test]
async fn what_never_ends_ends_at_the_deadline() {
    let server = fake::serve(fake::silence).await;
    assert_eq!(times_out(&check(&server)).await, "timed out after 300ms while waiting for the first byte");
    let server = fake::serve(|stream| fake::dripping(stream, OK)).await;
    times_out(&check(&server)).await;
    let server =
        fake::serve(|mut stream| async move { while stream.write_all(b"N\0\0\0\x05\0").await.is_ok() {} }).await;
    let found = fails(&check(&server), Fault::Body).await;
    assert_eq!(found, "the server said more than 1024 KiB: let the query return less");
}

#[tokio::test]
async fn before_tls() {
    let check = |server: &fake::Fake| format!("url: 'postgres://app@{}/app?sslmode=require'", server.address);
    let refusing = saying(&[b"E"]).await;
    assert_eq!(fails(&check(&refusing), Fault::Status).await, "the server has no process left for us");
    let other = saying(&[b"x"]).await;
    fails(&check(&other), Fault::Protocol).await;
    // Words that somebody on the way has put in before the encryption begins.
    let early = saying(&[b"SR\0\0\0\x08\0\0\0\0Z\0\0\0\x05I"]).await;
    let found = fails(&check(&early), Fault::Protocol).await;
    assert_eq!(found, "the server went on before the encryption began");
}

#[tokio::test]
async fn a_password_that_is_repeated_to_us_is_not_shown() {
    let server = saying(&[b"R\0\0\0\x08\0\0\0\x03", b"E\0\0\0\x17C28P01\0Mno s3cret\0\0"]).await;
    let report = probe(&check(&server)).await;
    let said = "the login was refused: no (redacted) (28P01)";
    assert_eq!((report.outcome.fault, report.outcome.reason.as_ref()), (Some(Fault::Status), said));
}
