//! The kind `memcached`: log in if we are to, then a word in each direction.
//!
//! The text protocol, by hand: <https://github.com/memcached/memcached/blob/master/doc/protocol.txt>. Absent on purpose: the
//! binary protocol, which its authors have given up, and with it SASL; UDP.

#[cfg(test)]
mod tests;

use std::sync::Arc;

use heartbeat_core::outcome::Fault;

use super::cache::endpoint::{Endpoint, Login, Usage};
use super::cache::wire::{Wire, refused, unexpected};
use super::cache::{Conversation, KEPT, Questions, SHOWN, Talk, Us};
use super::expect::Limits;
use super::{Failure, Kind, PickedBy, Spec, clip};
use crate::config::{Context, Fields, Node, Shape, Value};

/// The line of the table.
pub const KIND: Kind = Kind {
    name: "memcached",
    doc: "Asks a memcached server for its version; if wished, for a key, or to keep a value. `memcacheds://` is TLS.",
    picked_by: PickedBy::Schemes(&["memcached", "memcacheds", "memcached+unix"]),
    example: "\
url: memcached://localhost:11211
write: true
expect: { latency: 200ms }
",
    decode,
};

const USAGE: Usage = Usage {
    url: "Where the server listens: `memcached://[user:password@]host[:port]`, `memcached+unix:///path`.",
    port: 11211,
    encrypted: &["memcacheds"],
};

/// The longest value that a server may announce: memcached keeps none that is longer.
const LONGEST: u64 = 1 << 30;

/// What is asked, and what must come of it.
#[derive(Debug)]
struct Memcached {
    questions: Questions<Query>,
}

/// `get` with its key.
#[derive(Debug)]
struct Query {
    key: String,
}

impl Value for Query {
    fn shape() -> Shape {
        Shape::Text { noun: "`get` and a key", pattern: Some("^get [^ ]+$") }
    }

    fn decode(node: &Node, context: &mut Context<'_>) -> Option<Self> {
        let noun = "`get KEY`, the key of at most 250 bytes without spaces and control characters";
        let text = context.verbatim_text(noun, node)?;
        let is_key = |key: &str| {
            !key.is_empty() && key.len() <= 250 && !key.chars().any(|c| c.is_control() || c.is_whitespace())
        };
        match text.strip_prefix("get ") {
            Some(key) if is_key(key) => Some(Self { key: key.to_owned() }),
            _ => context.expected(noun, node),
        }
    }

    fn show(&self) -> Node {
        Node::text(format!("get {}", self.key))
    }
}

fn decode(fields: &mut Fields<'_, '_, '_>) -> Option<Box<dyn Spec>> {
    let endpoint = Endpoint::read(fields, &USAGE);
    let query = "`get KEY`, in place of `version`; that the key is missing is no failure unless a value is expected.";
    let asked = Questions::read(fields, query, |_| ());
    let warn = Limits::read_warnings(fields);
    let (endpoint, (questions, expect, ())) = (endpoint?, asked?);
    if !endpoint.database().is_empty() {
        fields.error("url", "memcached has no databases: expected nothing behind the server in `url`");
        return None;
    }
    if endpoint.has_only_password() {
        fields.error("password", format!("{} has a password without a user: memcached wants both", fields.what()));
        return None;
    }
    Some(Box::new(Conversation { endpoint, talk: Arc::new(Memcached { questions }), expect, warn }))
}

impl Talk for Memcached {
    async fn talk(&self, wire: &mut Wire<'_>, us: &Us) -> Result<(), Failure> {
        if let Some(login) = &us.login {
            log_in(wire, login).await?;
        }
        if let Some(query) = &self.questions.query {
            let value = get(wire, "the query failed", &query.key, self.questions.kept()).await?;
            self.questions.judge(value.as_deref().ok_or("nothing"))?;
        }
        if self.questions.write {
            write(wire, &us.key()).await?;
        }
        if self.questions.query.is_none() && !self.questions.write {
            let line = ask(wire, "the server does not tell its version", b"version\r\n").await?;
            expect(line.starts_with(b"VERSION "), "a version", &line)?;
        }
        Ok(())
    }
}

