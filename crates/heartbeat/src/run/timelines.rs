//! Forerunners' files over generated timelines: the file itself, the converted one and the forerunner's own rules must all
//! call for the same.
//!
//! Files are drawn from every key that the forerunners have; a key that is never drawn fails the test. Each file is driven
//! twice through the engine with the same outcomes, as it is and converted, and what the engine decides is compared with a
//! small model of what that program's README promises.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use heartbeat_core::coordinator::{self, Coordinator};
use heartbeat_core::delivery::{Delivery, Status};
use heartbeat_core::intent::{Destination, Event};
use heartbeat_core::ledger::{Batch, Ledger};
use heartbeat_core::outcome::{Fault, Outcome, Verdict};
use heartbeat_core::record::Direction;
use heartbeat_core::shard::{self, Mode, Shard};
use heartbeat_core::{Mono, Now, Wall};
use jiff::tz::TimeZone;

use super::wiring;
use crate::config::forerunners::{cron, ini};
use crate::message::{self, Style};
use crate::plan::{self, CommandLine, Plan};

/// 2026-11-21T06:00:00Z.
const START: i64 = 1_795_240_800_000;

const MINUTE: Duration = Duration::from_secs(60);

/// A generator of numbers (SplitMix64), so that every run draws the same files.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// One time in `n`.
    fn once_in(&mut self, n: u64) -> bool {
        self.next().is_multiple_of(n)
    }

    fn pick<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.next() as usize % choices.len()]
    }
}

fn now(since: Duration) -> Now {
    Now { mono: Mono::from_origin(since), wall: Wall::from_unix_millis(START) + since }
}

fn outcome(pass: bool) -> Outcome {
    match pass {
        true => Outcome::pass(Duration::from_millis(5)),
        false => Outcome::fault(Fault::Refused, "refused", Duration::from_millis(5)),
    }
}

/// Loads a file and its conversion, which must be equal but for what they are called.
fn both(name: &str, text: &str, folder: &Path) -> [Plan; 2] {
    let write = |name: &str, text: &str| {
        let path = folder.join(name);
        std::fs::write(&path, text).expect("the folder can be written");
        path
    };
    let load = |path: &Path| {
        let (plan, problems) = plan::load(path);
        plan.unwrap_or_else(|| panic!("{}", problems.render()))
    };
    let old = write(name, text);
    let (converted, problems) = plan::convert(&old);
    let converted = converted.unwrap_or_else(|| panic!("{}", problems.render()));
    let plans = [load(&old), load(&write("native.yaml", &converted))];
    let [old, new] = plans.each_ref().map(|plan| {
        let Plan {
            origin: _,
            format: _,
            checks,
            groups,
            actions,
            alerts,
            storage,
            log,
            process,
            node,
            limits,
            responder,
            ..
        } = plan;
        format!(
            "{checks:#?}{groups:#?}{actions:#?}{alerts:#?}{storage:#?}{log:#?}{process:#?}{node:#?}{limits:#?}{responder:#?}"
        )
    });
    assert_eq!(old, new, "{text}\nbecame\n{converted}");
    plans
}

/// What the engine said, in order.
#[derive(Default, Debug, PartialEq)]
struct Log {
    /// Reports: the time, the check, whether it passed.
    reports: Vec<(Duration, String, bool)>,
    /// Transitions and intents, in words.
    decisions: Vec<String>,
    /// Messages: the time, the alert, the check, the event, the text.
    messages: Vec<(Duration, String, String, Event, String)>,
    /// Wishes: the number of the report before, the action, the direction.
    wishes: Vec<(usize, String, Direction)>,
}

/// An engine with one plan, without hands.
struct Engine<'p> {
    plan: &'p Plan,
    shard: Shard,
    coordinator: Coordinator,
    ledger: Ledger,
    log: Log,
}

impl<'p> Engine<'p> {
    fn new(plan: &'p Plan, mode: Mode, ledger: Ledger, since: Duration) -> Self {
        let coordinator = Coordinator::new(&ledger, now(since));
        Self { plan, shard: Shard::new(mode), coordinator, ledger, log: Log::default() }
    }

