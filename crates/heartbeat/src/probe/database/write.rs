//! A row is written, read back and deleted.
//!
//! Every probe has a row of its own, so that nodes and processes that probe together never meet in it. The three statements are three transactions: what is read back has been committed. A
//! probe that dies between them leaves its row; whoever comes by an hour later removes one such row, by its key alone, so
//! that cleaners neither wait for one another nor deadlock.

use heartbeat_core::outcome::Fault;

use super::{Answer, Refusal, Session, Wrong};
use crate::host::random;
use crate::probe::Failure;

/// What differs between the SQL of databases, and the codes in which they answer.
#[derive(Clone, Copy, Debug)]
pub struct Dialect {
    /// What stands around a name.
    pub quote: char,
    /// The type and default of the column that says when a row was written.
    pub written: &'static str,
    /// The condition on that column for rows of more than an hour ago.
    pub stale: &'static str,
    /// Whether a refusal means that there is no such table.
    pub is_missing: fn(&Refusal) -> bool,
    /// Whether a refusal to create a table means that somebody else has just done it.
    pub is_there: fn(&Refusal) -> bool,
}

/// Whether a character means nothing in SQL. Keys are made of such.
fn is_harmless(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-' | ':')
}

/// Writes, reads back and deletes a row with this key.
pub(super) async fn write<S: Session>(session: &mut S, table: &str, key: &str) -> Result<(), Failure> {
    let quote = S::DIALECT.quote;
    let names: Vec<_> = table.split('.').map(|name| format!("{quote}{name}{quote}")).collect();
    let quoted = names.join(".");
    let value = format!("{:016x}", random::seed());
    let insert = format!("INSERT INTO {quoted} (id, value) VALUES ('{key}', '{value}')");
    let mut written = session.run(&insert).await;
    if let Err(Wrong::Refused(refusal)) = &written
        && (S::DIALECT.is_missing)(refusal)
    {
        create(session, table, &quoted).await?;
        written = session.run(&insert).await;
    }
    written.map_err(|wrong| wrong.failure("writing a row failed"))?;
    let read = session.run(&format!("SELECT value FROM {quoted} WHERE id = '{key}'")).await;
    let read = read.map_err(|wrong| wrong.failure("reading the row back failed"))?;
    let deleted = session.run(&format!("DELETE FROM {quoted} WHERE id = '{key}'")).await;
    if read != Answer::Text(value) {
        return Err(Failure::new(Fault::Body, "the row that was read back is not the one that was written"));
    }
    deleted.map_err(|wrong| wrong.failure("deleting the row failed"))?;
    clean(session, &quoted).await
}

async fn create<S: Session>(session: &mut S, table: &str, quoted: &str) -> Result<(), Failure> {
    let written = S::DIALECT.written;
    let columns = format!("id varchar(128) PRIMARY KEY, value varchar(100) NOT NULL, written {written}");
    match session.run(&format!("CREATE TABLE IF NOT EXISTS {quoted} ({columns})")).await {
        Err(Wrong::Refused(refusal)) if !(S::DIALECT.is_there)(&refusal) => {
            Err(refusal.failure(&format!("the table `{table}` is missing and cannot be created")))
        }
        Err(Wrong::Broken(failure)) => Err(failure),
        _ => Ok(()),
    }
}

/// Removes a row that a dead probe left behind. Whether we may, and whether it was still there, is nobody's fault.
async fn clean<S: Session>(session: &mut S, quoted: &str) -> Result<(), Failure> {
    let stale = S::DIALECT.stale;
    let found = session.run(&format!("SELECT min(id) FROM {quoted} WHERE {stale}")).await;
    let removed = match found {
        Ok(Answer::Text(id)) if id.chars().all(is_harmless) => {
            session.run(&format!("DELETE FROM {quoted} WHERE id = '{id}'")).await
        }
        found => found,
    };
    match removed {
        Err(Wrong::Broken(failure)) => Err(failure),
        _ => Ok(()),
    }
}
