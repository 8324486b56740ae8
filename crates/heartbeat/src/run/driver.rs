//! The driver: carries inputs to the engine and its effects to the world.
//!
//! It decides nothing and waits for nothing: a commit goes to the [`committer`](super::committer), a probe to the
//! [`pool`](super::pool). One driver owns the shard and the coordinator, so that they need no locks.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use heartbeat_core::coordinator::{self, Coordinator};
use heartbeat_core::intent::{Destination, Intent, Transition};
use heartbeat_core::lateness::Lateness;
use heartbeat_core::ledger::{Batch, Ledger};
use heartbeat_core::outcome::{Outcome, Verdict};
use heartbeat_core::record::{CheckRecord, State};
use heartbeat_core::shard::{self, Mode, Shard};
use heartbeat_core::{Id, Mono, Now};
use heartbeat_responder::Board;
use heartbeat_responder::flag::Drain;
use heartbeat_responder::view::Known;
use jiff::tz::TimeZone;
use tokio::sync::mpsc;

use super::build::Built;
use super::committer::Committer;
use super::late::Late;
use super::pool::{Done, Pool};
use super::{board, drained, leftovers};
use crate::host::{clock, zone};
use crate::message;
use crate::plan::responder::FLAG;
use crate::plan::{Action, Plan};

/// What happened, for those who watch: a terminal, the demonstration.
#[derive(Clone, Debug)]
pub enum News {
    /// A probe has ended and counts.
    Probed(Id, Outcome),
    /// A check or group has another state.
    Moved(Transition),
}

/// Owns the engine. See the [module](self).
pub struct Driver {
    built: Built,
    shard: Shard,
    coordinator: Coordinator,
    pool: Pool,
    committer: Committer,
    node: Arc<str>,
    zone: TimeZone,
    /// Only a daemon has times that a probe can miss.
    mode: Mode,
    late: Late,
    stood_still: Duration,
    /// What of ours keeps a check from being probed.
    local: BTreeMap<Id, Arc<str>>,
    /// Why a check is not known any more.
    stale: BTreeMap<Id, String>,
    watchers: Option<mpsc::UnboundedSender<News>>,
    /// Where load balancers are told.
    board: Option<Arc<Board>>,
    /// What has been decided in this turn.
    decided: Batch,
    /// Room for what one turn leads to; empty between two.
    effects: Vec<shard::Effect>,
    decisions: Vec<coordinator::Effect>,
}

impl Driver {
    /// A driver over what the store remembers. Nothing happens before [`begin`](Self::begin).
    pub fn new(mode: Mode, built: Built, ledger: &Ledger, pool: Pool, committer: Committer, node: Arc<str>) -> Self {
        Self {
            built,
            shard: Shard::new(mode),
            coordinator: Coordinator::new(ledger, clock::now()),
            pool,
            committer,
            node,
            zone: zone::local(),
            mode,
            late: Late::default(),
            stood_still: Duration::ZERO,
            local: BTreeMap::new(),
            stale: BTreeMap::new(),
            watchers: None,
            board: None,
            decided: Batch::default(),
            effects: Vec::new(),
            decisions: Vec::new(),
        }
    }

    /// Shows on a board what is known, from the next [`begin`](Self::begin) on.
    pub fn show_on(&mut self, board: Arc<Board>) {
        self.board = Some(board);
    }

    /// Tells somebody what happens from now on.
    pub fn watch(&mut self) -> mpsc::UnboundedReceiver<News> {
        let (news, watcher) = mpsc::unbounded_channel();
        self.watchers = Some(news);
        watcher
    }

    /// Begins to work. `records` is what the store remembers of the checks.
    pub fn begin(&mut self, records: BTreeMap<Id, Arc<CheckRecord>>) {
        let (wiring, checks) = self.built.take_wiring();
        self.coordinate(coordinator::Input::Replanned(wiring));
        self.schedule(shard::Input::Replanned { checks, limits: self.built.plan.limits, records });
        self.show_all();
    }

    /// Shows the plan with all that is known, at once.
    fn show_all(&mut self) {
        if let (Some(board), Some(mut layout)) = (&self.board, self.built.layout.take()) {
            for service in &mut layout.services {
                service.known = self.known(&service.id);
            }
            board.replace(layout);
        }
    }

    /// Shows what is known of a check or group.
    fn show(&self, id: &Id) {
        if let Some(board) = &self.board {
            board.know(id, self.known(id));
        }
    }

    fn known(&self, id: &Id) -> Known {
        let record = self.coordinator.record(id);
        record.map(|record| board::known(record, self.stale.get(id).map(String::as_str))).unwrap_or_default()
    }

