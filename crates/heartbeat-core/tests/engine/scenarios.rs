//! Runs every file in `scenarios/`: each is one sentence about what heartbeat decides, as a timeline that an operator can
//! read. Everything that is decided must be expected, in order; nothing may be left over.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::Duration;

use heartbeat_core::intent::{Destination, Event, Intent};
use heartbeat_core::shard::Mode;
use heartbeat_core::{Id, Mono};

use crate::script::{Expectation, Happening, Statement, parse};
use crate::world::{Decided, Plan, Target, What, World, outcome};

#[test]
fn every_scenario_holds() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios");
    let mut files: Vec<_> = fs::read_dir(&folder)
        .expect("the folder of the scenarios")
        .map(|entry| entry.expect("an entry of the folder").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "txt"))
        .collect();
    files.sort();
    assert!(!files.is_empty(), "no scenarios in {}", folder.display());
    let mut problems = Vec::new();
    for file in files {
        let text = fs::read_to_string(&file).expect("a readable scenario");
        if let Err(problem) = run(&text) {
            problems.push(format!("{}: {problem}", file.file_name().unwrap_or_default().display()));
        }
    }
    assert!(problems.is_empty(), "\n{}", problems.join("\n"));
}

#[test]
fn what_a_scenario_does_not_expect_fails_it() {
    let broken = [
        (
            "check web: fall 1\nat 0s web fails \"no\"\nat 1s web passes\nexpect nothing",
            "not expected: web unknown -> down: no",
        ),
        ("expect nothing\ncheck web: fall 1\nat 0s web fails \"no\"", "not expected: web unknown -> down: no"),
        ("check web:\nat 0s nothing happens\nexpect web unknown -> up", "expected and missing"),
        ("check web:\nat 0s web passes\nexpect web unknown -> down", "found: web unknown -> up"),
        ("check web:\nat 0s web passes\nexpect nothing\nexpect web unknown -> up", "not expected: web unknown -> up"),
        ("check web:\nat 5s web passes\nexpect at 4s web unknown -> up", "at 5s"),
        ("check web: colour blue", "unknown option `colour`"),
        ("check web:\nat 0s web sleeps", "unknown word `sleeps`"),
        ("check web:\nat 0s web passes loudly", "`loudly` is left over"),
        ("check web:\nat 5s web passes\nexpect web unknown -> up\nat 4s nothing happens", "time goes back"),
        ("check web:", "nothing is expected"),
        (
            "probes run by the clock\ncheck web: interval 60s\nat 10m nothing happens\nexpect 99 probes of web",
            "was probed 11 times",
        ),
    ];
    for (text, wanted) in broken {
        let problem = run(text).expect_err(text);
        assert!(problem.contains(wanted), "{text}: {problem}");
    }
}

/// A scenario on its way.
struct Run {
    world: World,
    by_the_clock: bool,
    hide_transitions: bool,
    started: bool,
    /// The previous `at`: what is measured is measured since then.
    since: Mono,
}

fn run(text: &str) -> Result<(), String> {
    let mut run = Run {
        world: World::new(Plan::default(), Mode::Daemon),
        by_the_clock: false,
        hide_transitions: false,
        started: false,
        since: Mono::ZERO,
    };
    let lines = parse(text)?;
    if !lines.iter().any(|(_, statement)| matches!(statement, Statement::Expect(_))) {
        return Err("nothing is expected".into());
    }
    for (number, statement) in lines {
        run.obey(statement).map_err(|problem| format!("line {number}: {problem}"))?;
    }
    run.nothing_left()
}

impl Run {
    fn obey(&mut self, statement: Statement) -> Result<(), String> {
        match statement {
            Statement::ByTheClock => self.by_the_clock = true,
            Statement::HideTransitions => self.hide_transitions = true,
            Statement::Configure(_) if self.started => return Err("the plan changes by a reload only".into()),
            Statement::Configure(edit) => edit.apply(&mut self.world.plan),
            Statement::At(at, happening) => {
                self.nothing_left()?;
                if at < self.world.elapsed() {
                    return Err("time goes back".into());
                }
                let behaviour = matches!(happening, Happening::Behaves(..) | Happening::Takes(..) | Happening::Lost(_));
                if !self.started && behaviour && at.is_zero() {
                    return self.happen(happening);
                }
                if !self.started {
                    self.started = true;
                    self.world.replan(self.by_the_clock);
                }
                self.since = self.world.now.mono;
                self.world.advance_to(at);
                self.happen(happening)?;
            }
            Statement::Expect(expectation) => self.expect(expectation)?,
        }
        Ok(())
    }

