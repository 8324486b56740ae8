//! The store that a daemon has by default: a SQLite database.
//!
//! The write-ahead log lets others read while we write. A transaction that somebody acts on is synced before it counts
//! (`synchronous = FULL`); results are not (`NORMAL`), they ride on the next one that is. An operating system's lock beside
//! the file keeps a second instance out for the life of this one; SQLite's own locks last only for a transaction.
//!
//! Of the history it keeps results for a week or up to [`RESULTS_SIZE`], and the last [`KEPT`] transitions and deliveries.

mod connect;
mod rows;
mod schema;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};
use std::time::Duration;

use heartbeat_core::Wall;
use heartbeat_core::ledger::{Batch, Ledger};
use rusqlite::{Connection, TransactionBehavior};

use self::connect::{Found, SIDE_FILES, Trouble};
use self::rows::Subjects;
use super::aside::move_aside;
use super::lock::{self, Lock};
use super::{Flush, History, Opened, Snapshot, Store, StoreError, StoreFault, place};

/// Raw results are kept so long …
const RESULTS_AGE: Duration = Duration::from_secs(7 * 24 * 3600);

/// … and until the database is so big, in bytes.
const RESULTS_SIZE: i64 = 1 << 30;

/// So many transitions and so many changes of deliveries are kept.
const KEPT: i64 = 100_000;

struct Sqlite {
    path: PathBuf,
    /// `None` while the folder cannot be written.
    lock: Option<Lock>,
    /// `None` while there is no database that can be written.
    connection: Option<Connection>,
    /// The file that was loaded: what we may write to. `None` if there was none.
    file: Option<(u64, u64)>,
    subjects: Subjects,
    flush: Option<Flush>,
}

pub(super) fn open(path: &Path) -> Result<Opened, StoreError> {
    let path = place::real_path(path)?;
    let mut store =
        Sqlite { path, lock: None, connection: None, file: None, subjects: Subjects::default(), flush: None };
    let mut notices = Vec::new();
    let (loaded, unwritable) = match store.load(&mut notices) {
        Ok(loaded) => (loaded, None),
        Err(error) if error.class == StoreFault::Unavailable => (store.salvage(&error)?, Some(error)),
        Err(error) => return Err(error),
    };
    let fresh = loaded.is_none() && notices.is_empty();
    Ok(Opened { store: Box::new(store), ledger: loaded.unwrap_or_default(), fresh, notices, unwritable })
}

pub(super) fn read(path: &Path, limit: usize) -> Result<Snapshot, StoreError> {
    let path = place::real_path(path)?;
    let missing = || {
        let message =
            format!("there is no state in `{}` yet; has heartbeat run with this configuration?", path.display());
        StoreError::new(StoreFault::Missing, message)
    };
    match connect::examine(&path, lock::was_taken(&path)) {
        Ok(Found::Nothing) => return Err(missing()),
        Ok(Found::Foreign) => return Err(connect::foreign(&path)),
        Ok(Found::Corrupt(found)) => return Err(corrupt(&path, found)),
        Ok(Found::Database) => {}
        Err(error) => {
            let message = format!("cannot read `{}`: {error}", path.display());
            return Err(StoreError::new(StoreFault::Unavailable, message));
        }
    }
    let snapshot = || {
        let connection = connect::for_reading(&path)?;
        let transaction = connection.unchecked_transaction()?;
        Ok(Snapshot { ledger: rows::read_ledger(&transaction)?, history: rows::read_history(&transaction, limit)? })
    };
    snapshot().map_err(|trouble: Trouble| match trouble.into_error(&path) {
        error if error.class == StoreFault::Corrupt => corrupt(&path, &error.message),
        error => error,
    })
}

fn corrupt(path: &Path, found: &str) -> StoreError {
    let message = format!("`{}` is corrupt: {found}; the next start of heartbeat moves it aside", path.display());
    StoreError::new(StoreFault::Corrupt, message)
}

