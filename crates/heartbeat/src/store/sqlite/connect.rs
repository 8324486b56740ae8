//! Getting hold of a database, in whatever condition it is.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OpenFlags};

use super::schema::{self, APPLICATION_ID, Identity};
use crate::store::aside::join;
use crate::store::{StoreError, StoreFault};

/// What SQLite keeps beside a database.
pub(super) const SIDE_FILES: [&str; 3] = ["-wal", "-shm", "-journal"];

/// How long a foreign program (a backup, somebody's `sqlite3`) is waited for.
const BUSY: Duration = Duration::from_secs(2);

/// The log is cut down to this size when a checkpoint has emptied it.
const LOG_LIMIT: i64 = 16 << 20;

/// Up to this size the whole database is checked at the start; of a bigger one only what is needed to go on, so that the
/// history of a year does not delay the first probe.
const CHECKED_WHOLE: u64 = 64 << 20;

/// So many KiB of the database are kept in memory: results are written in order, and never read again by who wrote them.
const CACHE: i64 = 128;

/// So many statements are kept parsed: more than there are in a commit.
const STATEMENTS: usize = 64;

const NEEDED: [&str; 7] = ["meta", "subjects", "checks", "incidents", "actions", "lanes", "outbox"];

/// The first bytes of every database (SQLite's file format, 1.3).
const MAGIC: &[u8; 16] = b"SQLite format 3\0";

/// What a look at the bytes tells, before SQLite gets to see them.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// No file, or an empty one that has not been ours.
    Nothing,
    /// A database.
    Database,
    /// What was a database once.
    Corrupt(&'static str),
    /// Something else altogether.
    Foreign,
}

/// Looks at the file itself. `was_ours` says that heartbeat has used this path before.
///
/// SQLite takes an empty file for a new database, and a stale log for the content of one: both would empty the store
/// without a word.
pub(super) fn examine(path: &Path, was_ours: bool) -> io::Result<Found> {
    let mut header = Vec::with_capacity(100);
    match File::open(path) {
        Ok(file) => file.take(100).read_to_end(&mut header)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let orphan = fs::metadata(join(path, "-wal")).is_ok_and(|log| log.len() > 0);
            return Ok(if orphan { Found::Corrupt("it is gone and has left its log behind") } else { Found::Nothing });
        }
        Err(error) => return Err(error),
    };
    if header.is_empty() {
        return Ok(if was_ours { Found::Corrupt("it is empty") } else { Found::Nothing });
    }
    let versions = header.get(18..20).is_some_and(|bytes| bytes.iter().all(|version| matches!(version, 1 | 2)));
    if header.starts_with(MAGIC) && versions {
        return Ok(Found::Database);
    }
    let alike = header.iter().zip(MAGIC).filter(|(found, expected)| found == expected).count();
    let ours = was_ours
        || alike * 2 > MAGIC.len().min(header.len())
        || header.get(68..72) == Some(&APPLICATION_ID.to_be_bytes())
        || header.iter().all(|byte| *byte == 0);
    Ok(if ours { Found::Corrupt("it does not begin as a SQLite database does") } else { Found::Foreign })
}

/// Makes an empty database, for us alone: SQLite gives its side files the same mode. It gets its name when it is whole and on
/// the disk, so that a crash leaves all of it or nothing; the name itself is there for good with the first transaction that
/// is synced, for SQLite syncs the folder then.
///
/// All that takes one sync. Made under its own name, through a journal, it would take ten.
pub(super) fn create(path: &Path) -> Result<(), Trouble> {
    let draft = join(path, "-new");
    // One that a crash has left.
    let _ = fs::remove_file(&draft);
    let done = draw_up(&draft).and_then(|()| Ok(give_name(&draft, path)?));
    let _ = fs::remove_file(&draft);
    done.map_err(|failure| match failure {
        Draft::Sqlite(error) => Trouble::Sqlite(error),
        Draft::File(error) => Trouble::Refused(StoreError::new(
            StoreFault::Unavailable,
            format!("cannot create `{}`: {error}", path.display()),
        )),
    })
}

/// Why there is no new database.
enum Draft {
    Sqlite(rusqlite::Error),
    File(io::Error),
}