    fn start(&mut self, since: Duration, outcomes: &mut dyn FnMut(&str) -> bool) {
        self.tell(since, coordinator::Input::Replanned(wiring::coordinator(self.plan)));
        let input = shard::Input::Replanned {
            checks: wiring::shard(0, &self.plan.checks).collect(),
            limits: self.plan.limits,
            records: self.ledger.checks.clone(),
        };
        self.shard(since, input, outcomes);
    }

    fn shard(&mut self, since: Duration, input: shard::Input, outcomes: &mut dyn FnMut(&str) -> bool) {
        let mut inputs = vec![input];
        while let Some(input) = inputs.pop() {
            let mut effects = Vec::new();
            self.shard.handle(now(since), input, &mut effects);
            for effect in effects {
                match effect {
                    shard::Effect::Probe { check, id, attempt, .. } => {
                        let outcome = outcome(outcomes(&id));
                        inputs.push(shard::Input::Probed { check, attempt, outcome });
                    }
                    shard::Effect::Reported(report) => {
                        let passed = report.outcome.verdict == Verdict::Pass;
                        self.log.reports.push((since, report.id.to_string(), passed));
                        self.tell(since, coordinator::Input::Reported(report));
                    }
                    other => panic!("nothing is stale, removed or abandoned here: {other:?}"),
                }
            }
        }
    }

    fn tell(&mut self, since: Duration, input: coordinator::Input) {
        let mut inputs = vec![input];
        while let Some(input) = inputs.pop() {
            let mut effects = Vec::new();
            self.coordinator.handle(now(since), input, &mut effects);
            for effect in effects {
                let coordinator::Effect::Commit(batch) = effect else { panic!("nothing is withheld: {effect:?}") };
                self.ledger.apply(&batch);
                for transition in &batch.transitions {
                    self.log.decisions.push(format!("{since:?} {transition:?}"));
                }
                inputs.extend(batch.deliveries.into_iter().map(|delivery| self.deliver(since, delivery)));
            }
        }
    }

    /// Every delivery succeeds at once.
    fn deliver(&mut self, since: Duration, mut delivery: Delivery) -> coordinator::Input {
        let intent = delivery.intent.clone();
        let subject = intent.subject.clone().expect("there are no notices");
        let check = self.plan.checks.iter().find(|check| check.id == subject).expect("it is in the plan");
        let style = Style::of(check.texts(), TimeZone::UTC);
        let text = message::render(&intent, Some(&check.about()), check.texts(), &style, "node");
        self.log.decisions.push(format!("{since:?} {intent:?} {text}"));
        match &intent.to {
            Destination::Alert(alert) => {
                let message = (since, alert.to_string(), subject.to_string(), intent.event, text);
                self.log.messages.push(message);
            }
            Destination::Action(action) => {
                let direction = match intent.event {
                    Event::Promote => Direction::Promote,
                    _ => Direction::Demote,
                };
                self.log.wishes.push((self.log.reports.len(), action.to_string(), direction));
            }
        }
        delivery.status = Status::Done(now(since).wall);
        self.ledger.apply(&Batch { deliveries: vec![delivery], ..Batch::default() });
        coordinator::Input::Settled {
            to: intent.to,
            subject: intent.subject,
            incident: intent.incident,
            accepted: true,
        }
    }
}

/// Runs a plan once a minute, as cron does; `passes` says what test passes in what run.
fn by_cron(plan: &Plan, runs: u32, passes: &dyn Fn(&str, u32) -> bool) -> Log {
    let mut ledger = Ledger::default();
    let mut log = Log::default();
    for run in 0..runs {
        let since = MINUTE * run;
        let mut engine = Engine::new(plan, Mode::Once, ledger, since);
        engine.log = log;
        engine.start(since, &mut |id| passes(id, run));
        assert!(engine.shard.is_idle());
        Engine { ledger, log, .. } = engine;
    }
    log
}

