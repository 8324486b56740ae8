//! `kill -9` in the middle of commits: what is loaded is a prefix of what was committed, with all that was answered.
#![allow(clippy::disallowed_methods)] // this is a process that kills its children

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};

use super::{Model, Rig, at_path, each_lasting, transition};
use crate::host::env;
use crate::store::open;
use crate::store::writer::{Durability, Writer};

const KILLS: u64 = 8;

/// So many commits wait for their answer at any time: the writer groups them.
const IN_FLIGHT: usize = 3;

/// The child's part: commits without end and prints the number of each one that was answered. Without the variables that
/// the parent sets there is nothing to do.
#[test]
fn child() {
    let (Some(kind), Some(path)) = (env::variable("STORE_KIND"), env::variable("STORE_PATH")) else { return };
    let opened = open(&at_path(&kind, path.into())).expect("the parent has seen to it");
    let mut next = opened.ledger.next_sequence.max(1);
    let writer = Writer::start(opened).expect("a thread");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
    runtime.block_on(async {
        let mut waiting = VecDeque::new();
        loop {
            waiting.push_back((next, writer.commit(transition(next))));
            next += 1;
            if waiting.len() == IN_FLIGHT {
                let (number, answer) = waiting.pop_front().expect("there are some");
                assert_eq!(answer.await, Durability::Durable);
                // Not println!: the harness would keep it.
                writeln!(std::io::stdout(), "answered {number}").expect("the parent listens");
            }
        }
    });
}

#[test]
fn what_was_answered_survives_a_kill() {
    each_lasting(|rig| {
        let mut loaded = 0;
        for round in 1..=KILLS {
            let answered = run_and_kill(&rig, round * 7 % 23);
            let opened = rig.open();
            assert!(opened.notices.is_empty(), "{:?}", opened.notices);
            let last = opened.ledger.next_sequence - 1;
            assert!(last >= answered && last > loaded, "loaded {last}, answered {answered}, before {loaded}");
            assert!(last <= answered + IN_FLIGHT as u64, "a prefix: loaded {last}, answered {answered}");
            let batches: Vec<_> = (1..=last).map(transition).collect();
            assert_eq!(opened.ledger, Model::of(&batches).ledger);
            loaded = last;
        }
    });
}

/// Starts the child, kills it after `count` more answers, and returns the number of the last one.
fn run_and_kill(rig: &Rig, count: u64) -> u64 {
    let name = module_path!().split_once("::").expect("a crate and a module").1;
    let mut child = Command::new(std::env::current_exe().expect("this test"))
        .args([&format!("{name}::child"), "--exact", "--nocapture"])
        .env("STORE_KIND", rig.kind)
        .env("STORE_PATH", rig.path().as_path() as &Path)
        .stdout(Stdio::piped())
        .spawn()
        .expect("the child starts");
    let lines = BufReader::new(child.stdout.take().expect("piped")).lines();
    let mut answers =
        lines.map_while(Result::ok).filter_map(|line| line.split_once("answered ")?.1.parse::<u64>().ok());
    let mut last = answers.next().expect("the child answers");
    let enough = last + count;
    while last < enough {
        last = answers.next().expect("the child goes on");
    }
    child.kill().expect("it runs");
    child.wait().expect("it was ours");
    // What it had written before the kill came.
    answers.last().unwrap_or(0).max(last)
}

/// The lock goes with the process, so that the next one does not wait.
#[test]
fn a_killed_instance_holds_no_lock() {
    each_lasting(|rig| {
        run_and_kill(&rig, 1);
        drop(rig.open());
    });
}
