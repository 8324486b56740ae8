//! What holds whatever happens: random configurations under random histories.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use heartbeat_core::coordinator::{ActionWiring, Coordinator, Effect, GroupWiring};
use heartbeat_core::intent::{Destination, Event, Transition};
use heartbeat_core::ledger::Ledger;
use heartbeat_core::outcome::Verdict;
use heartbeat_core::policy::{ActionPolicy, DownWhen, Limits, OnStart, Policy, Remind};
use heartbeat_core::record::{Direction, State};
use heartbeat_core::shard::{Mode, Shard};
use heartbeat_core::{Id, Mono, Now};
use proptest::collection::vec;
use proptest::prelude::{Just, ProptestConfig, Strategy, any, prop_assert, prop_assert_eq, prop_oneof, proptest};
use proptest::sample::select;
use proptest::test_runner::TestCaseError;

use crate::world::{Check, DAWN, Plan, Provider, Target, What, World, outcome};

const CHECKS: usize = 6;

fn id(n: usize) -> Id {
    Id::new(format!("c{n}"))
}

fn verdicts() -> impl Strategy<Value = Verdict> {
    prop_oneof![
        3 => Just(Verdict::Pass),
        1 => Just(Verdict::Warn),
        3 => Just(Verdict::Fail),
        1 => Just(Verdict::Local),
    ]
}

fn seconds(choices: &'static [u64]) -> impl Strategy<Value = Duration> {
    select(choices).prop_map(Duration::from_secs)
}

fn policies() -> impl Strategy<Value = Policy> {
    let remind = prop_oneof![
        Just(Remind::Never),
        Just(Remind::Every(Duration::ZERO)),
        seconds(&[30, 95, 600]).prop_map(Remind::Every),
    ];
    (seconds(&[1, 7, 10, 60]), seconds(&[1, 5, 10]), seconds(&[1, 3, 20]), 1..4_u32, 1..4_u32, remind).prop_map(
        |(interval, fast, timeout, fall, rise, remind)| Policy {
            interval,
            fast_interval: fast.min(interval),
            timeout,
            fall,
            rise,
            remind,
        },
    )
}

/// Check n may depend on those before it, so there is no cycle.
fn plans() -> impl Strategy<Value = Plan> {
    let check = (policies(), any::<[bool; 3]>(), any::<bool>(), 0..3_usize);
    let actions = vec((any::<bool>(), prop_oneof![Just(None), seconds(&[20, 300]).prop_map(Some)]), 2);
    let down_when = prop_oneof![Just(DownWhen::Any), Just(DownWhen::All), (1..4_u32).prop_map(DownWhen::AtLeast)];
    (vec(check, CHECKS), actions, down_when, 1..8_u32, 1..4_u32).prop_map(
        |(checks, actions, down_when, probes, per_host)| {
            let mut plan = Plan { limits: Limits { probes, per_host }, ..Plan::default() };
            plan.alerts = vec![Id::from("oncall"), Id::from("sms")];
            for (n, (policy, [both_alerts, acts, depends], hosted, action)) in checks.into_iter().enumerate() {
                let alerts = if both_alerts { plan.alerts.clone() } else { vec![plan.alerts[n % 2].clone()] };
                let check = Check {
                    policy,
                    host: hosted.then(|| Arc::from(format!("host{}", n % 2))),
                    target: 1,
                    actions: if acts { vec![Id::new(format!("a{}", action % 2))] } else { Vec::new() },
                    alerts,
                    depends_on: if depends && n > 0 { vec![id(n - 1)] } else { Vec::new() },
                };
                plan.checks.insert(id(n), check);
            }
            for (n, (run, repeat)) in actions.into_iter().enumerate() {
                let on_start = if run { OnStart::Run } else { OnStart::Adopt };
                let policy = ActionPolicy { on_start, repeat, ..ActionPolicy::default() };
                plan.actions.push(ActionWiring { id: Id::new(format!("a{n}")), policy });
            }
            plan.groups.push(GroupWiring { id: Id::from("g"), checks: vec![id(0), id(1), id(2)], down_when });
            plan
        },
    )
}

