//! The application's database, and whether it can be used.

use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};

/// A file of SQLite.
#[derive(Clone, Debug)]
pub(crate) struct Database {
    path: PathBuf,
}

impl Database {
    /// The file at this path; it is made if it is not there. An application whose database is in trouble starts all the same:
    /// its health tells of it.
    pub(crate) fn at(path: impl AsRef<Path>) -> rusqlite::Result<Self> {
        if !path.as_ref().exists() {
            Connection::open(&path)?.execute_batch("CREATE TABLE visits (at TEXT DEFAULT CURRENT_TIMESTAMP)")?;
        }
        Ok(Self { path: path.as_ref().to_owned() })
    }

    /// Counts one more visit, and says how many there were.
    pub(crate) async fn count_visit(&self) -> Result<String, String> {
        let database = self.clone();
        let counting = move || {
            let connection = database.connect()?;
            connection.execute("INSERT INTO visits DEFAULT VALUES", ())?;
            connection.query_row("SELECT count(*) FROM visits", (), |row| row.get::<_, i64>(0))
        };
        let counted = tokio::task::spawn_blocking(counting).await.map_err(|error| error.to_string())?;
        counted.map(|visits| format!("visit {visits}\n")).map_err(|error| error.to_string())
    }

    /// Whether a new connection can read what the application needs. It blocks its thread.
    pub(crate) fn check(&self) -> impl FnMut() -> rusqlite::Result<()> + Send + 'static {
        let database = self.clone();
        move || database.connect()?.query_row("SELECT count(*) FROM (SELECT 1 FROM visits LIMIT 1)", (), |_| Ok(()))
    }

    /// A connection to the file that is there: one that is gone is not made anew.
    fn connect(&self) -> rusqlite::Result<Connection> {
        let connection = Connection::open_with_flags(&self.path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
        connection.busy_timeout(Duration::from_secs(5))?;
        Ok(connection)
    }
}
