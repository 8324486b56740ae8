//! What every kind for caches is held to, with its real server and with what only claims to be one.

use std::io::Cursor;
use std::path::Path;
use std::time::Duration;

use heartbeat_core::outcome::{Fault, Verdict};
use proptest::prelude::{Strategy, any, prop_oneof};
use tokio::io::AsyncWriteExt as _;

use super::wire::Wire;
use crate::probe::resolve::Resolver;
use crate::probe::testing::authority::{Authority, self_signed};
use crate::probe::testing::caches::Cache;
use crate::probe::testing::{AMPLE, fails, fake, no_names, passes, probe, probe_in, spec, times_out};
use crate::probe::{Trace, World, run};

/// A check of a server, with further keys.
pub(crate) fn check<C: Cache>(server: &C, keys: &str) -> String {
    format!("{{ url: '{}://127.0.0.1:{}', {keys} }}", C::SCHEMES[0], server.port())
}

/// A world on a node of this name.
pub(crate) fn world_of_node(name: &str) -> World {
    World::with(Resolver::system()).of_node(Some(name))
}

/// A server that says this to everybody.
pub(crate) async fn saying(bytes: &'static str) -> fake::Fake {
    fake::serve(move |mut stream| async move {
        let _ = stream.write_all(bytes.as_bytes()).await;
        fake::goodbye(stream).await;
    })
    .await
}

/// Latency is measured, and nobody stays behind.
pub(crate) async fn is_measured<C: Cache>(server: &C) {
    let report = passes(&check(server, "")).await;
    assert!(report.phases.connect.is_some() && report.phases.first_byte.is_some(), "{:?}", report.phases);
    fails(&check(server, "expect: { latency: 0s }"), Fault::Latency).await;
    assert_eq!(probe(&check(server, "warn: { latency: 0s }")).await.outcome.verdict, Verdict::Warn);
    server.is_alone().await;
}

/// A server that is stopped is left in time; when it goes on, all is well; when it is gone, that is said.
pub(crate) async fn may_hang<C: Cache>(server: C) {
    server.process().stop();
    assert_eq!(times_out(&check(&server, "")).await, "timed out after 300ms while waiting for the first byte");
    server.process().go_on();
    passes(&check(&server, "")).await;
    server.is_alone().await;
    let gone = check(&server, "");
    drop(server);
    fails(&gone, Fault::Refused).await;
}

/// A server that takes nobody more says so every time, until somebody leaves; `held` are those who do.
pub(crate) async fn is_full<C: Cache>(server: &C, held: impl Sized, said: &str) {
    for _ in 0..20 {
        assert_eq!(fails(&check(server, ""), Fault::Status).await, said);
    }
    drop(held);
    let again = async { while probe(&check(server, "")).await.outcome.verdict != Verdict::Pass {} };
    tokio::time::timeout(AMPLE, again).await.expect("a place is free again");
}

/// The certificate is judged.
pub(crate) async fn speaks_tls<C: Cache>(server: &C, authority: &Authority) {
    let check = |ca: &Path, keys: &str| {
        format!("{{ url: '{}://127.0.0.1:{}', ca: '{}', {keys} }}", C::SCHEMES[1], server.port(), ca.display())
    };
    let ours = |keys: &str| check(&authority.ca(), keys);
    let report = passes(&ours("write: true, expect: { certificate: 1d }")).await;
    assert!(report.phases.tls.is_some());
    fails(&ours("expect: { certificate: 5000000d }"), Fault::Certificate).await;
    assert_eq!(probe(&ours("warn: { certificate: 5000000d }")).await.outcome.verdict, Verdict::Warn);
    let other = authority.file("other.pem", &self_signed(&["127.0.0.1"]).chain);
    fails(&check(&other, ""), Fault::Certificate).await;
    let plain = saying("-ERR what?\r\n").await;
    let text = format!("{{ url: '{}://{}', ca: '{}' }}", C::SCHEMES[1], plain.address, authority.ca().display());
    fails(&text, Fault::Tls).await;
}

/// Nodes that write at once do not meet, and leave nothing behind.
pub(crate) async fn keeps_nodes_apart<C: Cache>(server: &C) {
    let (one, other) = (world_of_node("web 1"), world_of_node("web2"));
    let text = check(server, "write: true");
    for _ in 0..20 {
        let (one, other) = tokio::join!(probe_in(&one, &text, AMPLE), probe_in(&other, &text, AMPLE));
        assert_eq!((one.outcome.fault, other.outcome.fault), (None, None), "{one:?} {other:?}");
    }
    assert_eq!(server.keys(), 0);
}