/// Sends a command and reads a line. An error is a failure, the server's words behind `failed`.
async fn ask(wire: &mut Wire<'_>, failed: &str, command: &[u8]) -> Result<Vec<u8>, Failure> {
    wire.send(command).await?;
    let line = wire.line().await?;
    match error(&line) {
        Some(words) => Err(refused(failed, &words)),
        None => Ok(line),
    }
}

/// What the protocol calls an error string.
fn error(line: &[u8]) -> Option<String> {
    let sort = line.split(|byte| *byte == b' ').next();
    let is_error = matches!(sort, Some(b"ERROR" | b"CLIENT_ERROR" | b"SERVER_ERROR"));
    is_error.then(|| String::from_utf8_lossy(line).into_owned())
}

fn expect(holds: bool, expected: &str, line: &[u8]) -> Result<(), Failure> {
    if holds { Ok(()) } else { Err(unexpected(expected, line)) }
}

/// "Authentication" in the protocol: a `set` of user and password, under any key.
///
/// A server that asks nobody who he is stores it like any other value. So it is sent as one that has already expired.
async fn log_in(wire: &mut Wire<'_>, login: &Login) -> Result<(), Failure> {
    let token = format!("{} {}", login.username.as_deref().unwrap_or_default(), login.password);
    wire.send(set("heartbeat:login", "-1", &token).as_bytes()).await?;
    let line = wire.line().await.map_err(Login::unanswered)?;
    match error(&line) {
        Some(words) => Err(login.refused(&words)),
        None => expect(line == b"STORED", "STORED", &line).map_err(Login::unanswered),
    }
}

fn set(key: &str, seconds: &str, value: &str) -> String {
    format!("set {key} 0 {seconds} {}\r\n{value}\r\n", value.len())
}

/// The beginning of a value; `None` if there is none under this key.
async fn get(wire: &mut Wire<'_>, failed: &str, key: &str, kept: usize) -> Result<Option<Vec<u8>>, Failure> {
    let line = ask(wire, failed, format!("get {key}\r\n").as_bytes()).await?;
    if line == b"END" {
        return Ok(None);
    }
    let Some(length) = announced(&line, key) else { return Err(unexpected(&format!("the value of `{key}`"), &line)) };
    let value = wire.value(length, kept).await?;
    let end = wire.line().await?;
    expect(end == b"END", "END", &end)?;
    Ok(Some(value))
}

/// The length of a value, from its head: `VALUE <key> <flags> <bytes>`.
fn announced(line: &[u8], key: &str) -> Option<u64> {
    let (head, length) = std::str::from_utf8(line).ok()?.rsplit_once(' ')?;
    let flags = head.strip_prefix("VALUE ")?.strip_prefix(key)?.strip_prefix(' ')?;
    let _: u64 = flags.parse().ok()?;
    length.parse().ok().filter(|length| *length <= LONGEST)
}

/// Writes, reads back, deletes. What an interrupted probe leaves behind ends by itself.
async fn write(wire: &mut Wire<'_>, key: &str) -> Result<(), Failure> {
    // The key is random enough to be its own value.
    let stored = ask(wire, "writing a key failed", set(key, &KEPT.to_string(), key).as_bytes()).await?;
    expect(stored == b"STORED", "STORED", &stored)?;
    let read = get(wire, "reading the key back failed", key, SHOWN).await?;
    let deleted = ask(wire, "deleting the key failed", format!("delete {key}\r\n").as_bytes()).await?;
    expect(deleted == b"DELETED" || deleted == b"NOT_FOUND", "DELETED", &deleted)?;
    match read {
        Some(value) if value == key.as_bytes() => Ok(()),
        other => {
            let found =
                other.map_or("nothing".to_owned(), |value| format!("`{}`", clip(&String::from_utf8_lossy(&value))));
            Err(Failure::new(Fault::Body, format!("wrote `{key}` and read {found} back")))
        }
    }
}