/// Runs a plan as a daemon until that time; `passes` says what each check's n-th probe finds.
fn as_daemon(plan: &Plan, until: Duration, passes: &dyn Fn(&str, u32) -> bool) -> Log {
    let mut engine = Engine::new(plan, Mode::Daemon, Ledger::default(), Duration::ZERO);
    let mut probes: BTreeMap<String, u32> = BTreeMap::new();
    let mut outcomes = |id: &str| {
        let count = probes.entry(id.to_owned()).or_default();
        *count += 1;
        passes(id, *count)
    };
    engine.start(Duration::ZERO, &mut outcomes);
    loop {
        let next = engine.shard.next_wake().into_iter().chain(engine.coordinator.next_wake()).min();
        let Some(since) = next.map(Mono::since_origin).filter(|since| *since <= until) else { return engine.log };
        engine.shard(since, shard::Input::Wake, &mut outcomes);
        engine.tell(since, coordinator::Input::Wake);
    }
}

/// Whether something passes: as good as random, and the same for both files.
fn passes(seed: u64, id: &str, count: u32) -> bool {
    let seed = id.bytes().fold(seed, |sum, byte| sum.wrapping_mul(31).wrapping_add(byte.into()));
    // Runs of about three, so that counts and reminders come into play.
    !Random(seed.wrapping_add(u64::from(count / 3) << 32)).once_in(2) ^ Random(seed ^ u64::from(count)).once_in(6)
}

/// A file in the making, and the keys that all files together have had.
struct Writer<'d> {
    text: String,
    drawn: &'d mut BTreeSet<String>,
}

impl Writer<'_> {
    fn key(&mut self, scope: &str, key: &str) {
        self.drawn.insert(format!("{scope}.{key}"));
    }
}

mod ini_files {
    use super::*;

    /// What a generated INI file says.
    struct File {
        text: String,
        by_action: bool,
        repeats: bool,
        /// Action, promotion, demotion.
        actions: Vec<(&'static str, &'static str, &'static str)>,
        /// Check and action.
        checks: Vec<(String, Option<&'static str>)>,
    }

    const ACTIONS: [(&str, &str, &str); 4] = [
        ("web", "start web", "stop web"),
        ("db", "start db", "stop db"),
        ("half", "start web", "stop half"),
        ("same", "start db", "stop db"),
    ];

    fn draw(random: &mut Random, drawn: &mut BTreeSet<String>) -> File {
        let mut writer = Writer { text: "[general]\n".to_owned(), drawn };
        let (by_action, repeats) = (random.once_in(2), random.once_in(3));
        for key in ini::GENERAL {
            if !random.once_in(2) && !matches!(key, "scope" | "repeat") {
                continue;
            }
            let value = match key {
                "loglevel" => random.pick(&["DEBUG", "CRITICAL"]),
                "user" | "group" => random.pick(&["None", "nobody"]),
                "logfile" | "pidfile" => random.pick(&["a.file", "/tmp/a file"]),
                "threads" => random.pick(&["1", "4"]),
                "interval" => random.pick(&["60", "20", "7.5"]),
                "scope" => {
                    if by_action {
                        "action"
                    } else {
                        "system"
                    }
                }
                "repeat" => {
                    if repeats {
                        "yes"
                    } else {
                        "no"
                    }
                }
                _ => random.pick(&["yes", "no"]),
            };
            writer.key("general", key);
            let _ = writeln!(writer.text, "{key} = {value}");
        }
        let actions: Vec<_> = ACTIONS.into_iter().filter(|_| !random.once_in(4)).collect();
        for (section, demotes) in [("promotions", false), ("demotions", true)] {
            let _ = writeln!(writer.text, "[{section}]");
            for (name, promotion, demotion) in &actions {
                let _ = writeln!(writer.text, "{name}: {}", if demotes { demotion } else { promotion });
            }
        }
        let mut checks = Vec::new();
        for index in 0..1 + random.next() % 4 {
            let id = format!("check {index}");
            let _ = writeln!(writer.text, "[{id}]");
            let mut action = None;
            for key in ini::CHECK.into_iter().filter(|_| random.once_in(2)).collect::<Vec<_>>() {
                let value = match key {
                    "type" => random.pick(&["http", "HTTPS", "Tcp"]),
                    "hostname" => random.pick(&["::1", "example.org"]),
                    "port" => "81",
                    "path" => random.pick(&["health", "/$a/${b}$$"]),
                    "timeout" => "2.5",
                    _ if actions.is_empty() => continue,
                    _ => {
                        let name = random.pick(&actions).0;
                        action = Some(name);
                        name
                    }
                };
                writer.key("check", key);
                let _ = writeln!(writer.text, "{key} = {value}");
            }
            checks.push((id, action));
        }
        File { text: writer.text, by_action, repeats, actions, checks }
    }

    /// The commands of the action of that name.
    fn command<'p>(plan: &'p Plan, action: &str, direction: Direction) -> Option<&'p [String]> {
        let action = plan.actions.iter().find(|known| &*known.id == action).expect("it is in the plan");
        let line = match direction {
            Direction::Promote => action.promote.as_ref(),
            Direction::Demote => action.demote.as_ref(),
        };
        match line? {
            CommandLine::Words(words) => Some(words),
            CommandLine::Shell(_) => panic!("the INI daemon knows no shell"),
        }
    }