/// Two hundred probes, half of them interrupted, leave neither connections nor keys behind.
pub(crate) async fn is_left_alone<C: Cache>(server: &C) {
    let prober = spec(&check(server, "write: true")).build(&no_names()).expect("builds");
    for round in 0..100 {
        let report = run(&*prober, AMPLE).await;
        assert_eq!(report.outcome.fault, None, "{:?}", report.outcome);
        // The kernel still takes connections: this one ends in the middle of connecting, or while it waits.
        server.process().stop();
        let report = run(&*prober, Duration::from_micros(round * 10)).await;
        assert_eq!(report.outcome.fault, Some(Fault::Timeout), "{:?}", report.outcome);
        server.process().go_on();
    }
    server.is_alone().await;
}

/// Whatever a server says to a login, the password is not in it.
pub(crate) async fn repeats_no_password<C: Cache>(blame: &'static str) {
    let echo = fake::serve(|mut stream| async move {
        let (mut from, mut to) = stream.split();
        let _ = tokio::io::copy(&mut from, &mut to).await;
    })
    .await;
    let (liar, blamer) = (saying("s3cret\r\n").await, saying(blame).await);
    for (server, fault) in [(&echo, Fault::Protocol), (&liar, Fault::Protocol), (&blamer, Fault::Status)] {
        let reason = fails(&format!("url: {}://u:s3cret@{}", C::SCHEMES[0], server.address), fault).await;
        assert!(!reason.contains("s3cret"), "{reason}");
    }
}

/// What is no answer has its fault: `table` has the keys of the check, what the server says, and what is said of it.
pub(crate) async fn knows_nonsense<C: Cache>(table: &[(&str, &'static str, Fault, &str)]) {
    for &(keys, bytes, fault, said) in table {
        let server = saying(bytes).await;
        let reason = fails(&format!("{{ url: '{}://{}', {keys} }}", C::SCHEMES[0], server.address), fault).await;
        assert!(reason.starts_with(said), "{bytes:?}: {reason}");
    }
}

/// What never ends is left in time: `table` has the keys of the check, how the answer begins, and how it goes on.
pub(crate) async fn leaves_what_never_ends<C: Cache>(table: &[(&str, &'static str, &'static str)]) {
    let scheme = C::SCHEMES[0];
    for &(keys, first, again) in table {
        let again: &'static [u8] = again.repeat(65536 / again.len()).leak().as_bytes();
        let server = fake::serve(move |mut stream| async move {
            let _ = stream.write_all(first.as_bytes()).await;
            while stream.write_all(again).await.is_ok() {}
        })
        .await;
        let reason = times_out(&format!("{{ url: '{scheme}://{}', {keys} }}", server.address)).await;
        assert_eq!(reason, "timed out after 300ms while receiving the answer");
    }
    let line = fake::serve(|mut stream| async move { while stream.write_all(&[b'z'; 65536]).await.is_ok() {} }).await;
    let reason = fails(&format!("url: {scheme}://{}", line.address), Fault::Protocol).await;
    assert_eq!(reason, "the server sent a line of more than 4096 bytes");
    let drip = fake::serve(|stream| async move { fake::dripping(stream, &[b'+'; 1000]).await }).await;
    times_out(&format!("url: {scheme}://{}", drip.address)).await;
    let silence = fake::serve(fake::silence).await;
    times_out(&format!("url: {scheme}://{}", silence.address)).await;
    let reset = fake::serve(|stream| async move { fake::reset(&stream) }).await;
    fails(&format!("url: {scheme}://{}", reset.address), Fault::Reset).await;
}

/// A check with its password in the URL, whose host is written `Cache.example.org`, shows all but the password.
pub(crate) fn shows_no_password<C: Cache>(usual_port: u16) {
    let url = format!("{}://app:s3cret@Cache.example.org", C::SCHEMES[0]);
    let decoded = crate::probe::testing::decode(&format!("url: '{url}'"));
    let check = decoded.spec.expect("right");
    assert_eq!(check.target(), format!("{}://Cache.example.org", C::SCHEMES[0]));
    assert_eq!(check.address(), Some(format!("cache.example.org:{usual_port}")));
    assert!(!format!("{:?} {check:?} {:?}", decoded.shown, check.values()).contains("s3cret"));
}

/// Runs a conversation in which the server says only these bytes.
pub(crate) fn hear<T>(bytes: Vec<u8>, talk: impl AsyncFnOnce(&mut Wire<'_>) -> T) -> T {
    let stream = tokio::io::join(Cursor::new(bytes), tokio::io::sink());
    let trace = Trace::default();
    let mut wire = Wire::new(Box::new(stream), &trace);
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    runtime.block_on(talk(&mut wire))
}

/// Bytes that look like an answer here and there: many of these words, and some noise.
pub(crate) fn nonsense(words: &'static [&'static str]) -> impl Strategy<Value = Vec<u8>> {
    let word = prop_oneof![
        8 => proptest::sample::select(words).prop_map(|word| word.as_bytes().to_vec()),
        1 => proptest::collection::vec(any::<u8>(), 0..8),
        1 => any::<i64>().prop_map(|number| number.to_string().into_bytes()),
    ];
    proptest::collection::vec(word, 0..40).prop_map(|words| words.concat())
}
