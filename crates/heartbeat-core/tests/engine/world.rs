//! A world for the engine: targets that answer as they are told, channels that accept or do not, a store, and a clock that
//! only moves when somebody moves it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use heartbeat_core::coordinator::{self, ActionWiring, CheckWiring, Coordinator, GroupWiring, Overlay, Wiring};
use heartbeat_core::delivery::{Delivery, Status};
use heartbeat_core::intent::{Destination, Event, Intent};
use heartbeat_core::journal::Journal;
use heartbeat_core::ledger::{Batch, Ledger};
use heartbeat_core::outcome::{Fault, Outcome, Verdict};
use heartbeat_core::policy::{Limits, Policy};
use heartbeat_core::shard::{self, CheckKey, CheckSpec, Mode, Report, Shard};
use heartbeat_core::state::step;
use heartbeat_core::{Id, Mono, Now, Wall};

/// What is configured.
#[derive(Clone, Debug, Default)]
pub(crate) struct Plan {
    pub(crate) checks: BTreeMap<Id, Check>,
    pub(crate) groups: Vec<GroupWiring>,
    pub(crate) actions: Vec<ActionWiring>,
    pub(crate) alerts: Vec<Id>,
    pub(crate) limits: Limits,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Check {
    pub(crate) policy: Policy,
    pub(crate) host: Option<Arc<str>>,
    pub(crate) target: u64,
    pub(crate) actions: Vec<Id>,
    pub(crate) alerts: Vec<Id>,
    pub(crate) depends_on: Vec<Id>,
}

impl Plan {
    fn wiring(&self) -> Wiring {
        let check = |(id, check): (&Id, &Check)| CheckWiring {
            id: id.clone(),
            target: check.target,
            actions: check.actions.clone(),
            alerts: check.alerts.clone(),
            depends_on: check.depends_on.clone(),
            remind: check.policy.remind,
        };
        Wiring {
            checks: self.checks.iter().map(check).collect(),
            groups: self.groups.clone(),
            actions: self.actions.clone(),
            alerts: self.alerts.clone(),
        }
    }

    fn specs(&self) -> Vec<CheckSpec> {
        let spec = |(id, check): (&Id, &Check)| CheckSpec {
            id: id.clone(),
            place: 0,
            policy: check.policy.into(),
            host: check.host.clone(),
            target: check.target,
            manner: check.target,
        };
        self.checks.iter().map(spec).collect()
    }
}

/// How a target behaves.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    pub(crate) outcome: Outcome,
    pub(crate) takes: Duration,
    /// Its probes get lost: there is never an answer.
    pub(crate) lost: bool,
}

/// How a channel behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Provider {
    Accepts,
    Unreachable,
    RefusesForGood,
}

/// Something that was decided.
#[derive(Clone, Debug)]
pub(crate) struct Decided {
    pub(crate) at: Duration,
    pub(crate) what: What,
}

#[derive(Clone, Debug)]
pub(crate) enum What {
    Moved(heartbeat_core::intent::Transition),
    Owed(Intent),
    Withheld(Id, Event, Arc<str>),
    Stale(Id),
    Fresh(Id),
}

/// A probe in flight.
#[derive(Clone, Debug)]
struct Flight {
    attempt: u64,
    deadline: Mono,
    ends: Option<Mono>,
    host: Option<Arc<str>>,
    outcome: Outcome,
}

