//! The store for `once`, and for few checks: one JSON file that people can read.
//!
//! Each save writes the whole of it to a temporary file beside it, syncs, and renames, so that whoever looks sees the old
//! state or the new one. That bounds what it is good for: results are not kept, and of the history only what is recent.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use heartbeat_core::delivery::Delivery;
use heartbeat_core::intent::Transition;
use heartbeat_core::ledger::{Batch, Ledger};
use serde::{Deserialize, Serialize};

use super::aside::{join, move_aside, move_corrupt, sync_folder};
use super::lock::{self, Lock};
use super::memory::Recent;
use super::place::{self, Slot};
use super::{Flush, History, Opened, Snapshot, Store, StoreError, StoreFault, cron};

/// The version of the format. It grows when an older program would misread the file.
const VERSION: i64 = 1;

/// How many entries of each list of the history are kept.
const KEPT: usize = 200;

/// The file.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Document {
    version: i64,
    ledger: Ledger,
    #[serde(default)]
    transitions: Vec<Transition>,
    #[serde(default)]
    settled: Vec<Delivery>,
}

/// Only the version, whatever else is there.
#[derive(Deserialize)]
struct Versioned {
    version: i64,
}

struct JsonFile {
    slot: Slot,
    /// `None` while the folder cannot be written.
    lock: Option<Lock>,
    ledger: Ledger,
    recent: Recent,
}

/// What the bytes of a state file turn out to be.
enum Content {
    Nothing,
    State(Document),
    /// The cron utility's.
    Old(String),
    Corrupt(String),
    Newer(i64),
    Foreign,
}

pub(super) fn open(path: &Path) -> Result<Opened, StoreError> {
    let path = place::real_path(path)?;
    let was_ours = lock::was_taken(&path);
    let (lock, unwritable) = match Lock::take(&path) {
        Ok(lock) => (Some(lock), None),
        Err(error) if error.class == StoreFault::Unavailable => (None, Some(error)),
        Err(error) => return Err(error),
    };
    let (mut document, mut notices, mut old) = (Document::default(), Vec::new(), None);
    let content = read_content(&path, was_ours)?;
    let fresh = matches!(content, Content::Nothing);
    match content {
        Content::Nothing => {}
        Content::State(found) => document = found,
        Content::Corrupt(found) => notices.push(move_corrupt(&path, &[], &found)?),
        Content::Newer(version) => return Err(StoreError::newer(&path, version, VERSION)),
        Content::Foreign => return Err(StoreError::foreign(&path)),
        Content::Old(text) => {
            let kept = move_aside(&path, &[], "cron").map_err(|error| {
                let message = format!("cannot replace the cron utility's state in `{}`: {error}", path.display());
                StoreError::new(StoreFault::Unavailable, message)
            })?;
            notices.push(format!("the cron utility's state was kept as `{}`", kept.display()));
            old = Some(text);
        }
    }
    let mut slot = Slot::new(path);
    slot.adopt().map_err(|error| StoreError::unreadable(&slot.path, &error))?;
    let Document { ledger, transitions, settled, .. } = document;
    let recent = Recent { transitions: transitions.into(), settled: settled.into() };
    let store = Box::new(JsonFile { slot, lock, ledger: ledger.clone(), recent });
    Ok(Opened { store, ledger, fresh, notices, old, unwritable })
}

pub(super) fn read(path: &Path, limit: usize) -> Result<Snapshot, StoreError> {
    let path = place::real_path(path)?;
    match read_content(&path, lock::was_taken(&path))? {
        Content::Nothing | Content::Old(_) => Err(StoreError::absent(&path)),
        Content::Corrupt(found) => Err(StoreError::corrupt(&path, &found)),
        Content::Newer(version) => Err(StoreError::newer(&path, version, VERSION)),
        Content::Foreign => Err(StoreError::foreign(&path)),
        Content::State(Document { ledger, transitions, settled, .. }) => {
            let recent = Recent { transitions: transitions.into(), settled: settled.into() };
            Ok(Snapshot { ledger, history: recent.newest(limit) })
        }
    }
}