impl Sqlite {
    /// Takes the lock, moves aside what cannot be a database any more, and loads or begins one. `None` if it began one.
    fn load(&mut self, notices: &mut Vec<String>) -> Result<Option<Ledger>, StoreError> {
        let was_ours = lock::was_taken(&self.path);
        self.lock = Some(Lock::take(&self.path)?);
        let unreadable =
            |error| StoreError::new(StoreFault::Unavailable, format!("cannot read `{}`: {error}", self.path.display()));
        let found = connect::examine(&self.path, was_ours).map_err(unreadable)?;
        self.file = connect::file_id(&self.path).map_err(unreadable)?;
        match found {
            Found::Database => {
                let trouble = match self.connect().and_then(|connection| Ok(rows::read_ledger(connection)?)) {
                    Ok(ledger) => return Ok(Some(ledger)),
                    Err(trouble) => trouble.into_error(&self.path),
                };
                if trouble.class != StoreFault::Corrupt {
                    return Err(trouble);
                }
                notices.push(self.give_up(&trouble.message)?);
            }
            Found::Corrupt(what) => notices.push(self.give_up(what)?),
            Found::Foreign => return Err(connect::foreign(&self.path)),
            Found::Nothing => {}
        }
        match self.connect() {
            Ok(_) => Ok(None),
            Err(trouble) => Err(trouble.into_error(&self.path)),
        }
    }

    /// What can be read of a store that cannot be written, because of `error`; it waits for better times.
    fn salvage(&mut self, error: &StoreError) -> Result<Option<Ledger>, StoreError> {
        self.connection = None;
        self.file = connect::file_id(&self.path).map_err(|_| error.clone())?;
        if matches!(connect::examine(&self.path, false), Ok(Found::Nothing)) {
            return Ok(None);
        }
        let ledger = connect::for_reading(&self.path).and_then(|connection| Ok(rows::read_ledger(&connection)?));
        // What cannot even be read is left alone; its trouble is the one that was met first.
        ledger.map(Some).map_err(|_| error.clone())
    }

    /// The connection, made anew if there is none.
    fn connect(&mut self) -> Result<&mut Connection, Trouble> {
        let fail = |error: std::io::Error| {
            let message = format!("cannot open `{}`: {error}", self.path.display());
            Trouble::Refused(StoreError::new(StoreFault::Unavailable, message))
        };
        if self.lock.is_none() {
            self.lock = Some(Lock::take(&self.path).map_err(Trouble::Refused)?);
        }
        if self.connection.is_none() {
            match connect::file_id(&self.path).map_err(fail)? {
                None => {
                    connect::create(&self.path).map_err(fail)?;
                    self.file = connect::file_id(&self.path).map_err(fail)?;
                }
                there if there == self.file => {}
                _ => return Err(Trouble::Refused(self.displaced())),
            }
            self.subjects.clear();
            self.flush = None;
            self.connection = Some(connect::for_writing(&self.path)?);
        }
        Ok(self.connection.as_mut().expect("just made"))
    }

    /// What to say when the file under our name is not the one that was loaded: it must not be written over.
    fn displaced(&self) -> StoreError {
        let message = format!(
            "another file has taken the place of `{}`; it was not written over. Restart heartbeat to load it",
            self.path.display()
        );
        StoreError::new(StoreFault::Unavailable, message)
    }

    /// Whether our database still goes by its name. SQLite would write on to a removed one, and all would be lost.
    fn check_place(&self) -> Result<(), StoreError> {
        match connect::file_id(&self.path) {
            Ok(there) if there == self.file => Ok(()),
            Ok(Some(_)) => Err(self.displaced()),
            _ => {
                let message = format!("`{}` was removed while it was in use", self.path.display());
                Err(StoreError::new(StoreFault::Unavailable, message))
            }
        }
    }

    /// Moves a corrupt database aside and says so.
    fn give_up(&mut self, found: &str) -> Result<String, StoreError> {
        self.connection = None;
        let notice = move_aside(&self.path, &SIDE_FILES, found)?;
        self.file = None;
        Ok(notice)
    }