    /// What the flag says about this server: to be remembered and told like the state of a check.
    pub fn flagged(&mut self, drain: Option<&Drain>) {
        let record = self.coordinator.record(FLAG).cloned().unwrap_or_default();
        if let Some(report) = drained::report(&record, drain, clock::wall()) {
            self.coordinate(coordinator::Input::Reported(report));
        }
    }

    /// Works by another plan from now on; checks that are in both keep their state and their place in the schedule.
    pub fn replan(&mut self, built: Built) {
        let old = std::mem::replace(&mut self.built, built);
        self.begin(BTreeMap::new());
        leftovers::clear(old);
    }

    /// The plan in force.
    pub fn plan(&self) -> &Arc<Plan> {
        &self.built.plan
    }

    /// States and verdicts as the engine knows them now, without what only the outbox knows. Of very many checks it takes
    /// long to put them in order: that is left to the caller, beside the loop.
    pub fn remembered(&self) -> impl FnOnce() -> Ledger + Send + use<> {
        let plan = &self.built.plan;
        let checks = plan.checks.iter().map(|check| &check.id);
        let groups = plan.groups.iter().map(|group| &group.about.id);
        let record = |id: &Id| Some((id.clone(), self.coordinator.record(id)?.clone()));
        let action = |action: &Arc<Action>| Some((action.id.clone(), self.coordinator.action(&action.id)?.clone()));
        let checks: Vec<_> = checks.chain(groups).filter_map(record).collect();
        let actions: Vec<_> = plan.actions.iter().filter_map(action).collect();
        move || Ledger {
            checks: checks.into_iter().collect(),
            actions: actions.into_iter().collect(),
            ..Ledger::default()
        }
    }

    /// Why some checks are not known any more.
    pub fn stale(&self) -> &BTreeMap<Id, String> {
        &self.stale
    }

    /// How late probes started.
    pub const fn lateness(&self) -> &Lateness {
        self.shard.lateness()
    }

    /// When [`wake`](Self::wake) is due.
    pub fn next_wake(&mut self) -> Option<Mono> {
        let deadline = self.pool.next_deadline();
        [self.shard.next_wake(), self.coordinator.next_wake(), deadline].into_iter().flatten().min()
    }

    /// Whether a single round is over.
    pub fn is_idle(&self) -> bool {
        self.shard.is_idle()
    }

    /// Does what is due.
    pub fn wake(&mut self) {
        let now = clock::now();
        self.end_overdue(now);
        self.shard.handle(now, shard::Input::Wake, &mut self.effects);
        self.carry_out(now);
        self.decide(now, coordinator::Input::Wake);
        self.hand_over();
    }

    /// Takes the results of probes in that have ended at about the same time, and of those whose time is over.
    pub fn probed(&mut self, ended: impl IntoIterator<Item = Done>) {
        let now = clock::now();
        for done in ended {
            self.pool.ended(done.check, done.attempt);
            self.judge(now, done);
        }
        self.end_overdue(now);
        self.carry_out(now);
    }

    fn end_overdue(&mut self, now: Now) {
        while let Some(done) = self.pool.overdue(now.mono) {
            self.judge(now, done);
        }
    }

    fn judge(&mut self, now: Now, Done { check, attempt, report }: Done) {
        self.shard.handle(now, shard::Input::Probed { check, attempt, outcome: report.outcome }, &mut self.effects);
    }

    /// Tells the coordinator of what became of a delivery, or of a fault of our own.
    pub fn coordinate(&mut self, input: coordinator::Input) {
        self.decide(clock::now(), input);
        self.hand_over();
    }

    fn decide(&mut self, now: Now, input: coordinator::Input) {
        let mut decisions = std::mem::take(&mut self.decisions);
        self.coordinator.handle(now, input, &mut decisions);
        for decision in decisions.drain(..) {
            match decision {
                coordinator::Effect::Commit(batch) => self.commit(batch),
                coordinator::Effect::Withheld { subject, event, why } => {
                    tracing::info!(check = %subject, event = event.as_str(), "withheld: {why}");
                }
            }
        }
        self.decisions = decisions;
    }

    /// Starts nothing any more.
    pub fn stop(&mut self) {
        self.schedule(shard::Input::Stop);
    }

    /// Resolves when the outbox has heard of every decision that was made so far.
    pub fn settle_commits(&self) -> impl Future<Output = ()> + use<> {
        self.committer.passed_on()
    }

    fn schedule(&mut self, input: shard::Input) {
        let now = clock::now();
        self.shard.handle(now, input, &mut self.effects);
        self.carry_out(now);
    }