fn read_content(path: &Path, was_ours: bool) -> Result<Content, StoreError> {
    match fs::read(path) {
        Ok(bytes) => Ok(judge(bytes, was_ours)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Content::Nothing),
        Err(error) => Err(StoreError::unreadable(path, &error)),
    }
}

/// Tells ours from somebody else's, for only ours is moved aside. `was_ours` says that heartbeat has used the path before.
fn judge(bytes: Vec<u8>, was_ours: bool) -> Content {
    if bytes.is_empty() {
        return if was_ours { Content::Corrupt("it is empty".to_owned()) } else { Content::Nothing };
    }
    match serde_json::from_slice::<Versioned>(&bytes) {
        Ok(Versioned { version: VERSION }) => match serde_json::from_slice(&bytes) {
            Ok(document) => Content::State(document),
            Err(error) => Content::Corrupt(error.to_string()),
        },
        Ok(Versioned { version }) if version > VERSION => Content::Newer(version),
        Ok(Versioned { version }) => Content::Corrupt(format!("there never was a format {version}")),
        Err(error) => match String::from_utf8(bytes) {
            Ok(text) if cron::is_state(&text) => Content::Old(text),
            Ok(text) => {
                let broken = !error.is_data() && (text.starts_with('{') || text.contains("\"version\""));
                let zeroed = text.bytes().all(|byte| byte == 0);
                if was_ours || broken || zeroed { Content::Corrupt(error.to_string()) } else { Content::Foreign }
            }
            Err(text) if was_ours || text.as_bytes().starts_with(b"{") => {
                Content::Corrupt("it is not UTF-8".to_owned())
            }
            Err(_) => Content::Foreign,
        },
    }
}

impl Default for Document {
    fn default() -> Self {
        Self { version: VERSION, ledger: Ledger::default(), transitions: Vec::new(), settled: Vec::new() }
    }
}

impl JsonFile {
    /// Puts a new state into the place of the old one, on the disk and then here.
    fn save(&mut self, ledger: Ledger, recent: Recent) -> Result<(), StoreError> {
        Lock::keep(&mut self.lock, &self.slot.path)?;
        self.slot.look()?;
        let document = Document {
            version: VERSION,
            ledger,
            transitions: recent.transitions.iter().cloned().collect(),
            settled: recent.settled.iter().cloned().collect(),
        };
        let path = &self.slot.path;
        let saved =
            write_beside(path, &document).and_then(|()| self.slot.adopt()).and_then(|()| sync_folder(&self.slot.path));
        saved.map_err(|error| {
            let message = format!("cannot write `{}`: {error}", self.slot.path.display());
            StoreError::new(StoreFault::Unavailable, message)
        })?;
        self.ledger = document.ledger;
        self.recent = recent;
        Ok(())
    }
}

/// Writes to a temporary file and renames that into its place.
fn write_beside(path: &Path, document: &Document) -> io::Result<()> {
    let mut text = serde_json::to_vec_pretty(document)?;
    text.push(b'\n');
    let temporary = join(path, ".tmp");
    // One that a crash has left behind. Only a holder of the lock comes here.
    match fs::remove_file(&temporary) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let written = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&temporary)
        .and_then(|mut file| file.write_all(&text).and_then(|()| file.sync_all()))
        .and_then(|()| fs::rename(&temporary, path));
    if written.is_err() {
        // On a full disk it would only be in the way.
        let _ = fs::remove_file(&temporary);
    }
    written
}

impl Store for JsonFile {
    fn commit(&mut self, batch: &Batch, _: Flush) -> Result<(), StoreError> {
        let (mut ledger, mut recent) = (self.ledger.clone(), self.recent.clone());
        ledger.apply(batch);
        recent.add(batch, KEPT);
        // Results alone leave no trace here.
        if ledger == self.ledger && recent == self.recent {
            return Ok(());
        }
        self.save(ledger, recent)
    }