#[derive(Clone, Debug)]
enum Step {
    Wait(Duration),
    Behave(usize, Verdict),
    Take(usize, Duration),
    Lose(usize),
    StandStill(Duration),
    JumpWall(i64),
    Provide(usize, Provider),
    Drain(bool),
    Reload,
    Retarget(usize),
    Remove(usize),
    Restart,
}

fn steps(with_removals: bool) -> impl Strategy<Value = Vec<Step>> {
    let n = 0..CHECKS;
    let providers = select(&[Provider::Accepts, Provider::Unreachable, Provider::RefusesForGood][..]);
    let step = prop_oneof![
        8 => seconds(&[1, 10, 61, 200, 700]).prop_map(Step::Wait),
        8 => (n.clone(), verdicts()).prop_map(|(n, verdict)| Step::Behave(n, verdict)),
        2 => (n.clone(), (1..30_000_u64).prop_map(Duration::from_millis)).prop_map(|(n, takes)| Step::Take(n, takes)),
        1 => n.clone().prop_map(Step::Lose),
        1 => seconds(&[2, 15, 300]).prop_map(Step::StandStill),
        1 => (-100_000..100_000_i64).prop_map(Step::JumpWall),
        2 => (0..2_usize, providers).prop_map(|(n, provider)| Step::Provide(n, provider)),
        1 => any::<bool>().prop_map(Step::Drain),
        1 => Just(Step::Reload),
        1 => n.clone().prop_map(Step::Retarget),
        1 => n.prop_map(move |n| if with_removals { Step::Remove(n) } else { Step::Reload }),
        1 => Just(Step::Restart),
    ];
    vec(step, 1..40)
}

fn live(
    plan: Plan,
    steps: &[Step],
    mut each: impl FnMut(&mut World, &Step) -> Result<(), TestCaseError>,
) -> Result<World, TestCaseError> {
    let mut world = World::new(plan, Mode::Daemon);
    world.replan(true);
    for step in steps {
        take(&mut world, step);
        each(&mut world, step)?;
    }
    Ok(world)
}

fn take(world: &mut World, step: &Step) {
    match step {
        Step::Wait(span) => world.advance_to(world.elapsed() + *span),
        Step::Behave(n, verdict) => target(world, *n).outcome = outcome(*verdict, verdict.as_str()),
        Step::Take(n, takes) => target(world, *n).takes = *takes,
        Step::Lose(n) => target(world, *n).lost = true,
        Step::StandStill(span) => world.stand_still(*span),
        Step::JumpWall(seconds) => {
            let span = Duration::from_secs(seconds.unsigned_abs());
            let wall = world.now.wall;
            world.set_wall(if *seconds < 0 { wall - span } else { wall + span });
        }
        Step::Provide(n, provider) => world.provider(&world.plan.alerts[*n].clone(), *provider),
        Step::Drain(begins) => world.drain(*begins),
        Step::Reload => world.replan(true),
        Step::Retarget(n) => {
            if let Some(check) = world.plan.checks.get_mut(&id(*n)) {
                check.target += 1;
            }
            world.replan(true);
        }
        Step::Remove(n) => {
            world.plan.checks.remove(&id(*n));
            world.plan.groups.iter_mut().for_each(|group| group.checks.retain(|check| *check != id(*n)));
            world.replan(true);
        }
        Step::Restart => world.restart(true),
    }
}

fn target(world: &mut World, n: usize) -> &mut Target {
    let pass = || Target { outcome: outcome(Verdict::Pass, ""), takes: Duration::from_millis(10), lost: false };
    world.targets.entry(id(n)).or_insert_with(pass)
}

