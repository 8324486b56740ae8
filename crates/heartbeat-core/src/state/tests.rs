//! The step by itself. Letters: `p`ass, `w`arn, `f`ail, `l`ocal fault.

use core::time::Duration;
use std::string::String;
use std::vec::Vec;

use super::{is_counting, is_failing, retarget, step};
use crate::outcome::{Fault, Outcome};
use crate::policy::Policy;
use crate::record::{CheckRecord, State};
use crate::{Id, Wall};

const POLICY: Policy = Policy {
    interval: Duration::from_secs(60),
    fast_interval: Duration::from_secs(5),
    timeout: Duration::from_secs(10),
    fall: 3,
    rise: 2,
    remind: crate::policy::Remind::Never,
};

fn outcome(letter: char) -> Outcome {
    match letter {
        'p' => Outcome::pass(Duration::ZERO),
        'w' => Outcome::warn(Fault::Latency, "slow", Duration::ZERO),
        'f' => Outcome::fault(Fault::Refused, "refused", Duration::ZERO),
        _ => Outcome::fault(Fault::Network, "no route", Duration::ZERO),
    }
}

/// The record after these outcomes, one a second.
fn after(letters: &str) -> CheckRecord {
    let mut record = CheckRecord::default();
    for (second, letter) in (0..).zip(letters.chars()) {
        (record, _) = step(&Id::from("web"), &record, &POLICY, &outcome(letter), Wall::from_unix_millis(second * 1000));
    }
    record
}

/// Each state's first letter, after each outcome.
fn states(letters: &str) -> String {
    (1..=letters.len()).map(|end| after(&letters[..end]).state.as_str().as_bytes()[0] as char).collect()
}

#[test]
fn a_run_of_failures_begins_with_its_first_one() {
    let second = |letters: &str| after(letters).first_fail.map(|at| at.unix_millis() / 1000);
    assert_eq!(second("p"), None);
    assert_eq!(second("pff"), Some(1));
    assert_eq!(second("fffpf"), Some(4), "a pass within an outage begins another run");
}

#[test]
fn walks_through_its_states() {
    let walks = [
        ("p", "u"),
        ("w", "u"),
        ("llp", "uuu"),
        ("ff", "uu"),
        ("fff", "uud"),
        ("pfff", "uuud"),
        ("pffpff", "uuuuuu"),
        ("pfflf", "uuuud"),
        ("pffwfff", "uuuuuud"),
        ("fffp", "uudd"),
        ("fffpp", "uuddu"),
        ("fffpfp", "uudddd"),
        ("fffplp", "uudddu"),
        ("fffww", "uuddu"),
        ("www", "uud"),
        ("wwpw", "uuuu"),
        ("pwwwp", "uuudd"),
        ("pwwwpp", "uuuddu"),
        ("pwwwpwp", "uuudddd"),
        ("pwwwfff", "uuudddd"),
        ("wwfw", "uuuu"),
    ];
    for (letters, wanted) in walks {
        assert_eq!(states(letters), wanted, "{letters}");
    }
    assert_eq!(after("www").state, State::Degraded);
    assert_eq!(after("pwwwff").state, State::Degraded);
    assert_eq!(after("pwwwfff").state, State::Down);
    assert_eq!(after("pwwwfp").state, State::Degraded);
}

#[test]
fn counts_the_whole_outage() {
    let fail_counts: Vec<u32> = (0..=9).map(|end| after(&"ffffpfppf"[..end]).fail_count).collect();
    assert_eq!(fail_counts, [0, 1, 2, 3, 4, 4, 5, 5, 0, 1]);
    assert_eq!(after("pffp").fail_count, 0);
    assert_eq!(after("ffl").fail_count, 2);
}

#[test]
fn remembers_when_runs_began_and_ended() {
    let at = |second: i64| Some(Wall::from_unix_millis(second * 1000));
    let record = after("pppfflfpw");
    assert_eq!((record.first_pass, record.last_pass), (at(7), at(8)));
    assert_eq!((record.first_fail, record.last_fail), (at(3), at(6)));
    assert_eq!(record.since, at(8));
    assert_eq!(record.epoch, 3);
    assert_eq!(&*record.reason, "slow");
    assert_eq!(&*after("fp").reason, "");
    assert_eq!(after("ff").first_fail, at(0));
    let record = after("fpf");
    assert_eq!((record.first_fail, record.last_fail), (at(2), at(2)));
}

#[test]
fn a_transition_says_what_it_is() {
    let (_, transition) = step(&Id::from("web"), &after("pff"), &POLICY, &outcome('f'), Wall::from_unix_millis(7));
    let transition = transition.expect("the third failure");
    assert_eq!((transition.from, transition.to, transition.epoch), (State::Up, State::Down, 2));
    assert_eq!((&*transition.subject, &*transition.reason), ("web", "refused"));
    assert_eq!(transition.at, Wall::from_unix_millis(7));
    let (_, none) = step(&Id::from("web"), &after("pf"), &POLICY, &outcome('f'), Wall::default());
    assert_eq!(none, None);
}

#[test]
fn knows_when_it_is_counting() {
    for letters in ["f", "pf", "pw", "pwwwf", "pwwwp", "fffp"] {
        assert!(is_counting(&after(letters)), "{letters}");
    }
    for letters in ["", "l", "p", "pwp", "fff", "ffff", "pwww", "pwwww", "fffpp"] {
        assert!(!is_counting(&after(letters)), "{letters}");
    }
    assert!(is_failing(&after("f")) && is_failing(&after("fff")) && is_failing(&after("fl")));
    assert!(!is_failing(&after("fp")) && !is_failing(&after("fffp")) && !is_failing(&after("")));
}

#[test]
fn another_target_starts_the_counts_anew() {
    let record = retarget(after("pff"), 7);
    assert_eq!((record.state, record.epoch, record.target), (State::Up, 1, 7));
    assert_eq!((record.fail_count, record.passes, record.warns, record.cleans), (0, 0, 0, 0));
    assert_eq!((after("pw").warns, retarget(after("pw"), 7).warns), (1, 0));
    assert_eq!((after("p").cleans, retarget(after("p"), 7).cleans), (1, 0));
    assert_eq!(retarget(after("ffffp"), 7).fail_count, 4);
    assert_eq!(retarget(after("ffffp"), 7).passes, 0);
    assert_eq!(retarget(after("pff"), 0), after("pff"));
}