    fn replace(&mut self, ledger: &Ledger, missed: &Batch) -> Result<(), StoreError> {
        let mut recent = self.recent.clone();
        recent.add(missed, KEPT);
        self.save(ledger.clone(), recent)
    }

    fn history(&mut self, limit: usize) -> Result<History, StoreError> {
        Ok(self.recent.newest(limit))
    }

    fn location(&self) -> String {
        format!("file:{}", self.slot.path.display())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store;
    use crate::store::Storage;

    /// A file of the first version. It must stay readable, whatever the core's types become.
    const VERSION_1: &str = include_str!("fixtures/state-1.json");

    fn in_folder() -> (tempfile::TempDir, std::path::PathBuf) {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("state.json");
        (folder, path)
    }

    #[test]
    fn a_file_of_the_first_version_is_read_for_ever() {
        let (_folder, path) = in_folder();
        fs::write(&path, VERSION_1).expect("a file");
        let storage = Storage::File(path);
        let mut opened = store::open(&storage).expect("it opens");
        assert!(opened.notices.is_empty(), "{:?}", opened.notices);
        assert_eq!(opened.ledger.checks["web"].fail_count, 4);
        assert_eq!(opened.ledger.outbox.len(), 1);
        assert_eq!(opened.store.history(9).expect("a history").transitions.len(), 1);
        opened.store.replace(&opened.ledger.clone(), &Batch::default()).expect("it is written");
        let again = store::read(&storage, 9).expect("it can be read");
        assert_eq!(again, Snapshot { ledger: opened.ledger, history: opened.store.history(9).expect("a history") });
    }

    #[test]
    fn a_newer_version_is_refused_and_left_alone() {
        let (_folder, path) = in_folder();
        let text = VERSION_1.replacen("\"version\": 1", "\"version\": 2", 1);
        fs::write(&path, &text).expect("a file");
        let error = store::open(&Storage::File(path.clone())).expect_err("too new");
        assert_eq!(error.class, StoreFault::Foreign);
        assert!(error.message.contains("newer") && error.message.contains('2'), "{error}");
        assert_eq!(fs::read_to_string(&path).expect("it is there"), text);
    }

    #[test]
    fn results_alone_are_not_worth_a_save() {
        let (_folder, path) = in_folder();
        let mut opened = store::open(&Storage::File(path.clone())).expect("it opens");
        opened.store.commit(&Batch::default(), Flush::Later).expect("nothing to do");
        assert!(!path.exists());
    }

    #[test]
    fn what_a_crash_has_left_behind_is_no_obstacle() {
        let (_folder, path) = in_folder();
        fs::write(join(&path, ".tmp"), "half").expect("a file");
        let mut opened = store::open(&Storage::File(path.clone())).expect("it opens");
        opened
            .store
            .replace(&Ledger { next_sequence: 5, ..Ledger::default() }, &Batch::default())
            .expect("it is written");
        drop(opened);
        assert_eq!(store::open(&Storage::File(path)).expect("it opens").ledger.next_sequence, 5);
    }

    #[test]
    fn the_cron_utilitys_state_in_our_place_is_kept_and_handed_over() {
        let (_folder, path) = in_folder();
        let text = r#"{"5e88": {"name": "web", "state": "failing", "fail_count": 2}}"#;
        fs::write(&path, text).expect("a file");
        let opened = store::open(&Storage::File(path)).expect("it opens");
        assert_eq!(opened.old.as_deref(), Some(text));
        assert_eq!(opened.ledger, Ledger::default());
        let kept = opened.notices[0].split('`').nth(1).expect("the notice names it").to_owned();
        assert_eq!(fs::read_to_string(kept).expect("it is there"), text);
    }
}
