//! What `email` and `gmail` promise beyond the suite, tried on Exim.

use heartbeat_core::template::Template;

use super::exim::Exim;
use super::rig::CANARY;
use super::{Decoded, channel, decode, eventually, refusal, sample, send};
use crate::alert::email::{Account, Post, Security};
use crate::alert::mail::{Body, Form};
use crate::alert::{Channel as _, Refused};
use crate::net::testing::fake;

fn alert(smtp: &str, to: &str) -> String {
    format!("type: email\nsmtp: {smtp}\nfrom: Heartbeat <hb@example.org>\nto: {to}\n")
}

/// The value of a header, folded lines joined.
fn header(mail: &str, name: &str) -> String {
    let head = mail.split_once("\n\n").expect("a whole mail").0.replace("\n ", " ").replace("\n\t", " ");
    let found: Vec<_> = head.lines().filter_map(|line| line.strip_prefix(&format!("{name}: "))).collect();
    assert_eq!(found.len(), 1, "{name} in\n{mail}");
    found[0].to_owned()
}

#[tokio::test]
async fn the_mail_is_as_it_should_be() {
    let exim = Exim::start().await;
    let yaml = alert(&format!("smtp://127.0.0.1:{}", exim.smtp), "[ops@example.org, Boss <boss@example.org>]");
    let accepted = send(&*channel(&yaml)).await.expect("delivered");
    assert!(accepted.answer.starts_with("250 OK id="), "{}", accepted.answer);
    let mail = exim.mail("ops").await;
    assert_eq!(header(&mail, "From"), "Heartbeat <hb@example.org>");
    assert_eq!(header(&mail, "To"), "ops@example.org, Boss <boss@example.org>");
    assert_eq!(header(&mail, "Subject"), "Web shop is down: status 503, expected 200");
    assert_eq!(header(&mail, "Message-ID"), "<webapp-3-oncall-down@web1>");
    assert_eq!(header(&mail, "Date"), "Sat, 21 Nov 2026 02:10:00 +0000");
    assert_eq!(header(&mail, "Auto-Submitted"), "auto-generated");
    assert_eq!(header(&mail, "Content-Type"), "text/plain; charset=utf-8");
    assert_eq!(header(&mail, "Return-path"), "<hb@example.org>");
    let body = mail.split_once("\n\n").expect("a body").1;
    assert!(body.starts_with("Web shop is down: status 503, expected 200\n\nCheck: Web shop (webapp)\n"), "{body}");
    assert!(body.contains("State: down since 2026-11-21 03:10:00 +01:00, before: up\n"), "{body}");
    assert_eq!(exim.mail("boss").await.split_once("\n\n").expect("a body").1, body);
}

#[tokio::test]
async fn hostile_values_make_no_headers() {
    let exim = Exim::start().await;
    let yaml = alert(&format!("smtp://127.0.0.1:{}", exim.smtp), "ops@example.org");
    let channel = channel(&format!("{yaml}subject: '$name: $reason'\n"));
    let mut message = sample();
    message.intent.facts.reason = "ä🔥\r\nBcc: spy@example.org\r\n\r\nX".into();
    message.intent.message = "one\r\n.\r\nRCPT TO:<spy@example.org>\r\n..two ä".into();
    message.node = "no such\r\nX-Injected: 1".into();
    channel.send(&message).await.expect("delivered");
    let mail = exim.mail("ops").await;
    let (head, body) = mail.split_once("\n\n").expect("a body");
    for name in ["Bcc:", "X-Injected:", "X\n"] {
        assert!(!head.lines().any(|line| line.starts_with(name.trim_end())), "{mail}");
    }
    assert!(header(&mail, "Subject").contains("=?utf-8?"), "{mail}");
    assert_eq!(header(&mail, "Message-ID"), "<webapp-3-oncall-down@no-such--X-Injected--1>");
    let plain = body.replace("=\n", "");
    assert!(plain.contains("one\n.\nRCPT TO:<spy@example.org>\n..two "), "{mail}");
    assert!(!exim.mailbox("spy").exists());
}

