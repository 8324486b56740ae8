//! The rules one by one.
#![allow(clippy::disallowed_methods)] // programs and permissions set the scene

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};

use heartbeat_core::delivery::Status;
use heartbeat_core::ledger::{Batch, Ledger};
use heartbeat_core::record::State;
use heartbeat_core::{Id, Wall};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::TestRunner;

use super::{
    Model, Rig, at, at_path, batch, check, delivery, each, each_lasting, refusal, storage, through, transition,
};
use crate::store::{Flush, KINDS, Snapshot, StoreFault, open, read};

#[test]
fn a_new_store_remembers_nothing() {
    each(|rig| {
        let mut opened = rig.open();
        assert_eq!(opened.ledger, Ledger::default());
        assert!(opened.fresh);
        assert!(opened.notices.is_empty(), "{:?}", opened.notices);
        assert_eq!(opened.unwritable, None);
        assert_eq!(opened.store.history(10), Ok(Default::default()));
    });
}

#[test]
fn locations_are_written_as_in_the_configuration() {
    each(|rig| {
        let expected = match rig.kind {
            "memory" => "memory".to_owned(),
            kind => format!("{kind}:{}", rig.path().display()),
        };
        assert_eq!(rig.open().store.location(), expected);
    });
}

#[test]
fn what_was_committed_is_loaded() {
    each_lasting(|rig| {
        let batches = [transition(1), transition(2)];
        let mut opened = through(&rig, &batches);
        assert!(!opened.fresh);
        assert_eq!(opened.ledger, Model::of(&batches).ledger);
        assert_eq!(opened.store.history(10), Ok(Model::of(&batches).history));
    });
}

#[test]
fn records_are_replaced_and_removed() {
    each_lasting(|rig| {
        let web = Id::from("web");
        let put = |state, epoch| Batch { checks: vec![(web.clone(), Some(check(state, epoch)))], ..Batch::default() };
        let remove = Batch { checks: vec![(web.clone(), None)], ..Batch::default() };
        let opened = through(&rig, &[put(State::Up, 1), put(State::Down, 2)]);
        assert_eq!(opened.ledger.checks[&web], check(State::Down, 2));
        drop(opened);
        assert!(through(&rig, std::slice::from_ref(&remove)).ledger.checks.is_empty());
        assert_eq!(through(&rig, &[put(State::Up, 3)]).ledger.checks[&web], check(State::Up, 3));
    });
}

#[test]
fn settled_deliveries_leave_the_outbox_for_the_history() {
    each_lasting(|rig| {
        let deliver = |status| Batch { deliveries: vec![delivery(7, status)], ..Batch::default() };
        assert_eq!(through(&rig, &[deliver(Status::Due)]).ledger.outbox.len(), 1);
        let mut opened = through(&rig, &[deliver(Status::Done(at(5)))]);
        assert!(opened.ledger.outbox.is_empty());
        let history = opened.store.history(10).expect("there is a history");
        assert_eq!(history.settled, [delivery(7, Status::Done(at(5)))]);
    });
}

#[test]
fn the_sequence_goes_on_when_nothing_is_left_of_it() {
    each_lasting(|rig| {
        let settled = Batch { deliveries: vec![delivery(41, Status::Dead(at(5)))], ..Batch::default() };
        assert_eq!(through(&rig, &[settled]).ledger.next_sequence, 42);
        let mut opened = rig.open();
        let ledger = Ledger { next_sequence: 99, ..Ledger::default() };
        opened.store.replace(&ledger, &Batch::default()).expect("the store takes it");
        drop(opened);
        assert_eq!(rig.open().ledger, ledger);
    });
}

#[test]
fn replace_makes_the_store_equal_and_keeps_the_history() {
    each_lasting(|rig| {
        let before = transition(1);
        let mut opened = through(&rig, std::slice::from_ref(&before));
        let ledger = Model::of([&transition(4)]).ledger;
        let missed = Batch { transitions: transition(3).transitions, ..Batch::default() };
        opened.store.replace(&ledger, &missed).expect("the store takes it");
        drop(opened);
        let mut opened = rig.open();
        assert_eq!(opened.ledger, ledger);
        let history = opened.store.history(10).expect("there is a history");
        assert_eq!(history.transitions, [before.transitions, missed.transitions].concat());
    });
}

#[test]
fn history_is_the_newest_oldest_first() {
    each(|rig| {
        let mut opened = rig.open();
        for number in 1..=5 {
            opened.store.commit(&transition(number), Flush::Now).expect("the store takes it");
        }
        let history = opened.store.history(2).expect("there is a history");
        assert_eq!(history.transitions.iter().map(|transition| transition.epoch).collect::<Vec<_>>(), [4, 5]);
    });
}