    fn happen(&mut self, happening: Happening) -> Result<(), String> {
        let world = &mut self.world;
        match happening {
            Happening::Nothing => {}
            Happening::Probed(..) | Happening::Stale(_) | Happening::Fresh(_) if self.by_the_clock => {
                return Err("probes run by the clock: say how targets behave, not what is found".into());
            }
            Happening::Behaves(..) | Happening::Takes(..) | Happening::Lost(_) if !self.by_the_clock => {
                return Err("write every result out, or `probes run by the clock`".into());
            }
            Happening::Probed(id, found, pace) => {
                if !world.plan.checks.contains_key(&id) {
                    return Err(format!("no check `{id}`"));
                }
                world.probed(&id, found.clone());
                let Some((pace, until)) = pace else { return Ok(()) };
                let mut at = world.elapsed() + pace;
                while at <= until {
                    world.advance_to(at);
                    world.probed(&id, found.clone());
                    at += pace;
                }
            }
            Happening::Stale(id) => world.stale(&id),
            Happening::Fresh(id) => world.fresh(&id),
            Happening::Behaves(ids, found) => {
                ids.iter().for_each(|id| target(world, id).outcome = found.clone());
                ids.iter().for_each(|id| target(world, id).lost = false);
            }
            Happening::Takes(ids, takes) => ids.iter().for_each(|id| target(world, id).takes = takes),
            Happening::Lost(ids) => ids.iter().for_each(|id| target(world, id).lost = true),
            Happening::Provider(alert, provider) => world.provider(&alert, provider),
            Happening::Notice(text) => world.notice(&text, None),
            Happening::Restart => world.restart(self.by_the_clock),
            Happening::StandsStill(span) => world.stand_still(span),
            Happening::WallJumps { span, back } => {
                let wall = world.now.wall;
                world.set_wall(if back { wall - span } else { wall + span });
            }
            Happening::Drain { begins } => world.drain(begins),
            Happening::Reload(edits) => {
                edits.into_iter().for_each(|edit| edit.apply(&mut world.plan));
                world.replan(self.by_the_clock);
            }
        }
        Ok(())
    }

    fn expect(&mut self, expectation: Expectation) -> Result<(), String> {
        let (since, until) = (self.since, self.world.now.mono);
        let inside = |at: Mono| since <= at && at < until;
        let starts = self.world.starts.iter().filter(|(at, ..)| inside(*at));
        match expectation {
            Expectation::Nothing => self.nothing_left(),
            Expectation::Decided(at, text) => self.expect_decided(at, &text),
            Expectation::Probes(range, ids) => {
                let mut counts: BTreeMap<&Id, usize> = ids.iter().map(|id| (id, 0)).collect();
                for (_, id, _) in starts {
                    counts.entry(id).and_modify(|count| *count += 1);
                }
                ids.iter().try_for_each(|id| {
                    demand(range.contains(&counts[id]), || format!("{id} was probed {} times", counts[id]))
                })
            }
            Expectation::Apart(id, apart) => {
                let times: Vec<Mono> = starts.filter(|(_, other, _)| *other == id).map(|(at, ..)| *at).collect();
                let gaps: Vec<Duration> = times.windows(2).map(|pair| pair[1].since(pair[0])).collect();
                let even = !gaps.is_empty() && gaps.iter().all(|gap| gap.abs_diff(apart) <= Duration::from_millis(50));
                demand(even, || format!("probes of {id} were apart: {gaps:?}"))
            }
            Expectation::AtOnce(most, host) => {
                let seen = self.world.crowd.get(&host).copied().unwrap_or_default();
                demand(seen <= most && seen > 0, || format!("{seen} at once"))
            }
            Expectation::Starts(most, span) => {
                let seen = densest(starts.map(|(at, ..)| *at), span);
                demand(seen <= most && seen > 0, || format!("{seen} starts within {span:?}"))
            }
            Expectation::Wakes(most, span) => {
                let seen = densest(self.world.wakes.iter().copied().filter(|at| inside(*at)), span);
                demand(seen <= most && seen > 0, || format!("{seen} wake-ups within {span:?}"))
            }
            Expectation::Late(most) => {
                let worst = starts.map(|(.., late)| *late).max().ok_or("nothing was probed")?;
                demand(worst <= most, || format!("a probe started {worst:?} late"))
            }
            Expectation::State(id, state) => {
                let record = self.world.coordinator.record(&id);
                let found = record.map_or("unknown", |record| record.state.as_str());
                demand(found == state, || format!("{id} is {found}"))
            }
            Expectation::FailCount(id, wanted) => {
                let found = self.world.coordinator.record(&id).map_or(0, |record| record.fail_count);
                demand(found == wanted, || format!("{id} has a fail count of {found}"))
            }
        }
    }

