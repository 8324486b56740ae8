//! A thread that holds the connection, and the session that tells it what to do.
//!
//! When the session is dropped at the deadline, the statement that runs is interrupted and the thread ends. It waits for
//! locks a little less long than the probe may take, so that a lock is told as such.

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use heartbeat_core::Mono;
use heartbeat_core::outcome::Fault;
use rusqlite::limits::Limit;
use rusqlite::types::ValueRef;
use rusqlite::{Connection, Error, ErrorCode, OpenFlags};
use tokio::sync::{OwnedSemaphorePermit, oneshot};

use crate::host::clock;
use crate::probe::database::{Answer, Dialect, Refusal, Session, Wrong};
use crate::probe::{Failure, net};

/// The largest value that is looked at, in bytes: a file may hold one of a gigabyte.
const LARGEST: i32 = 1 << 20;

/// After so many steps of SQLite's machine, a fraction of a millisecond, it is looked whether anybody still waits.
const STEPS: i32 = 1000;

/// The longest that a lock is waited for, where nothing else ends the wait.
const LONGEST_LOCK: Duration = Duration::from_secs(3600);

/// A statement, and where to say how it went.
type Order = (String, oneshot::Sender<Result<Answer, Wrong>>);

/// A session.
pub(super) struct Sqlite {
    orders: mpsc::Sender<Order>,
    /// Whether nobody waits for an answer any more.
    gone: Arc<AtomicBool>,
}

impl Drop for Sqlite {
    fn drop(&mut self) {
        self.gone.store(true, Ordering::Relaxed);
    }
}

impl Sqlite {
    /// Opens the file in a thread, which keeps the turn until it ends.
    ///
    /// # Errors
    /// [`Fault::Refused`] if the file cannot be opened, [`Fault::Files`] if there can be no further thread or descriptor.
    pub(super) async fn open(
        path: &Path,
        writes: bool,
        turn: OwnedSemaphorePermit,
        deadline: Mono,
    ) -> Result<Self, Failure> {
        let (orders, inbox) = mpsc::channel::<Order>();
        let (opened, opening) = oneshot::channel();
        let session = Self { orders, gone: Arc::default() };
        let (path, gone) = (path.to_owned(), session.gone.clone());
        let work = move || {
            match connect(&path, writes, deadline, gone) {
                Ok(connection) => {
                    // Whoever asked may have gone.
                    let _ = opened.send(Ok(()));
                    for (sql, reply) in inbox {
                        let _ = reply.send(run(&connection, &sql));
                    }
                }
                Err(failure) => drop(opened.send(Err(failure))),
            }
            drop(turn);
        };
        thread::Builder::new().name("sqlite".to_owned()).spawn(work).map_err(|error| {
            Failure::new(Fault::Files, format!("this process can start no thread: {}", net::words(&error)))
        })?;
        opening.await.unwrap_or_else(|_| Err(ended()))?;
        Ok(session)
    }
}

impl Session for Sqlite {
    const DIALECT: Dialect = Dialect {
        quote: '"',
        written: "text NOT NULL DEFAULT CURRENT_TIMESTAMP",
        stale: "written < datetime('now', '-1 hour')",
        is_missing: |refusal| refusal.message.starts_with("no such table"),
        is_there: |refusal| refusal.message.ends_with("already exists"),
    };

    /// Reading the schema takes the header and the first page.
    async fn ping(&mut self) -> Result<(), Wrong> {
        self.run("SELECT count(*) FROM sqlite_schema").await.map(drop)
    }

    async fn run(&mut self, sql: &str) -> Result<Answer, Wrong> {
        let (reply, answer) = oneshot::channel();
        self.orders.send((sql.to_owned(), reply)).map_err(|_| ended())?;
        answer.await.unwrap_or_else(|_| Err(ended().into()))
    }

    async fn goodbye(self) {}
}