fn transitions(world: &World) -> impl Iterator<Item = &Transition> {
    world.decided.iter().filter_map(|decided| match &decided.what {
        What::Moved(transition) => Some(transition),
        _ => None,
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    /// Never two attempts at once and no limit exceeded (the world itself asserts the first, and that keys are unique).
    #[test]
    fn probes_keep_their_limits(plan in plans(), steps in steps(true)) {
        let limits = plan.limits;
        let world = live(plan, &steps, |_, _| Ok(()))?;
        for (host, most) in &world.crowd {
            let limit = if host.is_some() { limits.per_host } else { limits.probes };
            prop_assert!(*most <= usize::try_from(limit).expect("a small number"), "{host:?}: {most}");
        }
    }

    /// Transitions lead from where the one before has led to, never from X to X, and epochs count by one.
    #[test]
    fn transitions_form_a_chain(plan in plans(), steps in steps(false)) {
        let world = live(plan, &steps, |_, _| Ok(()))?;
        let mut last: BTreeMap<Id, (State, u64)> = BTreeMap::new();
        for Transition { subject, epoch, from, to, .. } in transitions(&world) {
            let (state, count) = last.entry(subject.clone()).or_default();
            prop_assert_eq!(*from, *state);
            prop_assert!(from != to);
            prop_assert!(*to != State::Unknown);
            prop_assert_eq!(*epoch, *count + 1);
            (*state, *count) = (*to, *epoch);
        }
        for (id, record) in &world.ledger.checks {
            prop_assert_eq!(last.get(id).copied().unwrap_or_default(), (record.state, record.epoch));
        }
    }

    /// One incident is open exactly while a check is down, and names the epoch that opened it.
    #[test]
    fn incidents_are_open_while_down(plan in plans(), steps in steps(true)) {
        live(plan, &steps, |world, _| {
            for (id, record) in &world.ledger.checks {
                let incident = world.ledger.incidents.get(id);
                prop_assert_eq!(incident.is_some(), record.state == State::Down, "{}", id);
                prop_assert!(incident.is_none_or(|incident| incident.epoch == record.epoch));
            }
            prop_assert!(world.ledger.incidents.keys().all(|id| world.ledger.checks.contains_key(id)));
            Ok(())
        })?;
    }

    /// A reminder comes no sooner after the last message of its incident than configured, counted on a clock that nobody sets.
    /// Restarts may count by the wall clock, so there are none here.
    #[test]
    fn reminders_are_never_early(plan in plans(), mut steps in steps(false)) {
        steps.retain(|step| !matches!(step, Step::Restart));
        let world = live(plan, &steps, |_, _| Ok(()))?;
        let mut spoken: BTreeMap<(Id, u64), Duration> = BTreeMap::new();
        for decided in &world.decided {
            let What::Owed(intent) = &decided.what else { continue };
            let (Some(subject), Some(epoch), Destination::Alert(_)) = (&intent.subject, intent.incident, &intent.to) else { continue };
            let last = spoken.insert((subject.clone(), epoch), decided.at);
            if intent.event == Event::Reminder && last != Some(decided.at) {
                let Remind::Every(pace) = world.plan.checks[subject].policy.remind else { panic!("reminded of {subject}") };
                let last = last.expect("a reminder is of something");
                prop_assert!(decided.at - last >= pace, "{subject}: {:?} after {last:?}", decided.at);
            }
        }
    }

    /// Of an incident every alert hears at most one down, then reminders, then at most one up; an up never comes alone, and none
    /// comes to those whom every message before was refused to.
    #[test]
    fn stories_have_a_beginning(plan in plans(), steps in steps(false)) {
        let world = live(plan, &steps, |_, _| Ok(()))?;
        let mut told: BTreeMap<(Id, u64, Id), Vec<Event>> = BTreeMap::new();
        for decided in &world.decided {
            let What::Owed(intent) = &decided.what else { continue };
            if let (Some(subject), Some(epoch), Destination::Alert(alert)) = (&intent.subject, intent.incident, &intent.to) {
                told.entry((subject.clone(), epoch, alert.clone())).or_default().push(intent.event);
            }
        }
        for (whom, story) in told {
            prop_assert_eq!(story[0], Event::Down, "{:?}", whom);
            for pair in story.windows(2) {
                let follows = matches!(pair, [Event::Down | Event::Reminder, Event::Reminder | Event::Up]);
                prop_assert!(follows, "{whom:?}: {story:?}");
            }
        }
    }

    /// The last command of an action agrees with the states, unless nothing is determined or a promotion waits.
    #[test]
    fn actions_agree_with_states(plan in plans(), mut steps in steps(false)) {
        steps.push(Step::Drain(false));
        steps.push(Step::Wait(Duration::from_secs(700)));
        let world = live(plan, &steps, |_, _| Ok(()))?;
        for ActionWiring { id: action, policy } in &world.plan.actions {
            let states: Vec<State> = world.plan.checks.iter()
                .filter(|(_, check)| check.actions.contains(action))
                .map(|(id, _)| {
                    let known = !world.coordinator.is_stale(id);
                    known.then(|| world.coordinator.record(id)).flatten().map_or(State::Unknown, |record| record.state)
                })
                .collect();
            let wanted = if states.contains(&State::Down) {
                Direction::Demote
            } else if states.is_empty() || states.contains(&State::Unknown) {
                continue;
            } else {
                Direction::Promote
            };
            prop_assert_eq!(world.coordinator.action(action).and_then(|record| record.verdict), Some(wanted));
            let last = world.decided.iter().rev().find_map(|decided| match &decided.what {
                What::Owed(intent) if intent.to == Destination::Action(action.clone()) => Some(intent.event),
                _ => None,
            });
            let adopted = last.is_none() && wanted == Direction::Promote && policy.on_start == OnStart::Adopt;
            prop_assert!(adopted || last == Some(Event::from(wanted)), "{action}: {last:?}");
        }
    }

    /// What the store has is what the engine knows: a restart finds the same.
    #[test]
    fn the_store_has_everything(plan in plans(), steps in steps(true)) {
        let world = live(plan, &steps, |_, _| Ok(()))?;
        for id in world.plan.checks.keys().chain([&Id::from("g")]) {
            prop_assert_eq!(world.coordinator.record(id), world.ledger.checks.get(id));
            prop_assert_eq!(world.coordinator.incident(id), world.ledger.incidents.get(id));
        }
        for action in &world.plan.actions {
            prop_assert_eq!(world.coordinator.action(&action.id), world.ledger.actions.get(&action.id));
        }
    }

    /// A restart and a reload of the same file decide nothing, and change no counter.
    #[test]
    fn restarts_and_reloads_are_no_events(plan in plans(), steps in steps(false)) {
        // What is due by then is done before, and is none of their doing.
        let steps: Vec<Step> = steps.into_iter().flat_map(|step| [Step::Wait(Duration::ZERO), step]).collect();
        let mut known = None;
        live(plan, &steps, |world, step| {
            // That something still waits for an operator may be said again.
            let events = world.decided.iter().filter(|decided| !matches!(decided.what, What::Withheld(..))).count();
            let before = known.replace((events, world.ledger.checks.clone()));
            if let (Step::Restart | Step::Reload, Some((decided, checks))) = (step, before) {
                prop_assert_eq!(events, decided, "{:?}", world.decided.back());
                prop_assert_eq!(&world.ledger.checks, &checks);
            }
            Ok(())
        })?;
    }

    /// The same journal replayed gives the same engine.
    #[test]
    fn a_replay_decides_the_same(plan in plans(), mut steps in steps(true)) {
        steps.retain(|step| !matches!(step, Step::Restart));
        let world = live(plan, &steps, |_, _| Ok(()))?;
        let (mut shard, start) = (Shard::new(Mode::Daemon), Now { mono: Mono::ZERO, wall: DAWN });
        let mut coordinator = Coordinator::new(&Ledger::default(), start);
        let probes = world.told.0.replay(|now, input, out| shard.handle(now, input, out));
        let commits = world.told.1.replay(|now, input, out| coordinator.handle(now, input, out));
        prop_assert!(!probes.is_empty());
        prop_assert_eq!(format!("{shard:?}"), format!("{:?}", world.shard));
        prop_assert_eq!(format!("{coordinator:?}"), format!("{:?}", world.coordinator));
        let mut ledger = Ledger::default();
        for effect in &commits {
            if let Effect::Commit(batch) = effect {
                ledger.apply(batch);
            }
        }
        prop_assert_eq!(ledger.checks, world.ledger.checks);
        prop_assert_eq!(ledger.incidents, world.ledger.incidents);
    }

    /// A single round probes and reports every check exactly once, whatever the limits and however it ends.
    #[test]
    fn a_single_round_is_complete(plan in plans(), behaviours in vec((verdicts(), 1..40_000_u64, any::<bool>()), CHECKS)) {
        let mut world = World::new(plan, Mode::Once);
        for (n, (verdict, takes, lost)) in behaviours.into_iter().enumerate() {
            *target(&mut world, n) = Target { outcome: outcome(verdict, "word"), takes: Duration::from_millis(takes), lost };
        }
        world.replan(true);
        prop_assert!(!world.shard.is_idle());
        world.advance_to(Duration::from_secs(300));
        prop_assert!(world.shard.is_idle());
        let probed: Vec<&Id> = world.starts.iter().map(|(_, id, _)| id).collect();
        prop_assert_eq!(probed.len(), CHECKS);
        prop_assert_eq!(probed.iter().collect::<BTreeSet<_>>().len(), CHECKS);
        prop_assert_eq!(world.results, CHECKS);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, failure_persistence: None, ..ProptestConfig::default() })]

    /// With room for all, probes start when they are due, at even times; no pause leads to a burst.
    #[test]
    fn probes_are_on_time(pauses in vec(0..400_u64, 0..4), interval in select(&[7_u64, 60][..])) {
        let mut plan = Plan { limits: Limits { probes: 1000, per_host: 1000 }, ..Plan::default() };
        let policy = Policy { interval: Duration::from_secs(interval), ..Policy::default() };
        plan.checks.extend((0..300).map(|n| (id(n), Check { policy, ..Check::default() })));
        let mut world = World::new(plan, Mode::Daemon);
        world.replan(true);
        for pause in pauses {
            world.advance_to(world.elapsed() + Duration::from_secs(70));
            world.stand_still(Duration::from_secs(pause));
        }
        world.advance_to(world.elapsed() + Duration::from_secs(100));
        let calm = world.now.mono;
        world.advance_to(world.elapsed() + Duration::from_secs(130));
        let mut per_check: BTreeMap<&Id, Vec<Mono>> = BTreeMap::new();
        let mut per_moment: BTreeMap<Mono, usize> = BTreeMap::new();
        for (at, id, late) in &world.starts {
            prop_assert!(*late <= Duration::from_secs(1), "{id} {late:?} late");
            *per_moment.entry(*at).or_default() += 1;
            if *at >= calm {
                per_check.entry(id).or_default().push(*at);
            }
        }
        prop_assert_eq!(per_check.len(), 300);
        for (id, times) in per_check {
            let even = |pair: &[Mono]| pair[1].since(pair[0]).abs_diff(policy.interval) <= Duration::from_millis(50);
            prop_assert!(times.windows(2).all(even), "{id}: {times:?}");
        }
        // 300 first probes within 300 ms are 50 in a cell; chance and a short standstill may add half as many.
        let burst = per_moment.into_values().max();
        prop_assert!(burst <= Some(75), "{burst:?} at once");
    }

    /// With too little room for all, everybody has a turn.
    #[test]
    fn nobody_starves(probes in 1..4_u32, per_host in 1..4_u32, slow in 1..6_usize) {
        let mut plan = Plan { limits: Limits { probes, per_host }, ..Plan::default() };
        let policy = Policy { interval: Duration::from_secs(10), ..Policy::default() };
        for n in 0..30 {
            let host = Some(Arc::from(if n % 6 < slow { "slow" } else { "fast" }));
            plan.checks.insert(id(n), Check { policy, host, ..Check::default() });
        }
        let mut world = World::new(plan, Mode::Daemon);
        for n in 0..30 {
            target(&mut world, n).takes = if n % 6 < slow { Duration::from_secs(9) } else { Duration::from_millis(100) };
        }
        world.replan(true);
        world.advance_to(Duration::from_secs(1200));
        let mut counts: BTreeMap<&Id, usize> = BTreeMap::new();
        world.starts.iter().for_each(|(_, id, _)| *counts.entry(id).or_default() += 1);
        prop_assert_eq!(counts.len(), 30);
        for n in 0..30 {
            prop_assert!(counts[&id(n)] >= 3, "{n}: {counts:?}");
        }
    }
}
