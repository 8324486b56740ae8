use heartbeat_core::Id;
use heartbeat_core::outcome::{Fault, Outcome};
use heartbeat_core::policy::Policy;
use heartbeat_core::state::step;

use super::*;

#[test]
fn a_token_opens_to_itself_alone() {
    let token = Token::new("sesame");
    for right in ["Bearer sesame", "bearer sesame", "BEARER  sesame "] {
        assert!(token.opens(right), "{right:?}");
    }
    for wrong in ["", "sesame", "Bearer", "Bearer ", "Bearer sesam", "Bearer sesamee", "Bearer Sesame", "Basic sesame"]
    {
        assert!(!token.opens(wrong), "{wrong:?}");
    }
    let empty = Token::new("");
    for word in ["", "Bearer", "Bearer ", "Bearer  ", " "] {
        assert!(!empty.opens(word), "{word:?}");
    }
    assert_eq!(format!("{token:?}"), "Token(…)");
}

/// What is known after each of these outcomes, one after the other.
fn known(outcomes: &[Outcome]) -> Vec<(Standing, String)> {
    let policy = Policy { fall: 2, rise: 2, ..Policy::default() };
    let (mut record, mut known) = (CheckRecord::default(), Known::default());
    let follow = |outcome: &Outcome| {
        record = step(&Id::from("x"), &record, &policy, outcome, Wall::default()).0;
        known = known.after(&record);
        (known.standing, known.reason.to_string())
    };
    outcomes.iter().map(follow).collect()
}

fn pass(word: &str) -> Outcome {
    Outcome { reason: word.into(), ..Outcome::pass(std::time::Duration::ZERO) }
}

fn warn(reason: &str) -> Outcome {
    Outcome::warn(Fault::Latency, reason, std::time::Duration::ZERO)
}

fn fail(reason: &str) -> Outcome {
    Outcome::fault(Fault::Refused, reason, std::time::Duration::ZERO)
}

fn local() -> Outcome {
    Outcome::fault(Fault::Files, "no descriptors", std::time::Duration::ZERO)
}

#[test]
fn the_latest_result_speaks_only_for_the_state_it_belongs_to() {
    use Standing::{Degraded, Down, Unknown, Up};
    let expect = |outcomes: &[Outcome], expected: &[(Standing, &str)]| {
        let expected: Vec<_> = expected.iter().map(|(standing, reason)| (*standing, (*reason).to_owned())).collect();
        assert_eq!(known(outcomes), expected);
    };
    expect(&[pass("3 hits"), fail("refused"), pass("4 hits")], &[(Up, "3 hits"), (Up, "3 hits"), (Up, "4 hits")]);
    expect(&[fail("a"), fail("b"), pass("fine"), fail("c")], &[(Unknown, "a"), (Down, "b"), (Down, "b"), (Down, "c")]);
    expect(&[fail("a"), fail("b"), pass(""), pass("")], &[(Unknown, "a"), (Down, "b"), (Down, "b"), (Up, "")]);
    expect(
        &[warn("slow"), warn("slow"), pass(""), pass("")],
        &[(Up, ""), (Degraded, "slow"), (Degraded, "slow"), (Up, "")],
    );
    let slow = [warn("slow"), warn("slow"), fail("a"), warn("slower")];
    expect(&slow, &[(Up, ""), (Degraded, "slow"), (Degraded, "slow"), (Degraded, "slower")]);
    expect(&[fail("a"), fail("b"), warn("w"), warn("w")], &[(Unknown, "a"), (Down, "b"), (Down, "b"), (Up, "")]);
    expect(&[pass("x"), local()], &[(Up, "x"), (Up, "x")]);
}

#[test]
fn what_is_too_old_is_doubted_unless_it_is_bad() {
    let up = Known { standing: Standing::Up, reason: "x".into(), since: Some(Wall::default()) };
    let stale = up.stale(State::Up, "too old");
    assert_eq!(stale, Known { standing: Standing::Stale, reason: "too old".into(), since: Some(Wall::default()) });
    let down = Known { standing: Standing::Down, reason: "refused".into(), since: None };
    assert_eq!(down.stale(State::Down, "too old"), down);
}