/// That the thread ended before its time can only be a mistake of ours or of SQLite.
fn ended() -> Failure {
    Failure::new(Fault::Protocol, "SQLite gave up without a word")
}

/// Opens the file. Nothing but SQLite may open it: to close it anywhere in this process drops the locks that SQLite has.
fn connect(path: &Path, writes: bool, deadline: Mono, gone: Arc<AtomicBool>) -> Result<Connection, Failure> {
    let refused = |why: &str| Failure::new(Fault::Refused, format!("cannot open {}: {why}", path.display()));
    match fs::metadata(path) {
        Ok(meta) if meta.is_file() => {}
        Ok(_) => return Err(refused("it is not a file")),
        Err(error) => return Err(refused(&net::words(&error))),
    }
    let access = if writes { OpenFlags::SQLITE_OPEN_READ_WRITE } else { OpenFlags::SQLITE_OPEN_READ_ONLY };
    let opened = Connection::open_with_flags(path, access | OpenFlags::SQLITE_OPEN_NO_MUTEX);
    let mut connection =
        opened.map_err(|error| no_descriptor().unwrap_or_else(|| refused(&refusal(&error).to_string())))?;
    let prepare = || {
        let left = deadline.since(clock::mono());
        connection.busy_timeout((left - left / 10).min(LONGEST_LOCK))?;
        connection.set_limit(Limit::SQLITE_LIMIT_LENGTH, LARGEST)?;
        // Unlike an interrupt, this also ends a statement that has not begun yet.
        connection.progress_handler(STEPS, Some(move || gone.load(Ordering::Relaxed)))
    };
    prepare().map_err(|error| refused(&refusal(&error).to_string()))?;
    Ok(connection)
}

/// SQLite does not tell why it could not open a file: whether it is for want of a descriptor.
fn no_descriptor() -> Option<Failure> {
    net::exhausted(&fs::File::open("/dev/null").err()?)
}

/// Runs a statement up to its first row.
fn run(connection: &Connection, sql: &str) -> Result<Answer, Wrong> {
    let first = || {
        let mut statement = connection.prepare(sql)?;
        let mut rows = statement.query([])?;
        Ok(match rows.next()? {
            Some(row) => text(row.get_ref(0)?),
            None => Answer::Nothing,
        })
    };
    first().map_err(|error| wrong(&error))
}

fn text(value: ValueRef<'_>) -> Answer {
    Answer::Text(match value {
        ValueRef::Null => return Answer::Null,
        ValueRef::Integer(number) => number.to_string(),
        ValueRef::Real(number) => format!("{number:?}"),
        ValueRef::Text(bytes) | ValueRef::Blob(bytes) => String::from_utf8_lossy(bytes).into_owned(),
    })
}

fn wrong(error: &Error) -> Wrong {
    match error.sqlite_error_code() {
        Some(ErrorCode::NotADatabase) => Failure::new(Fault::Protocol, "the file is no SQLite database").into(),
        // The first page may be read long after the file was opened, and so may its journal.
        Some(ErrorCode::CannotOpen) => no_descriptor().map_or_else(|| Wrong::Refused(refusal(error)), Wrong::Broken),
        Some(ErrorCode::OutOfMemory) => {
            Failure::new(Fault::Memory, "this machine has no memory left for SQLite").into()
        }
        _ => Wrong::Refused(refusal(error)),
    }
}

/// SQLite's code, extended, and its words.
fn refusal(error: &Error) -> Refusal {
    match error {
        Error::SqliteFailure(code, Some(message)) => {
            Refusal { code: code.extended_code.to_string(), message: message.clone() }
        }
        Error::SqlInputError { error: code, msg, .. } => {
            Refusal { code: code.extended_code.to_string(), message: msg.clone() }
        }
        other => {
            let code =
                other.sqlite_error().map_or_else(|| "rusqlite".to_owned(), |code| code.extended_code.to_string());
            Refusal { code, message: other.to_string() }
        }
    }
}
