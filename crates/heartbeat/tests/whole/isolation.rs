//! A channel that hangs delays nobody else.

use std::time::{Duration, Instant};

use crate::support::{Home, Web, wait_for};

const INTERVAL: Duration = Duration::from_millis(500);

/// How far the times are from a grid of [`INTERVAL`], at most.
fn jitter(times: &[Instant]) -> Duration {
    let first = times[0];
    let off = |time: &Instant| {
        let phase = time.duration_since(first).as_secs_f64() / INTERVAL.as_secs_f64();
        INTERVAL.mul_f64((phase - phase.round()).abs())
    };
    times.iter().map(off).max().expect("some times")
}

#[test]
fn a_webhook_that_hangs_shifts_no_probe_and_no_other_channel() {
    // Two programs in one run, one with a channel that never answers: what the machine itself does hits both.
    let (steady, flapping, control) = (Web::answering(200), Web::answering(200), Web::answering(200));
    let (hanging, other) = (Web::answering(200), Web::answering(200));
    hanging.hang(true);
    let with_hang = Home::new().with(
        "heartbeat.yaml",
        &format!(
            "defaults: {{ interval: 500ms, fast_interval: 500ms, timeout: 400ms, fall: 1, rise: 1 }}\n\
             checks:\n  steady: {{ url: \"{}\" }}\n  flapping: {{ url: \"{}\" }}\n\
             alerts:\n  hangs: {{ type: webhook, url: \"{}\", timeout: 1m, limit: none }}\n  \
             works: {{ type: webhook, url: \"{}\", limit: none }}\n\
             storage: sqlite:state.db\n",
            steady.url(),
            flapping.url(),
            hanging.url(),
            other.url()
        ),
    );
    let without = Home::new().with(
        "heartbeat.yaml",
        &format!(
            "checks:\n  steady: {{ url: \"{}\", interval: 500ms, fast_interval: 500ms, timeout: 400ms }}\nalerts: []\nstorage: sqlite:state.db\n",
            control.url()
        ),
    );
    let program = with_hang.start(&["run"]);
    let reference = without.start(&["run"]);
    for round in 1..=4 {
        let before = other.hits();
        flapping.answer(if round % 2 == 1 { 503 } else { 200 });
        wait_for("the channel that works is told", || (other.hits() > before).then_some(()));
    }
    wait_for("the channel that hangs was tried", || (hanging.hits() > 0).then_some(()));
    wait_for("enough probes of both", || (steady.hits() >= 12 && control.hits() >= 12).then_some(()));
    let told = other.requests().len();
    drop((program, reference));
    assert_eq!(told, 4, "down, up, down, up");
    // The first probe after a start is spread; the rest is on the grid.
    let times = |web: &Web| web.requests().iter().skip(1).map(|request| request.at).collect::<Vec<_>>();
    let (shifted, reference) = (jitter(&times(&steady)), jitter(&times(&control)));
    assert!(shifted <= reference + Duration::from_millis(100), "{shifted:?}, and without the channel {reference:?}");
}
