//! What surrounds the subject: a folder for flag and database, and a search that finds something, nothing, or never answers.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

/// The longest that any test waits for something that must happen.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// Waits for a condition.
#[track_caller]
pub(crate) fn wait_for(what: &str, mut is_so: impl FnMut() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < PATIENCE, "did not happen within {PATIENCE:?}: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// What the search never answers with.
const SILENT: i64 = -1;

/// See the [module](self).
pub(crate) struct World {
    folder: tempfile::TempDir,
    hits: Arc<AtomicI64>,
    search: SocketAddr,
}

impl World {
    /// All is well in it.
    pub(crate) fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let search = listener.local_addr().expect("an address");
        let hits = Arc::new(AtomicI64::new(12));
        let found = Arc::clone(&hits);
        // It ends with the process of the test.
        std::thread::spawn(move || {
            let mut held = Vec::new();
            for stream in listener.incoming().flatten() {
                match found.load(Ordering::SeqCst) {
                    SILENT => held.push(stream),
                    hits => answer(&stream, hits),
                }
            }
        });
        Self { folder: tempfile::tempdir().expect("a temporary folder"), hits, search }
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Where the flag is, if it is there.
    pub(crate) fn flag(&self) -> PathBuf {
        self.folder().join("flags/heart.beat")
    }

    pub(crate) fn database(&self) -> PathBuf {
        self.folder().join("shop.db")
    }

    pub(crate) fn search_url(&self) -> String {
        format!("http://{}/solr/shop/select?q=*:*", self.search)
    }

    /// How much the search finds from now on.
    pub(crate) fn set_hits(&self, hits: u32) {
        self.hits.store(hits.into(), Ordering::SeqCst);
    }

    /// From now on the search takes connections and does not answer.
    pub(crate) fn silence_search(&self) {
        self.hits.store(SILENT, Ordering::SeqCst);
    }

    /// The database is gone, until it is [brought back](Self::bring_database_back).
    pub(crate) fn take_database_away(&self) {
        std::fs::rename(self.database(), self.folder().join("away.db")).expect("the database is there");
    }

    pub(crate) fn bring_database_back(&self) {
        std::fs::rename(self.folder().join("away.db"), self.database()).expect("the database was taken away");
    }
}

/// Whoever hangs up early wanted no answer.
fn answer(mut stream: &TcpStream, hits: i64) {
    let head = BufReader::new(stream).lines().map_while(Result::ok);
    if head.take_while(|line| !line.is_empty()).count() > 0 {
        let body = format!("{{\"response\":{{\"numFound\":{hits},\"docs\":[]}}}}");
        let length = body.len();
        let _ = write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}");
    }
}
