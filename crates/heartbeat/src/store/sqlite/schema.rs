//! The schema and its versions. A database knows its version (`PRAGMA user_version`) and that it is ours
//! (`PRAGMA application_id`).

use rusqlite::{Connection, TransactionBehavior};

/// `hbt1`, in the header of every database of ours.
pub(super) const APPLICATION_ID: i32 = 0x6862_7431;

/// The step to version n is the n-th. A released one never changes.
pub(super) const MIGRATIONS: [&str; 2] =
    [include_str!("../migrations/0001.sql"), include_str!("../migrations/0002.sql")];

/// The version that this program reads and writes.
pub(super) const VERSION: i32 = MIGRATIONS.len() as i32;

/// What a database says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Identity {
    /// Nothing is in it yet.
    Empty,
    /// One of ours, of this version.
    Ours(i32),
    /// Somebody else's.
    Other,
}

/// Asks a database who it is.
pub(super) fn identity(connection: &Connection) -> rusqlite::Result<Identity> {
    let application: i32 = connection.pragma_query_value(None, "application_id", |row| row.get(0))?;
    if application == APPLICATION_ID {
        return Ok(Identity::Ours(connection.pragma_query_value(None, "user_version", |row| row.get(0))?));
    }
    let tables: i64 = connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    Ok(if application == 0 && tables == 0 { Identity::Empty } else { Identity::Other })
}

/// Brings a database of ours, or an empty one, to [`VERSION`], in one transaction.
pub(super) fn migrate(connection: &mut Connection) -> rusqlite::Result<()> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let version = match identity(&transaction)? {
        Identity::Ours(version) => usize::try_from(version).unwrap_or(0),
        Identity::Empty | Identity::Other => 0,
    };
    if version < MIGRATIONS.len() {
        for migration in &MIGRATIONS[version..] {
            transaction.execute_batch(migration)?;
        }
        transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
        transaction.pragma_update(None, "user_version", VERSION)?;
    }
    transaction.commit()
}
