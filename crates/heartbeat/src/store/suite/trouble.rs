//! Disks that are full, read-only or gone, and stores that are damaged: nothing is lost in silence, and what can come back
//! comes back without help.
#![allow(clippy::disallowed_methods)] // mounts are made by a program

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use heartbeat_core::ledger::{Batch, Ledger};
use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use tokio::sync::watch;

use super::{Model, Rig, each_lasting, storage, through, transition};
use crate::store::writer::{Durability, Health, Writer};
use crate::store::{Flush, KINDS, StoreFault, open, read};

const LONG: Duration = Duration::from_secs(60);

/// A small file system of its own over a folder.
struct Mount<'a>(&'a Path);

impl<'a> Mount<'a> {
    fn over(folder: &'a Path) -> Self {
        let mount = Self(folder);
        mount.run(&["-t", "tmpfs", "-o", "size=2m", "tmpfs"]);
        mount
    }

    fn run(&self, arguments: &[&str]) {
        let done = Command::new("mount").args(arguments).arg(self.0).output();
        let done = done.expect("this test needs the program `mount` (package mount)");
        let message = String::from_utf8_lossy(&done.stderr).into_owned();
        assert!(done.status.success(), "{message}; this test needs root: unshare -rm cargo nextest run");
    }

    fn read_only(&self) {
        self.run(&["-o", "remount,ro"]);
    }

    fn writable(&self) {
        self.run(&["-o", "remount,rw"]);
    }

    /// Takes all the space that is left.
    fn fill(&self) {
        let mut file = fs::OpenOptions::new().create(true).append(true).open(self.0.join("filler")).expect("a file");
        for size in [1 << 16, 1 << 12, 1] {
            while file.write_all(&vec![b'x'; size]).is_ok() {}
        }
    }

    fn free(&self) {
        fs::remove_file(self.0.join("filler")).expect("it was filled");
    }
}

impl Drop for Mount<'_> {
    fn drop(&mut self) {
        // Lazily: a store of the failed test may still be open.
        let _ = Command::new("umount").arg("-l").arg(self.0).status();
    }
}

async fn until(health: &mut watch::Receiver<Health>, wanted: impl FnMut(&Health) -> bool) {
    let found = tokio::time::timeout(LONG, health.wait_for(wanted)).await;
    found.expect("the store's health changes in time").expect("the writer lives");
}

/// Commits from `next` on until one is not durable; returns all that were committed.
async fn commit_until_volatile(writer: &Writer, next: u64) -> Vec<Batch> {
    let mut batches = Vec::new();
    for number in next..next + 1000 {
        batches.push(transition(number));
        if writer.commit(transition(number)).await != Durability::Durable {
            return batches;
        }
    }
    panic!("the store still takes everything");
}

#[tokio::test]
async fn a_full_disk_is_survived_in_memory_and_caught_up_with() {
    for kind in KINDS.iter().filter(|kind| kind.name != "memory") {
        let rig = Rig::new(kind.name);
        let mount = Mount::over(rig.folder.path());
        let writer = Writer::start(rig.open()).expect("a thread");
        let mut health = writer.health();
        assert_eq!(writer.commit(transition(1)).await, Durability::Durable);
        mount.fill();
        let mut batches = vec![transition(1)];
        batches.extend(commit_until_volatile(&writer, 2).await);
        assert!(matches!(&*health.borrow_and_update(), Health::Failing { .. }));
        mount.free();
        until(&mut health, |health| *health == Health::Ok).await;
        let model = Model::of(&batches);
        assert_eq!(writer.shutdown(LONG).await, Durability::Durable);
        let mut opened = rig.open();
        assert_eq!(opened.ledger, model.ledger);
        assert_eq!(opened.store.history(1000).expect("a history").transitions, model.history.transitions);
    }
}

#[tokio::test]
async fn a_start_on_a_full_disk_goes_on_from_what_is_there() {
    for kind in KINDS.iter().filter(|kind| kind.name != "memory") {
        for batches in [vec![], vec![transition(1)]] {
            let rig = Rig::new(kind.name);
            let mount = Mount::over(rig.folder.path());
            if !batches.is_empty() {
                drop(through(&rig, &batches));
            }
            mount.fill();
            let opened = rig.open();
            assert_eq!(opened.ledger, Model::of(&batches).ledger);
            assert!(opened.notices.is_empty(), "{:?}", opened.notices);
            drop(opened);
            let opened = rig.open();
            assert!(opened.notices.is_empty(), "what could not be begun is no corrupt store: {:?}", opened.notices);
            let writer = Writer::start(opened).expect("a thread");
            assert!(matches!(writer.commit(transition(2)).await, Durability::Volatile(_)));
            mount.free();
            until(&mut writer.health(), |health| *health == Health::Ok).await;
            assert_eq!(writer.shutdown(LONG).await, Durability::Durable);
            assert_eq!(rig.open().ledger, Model::of(batches.iter().chain(&[transition(2)])).ledger);
        }
    }
}

