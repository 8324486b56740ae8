//! The kind `redis`, which is Valkey too: log in, choose the database, then a word in each direction.
//!
//! Spoken by hand, for it is little: commands of a client that leaves again, one after the other, each answer read to its
//! end. Absent on purpose: redirections of a cluster (a check is of one server, and `MOVED` is what that server says),
//! pipelining, version 3 of the protocol.

mod resp;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use heartbeat_core::outcome::Fault;

use self::resp::Reply;
use super::endpoint::{Dialer, Endpoint, Login, Usage};
use super::expect::Limits;
use super::wire::Wire;
use super::{Boxed, Failure, Kind, Observation, PickedBy, Prober, Spec, Trace, World, clip, scratch};
use crate::config::values::words;
use crate::config::{Context, Fields, Node, Shape, Value};

/// The line of the table.
pub const KIND: Kind = Kind {
    name: "redis",
    doc: "Asks a Redis or Valkey server `PING`; if wished, its role, a command, or to keep a value. `rediss://` is TLS.",
    picked_by: PickedBy::Schemes(&["redis", "rediss", "valkey", "valkeys", "redis+unix", "valkey+unix"]),
    example: "\
url: redis://heartbeat@localhost:6379/2
password: { env: REDIS_PASSWORD }
query: GET maintenance
expect: { value: 'no', role: master, latency: 200ms }
",
    decode,
};

const USAGE: Usage = Usage {
    url: "Where the server listens: `redis://[user[:password]@]host[:port][/database]`, `redis+unix:///path[?db=2]`.",
    port: 6379,
    encrypted: &["rediss", "valkeys"],
};

/// So much of a value is read even if less would do to compare it: it is shown.
const SHOWN: usize = 512;

/// For so long the server keeps what a probe that was interrupted has left behind.
const KEPT_SECONDS: &str = "60";

/// What is asked, and what must come of it.
#[derive(Clone, Debug, Default)]
struct Rules {
    database: Option<u32>,
    role: Option<Role>,
    query: Option<Query>,
    value: Option<String>,
    write: bool,
}

/// What a server is to others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    Master,
    Replica,
}

words!(Role { "master" => Master, "replica" => Replica });

/// A command of the configuration.
#[derive(Clone, Debug)]
struct Query {
    words: Vec<String>,
    text: String,
}

impl Value for Query {
    fn shape() -> Shape {
        Shape::Text { noun: "a command that is split into words as a shell would", pattern: None }
    }

    fn decode(node: &Node, context: &mut Context<'_>) -> Option<Self> {
        let text = context.text("a command such as `GET key`", node)?;
        match shell_words::split(&text) {
            Ok(words) if words.is_empty() => context.error(node.span, "the command is empty"),
            Ok(words) => Some(Self { words, text }),
            Err(_) => context.error(node.span, format!("a quote is not closed in `{text}`")),
        }
    }

    fn show(&self) -> Node {
        Node::text(self.text.as_str())
    }
}

/// A decoded check.
#[derive(Debug)]
struct Redis {
    endpoint: Endpoint,
    rules: Arc<Rules>,
    expect: Limits,
    warn: Limits,
}

fn decode(fields: &mut Fields<'_, '_, '_>) -> Option<Box<dyn Spec>> {
    let endpoint = Endpoint::read(fields, &USAGE);
    let query = fields.optional(
        "query",
        "A command in place of `PING`, such as `GET key`. Any answer but an error will do, unless a value is expected.",
    );
    let write =
        fields.or("write", "Whether a key of this node's own is written, read back and deleted at each probe.", false);
    let expect = fields.section("expect", "What must be the case.", |fields| {
        let limits = Limits::read(fields);
        let value: Option<String> =
            fields.optional("value", "What `query` must be answered with, to the byte; a missing key fails.");
        let role = fields.optional("role", "What the server must be to others.");
        Some((limits, value, role))
    });
    let warn = Limits::read_warnings(fields);
    let (expect, value, role) = expect?;
    if value.is_some() && query.is_none() {
        fields.error("expect", format!("{} expects a `value` of no `query`", fields.what()));
        return None;
    }
    let endpoint = endpoint?;
    let database = match endpoint.database() {
        "" => None,
        number => match number.parse() {
            Ok(number) => Some(number),
            Err(_) => {
                fields.error("url", format!("expected the number of a database, found `{}`", clip(number)));
                return None;
            }
        },
    };
    let rules = Arc::new(Rules { database, role, query, value, write });
    Some(Box::new(Redis { endpoint, rules, expect, warn }))
}

