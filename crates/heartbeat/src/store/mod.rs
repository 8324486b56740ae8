//! Stores: what survives the process.
//!
//! [`open`] finds the state, whatever condition it is in, and says what it found; from then on a store only takes
//! [`Batch`]es, each one transaction. It has one user, the thread of its [`writer`], which shields everybody else from
//! disks that are slow, full or gone, and it knows nothing of checks and alerts. One suite of tests holds for all kinds.
//!
//! A kind is one file and one line in [`KINDS`].

mod aside;
pub mod cron;
mod file;
mod lock;
mod memory;
pub mod place;
pub mod rollup;
mod sqlite;
#[cfg(test)]
mod suite;
pub mod writer;

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use heartbeat_core::Wall;
use heartbeat_core::delivery::Delivery;
use heartbeat_core::intent::Transition;
use heartbeat_core::ledger::{Batch, Ledger, ResultRow};

use self::rollup::{Point, Step};

/// Where the state is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Storage {
    /// Nowhere.
    Memory,
    /// A JSON file.
    File(PathBuf),
    /// A SQLite database.
    Sqlite(PathBuf),
}

/// Where the state is kept. Not shared: one writer. Dropping it closes it and gives its lock back.
pub trait Store: Send {
    /// One transaction: all of the batch is kept, or nothing.
    ///
    /// # Errors
    /// [`StoreError`] if nothing of it was kept. After that only [`replace`](Self::replace) helps.
    fn commit(&mut self, batch: &Batch, flush: Flush) -> Result<(), StoreError>;

    /// Makes the store equal to `ledger` and adds what belongs to the history in `missed`, in one durable transaction.
    /// This is how a store catches up: it opens again, or starts anew, whatever it lost its hold of.
    ///
    /// # Errors
    /// [`StoreError`] if nothing of it was kept.
    fn replace(&mut self, ledger: &Ledger, missed: &Batch) -> Result<(), StoreError>;

    /// Does a little of what nobody waits for, such as counting results into rollups, and says whether there was anything to
    /// do. Called after commits of results.
    ///
    /// # Errors
    /// [`StoreError`] as of a commit.
    fn tend(&mut self) -> Result<bool, StoreError> {
        Ok(false)
    }

    /// The newest `limit` entries of each list of the history, oldest first.
    ///
    /// # Errors
    /// [`StoreError`] if the store cannot be read.
    fn history(&mut self, limit: usize) -> Result<History, StoreError>;

    /// Where it is, for people: `sqlite:/var/lib/heartbeat/heartbeat.db`.
    fn location(&self) -> String;
}

/// What somebody wants to know of a check's past.
#[derive(Clone, Copy, Debug)]
pub struct Question<'a> {
    /// The check.
    pub check: &'a str,
    /// From the step of time in which this lies …
    pub from: Wall,
    /// … to the last that begins before this.
    pub until: Wall,
    /// How finely.
    pub step: Step,
}

/// When a transaction must be on the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flush {
    /// Before `commit` returns: somebody acts on it.
    Now,
    /// Soon; a loss of power may take it back, a crash of the process may not.
    Later,
}

/// What is not needed to go on, but is asked for. A store keeps as much of it as its kind can afford.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct History {
    /// Changes of state.
    pub transitions: Vec<Transition>,
    /// Deliveries that are done, dead, uncertain or superseded.
    pub settled: Vec<Delivery>,
    /// Results of probes; only SQLite keeps them.
    pub results: Vec<ResultRow>,
}

/// A store as it was found.
pub struct Opened {
    /// The store.
    pub store: Box<dyn Store>,
    /// What it remembers.
    pub ledger: Ledger,
    /// Whether nothing was there before, not even something corrupt.
    pub fresh: bool,
    /// What people must be told: a corrupt store that was moved aside, and to where.
    pub notices: Vec<String>,
    /// The text of the cron utility's state, if that was in the place of ours: for [`cron::adopt`].
    pub old: Option<String>,
    /// It could be read but not written: its writer starts in that condition and catches up when it has passed.
    pub unwritable: Option<StoreError>,
}

impl fmt::Debug for Opened {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Opened")
            .field("store", &self.store.location())
            .field("ledger", &self.ledger)
            .field("fresh", &self.fresh)
            .field("notices", &self.notices)
            .field("unwritable", &self.unwritable)
            .finish_non_exhaustive()
    }
}

/// What somebody who only looks gets to see.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Snapshot {
    /// What is remembered.
    pub ledger: Ledger,
    /// And what happened lately.
    pub history: History,
}

