//! Against servers that are no MySQL, not a good one, or one that Debian does not have.

use heartbeat_core::outcome::Fault;
use sha2::{Digest as _, Sha256};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

use crate::probe::testing::authority::Authority;
use crate::probe::testing::{fails, fake, passes, times_out};

/// A packet with its number.
fn packet(sequence: u8, payload: &[u8]) -> Vec<u8> {
    let mut packet = u32::try_from(payload.len()).expect("short").to_le_bytes().to_vec();
    packet[3] = sequence;
    packet.extend_from_slice(payload);
    packet
}

/// The greeting of a server that has this plugin, with or without TLS.
fn greeting(plugin: &str, tls: bool) -> Vec<u8> {
    let capabilities: u32 = 0x0008_a201 | if tls { 0x800 } else { 0 };
    let [one, two, three, four] = capabilities.to_le_bytes();
    let mut payload = b"\x0a8.0.36\0\x01\0\0\0abcdefgh\0".to_vec();
    payload.extend_from_slice(&[one, two, 45, 2, 0, three, four, 21, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    payload.extend_from_slice(b"ijklmnopqrst\0");
    payload.extend_from_slice(plugin.as_bytes());
    payload.push(0);
    packet(0, &payload)
}

const OK: &[u8] = &[0, 0, 0, 2, 0, 0, 0];

/// A server that says these things, the first at once and one more each time that it is spoken to, and then hangs up.
async fn saying(words: Vec<Vec<u8>>) -> fake::Fake {
    fake::serve(move |mut stream| {
        let words = words.clone();
        async move {
            for (index, word) in words.iter().enumerate() {
                if index > 0 {
                    let _ = stream.read(&mut [0; 4096]).await;
                }
                let _ = stream.write_all(word).await;
            }
            fake::goodbye(stream).await;
        }
    })
    .await
}

/// The same after a good login.
async fn answering(answer: Vec<u8>) -> fake::Fake {
    saying(vec![greeting("mysql_native_password", false), packet(2, OK), answer]).await
}

fn check(server: &fake::Fake) -> String {
    format!("{{ url: 'mysql://app@{}/app', password: s3cret }}", server.address)
}

#[tokio::test]
async fn garbage_is_told_at_once() {
    let greeting = || greeting("mysql_native_password", false);
    for (words, said) in [
        (vec![b"SSH-2.0-OpenSSH_9.2\r\n".to_vec()], "the protocol of MySQL: `SSH-`"),
        (vec![b"+OK Dovecot ready.\r\n".to_vec()], "the protocol of MySQL"),
        (vec![packet(0, b"\x0a8.0")], "the protocol of MySQL"),
        (vec![packet(0, b"\x09old")], "the protocol of MySQL"),
        (vec![packet(0, b"")], "the protocol of MySQL"),
        (vec![greeting(), packet(2, b"")], "the protocol of MySQL"),
        (vec![greeting(), packet(2, b"what?")], "the protocol of MySQL"),
        (vec![greeting(), packet(9, OK)], "the protocol of MySQL"),
        (vec![greeting(), packet(2, b"\x01\x04")], "the protocol of MySQL"),
        (vec![greeting(), packet(2, b"\xfe")], "the plugin `mysql_old_password`"),
        (vec![greeting(), packet(2, b"\xfemysql_clear_password\0")], "the plugin `mysql_clear_password`"),
        (vec![greeting(), packet(2, b"\xfedialog\0Password: ")], "the plugin `dialog`"),
        (vec![greeting(), packet(2, OK), packet(1, b"\x05")], "would not send here"),
    ] {
        let server = saying(words.clone()).await;
        let found = fails(&check(&server), Fault::Protocol).await;
        assert!(found.contains(said), "{words:?}: {found}");
    }
}

#[tokio::test]
async fn results_that_are_none() {
    let ask = |server: &fake::Fake| format!("{{ url: 'mysql://app@{}', query: SELECT 1 }}", server.address);
    let end: &[u8] = &[0xfe, 0, 0, 2, 0];
    let result = |packets: &[&[u8]]| -> Vec<u8> {
        packets.iter().zip(1..).flat_map(|(payload, sequence)| packet(sequence, payload)).collect()
    };
    for (answer, fault) in [
        (result(&[b"\xfb/etc/passwd"]), Fault::Protocol),
        (result(&[b""]), Fault::Protocol),
        (result(&[&[0, 0xff]]), Fault::Protocol),
        (result(&[b"\x01", b"column", end, b"\x09x", end]), Fault::Protocol),
        (result(&[b"\x01", b"column", end, b"\xfc", end]), Fault::Protocol),
        (result(&[b"\x01", b"column", end]), Fault::Reset),
        (result(&[b"\x01", b"column", end, &[0xfe, 0, 0]]), Fault::Protocol),
    ] {
        // The limit is set first.
        let words = vec![greeting("", false), packet(2, OK), packet(1, OK), answer.clone()];
        let server = saying(words).await;
        let found = fails(&ask(&server), fault).await;
        assert!(!found.contains("root:"), "{answer:?}: {found}");
    }
}

#[tokio::test]
async fn a_server_that_hangs_up_is_a_reset() {
    for server in [saying(vec![]).await, saying(vec![b"\x4a\0".to_vec()]).await, answering(Vec::new()).await] {
        let found = fails(&check(&server), Fault::Reset).await;
        assert!(found.starts_with("the connection ended early while "), "{found}");
    }
}

#[tokio::test]
async fn what_never_ends_ends_at_the_deadline() {
    let server = fake::serve(fake::silence).await;
    assert_eq!(times_out(&check(&server)).await, "timed out after 300ms while waiting for the first byte");
    let slow = greeting("mysql_native_password", false);
    let server = fake::serve(move |stream| {
        let slow = slow.clone();
        async move { fake::dripping(stream, &slow).await }
    })
    .await;
    times_out(&check(&server)).await;
    let endless = answering([&packet(1, b"\x01")[..], &packet(2, &[b'x'; 70_000]).repeat(20)].concat()).await;
    let ask = format!("{{ url: 'mysql://app@{}', query: SELECT 1 }}", endless.address);
    fails(&ask, Fault::Protocol).await;
}

/// Plays the login of MySQL 8 (its documentation, "Caching SHA-2 Pluggable Authentication"): whether the user is in the
/// cache, and if not, whether the password came.
async fn play<S: AsyncRead + AsyncWrite + Unpin>(mut stream: S, cached: bool, sequence: u8) {
    let mut response = vec![0; 4096];
    let length = stream.read(&mut response).await.unwrap_or(0);
    let known = Sha256::digest(Sha256::digest("s3cret"));
    let salt = Sha256::new().chain_update(known).chain_update(b"abcdefghijklmnopqrst").finalize();
    let proved = response[..length].windows(32).any(|proof| {
        let once: Vec<u8> = proof.iter().zip(&salt).map(|(one, other)| one ^ other).collect();
        Sha256::digest(once) == known
    });
    let denied = packet(sequence, b"\xff\x15\x04#28000Access denied");
    if !proved {
        let _ = stream.write_all(&denied).await;
        return fake::goodbye(stream).await;
    }
    let _ = stream.write_all(&packet(sequence, if cached { b"\x01\x03" } else { b"\x01\x04" })).await;
    let mut next = sequence + 1;
    if !cached {
        let length = stream.read(&mut response).await.unwrap_or(0);
        if !response[..length].ends_with(b"s3cret\0") {
            return fake::goodbye(stream).await;
        }
        next += 1;
    }
    let _ = stream.write_all(&packet(next, OK)).await;
    let _ = stream.read(&mut response).await;
    let _ = stream.write_all(&packet(1, OK)).await;
    fake::goodbye(stream).await;
}

#[tokio::test]
async fn caching_sha2_password() {
    let plain = |cached| {
        fake::serve(move |mut stream| async move {
            let _ = stream.write_all(&greeting("caching_sha2_password", false)).await;
            play(stream, cached, 2).await;
        })
    };
    passes(&check(&plain(true).await)).await;
    let wanted = fails(&check(&plain(false).await), Fault::Tls).await;
    assert!(wanted.contains("which is only sent over TLS"), "{wanted}");
    let server = plain(true).await;
    let wrong = fails(&check(&server).replace("s3cret", "n0t this"), Fault::Status).await;
    assert_eq!(wrong, "the login was refused: Access denied (1045)");

    let acceptor = Authority::new().issue(&["localhost"]).acceptor(&[]);
    let encrypted = fake::serve(move |mut stream| {
        let acceptor = acceptor.clone();
        async move {
            let _ = stream.write_all(&greeting("caching_sha2_password", true)).await;
            let _ = stream.read_exact(&mut [0; 36]).await;
            let Ok(stream) = acceptor.accept(stream).await else { return };
            play(stream, false, 3).await;
        }
    })
    .await;
    passes(&check(&encrypted)).await;
}

#[tokio::test]
async fn words_before_the_encryption_are_refused() {
    let early = [greeting("mysql_native_password", true), packet(1, OK)].concat();
    let found = fails(&check(&saying(vec![early]).await), Fault::Protocol).await;
    assert_eq!(found, "the server went on before the encryption began");
}