impl Spec for Redis {
    fn target(&self) -> String {
        self.endpoint.shown()
    }

    fn address(&self) -> Option<String> {
        Some(self.endpoint.address())
    }

    fn values(&self) -> Vec<(String, String)> {
        self.endpoint.values()
    }

    fn build(&self, world: &World) -> Result<Box<dyn Prober>, String> {
        Ok(Box::new(RedisProber {
            dialer: self.endpoint.build(world)?,
            login: self.endpoint.login()?,
            node: world.node().clone(),
            rules: self.rules.clone(),
            expect: self.expect,
            warn: self.warn,
        }))
    }
}

/// Ready to probe.
struct RedisProber {
    dialer: Dialer,
    login: Option<Login>,
    node: Arc<str>,
    rules: Arc<Rules>,
    expect: Limits,
    warn: Limits,
}

impl Prober for RedisProber {
    fn probe<'a>(&'a self, trace: &'a Trace) -> Boxed<'a, Result<Observation, Failure>> {
        Box::pin(async move {
            let (stream, not_after) = self.dialer.connect(trace).await?;
            let mut wire = Wire::new(stream, trace);
            let talked = self.talk(&mut wire).await;
            let took = trace.elapsed();
            let ended = wire.end().await;
            talked.and(ended)?;
            match self.expect.judge(took, not_after) {
                Some(failure) => Err(failure),
                None => Ok(Observation { warning: self.warn.judge(took, not_after), performance: None }),
            }
        })
    }
}

impl RedisProber {
    async fn talk(&self, wire: &mut Wire<'_>) -> Result<(), Failure> {
        let rules = &*self.rules;
        if let Some(login) = &self.login {
            log_in(wire, login).await?;
        }
        if let Some(database) = rules.database.filter(|database| *database != 0) {
            choose(wire, database).await?;
        }
        if let Some(role) = rules.role {
            judge_role(wire, role).await?;
        }
        if let Some(query) = &rules.query {
            judge_query(wire, query, rules.value.as_deref()).await?;
        }
        if rules.write {
            write(wire, &scratch::key(&self.node)).await?;
        }
        if rules.role.is_none() && rules.query.is_none() && !rules.write {
            expect_word(ask(wire, "`PING` failed", &["PING"]).await?, "`PING`", "PONG")?;
        }
        Ok(())
    }
}

/// Sends a command and reads its answer. An error is a failure, with the server's words behind `failed`.
async fn ask(wire: &mut Wire<'_>, failed: &str, command: &[&str]) -> Result<Reply, Failure> {
    ask_for(wire, failed, command, SHOWN).await
}

/// The same for an answer of which so many bytes matter.
async fn ask_for(wire: &mut Wire<'_>, failed: &str, command: &[&str], kept: usize) -> Result<Reply, Failure> {
    wire.send(&resp::command(command)).await?;
    match resp::reply(wire, kept).await? {
        Reply::Error(words) => Err(refused(failed, &words)),
        reply => Ok(reply),
    }
}

/// A server's own error, be it a login that it refuses or that it is not ready: LOADING, MASTERDOWN, READONLY.
fn refused(failed: &str, words: &str) -> Failure {
    Failure::new(Fault::Status, format!("{failed}: {}", clip(words)))
}

/// For a command that has only one right answer.
fn expect_word(reply: Reply, command: &str, word: &str) -> Result<(), Failure> {
    match reply {
        Reply::Value(value) if value == word.as_bytes() => Ok(()),
        reply => Err(strange(command, word, &reply)),
    }
}

