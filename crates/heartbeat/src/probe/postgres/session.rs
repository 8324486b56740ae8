//! The protocol of PostgreSQL, version 3 (its documentation, "Frontend/Backend Protocol"): what a login and simple queries
//! need of it.
//!
//! Messages are taken apart and logins computed by postgres-protocol; reading is ours, so that a hostile length costs no
//! memory and what is no PostgreSQL is told at its first byte.
//!
//! A statement must not outlive the probe that asked for it: a server notices that its client has gone only when it wants to
//! answer. So every statement runs under a `statement_timeout` that ends a little after our deadline, set for its transaction
//! alone, since behind a pooler the session is shared with others.

use std::time::Duration;

use bytes::BytesMut;
use heartbeat_core::Mono;
use heartbeat_core::outcome::Fault;
use postgres_protocol::authentication::md5_hash;
use postgres_protocol::authentication::sasl::{ChannelBinding, SCRAM_SHA_256, ScramSha256};
use postgres_protocol::message::backend::{self, DataRowBody, ErrorFields, Message};
use postgres_protocol::message::frontend;
// The iterators of postgres-protocol are of this crate.
use fallible_iterator::FallibleIterator as _;

use crate::host::clock;
use crate::probe::budget::Budget;
use crate::probe::database::encryption::Encryption;
use crate::probe::database::server::{Login, Opened};
use crate::probe::database::wire::{MOST, Wire};
use crate::probe::database::{Answer, Dialect, Refusal, Session, Wrong, garbage};
use crate::probe::{Failure, Phase, Trace, tls};

/// How much later than our deadline a statement is ended: the verdict is to be ours.
const GRACE: Duration = Duration::from_millis(500);

/// A session.
pub(super) struct Postgres {
    wire: Wire,
    deadline: Mono,
}

/// Encrypts the connection if wanted, and logs in.
pub(super) async fn open(
    mut wire: Wire,
    login: &Login,
    encryption: Option<Encryption<'_>>,
    bodies: &Budget,
    trace: &Trace,
) -> Result<Opened<Postgres>, Wrong> {
    trace.enter(Phase::FirstByte);
    let mut not_after = None;
    if let Some(encryption) = encryption
        && offers_tls(&mut wire, encryption.insists).await?
    {
        let bare = wire
            .into_stream()
            .ok_or_else(|| Failure::new(Fault::Protocol, "the server went on before the encryption began"))?;
        let stream = encryption.client.connect(encryption.host, bare, trace).await?;
        not_after = tls::not_after(&stream);
        wire = Wire::new(Box::new(stream), bodies);
        trace.enter(Phase::FirstByte);
    }
    let mut session = Postgres { wire, deadline: trace.deadline() };
    session.log_in(login, trace).await?;
    Ok(Opened { session, not_after })
}

/// Asks whether the server speaks TLS.
async fn offers_tls(wire: &mut Wire, insists: bool) -> Result<bool, Wrong> {
    let mut request = BytesMut::new();
    frontend::ssl_request(&mut request);
    wire.send(&request).await?;
    match wire.take(1).await?[0] {
        b'S' => Ok(true),
        b'N' if insists => Err(Failure::new(Fault::Tls, "the server speaks no TLS, and the URL insists on it").into()),
        b'N' => Ok(false),
        // Its words are not to be trusted: nothing has been verified yet, and TLS will not be.
        b'E' => Err(Failure::new(Fault::Status, "the server has no process left for us").into()),
        other => Err(garbage("PostgreSQL", &[other]).into()),
    }
}

