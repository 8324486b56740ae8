//! The application as a subject of the suite.

use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};

use rusqlite::Connection;

use crate::answers::world::World;
use crate::answers::{Subject, TOKEN};

/// What the search says that has found nothing.
pub(crate) const NO_HITS: &str = "the search found nothing";

/// What the database says that is not there.
pub(crate) fn no_database(world: &World) -> String {
    format!("unable to open database file: {}", world.database().display())
}

/// The application, running.
struct Application {
    process: Child,
    address: SocketAddr,
}

impl Subject for Application {
    fn address(&self) -> SocketAddr {
        self.address
    }

    fn pid(&self) -> u32 {
        self.process.id()
    }
}

impl Drop for Application {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

pub(crate) fn start(world: &World) -> impl Subject + use<> {
    std::fs::create_dir_all(world.flag().parent().expect("a folder")).expect("the folder can be written");
    let mut process = Command::new(env!("CARGO_BIN_EXE_axum-app"))
        .arg("127.0.0.1:0")
        .args([world.flag(), world.database()])
        .arg(world.search_url())
        .env("HEALTH_TOKEN", TOKEN)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the application can be started");
    let mut line = String::new();
    let stdout = process.stdout.take().expect("it is a pipe");
    BufReader::new(stdout).read_line(&mut line).expect("it says where it listens");
    let address = line.trim().strip_prefix("listening on http://").and_then(|address| address.parse().ok());
    Application { process, address: address.unwrap_or_else(|| panic!("it said {line:?}")) }
}

/// Locks the database, so that nobody can read it.
pub(crate) fn hold(world: &World) -> impl Sized {
    let connection = Connection::open(world.database()).expect("the database can be opened");
    connection
        .execute_batch("CREATE TABLE visits (at TEXT DEFAULT CURRENT_TIMESTAMP); BEGIN EXCLUSIVE")
        .expect("the database can be locked");
    connection
}