#[tokio::test]
async fn a_file_system_that_turns_read_only_and_back_loses_nothing() {
    for kind in KINDS.iter().filter(|kind| kind.name != "memory") {
        let rig = Rig::new(kind.name);
        let mount = Mount::over(rig.folder.path());
        let mut opened = rig.open();
        opened.store.commit(&transition(1), Flush::Now).expect("the store takes it");
        drop(opened);

        mount.read_only();
        let opened = rig.open();
        assert_eq!(opened.ledger, Model::of([&transition(1)]).ledger);
        assert_eq!(read(&rig.storage, 5).expect("it can be read").ledger, opened.ledger);
        let writer = Writer::start(opened).expect("a thread");
        assert!(matches!(writer.commit(transition(2)).await, Durability::Volatile(_)));
        assert_eq!(open(&rig.storage).map(|_| ()).expect_err("the lock holds").class, StoreFault::Locked);
        mount.writable();
        until(&mut writer.health(), |health| *health == Health::Ok).await;
        assert_eq!(writer.shutdown(LONG).await, Durability::Durable);
        assert_eq!(rig.open().ledger, Model::of(&[transition(1), transition(2)]).ledger);
    }
}

#[test]
fn what_a_dead_instance_left_on_a_read_only_file_system_is_read() {
    each_lasting(|rig| {
        let copy = Rig::new(rig.kind);
        let mount = Mount::over(copy.folder.path());
        let mut opened = rig.open();
        opened.store.commit(&transition(1), Flush::Now).expect("the store takes it");
        // As it is at this moment: SQLite has everything in its log.
        for entry in fs::read_dir(rig.folder.path()).expect("a folder") {
            let path = entry.expect("an entry").path();
            if !path.to_string_lossy().ends_with(".lock") && !path.to_string_lossy().ends_with("-shm") {
                fs::copy(&path, copy.folder.path().join(path.file_name().expect("a name"))).expect("a copy");
            }
        }
        mount.read_only();
        let found = copy.open();
        assert_eq!(found.ledger, Model::of([&transition(1)]).ledger);
        assert!(found.unwritable.is_some());
        assert_eq!(read(&copy.storage, 5).expect("it can be read").ledger, found.ledger);
    });
}

#[tokio::test]
async fn a_store_that_was_removed_is_written_again() {
    for kind in KINDS.iter().filter(|kind| kind.name != "memory") {
        let rig = Rig::new(kind.name);
        let writer = Writer::start(rig.open()).expect("a thread");
        writer.commit(transition(1)).await;
        fs::remove_file(rig.path()).expect("it is there");
        writer.commit(transition(2)).await;
        until(&mut writer.health(), |health| *health == Health::Ok).await;
        assert_eq!(writer.shutdown(LONG).await, Durability::Durable);
        assert_eq!(rig.open().ledger, Model::of(&[transition(1), transition(2)]).ledger);
    }
}

#[tokio::test]
async fn a_backup_that_was_put_back_is_not_written_over() {
    for kind in KINDS.iter().filter(|kind| kind.name != "memory") {
        let (rig, backup) = (Rig::new(kind.name), Rig::new(kind.name));
        drop(through(&backup, &[transition(7)]));
        let writer = Writer::start(rig.open()).expect("a thread");
        writer.commit(transition(1)).await;
        fs::rename(backup.path(), rig.path()).expect("it is put back");
        let answer = writer.commit(transition(2)).await;
        assert!(matches!(&answer, Durability::Volatile(reason) if reason.contains("another file")), "{answer:?}");
        assert!(matches!(writer.shutdown(LONG).await, Durability::Volatile(_)));
        let _ = fs::remove_file(crate::store::aside::join(&rig.path(), "-wal"));
        assert_eq!(rig.open().ledger, Model::of([&transition(7)]).ledger);
    }
}

/// What may happen to the bytes of a store.
#[derive(Clone, Debug)]
enum Damage {
    Cut(usize),
    Flip(Vec<(usize, u8)>),
    Zero(usize),
}