pub(crate) struct World {
    pub(crate) now: Now,
    pub(crate) plan: Plan,
    pub(crate) ledger: Ledger,
    pub(crate) shard: Shard,
    pub(crate) coordinator: Coordinator,
    pub(crate) targets: BTreeMap<Id, Target>,
    pub(crate) providers: BTreeMap<Id, Provider>,
    pub(crate) decided: VecDeque<Decided>,
    /// Every start of a probe: when, of which check, how late.
    pub(crate) starts: Vec<(Mono, Id, Duration)>,
    /// The most probes in flight at once, by host; `None`: over all.
    pub(crate) crowd: BTreeMap<Option<Arc<str>>, usize>,
    /// Wake-ups of the shard.
    pub(crate) wakes: Vec<Mono>,
    /// Keys of all intents.
    pub(crate) keys: BTreeSet<Arc<str>>,
    pub(crate) mode: Mode,
    /// What the shard and the coordinator were told since the process started.
    pub(crate) told: (Journal<shard::Input>, Journal<coordinator::Input>),
    /// Outcomes that were reported.
    pub(crate) results: usize,
    flights: BTreeMap<CheckKey, Flight>,
    /// When flights end.
    ends: BTreeSet<(Mono, CheckKey)>,
    in_flight: BTreeMap<Option<Arc<str>>, usize>,
}

/// The wall clock at the start: 2025-11-24T16:00:00Z.
pub(crate) const DAWN: Wall = Wall::from_unix_millis(1_764_000_000_000);

impl World {
    pub(crate) fn new(plan: Plan, mode: Mode) -> Self {
        let now = Now { mono: Mono::ZERO, wall: DAWN };
        let mut world = Self {
            now,
            plan: Plan::default(),
            ledger: Ledger::default(),
            shard: Shard::new(mode),
            coordinator: Coordinator::new(&Ledger::default(), now),
            targets: BTreeMap::new(),
            providers: BTreeMap::new(),
            decided: VecDeque::new(),
            starts: Vec::new(),
            crowd: BTreeMap::new(),
            wakes: Vec::new(),
            keys: BTreeSet::new(),
            mode,
            told: Default::default(),
            results: 0,
            flights: BTreeMap::new(),
            ends: BTreeSet::new(),
            in_flight: BTreeMap::new(),
        };
        world.plan = plan;
        world
    }

    /// Puts the plan in force. Without `scheduled` the shard has no checks, and outcomes are told by hand.
    pub(crate) fn replan(&mut self, scheduled: bool) {
        self.coordinate(coordinator::Input::Replanned(self.plan.wiring()));
        if scheduled {
            let (checks, limits) = (self.plan.specs(), self.plan.limits);
            self.schedule(shard::Input::Replanned { checks, limits, records: self.ledger.checks.clone() });
        }
    }

    /// The process ends at once and a new one starts from the store.
    pub(crate) fn restart(&mut self, scheduled: bool) {
        self.shard = Shard::new(self.mode);
        self.coordinator = Coordinator::new(&self.ledger, self.now);
        self.told = Default::default();
        self.flights.clear();
        self.ends.clear();
        self.in_flight.clear();
        self.replan(scheduled);
        for alert in self.plan.alerts.clone() {
            self.settle(&alert);
        }
    }

    pub(crate) fn elapsed(&self) -> Duration {
        self.now.mono.since_origin()
    }

    /// Lets time go by, with all that happens in it.
    pub(crate) fn advance_to(&mut self, end: Duration) {
        let end = Mono::from_origin(end);
        loop {
            let answer = self.ends.first().map(|&(at, _)| at);
            let wake = self.shard.next_wake().into_iter().chain(self.coordinator.next_wake()).min();
            let Some(next) = answer.into_iter().chain(wake).min().filter(|next| *next <= end) else { break };
            self.tick(next.max(self.now.mono));
            self.answer();
            if self.shard.next_wake().is_some_and(|at| at <= self.now.mono) {
                self.wakes.push(self.now.mono);
                self.schedule(shard::Input::Wake);
            }
            if self.coordinator.next_wake().is_some_and(|at| at <= self.now.mono) {
                self.coordinate(coordinator::Input::Wake);
            }
        }
        self.tick(end);
    }

    /// Time goes by, and nobody is there to notice. Probes that should have ended meanwhile timed out.
    pub(crate) fn stand_still(&mut self, span: Duration) {
        self.tick(self.now.mono + span);
        let now = self.now.mono;
        for flight in self.flights.values_mut().filter(|flight| flight.deadline <= now) {
            flight.outcome = Outcome::fault(Fault::Timeout, "timed out", span);
        }
    }