/// An answer that no server of this sort gives.
fn strange(command: &str, expected: &str, reply: &Reply) -> Failure {
    Failure::new(Fault::Protocol, format!("expected {expected} as the answer to {command}, found {}", reply.describe()))
}

/// <https://redis.io/docs/latest/commands/auth/>. Nothing of the command is ever repeated, whatever the server says.
async fn log_in(wire: &mut Wire<'_>, login: &Login) -> Result<(), Failure> {
    let mut words = vec!["AUTH"];
    words.extend(login.username.as_deref());
    words.push(&login.password);
    wire.send(&resp::command(&words)).await?;
    match resp::reply(wire, SHOWN).await {
        Ok(Reply::Value(value)) if value == b"OK" => Ok(()),
        Ok(Reply::Error(words)) => {
            // A server that does not know the command repeats the beginning of what it was sent.
            let words = words.split(", with args").next().unwrap_or_default();
            Err(refused("the login was refused", &login.scrub(words)))
        }
        Err(failure) if failure.fault != Fault::Protocol => Err(failure),
        _ => {
            Err(Failure::new(Fault::Protocol, "expected OK or an error as the answer to `AUTH`, found something else"))
        }
    }
}

async fn choose(wire: &mut Wire<'_>, database: u32) -> Result<(), Failure> {
    let reply = ask(wire, &format!("database {database} was refused"), &["SELECT", &database.to_string()]).await?;
    expect_word(reply, "`SELECT`", "OK")
}

/// <https://redis.io/docs/latest/commands/role/>: a list, the first item of which is the role, in the older words.
async fn judge_role(wire: &mut Wire<'_>, expected: Role) -> Result<(), Failure> {
    let reply = ask(wire, "`ROLE` failed", &["ROLE"]).await?;
    let Reply::List(_, Some(word)) = &reply else { return Err(strange("`ROLE`", "a role", &reply)) };
    let expected = match expected {
        Role::Master => "master",
        Role::Replica => "replica",
    };
    let word = String::from_utf8_lossy(word);
    let found = if word == "slave" { "replica".into() } else { word };
    if found == expected {
        return Ok(());
    }
    Err(Failure::new(Fault::Body, format!("the server is a {}, expected a {expected}", clip(&found))))
}

async fn judge_query(wire: &mut Wire<'_>, query: &Query, expected: Option<&str>) -> Result<(), Failure> {
    let words: Vec<&str> = query.words.iter().map(String::as_str).collect();
    // One byte more than expected tells a longer value from an equal one.
    let kept = SHOWN.max(expected.map_or(0, str::len) + 1);
    let reply = ask_for(wire, "the query failed", &words, kept).await?;
    let Some(expected) = expected else { return Ok(()) };
    let found = match &reply {
        Reply::Value(value) if value == expected.as_bytes() => return Ok(()),
        Reply::Nil => "nothing (nil)".to_owned(),
        reply => reply.describe(),
    };
    let reason = format!("the query `{}` gave {found}, expected `{}`", clip(&query.text), clip(expected));
    Err(Failure::new(Fault::Body, reason))
}

/// Writes, reads back, deletes. What an interrupted probe leaves behind ends by itself.
async fn write(wire: &mut Wire<'_>, key: &str) -> Result<(), Failure> {
    // The key is random enough to be its own value.
    let written = ask(wire, "the write failed", &["SET", key, key, "EX", KEPT_SECONDS]).await?;
    expect_word(written, "`SET`", "OK")?;
    let read = ask(wire, "reading back what was written failed", &["GET", key]).await?;
    ask(wire, "deleting what was written failed", &["DEL", key]).await?;
    match read {
        Reply::Value(value) if value == key.as_bytes() => Ok(()),
        other => Err(Failure::new(Fault::Body, format!("wrote `{key}` and read {} back", other.describe()))),
    }
}