    fn expect_decided(&mut self, at: Option<Duration>, text: &str) -> Result<(), String> {
        let Some(decided) = self.next() else { return Err(format!("expected and missing: {text}")) };
        let (short, long) = describe(&decided.what);
        if text != short && text != long {
            return Err(format!("expected: {text}; found: {long}"));
        }
        demand(at.is_none_or(|at| at == decided.at), || format!("{long} came at {:?}", decided.at))
    }

    fn next(&mut self) -> Option<Decided> {
        loop {
            let decided = self.world.decided.pop_front()?;
            if !(self.hide_transitions && matches!(decided.what, What::Moved(_))) {
                return Some(decided);
            }
        }
    }

    fn nothing_left(&mut self) -> Result<(), String> {
        match self.next() {
            Some(decided) => Err(format!("not expected: {} (at {:?})", describe(&decided.what).1, decided.at)),
            None => Ok(()),
        }
    }
}

fn target<'a>(world: &'a mut World, id: &Id) -> &'a mut Target {
    let pass = || Target {
        outcome: outcome(heartbeat_core::outcome::Verdict::Pass, ""),
        takes: Duration::from_millis(10),
        lost: false,
    };
    world.targets.entry(id.clone()).or_insert_with(pass)
}

fn demand(holds: bool, otherwise: impl FnOnce() -> String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(otherwise()) }
}

/// The most times within a span.
fn densest(times: impl Iterator<Item = Mono>, span: Duration) -> usize {
    let times: Vec<Mono> = times.collect();
    (0..times.len())
        .map(|first| times[first..].iter().take_while(|at| at.since(times[first]) < span).count())
        .max()
        .unwrap_or(0)
}

/// What was decided in words, without and with details.
fn describe(what: &What) -> (String, String) {
    let both = |text: String| (text.clone(), text);
    match what {
        What::Moved(step) if step.reason.is_empty() => both(format!("{} {} -> {}", step.subject, step.from, step.to)),
        What::Moved(step) => {
            let short = format!("{} {} -> {}", step.subject, step.from, step.to);
            (short.clone(), format!("{short}: {}", step.reason))
        }
        What::Owed(intent) => describe_intent(intent),
        What::Withheld(subject, event, why) => {
            let short = format!("withheld: {subject} {}", event.as_str());
            (short.clone(), format!("{short}, {why}"))
        }
        What::Stale(id) => both(format!("{id} becomes stale")),
        What::Fresh(id) => both(format!("{id} becomes fresh")),
    }
}

fn describe_intent(intent: &Intent) -> (String, String) {
    let subject = intent.subject.as_deref().unwrap_or("nobody");
    let event = intent.event.as_str();
    let facts = &intent.facts;
    match &intent.to {
        Destination::Action(action) => {
            let short = format!("{action} runs {event}");
            (short.clone(), format!("{short} because of {subject}"))
        }
        Destination::Alert(alert) if intent.event == Event::Notice => {
            (format!("{alert} hears a notice"), format!("{alert} hears a notice: {}", facts.reason))
        }
        Destination::Alert(alert) => {
            let short = format!("{alert} hears: {subject} {event}");
            let reason = if facts.reason.is_empty() { String::new() } else { format!(", {}", facts.reason) };
            let lasted = facts.duration.map_or(String::new(), |span| format!(", after {span:?}"));
            let long = format!(
                "{short} ({} -> {}{reason}, {} failures{lasted})",
                facts.previous_state, facts.state, facts.fail_count
            );
            (short, long)
        }
    }
}