    /// The wall clock is set, and nothing else happens.
    pub(crate) fn set_wall(&mut self, wall: Wall) {
        self.now.wall = wall;
    }

    /// The outcome of one probe, past the schedule.
    pub(crate) fn probed(&mut self, id: &Id, outcome: Outcome) {
        let policy = self.plan.checks[id].policy;
        let record = self.ledger.checks.get(id).cloned().unwrap_or_default();
        let (record, transition) = step(id, &record, &policy, &outcome, self.now.wall);
        self.coordinate(coordinator::Input::Reported(Report {
            id: id.clone(),
            record: record.into(),
            outcome,
            transition,
        }));
    }

    pub(crate) fn stale(&mut self, id: &Id) {
        self.coordinate(coordinator::Input::Stale(id.clone()));
    }

    pub(crate) fn fresh(&mut self, id: &Id) {
        self.coordinate(coordinator::Input::Fresh(id.clone()));
    }

    pub(crate) fn notice(&mut self, text: &str, except: Option<Id>) {
        self.coordinate(coordinator::Input::Notice { text: Arc::from(text), except });
    }

    pub(crate) fn drain(&mut self, begins: bool) {
        let overlay = || Overlay { word: Arc::from("drain"), since: self.now.wall, reason: Arc::from("") };
        let overlay = begins.then(overlay);
        self.coordinate(coordinator::Input::Overlay(overlay));
    }

    pub(crate) fn provider(&mut self, alert: &Id, provider: Provider) {
        self.providers.insert(alert.clone(), provider);
        self.settle(alert);
    }

    fn tick(&mut self, to: Mono) {
        let passed = to.since(self.now.mono);
        self.now = Now { mono: to, wall: self.now.wall + passed };
    }

    /// Hands in the probes that have ended.
    fn answer(&mut self) {
        let now = self.now.mono;
        while let Some((_, check)) = self.ends.first().copied().filter(|(at, _)| *at <= now) {
            let Some(Flight { attempt, outcome, .. }) = self.land(check) else { unreachable!("ends are of flights") };
            self.schedule(shard::Input::Probed { check, attempt, outcome });
        }
    }

    pub(crate) fn schedule(&mut self, input: shard::Input) {
        let mut effects = Vec::new();
        self.told.0.note(self.now, &input);
        self.shard.handle(self.now, input, &mut effects);
        for effect in effects {
            match effect {
                shard::Effect::Probe { check, id, attempt, deadline, late, .. } => {
                    self.start(check, id, attempt, deadline, late)
                }
                shard::Effect::Abandon { check, attempt } => {
                    let known = self.land(check);
                    assert!(known.is_none_or(|flight| flight.attempt == attempt), "abandons another attempt");
                }
                shard::Effect::Reported(report) => self.coordinate(coordinator::Input::Reported(report)),
                shard::Effect::Stale { id } => {
                    self.note(What::Stale(id.clone()));
                    self.stale(&id);
                }
                shard::Effect::Fresh { id } => {
                    self.note(What::Fresh(id.clone()));
                    self.fresh(&id);
                }
                shard::Effect::Removed { check, .. } => assert!(!self.flights.contains_key(&check)),
            }
        }
    }

    fn start(&mut self, check: CheckKey, id: Id, attempt: u64, deadline: Mono, late: Duration) {
        let now = self.now.mono;
        let pass = || Target { outcome: Outcome::pass(Duration::ZERO), takes: Duration::from_millis(10), lost: false };
        let Target { mut outcome, takes, lost } = self.targets.get(&id).cloned().unwrap_or_else(pass);
        let timeout = deadline.since(now);
        outcome.latency = takes;
        if takes >= timeout {
            outcome = Outcome::fault(Fault::Timeout, "timed out", timeout);
        }
        let ends = (!lost).then(|| now + takes.min(timeout));
        self.starts.push((now, id.clone(), late));
        let host = self.plan.checks.get(&id).and_then(|check| check.host.clone());
        let flight = Flight { attempt, deadline, ends, host: host.clone(), outcome };
        self.ends.extend(ends.map(|at| (at, check)));
        let twice = self.flights.insert(check, flight);
        assert!(twice.is_none(), "two attempts in flight for one check: {twice:?}");
        for host in [None, host].into_iter().collect::<BTreeSet<_>>() {
            let now = self.in_flight.entry(host.clone()).or_default();
            *now += 1;
            let most = self.crowd.entry(host).or_default();
            *most = (*most).max(*now);
        }
    }