    /// The commands that the daemon's README promises after each report: on the first verdict and on every change.
    fn promised(file: &File, log: &Log) -> Vec<(usize, BTreeSet<String>)> {
        let used: Vec<_> =
            file.actions.iter().filter(|action| file.checks.iter().any(|check| check.1 == Some(action.0))).collect();
        // The checks that decide, and the commands: one system, or each action for itself.
        let units: Vec<(Vec<&str>, Vec<_>)> = match file.by_action {
            false => vec![(file.checks.iter().map(|check| &*check.0).collect(), used)],
            true => used
                .into_iter()
                .map(|action| {
                    let named = file.checks.iter().filter(|check| check.1 == Some(action.0));
                    (named.map(|check| &*check.0).collect(), vec![action])
                })
                .collect(),
        };
        let mut states: BTreeMap<&str, bool> = BTreeMap::new();
        let mut last: Vec<Option<bool>> = vec![None; units.len()];
        let mut promised = Vec::new();
        for (index, (_, check, passed)) in log.reports.iter().enumerate() {
            states.insert(check, *passed);
            let mut commands = BTreeSet::new();
            for ((checks, actions), last) in units.iter().zip(&mut last) {
                let healthy = match checks.iter().map(|check| states.get(check)).collect::<Vec<_>>() {
                    states if states.contains(&Some(&false)) => false,
                    states if states.contains(&None) => continue,
                    _ => true,
                };
                if *last != Some(healthy) {
                    *last = Some(healthy);
                    let run = actions.iter().map(|(_, promote, demote)| if healthy { *promote } else { *demote });
                    // In action scope two actions may well run equal commands, each for its own reason.
                    commands.extend(run.map(str::to_owned));
                }
            }
            if !commands.is_empty() {
                promised.push((index + 1, commands));
            }
        }
        promised
    }

    #[test]
    fn the_ini_file_and_its_conversion_do_what_the_daemon_promised() {
        let mut random = Random(1);
        let mut drawn = BTreeSet::new();
        let folder = tempfile::tempdir().expect("there is room for a folder");
        let (mut fired, mut repeated) = (0, 0);
        for seed in 0..80 {
            let file = draw(&mut random, &mut drawn);
            let plans = both("heartbeat.conf", &file.text, folder.path());
            let until = Duration::from_secs(1200);
            let [old, new] = plans.each_ref().map(|plan| as_daemon(plan, until, &|id, n| passes(seed, id, n)));
            assert_eq!(old, new, "{}", file.text);

            let mut seen: BTreeMap<usize, Vec<String>> = BTreeMap::new();
            let mut last = BTreeMap::new();
            for (report, action, direction) in &old.wishes {
                let command = command(&plans[0], action, *direction);
                if last.insert(action, *direction) == Some(*direction) {
                    assert!(file.repeats, "repeated for no reason: {}", file.text);
                    repeated += 1;
                } else if let Some(command) = command {
                    seen.entry(*report).or_default().push(command.join(" "));
                }
            }
            if !file.by_action {
                for commands in seen.values() {
                    let once: BTreeSet<_> = commands.iter().collect();
                    assert_eq!(once.len(), commands.len(), "equal commands run once: {commands:?}\n{}", file.text);
                }
            }
            let seen: Vec<_> = seen.into_iter().map(|(at, commands)| (at, BTreeSet::from_iter(commands))).collect();
            assert_eq!(seen, promised(&file, &old), "{}", file.text);
            fired += seen.len();
        }
        assert!(fired > 200 && repeated > 200, "too little happened: {fired} changes, {repeated} repetitions");
        let known = ini::GENERAL.iter().map(|key| format!("general.{key}"));
        let known = known.chain(ini::CHECK.iter().map(|key| format!("check.{key}")));
        assert_eq!(known.filter(|key| !drawn.contains(key)).collect::<Vec<_>>(), Vec::<String>::new(), "never drawn");
    }
}