/// A kind of store.
pub struct Kind {
    /// The word before the colon in `storage:`.
    pub name: &'static str,
    open: fn(&Path) -> Result<Opened, StoreError>,
    read: fn(&Path, usize) -> Result<Snapshot, StoreError>,
    points: fn(&Path, &Question<'_>) -> Result<Vec<Point>, StoreError>,
}

/// Every kind that there is.
pub const KINDS: [Kind; 3] = [
    Kind { name: "memory", open: memory::open, read: memory::read, points: no_points },
    Kind { name: "file", open: file::open, read: file::read, points: no_points },
    Kind { name: "sqlite", open: sqlite::open, read: sqlite::read, points: sqlite::points },
];

fn resolve(storage: &Storage) -> (&'static Kind, &Path) {
    let (name, path) = match storage {
        Storage::Memory => ("memory", Path::new("")),
        Storage::File(path) => ("file", path.as_path()),
        Storage::Sqlite(path) => ("sqlite", path.as_path()),
    };
    (KINDS.iter().find(|kind| kind.name == name).expect("every storage has its line in the table"), path)
}

/// Opens the store for writing and loads what it remembers. Only one instance can.
///
/// A corrupt store is moved aside and replaced by an empty one; one that can be read but not written is opened all the
/// same. Both are told in [`Opened`].
///
/// # Errors
/// [`StoreError`], whose class says whether to go on from memory ([`Unavailable`](StoreFault::Unavailable)) or to end.
pub fn open(storage: &Storage) -> Result<Opened, StoreError> {
    let (kind, path) = resolve(storage);
    (kind.open)(path)
}

/// Reads the store without locking or changing it, also while another process writes it. Of the history the newest
/// `limit` entries of each list.
///
/// # Errors
/// [`StoreError`] if there is nothing to read or it makes no sense; nothing is moved aside.
pub fn read(storage: &Storage, limit: usize) -> Result<Snapshot, StoreError> {
    let (kind, path) = resolve(storage);
    (kind.read)(path, limit)
}

/// What a check's results came to, oldest first; steps without any are left out. Reads without locking or changing, also
/// while another process writes, and knows what the newest committed results add. A check that never had a result has no
/// points.
///
/// # Errors
/// [`StoreError`] if there is nothing to read or it makes no sense, or this kind of store keeps no results.
pub fn points(storage: &Storage, question: &Question<'_>) -> Result<Vec<Point>, StoreError> {
    let (kind, path) = resolve(storage);
    (kind.points)(path, question)
}

fn no_points(_: &Path, _: &Question<'_>) -> Result<Vec<Point>, StoreError> {
    let message = "this store keeps no results of probes; use `storage: sqlite:heartbeat.db`";
    Err(StoreError::new(StoreFault::Missing, message))
}

/// Opens a copy in memory of what the store remembers now; the store itself is neither locked nor changed.
///
/// # Errors
/// [`StoreError`], if there is something and it makes no sense. Nothing at all is an empty copy.
pub fn open_copy(storage: &Storage) -> Result<Opened, StoreError> {
    let mut opened = open(&Storage::Memory)?;
    match read(storage, 0) {
        Ok(snapshot) => {
            opened.fresh = false;
            opened.ledger = snapshot.ledger;
        }
        Err(error) if error.class == StoreFault::Missing => {}
        Err(error) => return Err(error),
    }
    Ok(opened)
}

/// Why a store did not do what it should.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreError {
    /// What the caller can do about it.
    pub class: StoreFault,
    /// What was expected, what was found, where, and what to do.
    pub message: String,
}

/// The classes of failure that the caller treats differently.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoreFault {
    /// Full, read-only, locked by a foreign program: may pass. Go on from memory.
    Unavailable,
    /// The content makes no sense. It was moved aside, to the path that the message names.
    Corrupt,
    /// Another instance holds the lock: end.
    Locked,
    /// The folder is missing, or the path cannot be used at all: end.
    Missing,
    /// It was written by a newer version, or is no store of ours. It was not touched: end.
    Foreign,
}

impl StoreError {
    fn new(class: StoreFault, message: impl Into<String>) -> Self {
        Self { class, message: message.into() }
    }

    fn absent(path: &Path) -> Self {
        let path = path.display();
        Self::new(
            StoreFault::Missing,
            format!("there is no state in `{path}` yet; has heartbeat run with this configuration?"),
        )
    }

    fn unreadable(path: &Path, error: &io::Error) -> Self {
        Self::new(StoreFault::Unavailable, format!("cannot read `{}`: {error}", path.display()))
    }

    /// For those who only look: they move nothing aside.
    fn corrupt(path: &Path, found: &str) -> Self {
        let path = path.display();
        Self::new(
            StoreFault::Corrupt,
            format!("`{path}` is corrupt: {found}; the next start of heartbeat moves it aside"),
        )
    }

    fn foreign(path: &Path) -> Self {
        let message = format!(
            "`{}` is no store of heartbeat; it was not touched. Name another file in `storage`, or move this one away",
            path.display()
        );
        Self::new(StoreFault::Foreign, message)
    }

    fn newer(path: &Path, found: i64, known: i64) -> Self {
        let message = format!(
            "`{}` was written by a newer heartbeat (its format is {found}, this program knows {known}); it was not \
             touched. Use that program, or another store",
            path.display()
        );
        Self::new(StoreFault::Foreign, message)
    }
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for StoreError {}
