//! The classic protocol of MySQL: what a login, a ping and queries need of it.
//!
//! By hand, for that is a few hundred lines, and the crates for it bring pools, types and compressors along.
//!
//! A statement must not outlive the probe that asked for it: a server notices that its client has gone only when it wants to
//! answer. So before the first one the session is told to end its statements a little after our deadline. MySQL knows such a
//! limit only for what reads; what writes can only be held up by locks, and the waits for those are limited too.

use std::time::Duration;

use heartbeat_core::Mono;
use heartbeat_core::outcome::Fault;

use super::auth::Plugin;
use super::packet::{Greeting, Reader, announces_more, capability, first_column, is_end, refusal};
use crate::host::clock;
use crate::probe::budget::Budget;
use crate::probe::database::encryption::Encryption;
use crate::probe::database::server::{Login, Opened};
use crate::probe::database::wire::Wire;
use crate::probe::database::{Answer, Dialect, Session, Wrong, garbage};
use crate::probe::{Failure, Phase, Trace, tls};

/// How much later than our deadline a statement is ended: the verdict is to be ours.
const GRACE: Duration = Duration::from_millis(500);

/// What heartbeat can do.
const OURS: u32 = capability::LONG_PASSWORD
    | capability::PROTOCOL_41
    | capability::TRANSACTIONS
    | capability::SECURE_CONNECTION
    | capability::MULTI_RESULTS
    | capability::PLUGIN_AUTH;

/// The collation `utf8mb4_general_ci`, which every server knows.
const UTF8: u8 = 45;

/// Commands (MySQL's documentation, "Command Phase").
const QUIT: u8 = 1;
const QUERY: u8 = 3;
const PING: u8 = 14;

/// A session.
pub(super) struct MySql {
    wire: Wire,
    /// The number of the next packet, in either direction.
    sequence: u8,
    deadline: Mono,
    is_limited: bool,
}

/// Encrypts the connection if wanted, and logs in.
pub(super) async fn open(
    wire: Wire,
    login: &Login,
    encryption: Option<Encryption<'_>>,
    bodies: &Budget,
    trace: &Trace,
) -> Result<Opened<MySql>, Wrong> {
    trace.enter(Phase::FirstByte);
    let mut session = MySql { wire, sequence: 0, deadline: trace.deadline(), is_limited: false };
    let packet = session.hear().await?;
    trace.enter(Phase::Login);
    let greeting = Greeting::parse(&packet).ok_or_else(|| garbage("MySQL", &packet))?;
    let needed = capability::PROTOCOL_41 | capability::SECURE_CONNECTION;
    if greeting.capabilities & needed != needed {
        return Err(Failure::new(Fault::Protocol, "the server is older than MySQL 4.1").into());
    }
    let mut capabilities = OURS & (greeting.capabilities | capability::LONG_PASSWORD);
    if login.database.is_some() {
        capabilities |= capability::CONNECT_WITH_DB;
    }
    let mut not_after = None;
    let mut is_encrypted = false;
    match encryption {
        Some(encryption) if greeting.capabilities & capability::SSL != 0 => {
            capabilities |= capability::SSL;
            session.say(&introduction(capabilities)).await?;
            let bare = session
                .wire
                .into_stream()
                .ok_or_else(|| Failure::new(Fault::Protocol, "the server went on before the encryption began"))?;
            let stream = encryption.client.connect(encryption.host, bare, trace).await?;
            not_after = tls::not_after(&stream);
            is_encrypted = true;
            session.wire = Wire::new(Box::new(stream), bodies);
            trace.enter(Phase::Login);
        }
        Some(encryption) if encryption.insists => {
            return Err(Failure::new(Fault::Tls, "the server speaks no TLS, and the URL insists on it").into());
        }
        _ => {}
    }
    let is_private = is_encrypted || login.is_local;
    session.log_in(login, &greeting, capabilities, is_private).await?;
    session.wire.doing = "waiting for the answer to the query";
    Ok(Opened { session, not_after })
}

/// The part of our answer to the greeting that comes before the encryption.
fn introduction(capabilities: u32) -> Vec<u8> {
    let mut packet = capabilities.to_le_bytes().to_vec();
    // The largest packet that we take; servers do not look at it.
    packet.extend_from_slice(&(1_u32 << 24).to_le_bytes());
    packet.push(UTF8);
    packet.resize(32, 0);
    packet
}

impl MySql {
    async fn log_in(
        &mut self,
        login: &Login,
        greeting: &Greeting,
        capabilities: u32,
        is_private: bool,
    ) -> Result<(), Wrong> {
        let password = login.password.as_deref().unwrap_or_default();
        // A server whose usual plugin we do not know may have another one for this user, and will say so.
        let mut plugin = Plugin::named(&greeting.plugin).unwrap_or(Plugin::Native);
        let mut packet = introduction(capabilities);
        packet.extend_from_slice(login.user.as_bytes());
        packet.push(0);
        let proof = plugin.prove(password, &greeting.scramble);
        packet.push(u8::try_from(proof.len()).expect("a hash has at most 32 bytes"));
        packet.extend_from_slice(&proof);
        for name in login.database.as_deref().into_iter().chain([plugin.name()]) {
            packet.extend_from_slice(name.as_bytes());
            packet.push(0);
        }
        self.say(&packet).await?;
        loop {
            let packet = self.hear().await?;
            match packet.split_first() {
                Some((0, _)) => return Ok(()),
                Some((0xfe, asked)) => {
                    let mut reader = Reader(asked);
                    // A packet without a name is the question for a password of before MySQL 4.1.
                    let name = reader.text().map_or("mysql_old_password".into(), String::from_utf8_lossy);
                    plugin = Plugin::named(&name).ok_or_else(|| unsupported(&name))?;
                    let scramble = reader.0.strip_suffix(&[0]).unwrap_or(reader.0);
                    self.say(&plugin.prove(password, scramble)).await?;
                }
                // The server has this user in its cache and is content.
                Some((1, [3])) if plugin == Plugin::CachingSha2 => {}
                Some((1, [4])) if plugin == Plugin::CachingSha2 && is_private => {
                    self.say(&[password.as_bytes(), &[0]].concat()).await?;
                }
                Some((1, [4])) if plugin == Plugin::CachingSha2 => return Err(unencrypted()),
                _ => return Err(garbage("MySQL", &packet).into()),
            }
        }
    }