    /// Carries out what the shard wants, in its order.
    fn carry_out(&mut self, now: Now) {
        self.tell_standstill();
        let mut effects = std::mem::take(&mut self.effects);
        for effect in effects.drain(..) {
            match effect {
                shard::Effect::Probe { check, place, attempt, deadline, late, .. } => {
                    if self.mode == Mode::Daemon {
                        self.late.note(late, now.mono);
                    }
                    let (prober, timeout) = (self.built.prober(place), deadline.since(now.mono));
                    self.pool.start(check, attempt, Arc::clone(prober), timeout);
                }
                shard::Effect::Abandon { check, .. } => self.pool.abandon(check),
                shard::Effect::Reported(report) => {
                    self.tell_watchers(|| News::Probed(report.id.clone(), report.outcome.clone()));
                    tracing::debug!(
                        check = %report.id,
                        verdict = report.outcome.verdict.as_str(),
                        "probed {}",
                        report.outcome.reason
                    );
                    self.tell_local(&report);
                    // A pass that brings no transition changes nothing that is shown.
                    let failed = (report.outcome.verdict != Verdict::Pass).then(|| report.id.clone());
                    self.decide(now, coordinator::Input::Reported(report));
                    if let Some(id) = failed {
                        self.show(&id);
                    }
                }
                shard::Effect::Stale { id } => {
                    let because = self.local.get(&id).map(|reason| format!(": {reason}")).unwrap_or_default();
                    let why = format!("no probe has been completed for three intervals{because}");
                    tracing::warn!(check = %id, "stale: {why}");
                    self.stale.insert(id.clone(), why);
                    self.decide(now, coordinator::Input::Stale(id.clone()));
                    self.show(&id);
                }
                shard::Effect::Fresh { id } => {
                    tracing::info!(check = %id, "probed again");
                    self.stale.remove(&id);
                    self.decide(now, coordinator::Input::Fresh(id.clone()));
                    self.show(&id);
                }
                shard::Effect::Removed { id, .. } => {
                    self.stale.remove(&id);
                    self.local.remove(&id);
                }
            }
        }
        self.effects = effects;
        self.hand_over();
    }

    /// A fault of ours counts neither way; the log says so when it begins or is another one.
    fn tell_local(&mut self, report: &shard::Report) {
        let shard::Report { id, outcome, .. } = report;
        if outcome.verdict != Verdict::Local {
            self.local.remove(id);
        } else if self.local.get(id) != Some(&outcome.reason) {
            tracing::warn!(check = %id, "{id} cannot be probed, which counts neither way: {}", outcome.reason);
            self.local.insert(id.clone(), outcome.reason.clone());
        }
    }

    fn tell_standstill(&mut self) {
        let before = std::mem::replace(&mut self.stood_still, self.shard.stood_still());
        let missed = self.stood_still.saturating_sub(before);
        if !missed.is_zero() {
            tracing::warn!(
                "the scheduler stood still for {:.1} s (a suspend, a stopped or starved process): probes that were missed \
                 are not caught up, and timeouts of that time do not count",
                missed.as_secs_f64()
            );
        }
    }

    /// Gives every intent its text. What has been decided goes to the store together when the turn is over.
    fn commit(&mut self, mut batch: Batch) {
        for delivery in &mut batch.deliveries {
            if delivery.intent.message.is_empty() {
                delivery.intent.message = self.message(&delivery.intent).into();
            }
            let Intent { key, to, .. } = &delivery.intent;
            match to {
                Destination::Action(id) => tracing::info!("action {id}: {key} is owed"),
                Destination::Alert(id) => tracing::info!("alert {id}: {key} is owed"),
            }
        }
        for transition in &batch.transitions {
            log(transition);
            self.show(&transition.subject);
            self.tell_watchers(|| News::Moved(transition.clone()));
        }
        self.decided.append(batch);
    }

    /// The end of a turn: what has been decided in it is one transaction.
    fn hand_over(&mut self) {
        if !self.decided.is_empty() {
            self.committer.commit(std::mem::take(&mut self.decided));
        }
    }

    /// Once they have gone, nothing is put together for them any more.
    fn tell_watchers(&mut self, news: impl FnOnce() -> News) {
        self.watchers.take_if(|watchers| watchers.is_closed());
        if let Some(watchers) = &self.watchers {
            let _ = watchers.send(news());
        }
    }

    fn message(&self, intent: &Intent) -> String {
        let (about, texts, style) = self.built.wording(intent.subject.as_ref(), &self.zone);
        message::render(intent, about.as_deref(), texts, &style, &self.node)
    }
}

/// A transition in the log, as loud as it is bad.
fn log(transition: &Transition) {
    let Transition { subject, from, to, reason, epoch, .. } = transition;
    let because = if reason.is_empty() { String::new() } else { format!(": {reason}") };
    match to {
        State::Down | State::Degraded => {
            tracing::warn!(check = %subject, from = from.as_str(), epoch, "{subject} is {to}{because}");
        }
        State::Up | State::Unknown => {
            tracing::info!(check = %subject, from = from.as_str(), epoch, "{subject} is {to}{because}");
        }
    }
}