fn damage() -> impl Strategy<Value = Damage> {
    prop_oneof![
        any::<usize>().prop_map(Damage::Cut),
        proptest::collection::vec((any::<usize>(), 1..=255_u8), 1..9).prop_map(Damage::Flip),
        any::<usize>().prop_map(Damage::Zero),
    ]
}

fn harm(bytes: &mut Vec<u8>, damage: &Damage) {
    let length = bytes.len();
    match damage {
        Damage::Cut(at) => bytes.truncate(at % length),
        Damage::Zero(at) => bytes[at % length..].fill(0),
        Damage::Flip(places) => places.iter().for_each(|(at, mask)| bytes[at % length] ^= mask),
    }
}

#[test]
fn a_damaged_store_is_never_emptied_in_silence() {
    for kind in KINDS.iter().filter(|kind| kind.name != "memory") {
        let whole = Rig::new(kind.name);
        let batches: Vec<Batch> = (1..=9).map(transition).collect();
        let expected = through(&whole, &batches).ledger;
        let bytes = fs::read(whole.path()).expect("a store");
        let config = ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() };
        TestRunner::new(config)
            .run(&damage(), |damage| {
                let mut bytes = bytes.clone();
                harm(&mut bytes, &damage);
                let rig = Rig::new(kind.name);
                drop(rig.open());
                fs::write(rig.path(), &bytes).expect("a file");
                let _ = read(&rig.storage, 10);
                prop_assert_eq!(&fs::read(rig.path()).expect("a reader touches nothing"), &bytes);
                let mut opened = match open(&rig.storage) {
                    Ok(opened) => opened,
                    // A flipped version looks like one to come.
                    Err(error) => {
                        prop_assert_eq!(error.class, StoreFault::Foreign, "{}", error);
                        prop_assert_eq!(&fs::read(rig.path()).expect("it was not touched"), &bytes);
                        return Ok(());
                    }
                };
                if opened.notices.is_empty() {
                    // What cannot be told from the truth: a digit or a letter that has become another.
                    prop_assert_eq!(opened.ledger.checks.len(), expected.checks.len());
                    prop_assert_eq!(opened.ledger.outbox.len(), expected.outbox.len());
                } else {
                    prop_assert_eq!(&opened.ledger, &Ledger::default());
                    let aside = rig.moved_aside();
                    prop_assert!(opened.notices[0].contains(&*aside[0].to_string_lossy()), "{:?}", opened.notices);
                    prop_assert_eq!(&fs::read(&aside[0]).expect("it was moved"), &bytes);
                }
                prop_assert_eq!(&opened.unwritable, &None);
                let ledger = Model::of([&transition(99)]).ledger;
                if let Err(error) = opened.store.replace(&ledger, &Batch::default()) {
                    // The name of a column that nobody read before: it was moved aside only now.
                    prop_assert_eq!(error.class, StoreFault::Corrupt, "{}", error);
                    opened.store.replace(&ledger, &Batch::default()).expect("it works again");
                }
                drop(opened);
                prop_assert_eq!(&rig.open().ledger, &ledger);
                Ok(())
            })
            .unwrap_or_else(|failure| panic!("{}: {failure}", kind.name));
    }
}

#[test]
fn what_cannot_be_moved_aside_is_left_alone_and_said() {
    each_lasting(|rig| {
        let mount = Mount::over(rig.folder.path());
        drop(rig.open());
        fs::write(rig.path(), "{").expect("a file");
        mount.read_only();
        let error = open(&rig.storage).map(|_| ()).expect_err("corrupt");
        assert_eq!(error.class, StoreFault::Unavailable, "{error}");
        assert!(error.message.contains("corrupt"), "{error}");
        assert_eq!(fs::read_to_string(rig.path()).expect("it is there"), "{");
    });
}

#[test]
fn nothing_that_was_moved_aside_is_overwritten() {
    each_lasting(|rig| {
        for round in 1..=3 {
            drop(rig.open());
            fs::write(rig.path(), "{").expect("a file");
            assert_eq!(rig.open().notices.len(), 1);
            assert_eq!(rig.moved_aside().len(), round);
        }
    });
}

/// The store opens where the suite says; a kind without a place would pass every test by having none.
#[test]
fn every_kind_is_tested() {
    for kind in &KINDS {
        let _ = storage(kind.name, Path::new("/"));
    }
}
