//! The store that a daemon has by default: a SQLite database.
//!
//! The write-ahead log lets others read while we write. A transaction that somebody acts on is synced before it counts
//! (`synchronous = FULL`); results are not (`NORMAL`), they ride on the next one that is. An operating system's lock beside
//! the file keeps a second instance out for the life of this one; SQLite's own locks last only for a transaction.
//!
//! Of the history it keeps results for a week or up to [`RESULTS_SIZE`], and the last [`KEPT`] transitions and deliveries; what
//! results come to is kept for years, by [`rollups`].

mod connect;
mod packed;
mod rollups;
mod rows;
mod schema;
#[cfg(test)]
mod tests;

use std::path::Path;
use std::time::Duration;

use heartbeat_core::Wall;
use heartbeat_core::ledger::{Batch, Ledger};
use rusqlite::{Connection, TransactionBehavior};

use self::connect::{Found, SIDE_FILES, Trouble};
use self::rows::Subjects;
use super::aside::move_corrupt;
use super::lock::{self, Lock};
use super::place::{Occupant, Slot};
use super::rollup::Point;
use super::{Flush, History, Opened, Question, Snapshot, Store, StoreError, StoreFault, place};

/// Raw results are kept so long …
const RESULTS_AGE: Duration = Duration::from_secs(7 * 24 * 3600);

/// … and until the database is so big, in bytes, but for rollups.
const RESULTS_SIZE: i64 = 1 << 30;

/// So many transitions and so many changes of deliveries are kept.
const KEPT: i64 = 100_000;

struct Sqlite {
    slot: Slot,
    /// `None` while the folder cannot be written.
    lock: Option<Lock>,
    /// `None` while there is no database that can be written.
    connection: Option<Connection>,
    subjects: Subjects,
    flush: Option<Flush>,
}

pub(super) fn open(path: &Path) -> Result<Opened, StoreError> {
    let slot = Slot::new(place::real_path(path)?);
    let mut store = Sqlite { slot, lock: None, connection: None, subjects: Subjects::default(), flush: None };
    let mut notices = Vec::new();
    let (loaded, unwritable) = match store.load(&mut notices) {
        Ok(loaded) => (loaded, None),
        Err(error) if error.class == StoreFault::Unavailable => (store.salvage(&error)?, Some(error)),
        Err(error) => return Err(error),
    };
    let fresh = loaded.is_none() && notices.is_empty();
    Ok(Opened { store: Box::new(store), ledger: loaded.unwrap_or_default(), fresh, notices, old: None, unwritable })
}

pub(super) fn read(path: &Path, limit: usize) -> Result<Snapshot, StoreError> {
    look(path, |connection| {
        Ok(Snapshot { ledger: rows::read_ledger(connection)?, history: rows::read_history(connection, limit)? })
    })
}

pub(super) fn points(path: &Path, question: &Question<'_>) -> Result<Vec<Point>, StoreError> {
    let Question { check, from, until, step } = *question;
    look(path, |connection| match rows::subject(connection, check)? {
        Some(subject) => rollups::read(connection, subject, from, until, step),
        None => Ok(Vec::new()),
    })
}