    fn land(&mut self, check: CheckKey) -> Option<Flight> {
        let flight = self.flights.remove(&check)?;
        if let Some(at) = flight.ends {
            self.ends.remove(&(at, check));
        }
        for host in [None, flight.host.clone()].into_iter().collect::<BTreeSet<_>>() {
            *self.in_flight.get_mut(&host).expect("counted at the start") -= 1;
        }
        Some(flight)
    }

    fn coordinate(&mut self, input: coordinator::Input) {
        let mut effects = Vec::new();
        self.told.1.note(self.now, &input);
        self.coordinator.handle(self.now, input, &mut effects);
        for effect in effects {
            match effect {
                coordinator::Effect::Commit(batch) => self.commit(batch),
                coordinator::Effect::Withheld { subject, event, why } => self.note(What::Withheld(subject, event, why)),
            }
        }
    }

    fn commit(&mut self, batch: Batch) {
        self.ledger.apply(&batch);
        self.results += batch.results.len();
        for transition in batch.transitions {
            self.note(What::Moved(transition));
        }
        let mut alerts = BTreeSet::new();
        for Delivery { intent, .. } in batch.deliveries {
            let key = intent.key.clone();
            assert!(key.bytes().all(|byte| byte.is_ascii_graphic()), "{key}");
            assert!(self.keys.insert(key), "two intents with one key: {}", intent.key);
            match &intent.to {
                Destination::Alert(alert) => {
                    alerts.insert(alert.clone());
                }
                Destination::Action(_) => self.settle_one(&intent.key, true),
            }
            self.note(What::Owed(intent));
        }
        for alert in alerts {
            self.settle(&alert);
        }
    }

    /// Delivers what is owed to an alert, if its provider answers.
    fn settle(&mut self, alert: &Id) {
        let accepted = match self.providers.get(alert).copied().unwrap_or(Provider::Accepts) {
            Provider::Accepts => true,
            Provider::RefusesForGood => false,
            Provider::Unreachable => return,
        };
        let owed = |delivery: &&Delivery| delivery.intent.to == Destination::Alert(alert.clone());
        let mut due: Vec<Delivery> = self.ledger.outbox.values().filter(owed).cloned().collect();
        due.sort_by_key(|delivery| delivery.sequence);
        for delivery in due {
            self.settle_one(&delivery.intent.key, accepted);
        }
    }

    fn settle_one(&mut self, key: &str, accepted: bool) {
        let mut delivery = self.ledger.outbox[key].clone();
        delivery.status = if accepted { Status::Done(self.now.wall) } else { Status::Dead(self.now.wall) };
        self.ledger.apply(&Batch { deliveries: vec![delivery.clone()], ..Batch::default() });
        let Intent { to, subject, incident, .. } = delivery.intent;
        self.coordinate(coordinator::Input::Settled { to, subject, incident, accepted });
    }

    fn note(&mut self, what: What) {
        self.decided.push_back(Decided { at: self.elapsed(), what });
    }
}

/// An outcome in a word.
pub(crate) fn outcome(verdict: Verdict, reason: &str) -> Outcome {
    match verdict {
        Verdict::Pass => Outcome::pass(Duration::ZERO),
        Verdict::Warn => Outcome::warn(Fault::Latency, reason, Duration::ZERO),
        Verdict::Fail => Outcome::fault(Fault::Refused, reason, Duration::ZERO),
        Verdict::Local => Outcome::fault(Fault::Network, reason, Duration::ZERO),
    }
}
