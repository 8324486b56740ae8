//! The decoder: from the text of a configuration to a plan.

use std::fmt::Write as _;

use divan::Bencher;
use divan::counter::BytesCount;
use heartbeat::plan::load;

fn main() {
    divan::main();
}

/// So many checks, some with conditions.
fn text(checks: usize) -> String {
    let mut text = String::from("defaults: { interval: 30s, timeout: 5s, remind: never }\nalerts: []\nchecks:\n");
    for check in 0..checks {
        let expect = if check % 4 == 0 { ", expect: { status: 200, body: { contains: fine } }" } else { "" };
        writeln!(text, "  check-{check}: {{ url: \"http://127.0.1.{}:8080/health\"{expect} }}", check % 200 + 1)
            .expect("a string takes everything");
    }
    text
}

#[divan::bench(args = [1_000])]
fn from_text_to_plan(bencher: Bencher<'_, '_>, checks: usize) {
    let text = text(checks);
    bencher.counter(BytesCount::of_str(&text)).bench_local(|| {
        let (plan, problems) = load::from_text("bench.yaml", &text, &|_| None);
        assert!(plan.is_some(), "{problems:?}");
        plan
    });
}