#[tokio::test]
async fn tls_and_authentication() {
    let exim = Exim::start().await;
    let (smtp, smtps, ca) = (exim.smtp, exim.smtps, exim.ca());
    let protected = format!("password: {CANARY}\nca: {}\n", ca.display());
    let starttls = alert(&format!("smtp://ops@localhost:{smtp}"), "members@example.org, private@example.org");
    send(&*channel(&format!("{starttls}{protected}starttls: required\n"))).await.expect("delivered by STARTTLS");
    exim.mail("private").await;
    exim.mail("members").await;

    let implicit = alert(&format!("smtps://ops@localhost:{smtps}"), "staff@example.org");
    send(&*channel(&format!("{implicit}{protected}"))).await.expect("delivered by TLS");
    exim.mail("staff").await;

    let wrong = format!("{implicit}password: wrong\nca: {}\n", ca.display());
    match send(&*channel(&wrong)).await {
        Err(Refused::ForGood { answer }) => assert!(answer.starts_with("AUTH: 535"), "{answer}"),
        other => panic!("{other:?}"),
    }
    for yaml in
        [format!("{implicit}password: {CANARY}\n"), format!("{starttls}password: {CANARY}\nstarttls: required\n")]
    {
        match send(&*channel(&yaml)).await {
            Err(Refused::ForNow { answer, .. }) => assert!(answer.contains("certificate"), "{answer}"),
            other => panic!("an authority that nobody trusts: {other:?}"),
        }
    }
    let plain = alert(&format!("smtp://127.0.0.1:{smtp}"), "private@example.org");
    match send(&*channel(&plain)).await {
        Err(Refused::ForGood { answer }) => assert!(answer.contains("TLS only"), "{answer}"),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn without_starttls_nothing_is_sent_where_it_is_required() {
    let exim = Exim::start_with("").await;
    let yaml = alert(&format!("smtp://ops@127.0.0.1:{}", exim.smtp), "ops@example.org");
    match send(&*channel(&format!("{yaml}password: {CANARY}\nstarttls: required\n"))).await {
        Err(Refused::ForGood { answer }) => assert!(answer.contains("offers no STARTTLS"), "{answer}"),
        other => panic!("{other:?}"),
    }
    assert!(!exim.log().contains("ops"), "{}", exim.log());
}

#[tokio::test]
async fn some_recipients_refused() {
    let exim = Exim::start().await;
    let to = |to: &str| channel(&alert(&format!("smtp://127.0.0.1:{}", exim.smtp), to));
    let accepted = send(&*to("[refused@example.org, ops@example.org]")).await.expect("delivered to one");
    assert!(accepted.answer.contains("250 OK") && accepted.answer.contains("refused@example.org: 550"), "{accepted:?}");
    exim.mail("ops").await;

    // Who has got the mail does not get it again while another recipient is tried again.
    let both = to("[later@example.org, boss@example.org, refused@example.org]");
    for _ in 0..3 {
        match send(&*both).await {
            Err(Refused::ForNow { answer, .. }) => assert!(answer.contains("come back later"), "{answer}"),
            other => panic!("{other:?}"),
        }
    }
    exim.mail("boss").await;
    let retries = || (exim.log().matches("temporarily rejected RCPT <later@").count() == 3).then_some(());
    eventually("three attempts", retries).await;
    assert_eq!(exim.log().matches("=> boss").count(), 1, "{}", exim.log());
    assert_eq!(exim.log().matches("rejected RCPT <refused@").count(), 2, "{}", exim.log());
}

/// An alert of this machine's mail system, with another port and another sendmail.
async fn local(sendmail: Vec<std::ffi::OsString>, to: &str) -> Post {
    let port = fake::closed().await.port();
    let account = Account { host: "127.0.0.1".to_owned(), port, security: Security::None, credentials: None, ca: None };
    Post {
        server: account.build().expect("a server"),
        sendmail: Some(sendmail),
        from: "hb@example.org".parse().expect("an address"),
        form: Form {
            to: vec![to.parse().expect("an address")],
            subject: Template::parse("$message").expect("a template"),
            body: Body::Message,
        },
    }
}

#[tokio::test]
async fn sendmail_takes_over_where_nobody_listens() {
    let exim = Exim::start().await;
    let program = vec!["/usr/sbin/exim4".into(), "-C".into(), exim.config().into()];
    let accepted = local(program, "ops@example.org").await.send(&sample()).await.expect("delivered");
    assert_eq!(accepted.answer, "sendmail: exit 0");
    let mail = exim.mail("ops").await;
    assert_eq!(header(&mail, "Message-ID"), "<webapp-3-oncall-down@web1>");
    assert!(mail.contains("\n\nWeb shop is down: status 503, expected 200\n"), "{mail}");
}

#[tokio::test]
async fn sendmails_statuses() {
    for (status, for_good) in [(67, true), (75, false), (1, false)] {
        let program = ["/bin/sh", "-c", &format!("exit {status}"), "sh"].map(Into::into).to_vec();
        let result = local(program, "ops@example.org").await.send(&sample()).await;
        match result {
            Err(Refused::ForGood { .. }) => assert!(for_good, "{status}"),
            Err(Refused::ForNow { answer, .. }) => {
                assert!(!for_good, "{status}");
                assert!(answer.contains("cannot connect") && answer.contains("set `smtp`"), "{answer}");
            }
            Ok(accepted) => panic!("{status}: {accepted:?}"),
        }
    }
    let missing = local(vec!["/nowhere/sendmail".into()], "ops@example.org").await.send(&sample()).await;
    assert!(matches!(missing, Err(Refused::ForNow { .. })), "{missing:?}");
}

#[test]
fn wrong_mails_are_explained() {
    for (yaml, expected) in [
        ("smtp: http://h\nto: a@b.c\n", "expected the URL of a mail server"),
        ("smtp: smtp://u@h\nto: a@b.c\n", "needs a `password`"),
        ("smtp: smtp://h\npassword: p\nto: a@b.c\n", "needs a user"),
        ("smtp: smtp://u:p@h\npassword: p\nto: a@b.c\n", "two passwords"),
        ("smtp: smtps://h\nstarttls: never\nto: a@b.c\n", "TLS from its first byte"),
        ("password: p\nto: a@b.c\n", "`password` needs `smtp`"),
        ("to: nobody\n", "expected a mail address"),
        ("to: []\n", "found an empty list"),
        ("to: a@b.c\nsubject: $url\n", "names `url`, which not every check has"),
        ("to: a@b.c\nsubject: ${name\n", "without its closing brace"),
    ] {
        let said = refusal(&format!("type: email\n{yaml}"));
        assert!(said.contains(expected), "{yaml}: {said}");
    }
}

#[test]
fn a_password_that_goes_unprotected_is_warned_of() {
    let Decoded { said, spec, .. } = decode("type: email\nsmtp: smtp://u@h\npassword: p\nstarttls: never\nto: a@b.c\n");
    assert!(said.contains("warning: alert `test` sends a password unprotected"), "{said}");
    assert!(spec.is_some());
}
