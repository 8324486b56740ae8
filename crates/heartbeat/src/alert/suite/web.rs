//! What webhooks and Twilio promise beyond the suite.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::{Value as Json, json};
use sha2::Sha256;
use tokio::io::AsyncWriteExt as _;

use super::{AMPLE, channel, refusal, sample, send};
use crate::alert::Refused;
use crate::net::testing::authority::Authority;
use crate::net::testing::fake::{self, Fake};

/// A provider that says yes and remembers the last request.
async fn remembering() -> (Fake, Arc<Mutex<String>>) {
    let last = Arc::new(Mutex::new(String::new()));
    let kept = last.clone();
    let server = fake::answering_to(move |request| {
        *kept.lock().expect("not poisoned") = request.to_owned();
        fake::ok("thanks")
    })
    .await;
    (server, last)
}

fn header<'a>(request: &'a str, name: &str) -> &'a str {
    let found = request.lines().find_map(|line| {
        let (key, value) = line.split_once(": ")?;
        key.eq_ignore_ascii_case(name).then_some(value)
    });
    found.unwrap_or_else(|| panic!("no {name} in\n{request}"))
}

fn body(request: &str) -> &str {
    request.split_once("\r\n\r\n").expect("a whole request").1
}

#[tokio::test]
async fn the_document_is_signed_and_can_be_told_from_others() {
    let (server, last) = remembering().await;
    let yaml = format!("type: webhook\nurl: {}\nheaders: {{ X-Extra: more }}\nsecret: key\n", server.url("/a?b=c"));
    let accepted = send(&*channel(&yaml)).await.expect("delivered");
    assert_eq!(accepted.answer, "200 OK: thanks");
    let request = last.lock().expect("not poisoned").clone();
    assert!(request.starts_with("POST /a?b=c HTTP/1.1\r\n"), "{request}");
    assert_eq!(header(&request, "content-type"), "application/json");
    assert_eq!(header(&request, "idempotency-key"), &*sample().intent.key);
    assert_eq!(header(&request, "x-extra"), "more");
    assert_eq!(header(&request, "host"), server.address.to_string());
    assert_eq!(serde_json::from_str::<Json>(body(&request)).expect("JSON"), sample().document());
    let mut mac = Hmac::<Sha256>::new_from_slice(b"key").expect("a key");
    mac.update(body(&request).as_bytes());
    let expected: String = mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(header(&request, "x-heartbeat-signature"), format!("sha256={expected}"));
}

#[tokio::test]
async fn values_cannot_break_out_of_a_template() {
    let (server, last) = remembering().await;
    let template = r#"{"text": "$message", "n": [1, {"deep": "${labels.team}:$$name"}], "not $name": null}"#;
    let channel = channel(&format!("type: webhook\nurl: {}\nbody: '{template}'\n", server.url("/")));
    let mut message = sample();
    message.intent.message = "\", \"injected\": \"$name\n\\".into();
    channel.send(&message).await.expect("delivered");
    let request = last.lock().expect("not poisoned").clone();
    let expected = json!({
        "text": "\", \"injected\": \"$name\n\\", "n": [1, { "deep": "shop:$name" }], "not $name": null,
    });
    assert_eq!(serde_json::from_str::<Json>(body(&request)).expect("JSON"), expected);
}

#[tokio::test]
async fn every_class_of_status() {
    for status in [200, 201, 204, 299, 300, 304, 400, 401, 404, 408, 410, 422, 429, 500, 502, 503, 599] {
        let server = fake::answering(format!("HTTP/1.1 {status} X\r\nContent-Length: 0\r\n\r\n")).await;
        let result = send(&*channel(&format!("type: webhook\nurl: {}\n", server.url("/")))).await;
        let as_expected = match status {
            200..300 => result.is_ok(),
            408 | 429 | 500.. => matches!(result, Err(Refused::ForNow { after: None, .. })),
            _ => matches!(result, Err(Refused::ForGood { .. })),
        };
        assert!(as_expected, "{status}: {result:?}");
        assert_eq!(server.connections(), 1);
    }
}

#[tokio::test]
async fn retry_after_is_honoured() {
    let answer = "HTTP/1.1 429 Too Many Requests\r\nRetry-After: 77\r\nContent-Length: 0\r\n\r\n";
    let server = fake::answering(answer).await;
    let result = send(&*channel(&format!("type: webhook\nurl: {}\n", server.url("/")))).await;
    let answer = "429 Too Many Requests".to_owned();
    assert_eq!(result, Err(Refused::ForNow { answer, after: Some(Duration::from_secs(77)) }));
}