impl Postgres {
    async fn log_in(&mut self, login: &Login, trace: &Trace) -> Result<(), Wrong> {
        let application = login.parameters.iter().find(|(name, _)| name == "application_name");
        let mut parameters = vec![("user", login.user.as_str()), ("client_encoding", "UTF8")];
        parameters.push(("application_name", application.map_or("heartbeat", |(_, name)| name)));
        parameters.extend(login.database.as_deref().map(|name| ("database", name)));
        self.say(|out| frontend::startup_message(parameters, out)).await?;
        let mut scram = None;
        loop {
            let message = self.hear().await?;
            trace.enter(Phase::Login);
            match message {
                Message::AuthenticationOk => {}
                Message::AuthenticationCleartextPassword => {
                    let password = password(login)?;
                    self.say(|out| frontend::password_message(password.as_bytes(), out)).await?;
                }
                Message::AuthenticationMd5Password(body) => {
                    let hash = md5_hash(login.user.as_bytes(), password(login)?.as_bytes(), body.salt());
                    self.say(|out| frontend::password_message(hash.as_bytes(), out)).await?;
                }
                Message::AuthenticationSasl(body) => {
                    let offered = body.mechanisms().any(|name| Ok(name == SCRAM_SHA_256)).map_err(|_| strange())?;
                    if !offered {
                        return Err(unsupported("another SASL mechanism than SCRAM-SHA-256"));
                    }
                    let begun = ScramSha256::new(password(login)?.as_bytes(), ChannelBinding::unsupported());
                    self.say(|out| frontend::sasl_initial_response(SCRAM_SHA_256, begun.message(), out)).await?;
                    scram = Some(begun);
                }
                Message::AuthenticationSaslContinue(body) => {
                    let scram = scram.as_mut().ok_or_else(strange)?;
                    scram.update(body.data()).map_err(|_| strange())?;
                    self.say(|out| frontend::sasl_response(scram.message(), out)).await?;
                }
                Message::AuthenticationSaslFinal(body) => {
                    let mut scram = scram.take().ok_or_else(strange)?;
                    scram.finish(body.data()).map_err(|_| {
                        Failure::new(Fault::Protocol, "the server does not know our password itself (SCRAM)")
                    })?;
                }
                Message::AuthenticationGss | Message::AuthenticationSspi | Message::AuthenticationKerberosV5 => {
                    return Err(unsupported("GSSAPI, SSPI or Kerberos"));
                }
                Message::BackendKeyData(_) => {}
                Message::ReadyForQuery(_) => break,
                Message::ErrorResponse(body) => return Err(Wrong::Refused(refusal(body.fields()))),
                _ => return Err(strange().into()),
            }
        }
        self.wire.doing = "waiting for the answer to the query";
        Ok(())
    }

    /// Sends what `write` writes.
    async fn say(&mut self, write: impl FnOnce(&mut BytesMut) -> std::io::Result<()>) -> Result<(), Failure> {
        let mut out = BytesMut::new();
        write(&mut out)
            .map_err(|error| Failure::new(Fault::Protocol, format!("this cannot be said to PostgreSQL: {error}")))?;
        self.wire.send(&out).await
    }

    /// The next message; what the server tells everybody is passed over.
    async fn hear(&mut self) -> Result<Message, Failure> {
        loop {
            let header = self.wire.take(5).await?;
            let (tag, length) = match backend::Header::parse(&header) {
                Ok(Some(parsed)) if is_known(parsed.tag()) => (parsed.tag(), parsed.len() as usize - 4),
                _ => return Err(garbage("PostgreSQL", &header)),
            };
            // Longer ones than these are rows, and judged by the wire.
            if length > MOST && tag != backend::DATA_ROW_TAG {
                return Err(garbage("PostgreSQL", &header));
            }
            let body = self.wire.take(length).await?;
            let mut frame = BytesMut::from(&header[..]);
            frame.extend_from_slice(&body);
            match Message::parse(&mut frame) {
                Ok(Some(
                    Message::NoticeResponse(_) | Message::NotificationResponse(_) | Message::ParameterStatus(_),
                )) => {}
                Ok(Some(message)) if frame.is_empty() => return Ok(message),
                _ => return Err(garbage("PostgreSQL", &header)),
            }
        }
    }

