//! For every kind of alert: a provider on loopback that behaves as a test wants, and the alert that leads to it.

use std::any::Any;
use std::sync::{Arc, Mutex};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

use super::exim::Exim;
use crate::net::testing::fake::{self, Fake};

/// Stands in every field that holds a secret.
pub(super) const CANARY: &str = "canary5ecret";

/// The fields that hold one.
pub(super) const SECRETS: [(&str, &str); 6] = [
    ("email", "password"),
    ("gmail", "gmail_password"),
    ("twilio", "auth_token"),
    ("webhook", "url"),
    ("webhook", "headers"),
    ("webhook", "secret"),
];

/// What no output may hold: the canary, and the forms in which a password goes over the wire.
pub(super) fn forbidden() -> Vec<String> {
    let forms = [
        CANARY.to_owned(),
        format!("me:{CANARY}-user"),
        format!("AC0123456789abcdef:{CANARY}"),
        format!("\0me\0{CANARY}"),
        format!("\0me@gmail.com\0{CANARY}"),
    ];
    let encoded: Vec<_> = forms.iter().map(|form| STANDARD.encode(form)).collect();
    encoded.into_iter().chain([CANARY.to_owned()]).collect()
}

/// How a provider behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mood {
    /// Takes everything over.
    Accepts,
    /// Says no, and `no such person`.
    RefusesForGood,
    /// Says not now, and `come back later`.
    RefusesForNow,
    /// Never answers.
    Hangs,
    /// Answers nonsense.
    Garbage,
    /// Answers without end.
    Floods,
    /// Says no, and repeats all that it was told.
    Echoes,
    /// Is not there.
    Absent,
}

/// An alert with its provider.
pub(super) struct Rig {
    pub(super) yaml: String,
    /// What has reached the provider. One that hangs says `reached`, and `left` when it is.
    pub(super) delivered: Box<dyn Fn() -> String>,
    /// Ends when it is dropped.
    _provider: Box<dyn Any>,
}

type Seen = Arc<Mutex<String>>;

/// The rig of a kind; `None` for a mood that it cannot be in.
pub(super) async fn of(kind: &str, mood: Mood) -> Option<Rig> {
    match kind {
        "email" | "gmail" => mail(kind, mood).await,
        "twilio" | "webhook" => Some(web(kind, mood).await),
        "shell" | "command" => program(kind, mood),
        other => panic!("the kind `{other}` has no rig: add one, so that the suite can try it"),
    }
}

fn note(seen: &Seen, text: &str) {
    seen.lock().expect("not poisoned").push_str(text);
}

fn rig(yaml: String, seen: Seen, provider: impl Any) -> Rig {
    let delivered = Box::new(move || seen.lock().expect("not poisoned").clone());
    Rig { yaml, delivered, _provider: Box::new(provider) }
}

/// Holds a connection until the other side leaves.
async fn hang(stream: TcpStream, seen: &Seen) {
    note(seen, "reached");
    fake::silence(stream).await;
    note(seen, "left");
}

async fn web(kind: &str, mood: Mood) -> Rig {
    let seen = Seen::default();
    let server = match mood {
        Mood::Absent => None,
        _ => Some(web_server(kind == "twilio", mood, seen.clone()).await),
    };
    let address = match &server {
        Some(server) => server.address,
        None => fake::closed().await,
    };
    let yaml = match kind {
        "twilio" => format!(
            "type: twilio\naccount_sid: AC0123456789abcdef\nauth_token: {CANARY}\nfrom_number: +17775551212\n\
             to_number: +12224443131\nendpoint: http://{address}\n"
        ),
        _ => format!(
            "type: webhook\nurl: http://me:{CANARY}-user@{address}/hook/{CANARY}-path?t={CANARY}-query\n\
             headers: {{ x-token: {CANARY}-header }}\nsecret: {CANARY}-key\n"
        ),
    };
    rig(yaml, seen, server)
}