#[tokio::test]
async fn redirects_are_final_and_tell_no_more_than_a_host() {
    let (elsewhere, last) = remembering().await;
    let server = fake::answering(fake::redirect(&elsewhere.url("/token"))).await;
    match send(&*channel(&format!("type: webhook\nurl: {}\n", server.url("/")))).await {
        Err(Refused::ForGood { answer }) => {
            assert!(answer.contains("not followed") && answer.contains(&elsewhere.url("")), "{answer}");
            assert!(!answer.contains("token"), "{answer}");
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(*last.lock().expect("not poisoned"), "");
}

#[tokio::test]
async fn a_yes_counts_though_the_rest_of_the_answer_never_comes() {
    let server = fake::serve(|mut stream| async move {
        fake::request(&mut stream).await;
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf").await;
        fake::silence(stream).await;
    })
    .await;
    let accepted = send(&*channel(&format!("type: webhook\nurl: {}\n", server.url("/")))).await.expect("delivered");
    assert_eq!(accepted.answer, "200 OK: half");
}

#[tokio::test]
async fn tls_is_verified() {
    let authority = Authority::new();
    let acceptor = authority.issue(&["localhost"]).acceptor(&[]);
    let server = fake::serve(move |stream| {
        let acceptor = acceptor.clone();
        async move {
            let Ok(mut stream) = acceptor.accept(stream).await else { return };
            fake::request(&mut stream).await;
            let _ = stream.write_all(fake::ok("").as_bytes()).await;
            fake::goodbye(stream).await;
        }
    })
    .await;
    let (port, ca) = (server.address.port(), authority.ca());
    let hook = |host: &str, ca: &str| channel(&format!("type: webhook\nurl: https://{host}:{port}/\n{ca}"));
    let ca = format!("ca: {}\n", ca.display());
    send(&*hook("localhost", &ca)).await.expect("delivered");
    for (host, ca) in [("localhost", ""), ("127.0.0.1", ca.as_str())] {
        match send(&*hook(host, ca)).await {
            Err(Refused::ForNow { answer, .. }) => assert!(answer.contains("TLS"), "{answer}"),
            other => panic!("{host}: {other:?}"),
        }
    }
}

#[tokio::test]
async fn a_url_can_be_a_secret_in_a_file() {
    let (server, last) = remembering().await;
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("url");
    std::fs::write(&file, format!("{}\n", server.url("/secret/path"))).expect("written");
    let yaml = format!("type: webhook\nurl: {{ file: {} }}\n", file.display());
    send(&*channel(&yaml)).await.expect("delivered");
    assert!(last.lock().expect("not poisoned").starts_with("POST /secret/path "));
    std::fs::write(&file, "s3cret is no URL").expect("written");
    let error = super::spec(&yaml).build().err().expect("no URL");
    assert!(error.contains("URL") && !error.contains("s3cret"), "{error}");
}

#[test]
fn wrong_webhooks_are_explained() {
    for (yaml, expected) in [
        ("url: ftp://example.org/\n", "expected an http:// or https:// URL"),
        ("url: https://example.org/\nbody: '{\"a\": $message}'\n", "names stand inside quotes"),
        ("url: https://example.org/\nbody: '{\"a\": \"$mesage\"}'\n", "names `mesage`"),
        ("url: https://example.org/\nheaders: { 'a b': c }\n", "`a b` is not the name of a header"),
        ("url: https://example.org/\nheaders: { Content-Length: 5 }\n", "set by heartbeat itself"),
    ] {
        let said = refusal(&format!("type: webhook\n{yaml}"));
        assert!(said.contains(expected), "{said}");
    }
}

#[tokio::test]
async fn twilio_gets_its_form() {
    let (server, last) = remembering().await;
    let yaml = format!(
        "type: twilio\naccount_sid: AC01\nauth_token: tok\nfrom_number: +17775551212\nto_number: +12224443131\n\
         endpoint: {}\n",
        server.url("")
    );
    send(&*channel(&yaml)).await.expect("delivered");
    let request = last.lock().expect("not poisoned").clone();
    assert!(request.starts_with("POST /2010-04-01/Accounts/AC01/Messages.json HTTP/1.1\r\n"), "{request}");
    assert_eq!(header(&request, "authorization"), "Basic QUMwMTp0b2s=");
    assert_eq!(header(&request, "content-type"), "application/x-www-form-urlencoded");
    let form: Vec<_> = url::form_urlencoded::parse(body(&request).as_bytes()).into_owned().collect();
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let text = "Web shop is down: status 503, expected 200";
    assert_eq!(form, [pair("From", "+17775551212"), pair("To", "+12224443131"), pair("Body", text)]);
}

#[tokio::test]
async fn twilios_errors_are_told() {
    let body = r#"{"code": 20003, "message": "Authenticate", "more_info": "https://…", "status": 401}"#;
    let answer = format!("HTTP/1.1 401 Unauthorized\r\nContent-Length: {}\r\n\r\n{body}", body.len());
    let server = fake::answering(answer).await;
    let yaml = format!(
        "type: twilio\naccount_sid: AC01\nauth_token: tok\nfrom_number: +1\nto_number: +2\nendpoint: {}\n",
        server.url("")
    );
    let expected = Refused::ForGood { answer: "401 Unauthorized: error 20003: Authenticate".to_owned() };
    assert_eq!(tokio::time::timeout(AMPLE, send(&*channel(&yaml))).await.expect("an end"), Err(expected));
}
