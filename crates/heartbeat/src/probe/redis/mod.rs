//! The kind `redis`, which is Valkey too: log in, choose the database, then a word in each direction.
//!
//! Spoken by hand, for it is little: commands of a client that leaves again, each answer read to its end. Absent on
//! purpose: the redirections of a cluster (a check is of one server, and `MOVED` is what that server says), and version 3
//! of the protocol.

mod resp;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use heartbeat_core::outcome::Fault;

use self::resp::Reply;
use super::cache::endpoint::{Endpoint, Login, Usage};
use super::cache::wire::{Wire, refused};
use super::cache::{Conversation, KEPT, Questions, SHOWN, Talk, Us};
use super::expect::Limits;
use super::{Failure, Kind, PickedBy, Spec, clip};
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

/// What is asked, and what must come of it.
#[derive(Debug)]
struct Redis {
    database: Option<u32>,
    role: Option<Role>,
    questions: Questions<Query>,
}

/// What a server is to others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    Master,
    Replica,
}

words!(Role { "master" => Master, "replica" => Replica });

/// A command of the configuration. As in every command, `$` stands for itself.
#[derive(Debug)]
struct Query {
    words: Vec<String>,
    text: String,
}

impl Value for Query {
    fn shape() -> Shape {
        Shape::Text { noun: "a command that is split into words as a shell would", pattern: None }
    }

    fn decode(node: &Node, context: &mut Context<'_>) -> Option<Self> {
        let text = context.verbatim_text("a command such as `GET key`", node)?;
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

fn decode(fields: &mut Fields<'_, '_, '_>) -> Option<Box<dyn Spec>> {
    let endpoint = Endpoint::read(fields, &USAGE);
    let asked = Questions::read(
        fields,
        "A command such as `GET key` that must succeed, in place of `PING`; `$` stands for itself.",
        |fields| fields.optional("role", "What the server must be to others."),
    );
    let warn = Limits::read_warnings(fields);
    let (endpoint, (questions, expect, role)) = (endpoint?, asked?);
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
    let talk = Arc::new(Redis { database, role, questions });
    Some(Box::new(Conversation { endpoint, talk, expect, warn }))
}

impl Talk for Redis {
    async fn talk(&self, wire: &mut Wire<'_>, us: &Us) -> Result<(), Failure> {
        if let Some(login) = &us.login {
            log_in(wire, login).await?;
        }
        if let Some(database) = self.database.filter(|database| *database != 0) {
            let failed = format!("database {database} was refused");
            expect_word(wire, &failed, &["SELECT", &database.to_string()], "OK").await?;
        }
        if let Some(role) = self.role {
            judge_role(wire, role).await?;
        }
        if let Some(query) = &self.questions.query {
            self.judge_query(wire, query).await?;
        }
        if self.questions.write {
            write(wire, &us.key()).await?;
        }
        if self.role.is_none() && self.questions.query.is_none() && !self.questions.write {
            expect_word(wire, "the server answers no `PING`", &["PING"], "PONG").await?;
        }
        Ok(())
    }
}

impl Redis {
    async fn judge_query(&self, wire: &mut Wire<'_>, query: &Query) -> Result<(), Failure> {
        let reply = ask(wire, "the query failed", &query.words, self.questions.kept()).await?;
        match &reply {
            Reply::Value(value) => self.questions.judge(Ok(value)),
            other => self.questions.judge(Err(&other.describe())),
        }
    }
}

/// Sends a command and reads its answer, of a value so many bytes. An error is a failure, the server's words behind `failed`.
async fn ask<W: AsRef<[u8]>>(wire: &mut Wire<'_>, failed: &str, command: &[W], kept: usize) -> Result<Reply, Failure> {
    wire.send(&resp::command(command)).await?;
    match resp::reply(wire, kept).await? {
        Reply::Error(words) => Err(refused(failed, &words)),
        reply => Ok(reply),
    }
}

/// Sends a command that has only one right answer.
async fn expect_word(wire: &mut Wire<'_>, failed: &str, command: &[&str], word: &str) -> Result<(), Failure> {
    match ask(wire, failed, command, SHOWN).await? {
        Reply::Value(value) if value == word.as_bytes() => Ok(()),
        reply => Err(strange(command[0], word, &reply)),
    }
}

/// An answer that no server of this sort gives.
fn strange(command: &str, expected: &str, reply: &Reply) -> Failure {
    let found = reply.describe();
    Failure::new(Fault::Protocol, format!("expected {expected} as the answer to `{command}`, found {found}"))
}

/// <https://redis.io/docs/latest/commands/auth/>.
async fn log_in(wire: &mut Wire<'_>, login: &Login) -> Result<(), Failure> {
    let mut words = vec!["AUTH"];
    words.extend(login.username.as_deref());
    words.push(&login.password);
    wire.send(&resp::command(&words)).await?;
    match resp::reply(wire, SHOWN).await.map_err(Login::unanswered)? {
        Reply::Value(value) if value == b"OK" => Ok(()),
        // A server that does not know the command repeats the beginning of what it was sent.
        Reply::Error(words) => Err(login.refused(words.split(", with args").next().unwrap_or_default())),
        reply => Err(Login::unanswered(strange("AUTH", "OK", &reply))),
    }
}

/// <https://redis.io/docs/latest/commands/role/>: a list, the first item of which is the role, in the older words.
async fn judge_role(wire: &mut Wire<'_>, expected: Role) -> Result<(), Failure> {
    let reply = ask(wire, "the role is not told", &["ROLE"], SHOWN).await?;
    let Reply::List(_, Some(word)) = &reply else { return Err(strange("ROLE", "a role", &reply)) };
    let expected = match expected {
        Role::Master => "master",
        Role::Replica => "replica",
    };
    let word = String::from_utf8_lossy(word);
    let found = if word == "slave" { "replica".into() } else { word };
    match found == expected {
        true => Ok(()),
        false => Err(Failure::new(Fault::Body, format!("the server is a {}, expected a {expected}", clip(&found)))),
    }
}

/// Writes, reads back, deletes. What an interrupted probe leaves behind ends by itself.
async fn write(wire: &mut Wire<'_>, key: &str) -> Result<(), Failure> {
    // The key is random enough to be its own value.
    expect_word(wire, "writing a key failed", &["SET", key, key, "EX", &KEPT.to_string()], "OK").await?;
    let read = ask(wire, "reading the key back failed", &["GET", key], SHOWN).await?;
    ask(wire, "deleting the key failed", &["DEL", key], SHOWN).await?;
    match read {
        Reply::Value(value) if value == key.as_bytes() => Ok(()),
        other => Err(Failure::new(Fault::Body, format!("wrote `{key}` and read {} back", other.describe()))),
    }
}