impl From<rusqlite::Error> for Draft {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sqlite(error)
    }
}

impl From<io::Error> for Draft {
    fn from(error: io::Error) -> Self {
        Self::File(error)
    }
}

/// The two bytes that say whether a database has a log (file format, 1.3.3), and what they are then.
const VERSIONS: (u64, [u8; 2]) = (18, [2, 2]);

fn draw_up(draft: &Path) -> Result<(), Draft> {
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(draft)?;
    let mut connection = Connection::open_with_flags(draft, flags(OpenFlags::SQLITE_OPEN_READ_WRITE))?;
    // What goes wrong half-way is thrown away.
    connection.pragma_update(None, "journal_mode", "memory")?;
    connection.pragma_update(None, "synchronous", "off")?;
    schema::migrate(&mut connection)?;
    connection.close().map_err(|(_, error)| error)?;
    let (place, bytes) = VERSIONS;
    file.write_all_at(&bytes, place)?;
    Ok(file.sync_all()?)
}

/// Not over somebody else's file, as far as the file system can tell.
fn give_name(draft: &Path, path: &Path) -> io::Result<()> {
    match fs::hard_link(draft, path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Err(error),
        // It knows no links.
        Err(_) => fs::rename(draft, path),
        Ok(()) => Ok(()),
    }
}

/// Opens for writing, brings the schema up to date and checks the content.
pub(super) fn for_writing(path: &Path) -> Result<Connection, Trouble> {
    let mut connection = Connection::open_with_flags(path, flags(OpenFlags::SQLITE_OPEN_READ_WRITE))?;
    harden(&connection)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    connection.pragma_update(None, "journal_size_limit", LOG_LIMIT)?;
    connection.pragma_update(None, "cache_size", -CACHE)?;
    if check_identity(path, &connection)? != Identity::Ours(schema::VERSION) {
        // Before the log is switched on, so that the header of a new database tells at once that it is ours.
        schema::migrate(&mut connection)?;
    }
    connection.pragma_update(None, "journal_mode", "wal")?;
    check(path, &connection)?;
    Ok(connection)
}

/// Opens for reading. Needs no right to write, neither to the database nor to its folder.
pub(super) fn for_reading(path: &Path) -> Result<Connection, Trouble> {
    let usual = plain(path);
    let connection = match usual {
        Err(Trouble::Sqlite(error)) if class(&error) == StoreFault::Unavailable => {
            without_side_files(path).map_err(|_| Trouble::Sqlite(error))?
        }
        done => done?,
    };
    match check_identity(path, &connection)? {
        Identity::Ours(schema::VERSION) => Ok(connection),
        _ => Err(Trouble::Refused(StoreError::new(
            StoreFault::Unavailable,
            format!("`{}` is of an older version; start heartbeat once to bring it up to date", path.display()),
        ))),
    }
}

fn plain(path: &Path) -> Result<Connection, Trouble> {
    probed(Connection::open_with_flags(path, flags(OpenFlags::SQLITE_OPEN_READ_ONLY))?)
}

/// On a read-only or full file system SQLite cannot make the index of its log. A log that is there is read into an index
/// in memory, which takes the exclusive mode and a file system layer without locks; without a log the file is all.
fn without_side_files(path: &Path) -> Result<Connection, Trouble> {
    let logged = fs::metadata(join(path, "-wal")).is_ok_and(|log| log.len() > 0);
    if logged {
        let flags = flags(OpenFlags::SQLITE_OPEN_READ_ONLY);
        let connection = Connection::open_with_flags_and_vfs(path, flags, c"unix-none")?;
        connection.pragma_update(None, "locking_mode", "exclusive")?;
        probed(connection)
    } else {
        let flags = flags(OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI);
        probed(Connection::open_with_flags(immutable_uri(path), flags)?)
    }
}

fn immutable_uri(path: &Path) -> String {
    let mut uri = String::from("file:");
    for byte in path.as_os_str().as_bytes() {
        match byte {
            b'/' | b'.' | b'-' | b'_' | b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z' => uri.push(char::from(*byte)),
            _ => uri.push_str(&format!("%{byte:02x}")),
        }
    }
    uri + "?immutable=1"
}