/// Asks a database, as it is at one moment, without changing it.
fn look<T>(path: &Path, ask: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> Result<T, StoreError> {
    let path = place::real_path(path)?;
    match connect::examine(&path, lock::was_taken(&path)) {
        Ok(Found::Nothing) => return Err(StoreError::absent(&path)),
        Ok(Found::Foreign) => return Err(StoreError::foreign(&path)),
        Ok(Found::Corrupt(found)) => return Err(StoreError::corrupt(&path, found)),
        Ok(Found::Database) => {}
        Err(error) => return Err(StoreError::unreadable(&path, &error)),
    }
    let answer = || {
        let connection = connect::for_reading(&path)?;
        let transaction = connection.unchecked_transaction()?;
        Ok(ask(&transaction)?)
    };
    answer().map_err(|trouble: Trouble| match trouble.into_error(&path) {
        error if error.class == StoreFault::Corrupt => StoreError::corrupt(&path, &error.message),
        error => error,
    })
}

impl Sqlite {
    /// Takes the lock, moves aside what cannot be a database any more, and loads or begins one. `None` if it began one.
    fn load(&mut self, notices: &mut Vec<String>) -> Result<Option<Ledger>, StoreError> {
        let was_ours = lock::was_taken(&self.slot.path);
        self.lock = Some(Lock::take(&self.slot.path)?);
        let found = self.slot.adopt().and_then(|()| connect::examine(&self.slot.path, was_ours));
        let found = found.map_err(|error| StoreError::unreadable(&self.slot.path, &error))?;
        match found {
            Found::Database => {
                let trouble = match self.connect().and_then(|connection| Ok(rows::read_ledger(connection)?)) {
                    Ok(ledger) => return Ok(Some(ledger)),
                    Err(trouble) => trouble.into_error(&self.slot.path),
                };
                if trouble.class != StoreFault::Corrupt {
                    return Err(trouble);
                }
                notices.push(self.give_up(&trouble.message)?);
            }
            Found::Corrupt(what) => notices.push(self.give_up(what)?),
            Found::Foreign => return Err(StoreError::foreign(&self.slot.path)),
            Found::Nothing => {}
        }
        match self.connect() {
            Ok(_) => Ok(None),
            Err(trouble) => Err(trouble.into_error(&self.slot.path)),
        }
    }

    /// What can be read of a store that cannot be written, because of `error`; it waits for better times.
    fn salvage(&mut self, error: &StoreError) -> Result<Option<Ledger>, StoreError> {
        self.connection = None;
        self.slot.adopt().map_err(|_| error.clone())?;
        if matches!(connect::examine(&self.slot.path, false), Ok(Found::Nothing)) {
            return Ok(None);
        }
        let ledger = connect::for_reading(&self.slot.path).and_then(|connection| Ok(rows::read_ledger(&connection)?));
        // What cannot even be read is left alone; its trouble is the one that was met first.
        ledger.map(Some).map_err(|_| error.clone())
    }

    /// The connection, made anew if there is none.
    fn connect(&mut self) -> Result<&mut Connection, Trouble> {
        Lock::keep(&mut self.lock, &self.slot.path).map_err(Trouble::Refused)?;
        if self.connection.is_none() {
            if self.slot.look().map_err(Trouble::Refused)? == Occupant::Nobody {
                connect::create(&self.slot.path)?;
                self.slot.adopt().map_err(|error| Trouble::Refused(StoreError::unreadable(&self.slot.path, &error)))?;
            }
            self.subjects.clear();
            self.flush = None;
            self.connection = Some(connect::for_writing(&self.slot.path)?);
        }
        Ok(self.connection.as_mut().expect("just made"))
    }

    /// Whether our database still goes by its name. SQLite would write on to a removed one, and all would be lost.
    fn check_place(&self) -> Result<(), StoreError> {
        match self.slot.look()? {
            Occupant::Ours => Ok(()),
            Occupant::Nobody => {
                let message = format!("`{}` was removed while it was in use", self.slot.path.display());
                Err(StoreError::new(StoreFault::Unavailable, message))
            }
        }
    }

    /// Moves a corrupt database aside and says so.
    fn give_up(&mut self, found: &str) -> Result<String, StoreError> {
        self.connection = None;
        move_corrupt(&self.slot.path, &SIDE_FILES, found)
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
        let error = trouble.into_error(&self.slot.path);
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
            let message = format!("`{}` has not been opened again yet", self.slot.path.display());
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

    fn tend(&mut self) -> Result<bool, StoreError> {
        let mut found = false;
        self.transact(Flush::Later, |connection, _| {
            found = rollups::advance(connection)?;
            Ok(())
        })?;
        Ok(found)
    }

    fn history(&mut self, limit: usize) -> Result<History, StoreError> {
        connect::for_reading(&self.slot.path)
            .and_then(|connection| Ok(rows::read_history(&connection, limit)?))
            .map_err(|trouble| trouble.into_error(&self.slot.path))
    }

    fn location(&self) -> String {
        format!("sqlite:{}", self.slot.path.display())
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
        prune_results(connection, newest, batch.results.len(), RESULTS_SIZE)?;
    }
    Ok(())
}

/// Takes away at most somewhat more than was added: results that are too old, or any while the database is over `size`.
fn prune_results(connection: &Connection, newest: Wall, added: usize, size: i64) -> rusqlite::Result<()> {
    let step = i64::try_from(added).unwrap_or(i64::MAX).saturating_mul(2).saturating_add(100);
    let number = |pragma: &str| connection.prepare_cached(pragma)?.query_row([], |row| row.get::<_, i64>(0));
    let pages = number("PRAGMA page_count")? - number("PRAGMA freelist_count")?;
    let used = pages.saturating_mul(number("PRAGMA page_size")?);
    let results = used - rollups::size(connection)?;
    let until = if results > size { i64::MAX } else { rows::key_of(newest - RESULTS_AGE) };
    // What has not been counted yet is never too old.
    let until = until.min(rollups::mark(connection)?);
    let mut remove = connection.prepare_cached(
        "DELETE FROM results WHERE at < min(?, ifnull((SELECT at FROM results ORDER BY at LIMIT 1 OFFSET ?), ?))",
    )?;
    remove.execute([until, step, i64::MAX]).map(drop)
}
