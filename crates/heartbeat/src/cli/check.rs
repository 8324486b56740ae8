//! `heartbeat check`: probe now, print, keep nothing, alert nobody.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use heartbeat_core::outcome::Verdict;
use serde_json::{Value, json};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::args::Global;
use super::screen::{Ink, Screen};
use super::{configuration, find, load, runtime};
use crate::config::problem::did_you_mean;
use crate::exit::Exit;
use crate::host::clock;
use crate::plan::{self, Check, Plan};
use crate::probe::{self, Phases, Report, World};

/// What to do about a word that is no URL.
const HELP: &str = "a target needs its scheme, as in https://example.org/ or tcp://localhost:22";

/// Probes the targets, or every check of the configuration.
pub fn run(global: &Global, screen: Screen, targets: &[String]) -> Exit {
    let checks = match collect(global, screen, targets) {
        Ok(checks) => checks,
        Err(exit) => return exit,
    };
    runtime::block_on(probe_all(screen, checks)).unwrap_or_else(|error| {
        screen.error(error);
        Exit::Fault
    })
}

/// The checks that are meant, in the order of the arguments or the file.
fn collect(global: &Global, screen: Screen, targets: &[String]) -> Result<Vec<Arc<Check>>, Exit> {
    let refuse = |message: &str| {
        screen.error(message);
        Exit::Usage
    };
    let of_file = |needed: bool| -> Result<Option<Plan>, Exit> {
        if !needed {
            return Ok(None);
        }
        // Without a file a word can only be half a URL.
        if let Some(word) = targets.iter().find(|target| !target.contains("://"))
            && find::configuration(global).is_err()
        {
            let message = "is no URL, and there is no configuration in which it could be the id of a check";
            return Err(refuse(&format!("`{word}` {message}\n   = help: {HELP}")));
        }
        load(screen, &configuration(global, screen)?).map(Some)
    };
    let plan = of_file(targets.is_empty() || targets.iter().any(|target| !target.contains("://")))?;
    let Some(plan) = &plan else {
        return targets.iter().map(|target| one(screen, target)).collect();
    };
    if targets.is_empty() {
        return Ok(plan.checks.clone());
    }
    let by_id: BTreeMap<&str, &Arc<Check>> = plan.checks.iter().map(|check| (check.id.as_str(), check)).collect();
    targets
        .iter()
        .map(|target| match by_id.get(target.as_str()) {
            Some(check) => Ok(Arc::clone(check)),
            None if target.contains("://") => one(screen, target),
            None => {
                let help = did_you_mean(target, by_id.keys().copied()).unwrap_or_else(|| HELP.to_owned());
                Err(refuse(&format!("no check has the id `{target}`\n   = help: {help}")))
            }
        })
        .collect()
}

/// A target of the command line, with the built-in defaults.
fn one(screen: Screen, target: &str) -> Result<Arc<Check>, Exit> {
    let (plan, problems) = plan::load::one_target(target);
    match plan.and_then(|plan| plan.checks.into_iter().next()) {
        Some(check) if !problems.has_errors() => Ok(check),
        _ => {
            screen.problems(&problems);
            Err(Exit::Usage)
        }
    }
}

/// Probes everything concurrently and prints in order, each result as soon as those before it are there.
async fn probe_all(screen: Screen, checks: Vec<Arc<Check>>) -> Exit {
    let world = World::new();
    let places = Arc::new(Semaphore::new(plan::Limits::default().probes as usize));
    let mut tasks = JoinSet::new();
    for (index, check) in checks.iter().enumerate() {
        let prober = match check.spec.build(&world) {
            Ok(prober) => prober,
            Err(problem) => {
                screen.error(format_args!("check `{}`: {problem}", check.id));
                return Exit::Config;
            }
        };
        let (places, timeout) = (Arc::clone(&places), check.policy.timeout);
        tasks.spawn(async move {
            let _place = places.acquire().await;
            (index, probe::run(&*prober, timeout).await)
        });
    }
    let width = checks.iter().map(|check| check.id.chars().count()).max().unwrap_or(0).min(40);
    let mut waiting: BTreeMap<usize, Report> = BTreeMap::new();
    let mut next = 0;
    let mut exits = Vec::new();
    let mut progress = Progress::new(screen, checks.len());
    loop {
        let ended = tokio::select! {
            biased;
            ended = tasks.join_next() => ended,
            () = progress.tick() => {
                progress.show(exits.len());
                continue;
            }
        };
        let Some(ended) = ended else { break };
        let Ok((index, report)) = ended else {
            screen.error("a probe ended with a fault of our own");
            return Exit::Fault;
        };
        exits.push(Exit::from(report.outcome.verdict));
        waiting.insert(index, report);
        while let Some(report) = waiting.remove(&next) {
            progress.clear();
            print(screen, &checks[next], &report, width);
            next += 1;
        }
    }
    Exit::worst(exits)
}