mod cron_files {
    use super::*;

    /// What a generated test of the cron utility says.
    struct Test {
        id: String,
        ignored: u32,
        /// Minutes.
        period: u32,
        down: bool,
        up: bool,
    }

    struct File {
        text: String,
        tests: Vec<Test>,
        alerts: Vec<String>,
    }

    const DOWN: &str = "D $name $state ${fail_count}x $ignore_fail_count$fail_count $last_pass_time $last_fail_time";
    const UP: &str = "U $name $state $fail_count $last_fail_time $$";

    fn draw(random: &mut Random, drawn: &mut BTreeSet<String>) -> File {
        let mut writer = Writer { text: "tests:\n".to_owned(), drawn };
        let mut tests = Vec::new();
        for index in 0..1 + random.next() % 4 {
            let kind = random.pick(&cron::TESTS);
            let mut settings: Vec<(&str, String)> = Vec::new();
            let mut test = Test { id: String::new(), ignored: 0, period: 60, down: false, up: false };
            match kind {
                "http" => {
                    test.id = format!("https://example.org/{index}");
                    settings.push(("url", test.id.clone()));
                    if random.once_in(2) {
                        settings.push(("headers", "{ x-token: \"$a${b}$$\" }".to_owned()));
                    }
                }
                "tcp" => {
                    test.id = format!("example.org:{}", index + 1);
                    settings.extend([("host", "example.org".to_owned()), ("port", (index + 1).to_string())]);
                }
                _ => {
                    test.id = format!("true $x {index}");
                    settings.push(("command", test.id.clone()));
                }
            }
            if random.once_in(2) {
                settings.push(("timeout", "2.5".to_owned()));
            }
            for key in cron::COMMON.into_iter().filter(|_| random.once_in(2)).collect::<Vec<_>>() {
                let value = match key {
                    "name" => {
                        test.id = format!("test $ {index}");
                        test.id.clone()
                    }
                    "ignore_fail_count" => {
                        test.ignored = random.pick(&[0, 1, 2, 3]);
                        test.ignored.to_string()
                    }
                    "alert_period_hours" => {
                        let (minutes, hours) = random.pick(&[(0, "0"), (3, "0.05"), (6, "0.1"), (60, "1.0")]);
                        test.period = minutes;
                        hours.to_owned()
                    }
                    "down_message" => {
                        test.down = true;
                        DOWN.to_owned()
                    }
                    _ => {
                        test.up = true;
                        UP.to_owned()
                    }
                };
                settings.push((key, value));
            }
            let nested = random.once_in(2);
            let _ = writeln!(writer.text, "  - {kind}:");
            for (key, value) in settings {
                writer.key(kind, key);
                let _ = writeln!(writer.text, "{}{key}: {value}", if nested { "      " } else { "    " });
            }
            tests.push(test);
        }
        writer.text.push_str("alerts:\n");
        let mut alerts: Vec<String> = Vec::new();
        for kind in (0..1 + random.next() % 3).map(|_| random.pick(&cron::ALERTS)).collect::<Vec<_>>() {
            let same = alerts.iter().filter(|id| id.starts_with(kind)).count();
            alerts.push(if same == 0 { kind.to_owned() } else { format!("{kind}-{}", same + 1) });
            let _ = writeln!(writer.text, "  - {kind}:");
            for key in cron::alert_settings(kind) {
                let value = match *key {
                    "command" => "logger '$message' $message",
                    "from_number" | "to_number" => "+17775551212",
                    "sent_from" | "to" => "a@example.org",
                    "account_sid" => "AC0123",
                    _ => "p$a${b}$$",
                };
                writer.key(kind, key);
                let _ = writeln!(writer.text, "    {key}: {value}");
            }
        }
        File { text: writer.text, tests, alerts }
    }