    /// One transaction around `work`, with everything that can befall it.
    fn transact(
        &mut self,
        flush: Flush,
        work: impl FnOnce(&Connection, &mut Subjects) -> rusqlite::Result<()>,
    ) -> Result<(), StoreError> {
        let attempt = |store: &mut Self| -> Result<(), Trouble> {
            store.connect()?;
            let (Some(connection), subjects) = (&mut store.connection, &mut store.subjects) else {
                unreachable!("just connected")
            };
            if store.flush != Some(flush) {
                let level = match flush {
                    Flush::Now => "full",
                    Flush::Later => "normal",
                };
                connection.pragma_update(None, "synchronous", level)?;
                store.flush = Some(flush);
            }
            let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            work(&transaction, subjects)?;
            Ok(transaction.commit()?)
        };
        let Err(trouble) = attempt(self) else { return Ok(()) };
        self.subjects.clear();
        let error = trouble.into_error(&self.path);
        if error.class == StoreFault::Corrupt {
            let notice = self.give_up(&error.message)?;
            return Err(StoreError::new(StoreFault::Corrupt, notice));
        }
        // A connection that has met a fault of the disk is not trusted; a new one reads the log from the start.
        self.connection = None;
        Err(error)
    }
}

impl Store for Sqlite {
    fn commit(&mut self, batch: &Batch, flush: Flush) -> Result<(), StoreError> {
        if self.connection.is_none() {
            let message = format!("`{}` has not been opened again yet", self.path.display());
            return Err(StoreError::new(StoreFault::Unavailable, message));
        }
        if let Err(error) = self.check_place() {
            self.connection = None;
            return Err(error);
        }
        self.transact(flush, |connection, subjects| {
            rows::write(connection, subjects, batch)?;
            prune(connection, batch)
        })
    }

    fn replace(&mut self, ledger: &Ledger, missed: &Batch) -> Result<(), StoreError> {
        if self.connection.is_some() && self.check_place().is_err() {
            self.connection = None;
        }
        self.transact(Flush::Now, |connection, subjects| {
            rows::rewrite(connection, subjects, ledger)?;
            rows::write(connection, subjects, missed)?;
            prune(connection, missed)
        })
    }

    fn history(&mut self, limit: usize) -> Result<History, StoreError> {
        connect::for_reading(&self.path)
            .and_then(|connection| Ok(rows::read_history(&connection, limit)?))
            .map_err(|trouble| trouble.into_error(&self.path))
    }

    fn location(&self) -> String {
        format!("sqlite:{}", self.path.display())
    }
}

/// Keeps the history within its bounds. Works in proportion to what was just written, so that a store which is far over
/// its bounds gets back to them step by step instead of standing still.
fn prune(connection: &Connection, batch: &Batch) -> rusqlite::Result<()> {
    if !batch.transitions.is_empty() {
        connection.execute("DELETE FROM transitions WHERE row <= (SELECT max(row) FROM transitions) - ?", [KEPT])?;
    }
    if !batch.deliveries.is_empty() {
        connection.execute(
            "DELETE FROM outbox WHERE row <= (SELECT max(row) FROM outbox) - ? AND status NOT IN ('due', 'started')",
            [KEPT],
        )?;
    }
    if let Some(newest) = batch.results.iter().map(|result| result.at).max() {
        prune_results(connection, newest, batch.results.len())?;
    }
    Ok(())
}

fn prune_results(connection: &Connection, newest: Wall, added: usize) -> rusqlite::Result<()> {
    let step = i64::try_from(added).unwrap_or(i64::MAX).saturating_mul(2).saturating_add(100);
    let number = |pragma: &str| connection.pragma_query_value(None, pragma, |row| row.get::<_, i64>(0));
    let used = (number("page_count")? - number("freelist_count")?).saturating_mul(number("page_size")?);
    let until = if used > RESULTS_SIZE { i64::MAX } else { rows::key_of(newest - RESULTS_AGE) };
    connection.execute(
        "DELETE FROM results WHERE at IN (SELECT at FROM results WHERE at < ? ORDER BY at LIMIT ?)",
        [until, step],
    )?;
    Ok(())
}