/// How far a long work has come: one line on a terminal that gives way to every result. Nowhere else.
struct Progress {
    screen: Screen,
    total: usize,
    ticks: tokio::time::Interval,
    is_shown: bool,
}

impl Progress {
    /// What is over sooner needs none.
    const PATIENCE: Duration = Duration::from_secs(1);

    fn new(screen: Screen, total: usize) -> Self {
        let first = clock::instant(clock::mono() + Self::PATIENCE);
        let ticks = tokio::time::interval_at(first, Duration::from_millis(250));
        Self { screen, total, ticks, is_shown: false }
    }

    async fn tick(&mut self) {
        self.ticks.tick().await;
    }

    fn show(&mut self, done: usize) {
        self.screen.transient(format_args!("{done} of {} probed …", self.total));
        self.is_shown = true;
    }

    fn clear(&mut self) {
        if std::mem::take(&mut self.is_shown) {
            self.screen.transient("");
        }
    }
}

fn print(screen: Screen, check: &Check, report: &Report, width: usize) {
    if screen.wants_json() {
        screen.data(json_line(check, report));
        return;
    }
    let outcome = &report.outcome;
    let verdict = screen.paint(outcome.verdict.into(), format_args!("{:<5}", outcome.verdict.as_str()));
    let mut line = format!("{verdict} {:<width$}  {:>8}", check.id, millis(outcome.latency));
    if outcome.verdict != Verdict::Pass {
        let fault = outcome.fault.map(|fault| format!("{fault}: ")).unwrap_or_default();
        line.push_str(&format!("  {fault}{}", outcome.reason));
    }
    let phases = named(&report.phases).filter(|(name, _)| *name != "total");
    let phases: Vec<_> = phases.map(|(name, took)| format!("{} {}", name.replace('_', " "), millis(took))).collect();
    if !phases.is_empty() {
        line.push_str(&screen.paint(Ink::Faint, format_args!("  ({})", phases.join(", "))));
    }
    if let Some(performance) = &report.performance {
        line.push_str(&screen.paint(Ink::Faint, format_args!("  | {performance}")));
    }
    screen.data(line);
}

/// The object of `heartbeat check --json`.
pub fn json_line(check: &Check, report: &Report) -> Value {
    let outcome = &report.outcome;
    let phases: serde_json::Map<_, _> =
        named(&report.phases).map(|(name, took)| (name.to_owned(), fraction(took).into())).collect();
    let mut object = json!({
        "check": check.id.as_str(),
        "kind": check.kind.name,
        "target": check.spec.target(),
        "verdict": outcome.verdict.as_str(),
        "fault": outcome.fault.map(|fault| fault.as_str()),
        "reason": &*outcome.reason,
        "latency_ms": fraction(outcome.latency),
        "phases": phases,
    });
    if let Some(performance) = &report.performance {
        object["performance"] = performance.as_str().into();
    }
    object
}

/// The phases that happened, in their order.
fn named(phases: &Phases) -> impl Iterator<Item = (&'static str, Duration)> {
    [
        ("dns", phases.dns),
        ("connect", phases.connect),
        ("tls", phases.tls),
        ("first_byte", phases.first_byte),
        ("total", Some(phases.total)),
    ]
    .into_iter()
    .filter_map(|(name, took)| Some((name, took?)))
}

/// Milliseconds with three decimals.
fn fraction(took: Duration) -> f64 {
    (took.as_secs_f64() * 1_000_000.0).round() / 1000.0
}

fn millis(took: Duration) -> String {
    let millis = took.as_secs_f64() * 1000.0;
    if millis < 10.0 { format!("{millis:.1} ms") } else { format!("{millis:.0} ms") }
}