    /// A time as the utility writes it.
    fn time(run: Option<u32>) -> String {
        run.map_or("never".to_owned(), |run| format!("11/21 {:02}:{:02}", 6 + run / 60, run % 60))
    }

    /// The messages of one test that the README promises: the run, whether it is down, the text.
    fn promised(test: &Test, runs: u32, seed: u64) -> Vec<(u32, bool, String)> {
        let Test { id, ignored, period, .. } = test;
        let mut messages = Vec::new();
        let (mut failing, mut fails) = (false, 0);
        let (mut last_pass, mut last_fail, mut last_alert) = (None, None, None);
        for run in 0..runs {
            if passes(seed, id, run) {
                last_pass = Some(run);
                if failing {
                    let own = format!("U {id} passing {fails} {} $", time(last_fail));
                    messages.push((run, false, if test.up { own } else { format!("{id} is up") }));
                }
                (failing, fails, last_alert) = (false, 0, None);
                continue;
            }
            fails += 1;
            last_fail = Some(run);
            failing |= fails > *ignored;
            if failing && last_alert.is_none_or(|last| run - last >= *period) {
                last_alert = Some(run);
                let own = format!("D {id} failing {fails}x {ignored}{fails} {} {}", time(last_pass), time(last_fail));
                messages.push((run, true, if test.down { own } else { format!("{id} is down") }));
            }
        }
        messages
    }

    #[test]
    fn the_cron_file_and_its_conversion_do_what_the_utility_promised() {
        const RUNS: u32 = 90;
        let mut random = Random(2);
        let mut drawn = BTreeSet::new();
        let folder = tempfile::tempdir().expect("there is room for a folder");
        let mut sent = 0;
        for seed in 0..80 {
            let file = draw(&mut random, &mut drawn);
            let plans = both("heartbeat.yaml", &file.text, folder.path());
            let [old, new] = plans.each_ref().map(|plan| by_cron(plan, RUNS, &|id, run| passes(seed, id, run)));
            assert_eq!(old, new, "{}", file.text);
            for test in &file.tests {
                let promised = promised(test, RUNS, seed);
                for alert in &file.alerts {
                    let found = old.messages.iter().filter(|(_, to, id, ..)| to == alert && *id == test.id);
                    let found: Vec<_> = found
                        .map(|(since, _, _, event, text)| {
                            let run = u32::try_from(since.as_secs() / 60).expect("it is a small number");
                            (run, *event != Event::Up, text.clone())
                        })
                        .collect();
                    assert_eq!(found, promised, "{alert} of {}\n{}", test.id, file.text);
                }
                sent += promised.len();
            }
            let alerts = old.messages.iter().map(|(_, alert, ..)| alert).collect::<BTreeSet<_>>();
            assert!(alerts.iter().all(|alert| file.alerts.contains(alert)), "{alerts:?}\n{}", file.text);
        }
        assert!(sent > 1500, "too little happened: {sent} messages");
        let known = cron::TESTS.iter().flat_map(|kind| {
            cron::test_settings(kind).iter().chain(&cron::COMMON).map(move |key| format!("{kind}.{key}"))
        });
        let known = known.chain(
            cron::ALERTS
                .iter()
                .flat_map(|kind| cron::alert_settings(kind).iter().map(move |key| format!("{kind}.{key}"))),
        );
        assert_eq!(known.filter(|key| !drawn.contains(key)).collect::<Vec<_>>(), Vec::<String>::new(), "never drawn");
    }
}