#[test]
fn any_batches_are_remembered_as_the_model_says() {
    for kind in KINDS.iter().filter(|kind| kind.name != "memory") {
        let config = ProptestConfig { cases: 32, failure_persistence: None, ..ProptestConfig::default() };
        TestRunner::new(config)
            .run(&(vec(batch(), 0..12), vec(batch(), 0..6)), |(mut first, second)| {
                first.push(transition(1)); // or there might be no file to read
                let rig = Rig::new(kind.name);
                let mut opened = through(&rig, &first);
                prop_assert_eq!(&opened.ledger, &Model::of(&first).ledger);
                for batch in &second {
                    opened.store.commit(batch, Flush::Later).expect("the store takes it");
                }
                let expected = Model::of(first.iter().chain(&second));
                prop_assert_eq!(&opened.store.history(1000).expect("there is a history"), &expected.history);
                drop(opened);
                let read = read(&rig.storage, 1000).expect("it can be read");
                prop_assert_eq!(&read, &Snapshot { ledger: expected.ledger.clone(), history: expected.history });
                prop_assert_eq!(rig.open().ledger, expected.ledger);
                Ok(())
            })
            .unwrap_or_else(|failure| panic!("{}: {failure}", kind.name));
    }
}

#[test]
fn a_second_instance_is_locked_out_and_a_reader_is_not() {
    each_lasting(|rig| {
        let opened = through(&rig, &[transition(1)]);
        let error = refusal(&rig);
        assert_eq!(error.class, StoreFault::Locked);
        assert!(error.message.contains(&format!("(process {})", std::process::id())), "{error}");
        let other_name = rig.folder.path().join("link");
        symlink(rig.path(), &other_name).expect("a link");
        let through_link = at_path(rig.kind, other_name);
        assert_eq!(open(&through_link).map(|_| ()).expect_err("locked").class, StoreFault::Locked);
        assert_eq!(read(&rig.storage, 10).expect("it can be read").ledger, opened.ledger);
        drop(opened);
        rig.open();
    });
}

#[test]
fn a_reader_sees_what_is_being_written() {
    each_lasting(|rig| {
        assert_eq!(read(&rig.storage, 1).expect_err("nothing is there").class, StoreFault::Missing);
        let mut opened = rig.open();
        for number in 1..=3 {
            opened.store.commit(&transition(number), Flush::Now).expect("the store takes it");
            assert_eq!(read(&rig.storage, 1).expect("it can be read").ledger.checks["web"].epoch, number);
        }
    });
}

#[test]
fn files_are_for_us_alone() {
    each_lasting(|rig| {
        let mut opened = rig.open();
        opened.store.commit(&transition(1), Flush::Now).expect("the store takes it");
        for entry in fs::read_dir(rig.folder.path()).expect("a folder") {
            let entry = entry.expect("an entry");
            let mode = entry.metadata().expect("metadata").permissions().mode();
            assert_eq!(mode & 0o777, 0o600, "{}", entry.path().display());
        }
    });
}

#[test]
fn a_link_stays_a_link() {
    each_lasting(|rig| {
        let elsewhere = tempfile::tempdir().expect("a folder");
        let target = elsewhere.path().join("kept");
        symlink(&target, rig.path()).expect("a link");
        let opened = through(&rig, &[transition(1)]);
        assert_eq!(opened.ledger.checks.len(), 1);
        assert!(fs::symlink_metadata(rig.path()).expect("metadata").is_symlink());
        assert!(fs::symlink_metadata(target).expect("metadata").is_file());
    });
}

#[test]
fn a_missing_folder_is_said_with_the_cure() {
    each_lasting(|rig| {
        let error = open(&storage(rig.kind, &rig.folder.path().join("nowhere"))).map(|_| ()).expect_err("no folder");
        assert_eq!(error.class, StoreFault::Missing);
        assert!(error.message.contains("nowhere") && error.message.contains("mkdir -p"), "{error}");
        let error = open(&storage(rig.kind, &rig.folder.path().join("a/b"))).map(|_| ()).expect_err("no folder");
        assert_eq!(error.class, StoreFault::Missing);
    });
}

#[test]
fn a_folder_is_no_store() {
    each_lasting(|rig| {
        fs::create_dir(rig.path()).expect("a folder");
        assert_eq!(refusal(&rig).class, StoreFault::Missing);
    });
}

#[test]
fn somebody_elses_file_is_not_touched() {
    each_lasting(|rig| {
        for content in
            ["checks:\n  - https://example.org/\n", "root:x:0:0:root:/root:/bin/sh\n", "{\"name\": \"left-pad\"}"]
        {
            let rig = Rig::new(rig.kind);
            fs::write(rig.path(), content).expect("a file");
            let error = refusal(&rig);
            assert_eq!(error.class, StoreFault::Foreign, "{error}");
            assert_eq!(fs::read_to_string(rig.path()).expect("still there"), content);
            assert!(rig.moved_aside().is_empty());
        }
    });
}

#[test]
fn an_empty_file_of_somebody_is_a_new_store() {
    each_lasting(|rig| {
        fs::write(rig.path(), "").expect("a file");
        assert!(rig.open().fresh);
    });
}

#[test]
fn the_end_of_time_does_no_harm() {
    each_lasting(|rig| {
        let mut last = transition(1);
        last.deliveries[0].sequence = u64::MAX;
        last.deliveries[0].not_before = Wall::from_unix_millis(i64::MAX);
        last.transitions[0].at = Wall::from_unix_millis(i64::MIN);
        assert_eq!(through(&rig, std::slice::from_ref(&last)).ledger, Model::of([&last]).ledger);
    });
}
