//! The engine: what a probe costs between the heap of due times and the decision, without any IO.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use divan::{Bencher, black_box};
use heartbeat_core::coordinator::{self, CheckWiring, Coordinator, Wiring};
use heartbeat_core::ledger::Ledger;
use heartbeat_core::outcome::{Fault, Outcome};
use heartbeat_core::policy::{Limits, Policy};
use heartbeat_core::shard::{self, CheckKey, CheckSpec, Mode, Shard};
use heartbeat_core::{Id, Mono, Now, Wall};

fn main() {
    divan::main();
}

/// From the heap of due times through the judgement to what follows from it.
#[divan::bench(args = [1_000, 100_000], sample_size = 2_000)]
fn probe_that_passes(bencher: Bencher<'_, '_>, checks: usize) {
    let mut engine = Engine::new(checks);
    bencher.bench_local(|| engine.probe());
}

/// The same when every other round turns all states: transitions, incidents, batches for the store.
#[divan::bench(args = [1_000, 100_000], sample_size = 2_000)]
fn probe_that_turns_the_state(bencher: Bencher<'_, '_>, checks: usize) {
    let mut engine = Engine::new(checks);
    let mut probes = 0_usize;
    bencher.bench_local(|| {
        engine.fails = (probes / checks).is_multiple_of(2);
        probes += 1;
        engine.probe();
    });
}

/// A shard and its coordinator at their pace, with probes that end at once.
struct Engine {
    shard: Shard,
    coordinator: Coordinator,
    now: Mono,
    /// Whether probes fail.
    fails: bool,
    started: VecDeque<(CheckKey, u64)>,
    effects: Vec<shard::Effect>,
    decided: Vec<coordinator::Effect>,
}

impl Engine {
    /// So many checks, each of which has been up for a while.
    fn new(number: usize) -> Self {
        let ids: Vec<Id> = (0..number).map(|check| Id::new(format!("check-{check}"))).collect();
        let mut engine = Self {
            shard: Shard::new(Mode::Daemon),
            coordinator: Coordinator::new(&Ledger::default(), at(Mono::ZERO)),
            now: Mono::ZERO,
            fails: false,
            started: VecDeque::new(),
            effects: Vec::new(),
            decided: Vec::new(),
        };
        let policy = Policy { fall: 1, rise: 1, ..Policy::default() };
        let wire = |id: &Id| CheckWiring {
            id: id.clone(),
            target: 1,
            actions: Vec::new(),
            alerts: Vec::new(),
            depends_on: Vec::new(),
            remind: policy.remind,
        };
        let wiring = Wiring { checks: ids.iter().map(wire).collect(), ..Wiring::default() };
        engine.coordinate(coordinator::Input::Replanned(wiring));
        let checks = ids
            .into_iter()
            .map(|id| CheckSpec { id, place: 0, policy: policy.into(), host: None, target: 1, manner: 1 })
            .collect();
        let limits = Limits { probes: 100_000, per_host: 100_000 };
        engine.schedule(shard::Input::Replanned { checks, limits, records: BTreeMap::new() });
        // By then every check is up, and no state changes any more.
        for _ in 0..3 * number {
            engine.probe();
        }
        engine
    }

    /// One probe from its due time to what was decided.
    fn probe(&mut self) {
        while self.started.is_empty() {
            self.now = self.shard.next_wake().expect("checks are due for ever").max(self.now);
            self.schedule(shard::Input::Wake);
        }
        let Some((check, attempt)) = self.started.pop_front() else { return };
        let latency = Duration::from_millis(3);
        let outcome = if self.fails {
            Outcome::fault(Fault::Refused, "connection refused", latency)
        } else {
            Outcome::pass(latency)
        };
        self.schedule(shard::Input::Probed { check, attempt, outcome });
    }

    fn schedule(&mut self, input: shard::Input) {
        let mut effects = std::mem::take(&mut self.effects);
        self.shard.handle(at(self.now), input, &mut effects);
        for effect in effects.drain(..) {
            match effect {
                shard::Effect::Probe { check, attempt, .. } => self.started.push_back((check, attempt)),
                shard::Effect::Reported(report) => self.coordinate(coordinator::Input::Reported(report)),
                other => drop(black_box(other)),
            }
        }
        self.effects = effects;
    }

    fn coordinate(&mut self, input: coordinator::Input) {
        self.coordinator.handle(at(self.now), input, &mut self.decided);
        self.decided.drain(..).for_each(|effect| drop(black_box(effect)));
    }
}

fn at(mono: Mono) -> Now {
    let passed = i64::try_from(mono.since_origin().as_millis()).unwrap_or(i64::MAX);
    Now { mono, wall: Wall::from_unix_millis(1_800_000_000_000 + passed) }
}