    /// Sends a packet.
    async fn say(&mut self, packet: &[u8]) -> Result<(), Failure> {
        let length = u32::try_from(packet.len()).ok().filter(|length| *length < 0xff_ffff);
        let length = length.ok_or_else(|| Failure::new(Fault::Protocol, "a packet of MySQL has at most 16 MiB"))?;
        let mut frame = length.to_le_bytes();
        frame[3] = self.sequence;
        self.sequence = self.sequence.wrapping_add(1);
        self.wire.send(&[&frame, packet].concat()).await
    }

    /// Begins a command.
    async fn command(&mut self, command: u8, argument: &[u8]) -> Result<(), Failure> {
        self.sequence = 0;
        self.say(&[&[command], argument].concat()).await
    }

    /// The next packet, if it is no refusal.
    async fn hear(&mut self) -> Result<Vec<u8>, Wrong> {
        let header = self.wire.take(4).await?;
        let length = u32::from_le_bytes([header[0], header[1], header[2], 0]);
        // A server that ends the session of its own accord counts anew.
        if header[3] != self.sequence && header[3] != 0 {
            return Err(garbage("MySQL", &header).into());
        }
        self.sequence = header[3].wrapping_add(1);
        let packet = self.wire.take(length as usize).await?;
        match refusal(&packet) {
            Some(refusal) => Err(Wrong::Refused(refusal)),
            None => Ok(packet),
        }
    }

    /// One query; the first row of its results.
    async fn query(&mut self, sql: &str) -> Result<Answer, Wrong> {
        self.command(QUERY, sql.as_bytes()).await?;
        let mut first = None;
        loop {
            let head = self.hear().await?;
            let end = match head.first() {
                Some(0) => head,
                // LOCAL INFILE: the server wants a file of ours.
                Some(0xfb) | None => return Err(strange()),
                Some(_) => {
                    while !is_end(&self.hear().await?) {}
                    loop {
                        let packet = self.hear().await?;
                        if is_end(&packet) {
                            break packet;
                        }
                        if first.is_none() {
                            let value = first_column(&packet).ok_or_else(strange)?;
                            let text = |bytes| Answer::Text(String::from_utf8_lossy(bytes).into_owned());
                            first = Some(value.map_or(Answer::Null, text));
                        }
                    }
                }
            };
            if !announces_more(&end).ok_or_else(strange)? {
                return Ok(first.unwrap_or_default());
            }
        }
    }

    /// Has statements end with the probe. A proxy may know better than to set variables: then there is no limit.
    async fn limit(&mut self) -> Result<(), Wrong> {
        if std::mem::replace(&mut self.is_limited, true) {
            return Ok(());
        }
        let left = self.deadline.since(clock::mono()) + GRACE;
        let seconds = left.as_secs() + 1;
        // MariaDB reads the first comment alone, MySQL since 5.7.8 the second.
        let sql = format!(
            "SET SESSION lock_wait_timeout = {seconds}, innodb_lock_wait_timeout = {seconds} \
             /*M!100101 , max_statement_time = {} */ /*!50708 , max_execution_time = {} */",
            left.as_secs_f64(),
            left.as_millis()
        );
        match self.query(&sql).await {
            Ok(_) | Err(Wrong::Refused(_)) => Ok(()),
            Err(wrong) => Err(wrong),
        }
    }
}

impl Session for MySql {
    const DIALECT: Dialect = Dialect {
        quote: '`',
        written: "timestamp NOT NULL DEFAULT CURRENT_TIMESTAMP",
        stale: "written < now() - interval 1 hour",
        is_missing: |refusal| refusal.code == "1146",
        is_there: |refusal| refusal.code == "1050",
    };

    async fn ping(&mut self) -> Result<(), Wrong> {
        self.command(PING, b"").await?;
        match self.hear().await?.first() {
            Some(0) => Ok(()),
            _ => Err(strange()),
        }
    }

    async fn run(&mut self, sql: &str) -> Result<Answer, Wrong> {
        self.limit().await?;
        self.query(sql).await
    }

    async fn goodbye(self) {
        self.wire.goodbye(&[1, 0, 0, 0, QUIT]).await;
    }
}

fn unsupported(plugin: &str) -> Wrong {
    let reason = format!("the server wants a login by the plugin `{plugin}`, which heartbeat does not speak");
    Failure::new(Fault::Protocol, reason).into()
}

fn unencrypted() -> Wrong {
    let reason = "the server wants the password itself (caching_sha2_password), which is only sent over TLS: the server \
                  must speak it, and `ssl-mode` allow it";
    Failure::new(Fault::Tls, reason).into()
}

/// A packet that does not belong here.
fn strange() -> Wrong {
    Failure::new(Fault::Protocol, "the server sent what MySQL would not send here").into()
}