fn flags(access: OpenFlags) -> OpenFlags {
    // One thread at a time uses a connection: its owner.
    access | OpenFlags::SQLITE_OPEN_NO_MUTEX
}

/// SQLite opens lazily: a first query tells whether the database can be used at all.
fn probed(connection: Connection) -> Result<Connection, Trouble> {
    harden(&connection)?;
    connection.query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok(()))?;
    Ok(connection)
}

/// The file may have been prepared by somebody else: nothing in it may run, and nothing in it is believed.
fn harden(connection: &Connection) -> rusqlite::Result<()> {
    connection.busy_timeout(BUSY)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER, false)?;
    connection.pragma_update(None, "cell_size_check", true)?;
    // Sorting must not need a folder for temporary files: it may be full or missing.
    connection.pragma_update(None, "temp_store", "memory")
}

/// Who a database is, unless it is not for us.
fn check_identity(path: &Path, connection: &Connection) -> Result<Identity, Trouble> {
    match schema::identity(connection)? {
        empty @ Identity::Empty => Ok(empty),
        ours @ Identity::Ours(version) if version <= schema::VERSION => Ok(ours),
        Identity::Ours(version) => {
            Err(Trouble::Refused(StoreError::newer(path, i64::from(version), i64::from(schema::VERSION))))
        }
        Identity::Other => Err(Trouble::Refused(StoreError::foreign(path))),
    }
}

fn check(path: &Path, connection: &Connection) -> Result<(), Trouble> {
    let whole = fs::metadata(path).is_ok_and(|meta| meta.len() <= CHECKED_WHOLE);
    if whole {
        run_check(connection, "PRAGMA integrity_check(1)")
    } else {
        NEEDED.iter().try_for_each(|table| run_check(connection, &format!("PRAGMA integrity_check({table})")))
    }
}

/// Not the quick check: an index that has lost an entry would lose us a delivery.
fn run_check(connection: &Connection, pragma: &str) -> Result<(), Trouble> {
    match connection.query_row(pragma, [], |row| row.get::<_, String>(0))?.as_str() {
        "ok" => Ok(()),
        problem => Err(Trouble::Corrupt(problem.lines().next_back().unwrap_or_default().to_owned())),
    }
}

/// Why a database could not be had.
#[derive(Debug)]
pub(super) enum Trouble {
    /// SQLite says so.
    Sqlite(rusqlite::Error),
    /// Its own check found something.
    Corrupt(String),
    /// It is not for us.
    Refused(StoreError),
}

impl From<rusqlite::Error> for Trouble {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sqlite(error)
    }
}

impl Trouble {
    /// What it means for the caller; a corrupt database has not been moved yet.
    pub(super) fn into_error(self, path: &Path) -> StoreError {
        match self {
            Self::Refused(error) => error,
            Self::Corrupt(problem) => StoreError::new(StoreFault::Corrupt, problem),
            Self::Sqlite(error) => match class(&error) {
                StoreFault::Corrupt => StoreError::new(StoreFault::Corrupt, error.to_string()),
                class => StoreError::new(class, format!("cannot use `{}`: {error}", path.display())),
            },
        }
    }
}

/// What a failure of SQLite means. What is not a matter of disks, rights and locks is a matter of the content: our own
/// statements are right for our own schema.
pub(super) fn class(error: &rusqlite::Error) -> StoreFault {
    match error.sqlite_error_code() {
        Some(
            ErrorCode::DatabaseBusy
            | ErrorCode::DatabaseLocked
            | ErrorCode::ReadOnly
            | ErrorCode::DiskFull
            | ErrorCode::CannotOpen
            | ErrorCode::SystemIoFailure
            | ErrorCode::PermissionDenied
            | ErrorCode::OutOfMemory
            | ErrorCode::OperationInterrupted
            | ErrorCode::OperationAborted
            | ErrorCode::FileLockingProtocolFailed
            | ErrorCode::NoLargeFileSupport
            | ErrorCode::AuthorizationForStatementDenied,
        ) => StoreFault::Unavailable,
        _ => StoreFault::Corrupt,
    }
}
