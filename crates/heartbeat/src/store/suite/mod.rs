//! The suite that every kind of store must pass. It walks the table of kinds: a new one is tested by being there.

mod arbitrary;
mod crash;
mod rules;
mod trouble;

pub(super) use self::arbitrary::{batch, result};

use std::path::{Path, PathBuf};
use std::sync::Arc;

use heartbeat_core::delivery::{Delivery, Status};
use heartbeat_core::intent::{Destination, Event, Facts, Intent, Transition};
use heartbeat_core::ledger::{Batch, Ledger};
use heartbeat_core::record::{CheckRecord, Incident, State};
use heartbeat_core::{Id, Wall};
use tempfile::TempDir;

use super::{Flush, History, KINDS, Opened, StoreError, open};
use crate::store::Storage;

/// A store of one kind in a folder of its own.
pub(super) struct Rig {
    pub(super) kind: &'static str,
    pub(super) folder: TempDir,
    pub(super) storage: Storage,
}

impl Rig {
    pub(super) fn new(kind: &'static str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let storage = storage(kind, folder.path());
        Self { kind, folder, storage }
    }

    pub(super) fn open(&self) -> Opened {
        open(&self.storage).expect("the store opens")
    }

    /// The file of the store.
    pub(super) fn path(&self) -> PathBuf {
        match &self.storage {
            Storage::Memory => panic!("memory has no file"),
            Storage::File(path) | Storage::Sqlite(path) => path.clone(),
        }
    }

    /// The files in the folder that were moved aside.
    pub(super) fn moved_aside(&self) -> Vec<PathBuf> {
        let entries = std::fs::read_dir(self.folder.path()).expect("the folder can be read");
        entries
            .map(|entry| entry.expect("an entry").path())
            .filter(|path| path.to_string_lossy().contains(".corrupt-"))
            .collect()
    }
}

pub(super) fn storage(kind: &str, folder: &Path) -> Storage {
    at_path(kind, folder.join("state"))
}

fn at_path(kind: &str, path: PathBuf) -> Storage {
    match kind {
        "memory" => Storage::Memory,
        "file" => Storage::File(path),
        "sqlite" => Storage::Sqlite(path),
        other => panic!("give the suite a place for `{other}`"),
    }
}

/// Runs `test` for every kind.
fn each(test: impl Fn(Rig)) {
    for kind in &KINDS {
        test(Rig::new(kind.name));
    }
}

/// Runs `test` for every kind that survives the process.
fn each_lasting(test: impl Fn(Rig)) {
    for kind in KINDS.iter().filter(|kind| kind.name != "memory") {
        test(Rig::new(kind.name));
    }
}

/// Commits to a store that was just opened, closes it, and opens it again.
fn through(rig: &Rig, batches: &[Batch]) -> Opened {
    let mut opened = rig.open();
    for batch in batches {
        opened.store.commit(batch, Flush::Now).expect("the store takes it");
    }
    drop(opened);
    rig.open()
}

/// What a store should remember of batches: the pure model.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Model {
    pub(super) ledger: Ledger,
    pub(super) history: History,
}

impl Model {
    pub(super) fn of<'a>(batches: impl IntoIterator<Item = &'a Batch>) -> Self {
        let mut model = Self::default();
        for batch in batches {
            model.ledger.apply(batch);
            model.history.transitions.extend(batch.transitions.iter().cloned());
            for delivery in &batch.deliveries {
                model.history.settled.retain(|settled| settled.intent.key != delivery.intent.key);
                if !delivery.status.is_unsettled() {
                    model.history.settled.push(delivery.clone());
                }
            }
        }
        model
    }
}

fn at(seconds: i64) -> Wall {
    Wall::from_unix_millis(1_750_000_000_000 + seconds * 1000)
}

fn check(state: State, epoch: u64) -> Arc<CheckRecord> {
    Arc::new(CheckRecord { state, epoch, since: Some(at(0)), ..CheckRecord::default() })
}

fn delivery(number: u64, status: Status) -> Delivery {
    let intent = Intent {
        key: format!("web.{number}.oncall").into(),
        at: at(0),
        event: Event::Down,
        to: Destination::Alert(Id::from("oncall")),
        subject: Some(Id::from("web")),
        incident: Some(number),
        facts: Facts::default(),
        message: "web is down: refused".into(),
    };
    Delivery { status, ..Delivery::new(intent, number) }
}

/// The `number`-th transition of the check `web`, with all that goes with it in one batch.
pub(super) fn transition(number: u64) -> Batch {
    let (from, to) = if number.is_multiple_of(2) { (State::Down, State::Up) } else { (State::Up, State::Down) };
    let incident = Incident::opened(number, at(0), from);
    Batch {
        checks: vec![(Id::from("web"), Some(check(to, number)))],
        incidents: vec![(Id::from("web"), (to == State::Down).then_some(incident))],
        deliveries: vec![delivery(number, Status::Due)],
        transitions: vec![Transition {
            subject: Id::from("web"),
            epoch: number,
            at: at(0),
            from,
            to,
            reason: "refused".into(),
        }],
        ..Batch::default()
    }
}

/// The error of opening what must not open.
fn refusal(rig: &Rig) -> StoreError {
    open(&rig.storage).map(|_| ()).expect_err("this must not open")
}