async fn web_server(twilio: bool, mood: Mood, seen: Seen) -> Fake {
    fake::serve(move |mut stream| {
        let seen = seen.clone();
        async move {
            let answer =
                |status: &str, body: &str| format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n{body}", body.len());
            let error = |code: u32, text: &str| match twilio {
                true => format!(r#"{{"code": {code}, "message": "{text}", "status": 400}}"#),
                false => text.to_owned(),
            };
            if mood == Mood::Hangs {
                return hang(stream, &seen).await;
            }
            let request = fake::request(&mut stream).await;
            let bytes = match mood {
                Mood::RefusesForGood => answer("400 Bad Request", &error(21211, "no such person")),
                Mood::RefusesForNow => answer("503 Service Unavailable", &error(20503, "come back later")),
                Mood::Garbage => "\0\u{1b}[31mIch bin kein Webserver\r\n\r\n\u{7}".to_owned(),
                Mood::Echoes => answer("404 Not Found", &error(20404, &request.replace(['\r', '\n', '"'], " "))),
                Mood::Floods => {
                    let head = b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 99999999999\r\n\r\n";
                    let _ = stream.write_all(head).await;
                    while stream.write_all(&[b'x'; 4096]).await.is_ok() {}
                    return;
                }
                _ => {
                    note(&seen, &decoded(&request));
                    answer("201 Created", r#"{"sid": "SM0123", "status": "queued"}"#)
                }
            };
            let _ = stream.write_all(bytes.as_bytes()).await;
            fake::goodbye(stream).await;
        }
    })
    .await
}

/// A request with its form, if it has one, in plain text.
fn decoded(request: &str) -> String {
    let (head, body) = request.split_once("\r\n\r\n").unwrap_or((request, ""));
    let pairs = url::form_urlencoded::parse(body.as_bytes());
    let form: String = pairs.map(|(name, value)| format!("{name}={value}\n")).collect();
    format!("{head}\r\n\r\n{body}\r\n{form}")
}

async fn mail(kind: &str, mood: Mood) -> Option<Rig> {
    let seen = Seen::default();
    let alert = |address: &str, to: &str| match kind {
        "gmail" => format!(
            "type: gmail\nsent_from: me@gmail.com\ngmail_password: {CANARY}\nto: {to}@example.org\nsubject: $message\n\
             smtp: smtps://{address}\n"
        ),
        _ => format!("type: email\nsmtp: smtp://me:{CANARY}@{address}\nto: {to}@example.org\nfrom: me@example.org\n"),
    };
    let to = match mood {
        Mood::Accepts => "ops",
        Mood::RefusesForGood => "refused",
        Mood::RefusesForNow => "later",
        Mood::Absent => return Some(rig(alert(&fake::closed().await.to_string(), "ops"), seen, ())),
        _ => {
            let server = mail_server(mood, seen.clone()).await;
            return Some(rig(alert(&server.address.to_string(), "ops"), seen, server));
        }
    };
    let exim = Exim::start().await;
    let yaml = match kind {
        "gmail" => format!("{}ca: {}\n", alert(&format!("localhost:{}", exim.smtps), to), exim.ca().display()),
        _ => alert(&format!("127.0.0.1:{}", exim.smtp), to),
    };
    let mailbox = exim.mailbox(to);
    let delivered = Box::new(move || std::fs::read_to_string(&mailbox).unwrap_or_default());
    Some(Rig { yaml, delivered, _provider: Box::new(exim) })
}

/// A mail server as none should be.
async fn mail_server(mood: Mood, seen: Seen) -> Fake {
    fake::serve(move |mut stream| {
        let seen = seen.clone();
        async move {
            match mood {
                Mood::Hangs => hang(stream, &seen).await,
                Mood::Floods => while stream.write_all(&[b'2'; 4096]).await.is_ok() {},
                Mood::Echoes => echo(stream).await,
                _ => {
                    let _ = stream.write_all(b"\0\x1b[31m\xff\xfe no mail here\r\n").await;
                    fake::goodbye(stream).await;
                }
            }
        }
    })
    .await
}

/// Offers AUTH, refuses it, and repeats what it was told.
async fn echo(stream: TcpStream) {
    use tokio::io::AsyncBufReadExt as _;
    let (read, mut write) = stream.into_split();
    let mut lines = tokio::io::BufReader::new(read).lines();
    let _ = write.write_all(b"220 echo\r\n").await;
    while let Ok(Some(line)) = lines.next_line().await {
        let answer = match line.split(' ').next() {
            Some("EHLO") => "250-echo\r\n250 AUTH PLAIN LOGIN\r\n".to_owned(),
            _ => format!("535 what do you mean by {line}?\r\n"),
        };
        if write.write_all(answer.as_bytes()).await.is_err() {
            return;
        }
    }
}

/// Programs know no "for good" and hold no secrets.
fn program(kind: &str, mood: Mood) -> Option<Rig> {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("out");
    let path = file.display();
    let line = match mood {
        Mood::Accepts => format!("echo \"$HEARTBEAT_MESSAGE\" >> {path}; echo taken"),
        Mood::RefusesForNow => "echo come back later >&2; exit 3".to_owned(),
        Mood::Hangs => format!("trap 'echo left >> {path}; exit' TERM; echo reached >> {path}; sleep 600 & wait"),
        Mood::Garbage => r"printf '\000\033[31m\377garbage\007'; exit 1".to_owned(),
        Mood::Floods => "head -c 10000000 /dev/zero | tr '\\0' x; exit 1".to_owned(),
        Mood::Absent => "exec /nowhere/to/be/found".to_owned(),
        Mood::RefusesForGood | Mood::Echoes => return None,
    };
    let yaml = match kind {
        "command" if mood == Mood::Absent => "type: command\ncommand: [/nowhere/to/be/found]\n".to_owned(),
        "command" => format!("type: command\ncommand:\n  shell: |\n    {line}\n"),
        _ => format!("type: shell\ncommand: |\n  {line}\n"),
    };
    let delivered = Box::new(move || std::fs::read_to_string(&file).unwrap_or_default());
    Some(Rig { yaml, delivered, _provider: Box::new(folder) })
}