    /// One simple query; the first row of its results.
    async fn query(&mut self, sql: &str) -> Result<Answer, Wrong> {
        self.say(|out| frontend::query(sql, out)).await?;
        let mut first = None;
        let mut refused = None;
        loop {
            let message = match (self.hear().await, &refused) {
                (Ok(message), _) => message,
                // A server that shuts down says so and hangs up.
                (Err(_), Some(refusal)) => return Err(Refusal::failure(refusal, "the server ended the session").into()),
                (Err(failure), None) => return Err(failure.into()),
            };
            match message {
                Message::RowDescription(_) | Message::CommandComplete(_) | Message::EmptyQueryResponse => {}
                Message::DataRow(row) => {
                    if first.is_none() {
                        first = Some(value(&row)?);
                    }
                }
                Message::CopyInResponse(_) => {
                    self.say(|out| frontend::copy_fail("a check copies nothing", out)).await?;
                }
                Message::CopyOutResponse(_) | Message::CopyData(_) | Message::CopyDone => {}
                Message::ErrorResponse(body) => {
                    let refusal = refusal(body.fields());
                    refused.get_or_insert(refusal);
                }
                Message::ReadyForQuery(_) => break,
                _ => return Err(strange().into()),
            }
        }
        match refused {
            Some(refusal) => Err(Wrong::Refused(refusal)),
            None => Ok(first.unwrap_or_default()),
        }
    }
}

impl Session for Postgres {
    const DIALECT: Dialect = Dialect {
        quote: '"',
        written: "timestamp with time zone NOT NULL DEFAULT now()",
        stale: "written < now() - interval '1 hour'",
        is_missing: |refusal| refusal.code == "42P01",
        // Two that create it at once meet in the catalogue: a table, a type or a row of it is already there.
        is_there: |refusal| matches!(refusal.code.as_str(), "42P07" | "42710" | "23505"),
    };

    async fn ping(&mut self) -> Result<(), Wrong> {
        self.query("SELECT 1").await.map(drop)
    }

    async fn run(&mut self, sql: &str) -> Result<Answer, Wrong> {
        let left = (self.deadline.since(clock::mono()) + GRACE).as_millis();
        // A line break, for the last line may be a comment.
        let answer = self.query(&format!("BEGIN; SET LOCAL statement_timeout = {left}; {sql}\n; COMMIT")).await;
        if let Err(Wrong::Refused(_)) = &answer {
            self.query("ROLLBACK").await?;
        }
        answer
    }

    async fn goodbye(self) {
        let mut out = BytesMut::new();
        frontend::terminate(&mut out);
        self.wire.goodbye(&out).await;
    }
}

/// The first column of a row.
fn value(row: &DataRowBody) -> Result<Answer, Failure> {
    match row.ranges().next() {
        Err(_) => Err(strange()),
        Ok(None) => Ok(Answer::Nothing),
        Ok(Some(None)) => Ok(Answer::Null),
        Ok(Some(Some(range))) => {
            let bytes = row.buffer().get(range).ok_or_else(strange)?;
            Ok(Answer::Text(String::from_utf8_lossy(bytes).into_owned()))
        }
    }
}

/// What the server says when it refuses: the fields `C` and `M`.
fn refusal(mut fields: ErrorFields<'_>) -> Refusal {
    let mut refusal = Refusal { code: String::new(), message: String::new() };
    while let Ok(Some(field)) = fields.next() {
        let text = || String::from_utf8_lossy(field.value_bytes()).into_owned();
        match field.type_() {
            b'C' => refusal.code = text(),
            b'M' => refusal.message = text(),
            _ => {}
        }
    }
    refusal
}

fn password(login: &Login) -> Result<&str, Failure> {
    login.password.as_deref().ok_or_else(|| {
        Failure::new(Fault::Status, format!("the server wants a password of `{}`: set `password`", login.user))
    })
}

fn unsupported(what: &str) -> Wrong {
    Failure::new(Fault::Protocol, format!("the server wants a login by {what}, which heartbeat does not speak")).into()
}

/// A message at the wrong time.
fn strange() -> Failure {
    Failure::new(Fault::Protocol, "the server sent what PostgreSQL would not send here")
}

/// Whether messages of servers begin with this byte.
fn is_known(tag: u8) -> bool {
    b"123ACDEGHIKNRSTZcdnstvW".contains(&tag)
}
