//! The runner: has every check looked at in its time, and tells the board.
//!
//! When, how often and what follows is decided by core's [`Shard`]; here its effects are carried out by tasks of Tokio. The
//! runner itself never waits for a check: it gives its sign of life at least every [`PACE`], and if it cannot, because the
//! runtime is blocked or gone, the views fail closed.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use heartbeat_core::outcome::{Fault, Outcome};
use heartbeat_core::policy::{Limits, Policy};
use heartbeat_core::record::State;
use heartbeat_core::shard::{CheckKey, CheckSpec, Effect, Input, Mode, Report, Shard};
use heartbeat_core::{Id, Mono, Now};
use tokio::task::{self, AbortHandle, JoinError, JoinSet};
use tokio::time::Instant;

use crate::board::Board;
use crate::check::{self, Check};
use crate::clock;
use crate::observer::Observer;
use crate::view::Known;

/// How often it shows that it lives, at least.
const PACE: Duration = Duration::from_millis(500);

/// A check and how it is run.
pub(crate) struct Planned {
    pub(crate) id: Id,
    pub(crate) check: Arc<dyn Check>,
    pub(crate) policy: Policy,
}

/// Runs checks until it is dropped.
pub(crate) struct Runner {
    board: Arc<Board>,
    observer: Observer,
    shard: Shard,
    /// Where the shard's monotonic time begins.
    origin: Instant,
    checks: HashMap<Id, Course>,
    runs: JoinSet<Outcome>,
    /// Which attempt a task answers.
    attempts: HashMap<task::Id, (CheckKey, u64)>,
    /// The latest run of each check.
    latest: HashMap<CheckKey, AbortHandle>,
}

/// What becomes of one check.
struct Course {
    check: Arc<dyn Check>,
    timeout: Duration,
    state: State,
    known: Known,
}

impl Runner {
    /// A runner that has all to do yet.
    pub(crate) fn new(board: Arc<Board>, observer: Observer, planned: Vec<Planned>) -> Self {
        let spec = |planned: &Planned| CheckSpec {
            id: planned.id.clone(),
            place: 0,
            policy: planned.policy.into(),
            host: None,
            target: 0,
            manner: 0,
        };
        let specs = planned.iter().map(spec).collect();
        let course = |planned: Planned| {
            let Planned { id, check, policy } = planned;
            (id, Course { check, timeout: policy.timeout, state: State::Unknown, known: Known::default() })
        };
        let mut runner = Self {
            board,
            observer,
            shard: Shard::new(Mode::Daemon),
            origin: clock::tokio_now(),
            checks: planned.into_iter().map(course).collect(),
            runs: JoinSet::new(),
            attempts: HashMap::new(),
            latest: HashMap::new(),
        };
        let limits = Limits { probes: u32::MAX, per_host: u32::MAX };
        runner.handle(Input::Replanned { checks: specs, limits, records: BTreeMap::new() });
        runner
    }

    /// Runs without end.
    pub(crate) async fn run(mut self) {
        loop {
            self.board.beat();
            let pause = clock::tokio_now() + PACE;
            let wake = self.shard.next_wake().map_or(pause, |at| pause.min(self.origin + at.since_origin()));
            let ended = if self.runs.is_empty() {
                tokio::time::sleep_until(wake).await;
                None
            } else {
                tokio::time::timeout_at(wake, self.runs.join_next_with_id()).await.ok().flatten()
            };
            match ended {
                Some(ended) => self.ended(ended),
                None => self.handle(Input::Wake),
            }
        }
    }

    fn ended(&mut self, ended: Result<(task::Id, Outcome), JoinError>) {
        let (task, outcome) = match ended {
            Ok(ended) => ended,
            Err(error) => (error.id(), check::broken(error).outcome(Duration::ZERO)),
        };
        if let Some((check, attempt)) = self.attempts.remove(&task) {
            self.handle(Input::Probed { check, attempt, outcome });
        }
    }

    fn handle(&mut self, input: Input) {
        let now = Now { mono: Mono::from_origin(clock::tokio_now() - self.origin), wall: clock::wall() };
        let mut effects = Vec::new();
        self.shard.handle(now, input, &mut effects);
        for effect in effects {
            match effect {
                Effect::Probe { check, id, attempt, .. } => self.start(check, attempt, &id),
                Effect::Reported(report) => self.report(report),
                Effect::Stale { id } => self.stale(&id),
                // A run that its own timeout has not ended blocks its thread, and nobody can end it.
                Effect::Abandon { .. } => {}
                // The report that follows says more; and checks are never taken away.
                Effect::Fresh { .. } | Effect::Removed { .. } => {}
            }
        }
    }

    fn start(&mut self, check: CheckKey, attempt: u64, id: &Id) {
        let Some(course) = self.checks.get(id) else { return };
        // A check that blocks its thread outlives its end. A second run beside it would take the next thread.
        let run = if self.latest.get(&check).is_some_and(|run| !run.is_finished()) {
            self.runs.spawn(std::future::ready(check::still_running().outcome(Duration::ZERO)))
        } else {
            let run = self.runs.spawn(look(Arc::clone(&course.check), course.timeout));
            self.latest.insert(check, run.clone());
            run
        };
        self.attempts.insert(run.id(), (check, attempt));
    }

    fn report(&mut self, report: Report) {
        let Some(course) = self.checks.get_mut(&report.id) else { return };
        course.state = report.record.state;
        course.known = course.known.after(&report.record);
        self.board.know(&report.id, course.known.clone());
        if let Some(transition) = report.transition {
            self.observer.tell(transition);
        }
    }

    fn stale(&mut self, id: &Id) {
        let Some(course) = self.checks.get_mut(id) else { return };
        course.known = course.known.stale(course.state, "no run of the check has ended for three intervals");
        self.board.know(id, course.known.clone());
    }
}

/// Looks once, under the check's timeout.
async fn look(check: Arc<dyn Check>, timeout: Duration) -> Outcome {
    let started = clock::tokio_now();
    let looked = tokio::time::timeout(timeout, async { check.check().await }).await;
    let latency = clock::tokio_now() - started;
    match looked {
        Ok(verdict) => verdict.outcome(latency),
        Err(_) => Outcome::fault(Fault::Timeout, format!("no answer within {timeout:?}"), latency),
    }
}
