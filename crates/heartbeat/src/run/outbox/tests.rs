//! The worker between a store, hands and channels that do what a test says.
#![allow(clippy::disallowed_methods)] // deadlines of tests

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use heartbeat_core::channel::Saying;
use heartbeat_core::delivery::{Delivery, Running, Status};
use heartbeat_core::intent::{Destination, Event, Facts, Intent};
use heartbeat_core::lane::{Commands, End, Mark, Promotions, Signal};
use heartbeat_core::ledger::{Batch, Ledger};
use heartbeat_core::policy::{ActionPolicy, ChannelPolicy, Guarantee};
use heartbeat_core::record::{ChannelRecord, Direction, LaneRecord};
use heartbeat_core::{Id, Wall};
use jiff::tz::TimeZone;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

use super::{Hands, Ledgerman, Mode, Outbox, Roster, Setup, Started, Subject, dry, text};
use crate::alert::{Accepted, Boxed, Channel, Refused};
use crate::host::clock;
use crate::message::{About, Message, Style};

/// A store that remembers all batches.
#[derive(Default)]
struct Store {
    ledger: Mutex<Ledger>,
    batches: Mutex<Vec<Batch>>,
    broken: Mutex<bool>,
}

impl Ledgerman for Store {
    fn commit(&self, batch: Batch) -> Boxed<'_, Mark> {
        let broken = *self.broken.lock().unwrap();
        if !broken {
            self.ledger.lock().unwrap().apply(&batch);
        }
        self.batches.lock().unwrap().push(batch);
        Box::pin(async move { if broken { Mark::Volatile } else { Mark::Durable } })
    }
}

/// Hands whose commands end when the test says so.
#[derive(Default)]
struct Fake {
    started: Mutex<Vec<Message>>,
    running: Mutex<VecDeque<oneshot::Sender<End>>>,
    signals: Arc<Mutex<Vec<Signal>>>,
    adoptable: Mutex<bool>,
}

impl Fake {
    fn process(&self) -> Started {
        let (sender, receiver) = oneshot::channel();
        self.running.lock().unwrap().push_back(sender);
        let signals = self.signals.clone();
        Started {
            pid: 4711,
            start_ticks: 99,
            signal: Box::new(move |signal| signals.lock().unwrap().push(signal)),
            end: Box::pin(async move { receiver.await.unwrap_or(End::Failed("dropped".into())) }),
        }
    }

    fn end(&self, end: End) {
        let sender = self.running.lock().unwrap().pop_front().expect("something runs");
        sender.send(end).expect("somebody waits for it");
    }

    fn keys(&self) -> Vec<String> {
        self.started.lock().unwrap().iter().map(|order| order.intent.key.to_string()).collect()
    }
}

impl Hands for Fake {
    fn start(&self, order: &Message) -> Result<Started, String> {
        self.started.lock().unwrap().push(order.clone());
        Ok(self.process())
    }

    fn adopt(&self, running: Running) -> Option<Started> {
        (*self.adoptable.lock().unwrap() && running.pid == 4711).then(|| self.process())
    }
}

/// What a fake provider does with a message.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Mood {
    Accepts,
    Refuses,
    Later,
    Hangs,
    Panics,
}

struct Provider {
    mood: Mutex<Mood>,
    seen: Mutex<Vec<Message>>,
}

impl Provider {
    fn new(mood: Mood) -> Arc<Self> {
        Arc::new(Self { mood: Mutex::new(mood), seen: Mutex::default() })
    }

    fn texts(&self) -> Vec<String> {
        self.seen.lock().unwrap().iter().map(|message| message.intent.message.to_string()).collect()
    }
}

impl Channel for Provider {
    fn send<'a>(&'a self, message: &'a Message) -> Boxed<'a, Result<Accepted, Refused>> {
        self.seen.lock().unwrap().push(message.clone());
        let mood = *self.mood.lock().unwrap();
        Box::pin(async move {
            match mood {
                Mood::Accepts => Ok(Accepted { answer: "250 ok".to_owned() }),
                Mood::Refuses => Err(Refused::ForGood { answer: "400 no".to_owned() }),
                Mood::Later => Err(Refused::ForNow { answer: "503".to_owned(), after: None }),
                Mood::Hangs => std::future::pending().await,
                Mood::Panics => panic!("as the test wants it"),
            }
        })
    }
}

/// Everything around one worker.
struct Stage {
    store: Arc<Store>,
    hands: Arc<Fake>,
    roster: Roster,
    mode: Mode,
}

/// A worker at work.
struct Play {
    outbox: Outbox,
    settled: mpsc::UnboundedReceiver<Delivery>,
    working: JoinHandle<()>,
}

const BOTH: Commands = Commands { promote: true, demote: true };

impl Stage {
    fn new() -> Self {
        let about = About {
            id: Id::from("web"),
            name: "The shop".to_owned(),
            kind: "http".to_owned(),
            target: "http://localhost/".to_owned(),
            labels: BTreeMap::new(),
            runbook: None,
            values: BTreeMap::new(),
        };
        let style = Style::full(TimeZone::UTC);
        let subject = Subject { about: Arc::new(about), style: style.clone() };
        let roster = Roster {
            node: "web1".into(),
            actions: BTreeMap::new(),
            alerts: BTreeMap::new(),
            subjects: Arc::new(move |id| (&**id == "web").then(|| subject.clone())),
            style,
        };
        Self { store: Arc::default(), hands: Arc::default(), roster, mode: Mode::Steady }
    }

    fn alert(&mut self, id: &str, mood: Mood) -> Arc<Provider> {
        let provider = Provider::new(mood);
        self.roster.alerts.insert(Id::from(id), (ChannelPolicy::default(), provider.clone()));
        provider
    }

    fn action(&mut self, id: &str, policy: ActionPolicy) {
        self.roster.actions.insert(Id::from(id), (policy, BOTH));
    }

    /// Commits deliveries as the coordinator would.
    fn owe(&self, deliveries: &[Delivery]) {
        let batch = Batch { deliveries: deliveries.to_vec(), ..Batch::default() };
        self.store.ledger.lock().unwrap().apply(&batch);
    }

    fn play(&self) -> Play {
        let (sender, settled) = mpsc::unbounded_channel();
        let setup = Setup {
            hands: self.hands.clone(),
            ledgerman: self.store.clone(),
            roster: self.roster.clone(),
            settled: sender,
            mode: self.mode,
            promotions: Promotions::Run,
            seed: 1,
            now: clock::now,
        };
        let (outbox, work) = Outbox::new(setup, &self.store.ledger.lock().unwrap());
        Play { outbox, settled, working: tokio::spawn(work) }
    }

    fn row(&self, key: &str) -> Option<Delivery> {
        self.store.ledger.lock().unwrap().outbox.get(key).cloned()
    }
}

impl Play {
    async fn settled(&mut self) -> (String, Status) {
        let delivery = tokio::time::timeout(PATIENCE, self.settled.recv()).await.expect("in time").expect("it works");
        (delivery.intent.key.to_string(), delivery.status)
    }

    async fn stop(self) {
        self.outbox.stop();
        tokio::time::timeout(PATIENCE, self.working).await.expect("in time").expect("no panic");
    }
}

const PATIENCE: Duration = Duration::from_secs(20);

async fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < PATIENCE, "not in time: {what}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

fn owed(event: Event, to: Destination, sequence: u64) -> Delivery {
    let intent = Intent {
        key: format!("{}.{sequence}", event.as_str()).into(),
        at: clock::wall(),
        event,
        to,
        subject: Some(Id::from("web")),
        incident: event.direction().is_none().then_some(1),
        facts: Facts::default(),
        message: format!("web is {}", event.as_str()).into(),
    };
    Delivery::new(intent, sequence)
}

fn to_alert(event: Event, alert: &str, sequence: u64) -> Delivery {
    owed(event, Destination::Alert(Id::from(alert)), sequence)
}

fn to_action(direction: Direction, sequence: u64) -> Delivery {
    owed(Event::from(direction), Destination::Action(Id::from("nginx")), sequence)
}

#[tokio::test]
async fn what_is_owed_at_the_start_and_what_is_committed_later_is_delivered() {
    let mut stage = Stage::new();
    let mail = stage.alert("mail", Mood::Accepts);
    stage.owe(&[to_alert(Event::Down, "mail", 0)]);
    let mut play = stage.play();
    assert!(matches!(play.settled().await, (key, Status::Done(_)) if key == "down.0"));
    let up = to_alert(Event::Up, "mail", 1);
    stage.owe(std::slice::from_ref(&up));
    play.outbox.committed(vec![up]);
    assert!(matches!(play.settled().await, (key, Status::Done(_)) if key == "up.1"));
    assert!(
        stage.store.ledger.lock().unwrap().outbox.is_empty(),
        "the store has it before the coordinator hears of it"
    );
    assert_eq!(mail.texts(), ["web is down", "web is up"]);
    let seen = mail.seen.lock().unwrap()[0].clone();
    assert_eq!((&*seen.node, seen.attempt), ("web1", 1));
    assert_eq!(seen.about.expect("configured").name, "The shop");
    play.stop().await;
}

#[tokio::test]
async fn a_channel_that_hangs_delays_nobody_else() {
    let mut stage = Stage::new();
    let hangs = stage.alert("hangs", Mood::Hangs);
    stage.alert("mail", Mood::Accepts);
    stage.action("nginx", ActionPolicy::default());
    stage.owe(&[to_alert(Event::Down, "hangs", 0)]);
    let mut play = stage.play();
    eventually("the hanging attempt", || hangs.seen.lock().unwrap().len() == 1).await;
    play.outbox.committed(vec![to_alert(Event::Down, "mail", 1), to_action(Direction::Demote, 2)]);
    assert_eq!(play.settled().await.0, "down.1");
    eventually("the command", || !stage.hands.keys().is_empty()).await;
    stage.hands.end(End::Done("exit 0".into()));
    assert_eq!(play.settled().await.0, "demote.2");
}

#[tokio::test]
async fn an_attempt_that_takes_too_long_panics_or_fails_is_tried_again() {
    for mood in [Mood::Hangs, Mood::Panics, Mood::Later] {
        let mut stage = Stage::new();
        let mail = stage.alert("mail", mood);
        stage.roster.alerts.get_mut("mail").expect("just added").0.timeout = Duration::from_millis(20);
        stage.owe(&[to_alert(Event::Down, "mail", 0)]);
        let mut play = stage.play();
        eventually("the failed attempt", || stage.row("down.0").is_some_and(|row| row.attempts == 1)).await;
        let row = stage.row("down.0").expect("still owed");
        assert_eq!(row.status, Status::Due);
        assert!(!row.answer.is_empty());
        *mail.mood.lock().unwrap() = Mood::Accepts;
        assert!(matches!(play.settled().await, (_, Status::Done(_))), "{mood:?}");
        let attempts: Vec<_> = mail.seen.lock().unwrap().iter().map(|message| message.attempt).collect();
        assert_eq!(attempts, [1, 2]);
        play.stop().await;
    }
}

#[tokio::test]
async fn a_dead_letter_is_noticed_by_the_other_channels_in_the_same_transaction() {
    let mut stage = Stage::new();
    let dead = stage.alert("dead", Mood::Refuses);
    let mail = stage.alert("mail", Mood::Accepts);
    let refuses = stage.alert("refuses", Mood::Refuses);
    stage.owe(&[to_alert(Event::Down, "dead", 7)]);
    let mut play = stage.play();
    for _ in 0..3 {
        play.settled().await;
    }
    let batches = stage.store.batches.lock().unwrap().clone();
    let first = batches.iter().find(|batch| !batch.deliveries.is_empty()).expect("something was written");
    let events: Vec<_> = first.deliveries.iter().map(|delivery| (delivery.intent.event, delivery.sequence)).collect();
    assert_eq!(events, [(Event::Down, 7), (Event::Notice, 7), (Event::Notice, 7)]);
    assert_eq!(
        mail.texts(),
        ["heartbeat on web1: alert dead: down.7 could not be delivered: 400 no. It said: web is down"]
    );
    assert_eq!(refuses.seen.lock().unwrap().len(), 1);
    assert_eq!(dead.seen.lock().unwrap().len(), 1, "it is not told of itself");
    play.stop().await;
    assert_eq!(mail.seen.lock().unwrap().len(), 1, "a notice that is refused is no news");
}

#[tokio::test]
async fn commands_run_one_at_a_time_and_leave_their_process_in_the_store() {
    let mut stage = Stage::new();
    stage.action("nginx", ActionPolicy::default());
    let mut play = stage.play();
    let wishes: Vec<_> = [Direction::Demote, Direction::Promote, Direction::Demote, Direction::Promote]
        .into_iter()
        .zip(0..)
        .map(|(direction, sequence)| to_action(direction, sequence))
        .collect();
    stage.owe(&wishes);
    play.outbox.committed(wishes);
    eventually("the process", || {
        let row = stage.row("demote.0");
        matches!(row.map(|row| row.status), Some(Status::Started(Running { pid: 4711, start_ticks: 99, .. })))
    })
    .await;
    assert_eq!(play.settled().await.0, "promote.1");
    assert_eq!(play.settled().await.0, "demote.2");
    stage.hands.end(End::Done("exit 0".into()));
    assert_eq!(play.settled().await.0, "demote.0");
    eventually("the next command", || stage.hands.keys().len() == 2).await;
    stage.hands.end(End::Done("exit 0".into()));
    assert_eq!(play.settled().await.0, "promote.3");
    assert_eq!(stage.hands.keys(), ["demote.0", "promote.3"]);
    let record = stage.store.ledger.lock().unwrap().lanes[&Id::from("nginx")].clone();
    assert_eq!(record.last_run.expect("it ran").direction, Direction::Promote);
    play.stop().await;
}

#[tokio::test]
async fn at_most_once_starts_only_when_that_is_durable() {
    let mut stage = Stage::new();
    let mail = stage.alert("mail", Mood::Accepts);
    stage.action("nginx", ActionPolicy { delivery: Guarantee::AtMostOnce, ..ActionPolicy::default() });
    stage.owe(&[to_action(Direction::Demote, 0)]);
    *stage.store.broken.lock().unwrap() = true;
    let play = stage.play();
    eventually("the notice", || !mail.seen.lock().unwrap().is_empty()).await;
    assert!(stage.hands.keys().is_empty());
    *stage.store.broken.lock().unwrap() = false;
    eventually("the command", || stage.hands.keys() == ["demote.0"]).await;
    assert!(matches!(stage.row("demote.0").map(|row| row.status), Some(Status::Started(_))));
    stage.hands.end(End::Done("exit 0".into()));
    play.stop().await;
}

#[tokio::test]
async fn messages_go_out_when_the_store_is_gone() {
    let mut stage = Stage::new();
    let mail = stage.alert("mail", Mood::Accepts);
    stage.alert("dead", Mood::Refuses);
    *stage.store.broken.lock().unwrap() = true;
    let mut play = stage.play();
    play.outbox.committed(vec![Delivery { durable: false, ..to_alert(Event::Down, "dead", 0) }]);
    play.settled().await;
    play.settled().await;
    assert_eq!(mail.seen.lock().unwrap().len(), 1);
    let batches = stage.store.batches.lock().unwrap();
    let notice = batches.iter().flat_map(|batch| &batch.deliveries).find(|d| matches!(d.status, Status::Done(_)));
    assert!(!notice.expect("the notice was settled").durable);
}

#[tokio::test]
async fn a_process_of_a_former_life_is_waited_for() {
    for lives in [true, false] {
        let mut stage = Stage::new();
        stage.action("nginx", ActionPolicy::default());
        *stage.hands.adoptable.lock().unwrap() = lives;
        let running = Running { at: clock::wall(), pid: 4711, start_ticks: 99 };
        let mut left = to_action(Direction::Demote, 0);
        left.attempts = 1;
        left.status = Status::Started(running);
        stage.owe(&[left]);
        let mut play = stage.play();
        if lives {
            eventually("the adoption", || stage.hands.running.lock().unwrap().len() == 1).await;
            assert!(stage.hands.keys().is_empty());
            stage.hands.end(End::Done("its end is nobody's".into()));
        }
        eventually("the repetition", || stage.hands.keys() == ["demote.0"]).await;
        stage.hands.end(End::Done("exit 0".into()));
        assert!(matches!(play.settled().await, (_, Status::Done(_))));
        play.stop().await;
    }
}

#[tokio::test]
async fn a_single_run_tries_everything_once_and_ends() {
    let mut stage = Stage::new();
    stage.mode = Mode::Once;
    let mail = stage.alert("mail", Mood::Later);
    let chat = stage.alert("chat", Mood::Accepts);
    stage.action("nginx", ActionPolicy::default());
    let mut waits = to_alert(Event::Down, "mail", 0);
    waits.attempts = 3;
    waits.not_before = clock::wall() + Duration::from_secs(300);
    stage.owe(&[waits]);
    let play = stage.play();
    play.outbox.committed(vec![to_alert(Event::Down, "chat", 1), to_action(Direction::Demote, 2)]);
    play.outbox.finish(PATIENCE);
    eventually("the command", || !stage.hands.keys().is_empty()).await;
    assert!(!play.working.is_finished(), "it waits for the command");
    stage.hands.end(End::Failed("exit 1".into()));
    tokio::time::timeout(PATIENCE, play.working).await.expect("it ends").expect("no panic");
    assert_eq!((mail.seen.lock().unwrap().len(), chat.seen.lock().unwrap().len()), (1, 1));
    assert_eq!(stage.row("down.0").expect("still due").attempts, 4);
    assert_eq!(stage.row("demote.2").expect("still due").attempts, 1);
}

#[tokio::test]
async fn a_single_run_does_not_wait_for_ever() {
    let mut stage = Stage::new();
    stage.mode = Mode::Once;
    stage.alert("mail", Mood::Hangs);
    stage.owe(&[to_alert(Event::Down, "mail", 0)]);
    let play = stage.play();
    play.outbox.finish(Duration::from_millis(20));
    tokio::time::timeout(PATIENCE, play.working).await.expect("it ends").expect("no panic");
    assert_eq!(stage.row("down.0").expect("still due").status, Status::Due);
}

#[tokio::test]
async fn the_stop_waits_for_a_command_and_starts_nothing() {
    let mut stage = Stage::new();
    stage.action("nginx", ActionPolicy::default());
    stage.owe(&[to_action(Direction::Demote, 0)]);
    let play = stage.play();
    eventually("the command", || !stage.hands.keys().is_empty()).await;
    play.outbox.committed(vec![to_action(Direction::Promote, 1)]);
    play.outbox.stop();
    stage.hands.end(End::Done("exit 0".into()));
    tokio::time::timeout(PATIENCE, play.working).await.expect("it ends").expect("no panic");
    assert_eq!(stage.hands.keys(), ["demote.0"]);
    assert!(stage.row("demote.0").is_none(), "its end is in the store");
}

#[tokio::test]
async fn another_configuration_takes_over() {
    let mut stage = Stage::new();
    let old = stage.alert("mail", Mood::Accepts);
    stage.alert("gone", Mood::Later);
    stage.owe(&[to_alert(Event::Down, "gone", 0)]);
    let mut play = stage.play();
    eventually("the failed attempt", || stage.row("down.0").is_some_and(|row| row.attempts == 1)).await;
    stage.roster.alerts.clear();
    let new = stage.alert("mail", Mood::Accepts);
    let chat = stage.alert("chat", Mood::Accepts);
    play.outbox.replan(stage.hands.clone(), stage.roster.clone());
    assert!(matches!(play.settled().await, (key, Status::Superseded(_)) if key == "down.0"));
    play.outbox.committed(vec![to_alert(Event::Down, "mail", 1), to_alert(Event::Down, "chat", 2)]);
    play.settled().await;
    play.settled().await;
    let seen = |provider: &Provider| provider.seen.lock().unwrap().len();
    assert_eq!((seen(&old), seen(&new), seen(&chat)), (0, 1, 1));
    play.outbox.committed(vec![to_alert(Event::Down, "nobody", 3), to_action(Direction::Promote, 4)]);
    for _ in 0..2 {
        assert!(matches!(play.settled().await, (_, Status::Superseded(_))));
    }
    play.stop().await;
}

#[tokio::test]
async fn a_dry_run_decides_everything_and_runs_nothing() {
    let mut stage = Stage::new();
    let mail = stage.alert("mail", Mood::Accepts);
    stage.action("nginx", ActionPolicy::default());
    stage.owe(&[to_alert(Event::Down, "mail", 0), to_action(Direction::Demote, 1)]);
    let (hands, roster) = dry(stage.roster.clone());
    stage.roster = roster;
    let (sender, mut settled) = mpsc::unbounded_channel();
    let setup = Setup {
        hands,
        ledgerman: stage.store.clone(),
        roster: stage.roster.clone(),
        settled: sender,
        mode: Mode::Once,
        promotions: Promotions::Run,
        seed: 1,
        now: clock::now,
    };
    let (outbox, work) = Outbox::new(setup, &stage.store.ledger.lock().unwrap());
    outbox.finish(PATIENCE);
    tokio::time::timeout(PATIENCE, work).await.expect("it ends");
    for _ in 0..2 {
        assert!(matches!(settled.recv().await.expect("decided").status, Status::Done(_)));
    }
    assert!(mail.seen.lock().unwrap().is_empty());
}

#[test]
fn what_comes_late_or_is_too_much_is_said_in_other_words() {
    let stage = Stage::new();
    let delivery = to_alert(Event::Down, "mail", 0);
    let at = |minute: i64| Wall::from_unix_millis(1_764_000_000_000 + minute * 60_000);
    let said = |saying: &Saying| text::message(&delivery, saying, &stage.roster);

    assert_eq!(&*said(&Saying::AsWritten).intent.message, "web is down");
    assert_eq!(
        &*said(&Saying::Late(at(0))).intent.message,
        "web is down (could not be delivered since 2025-11-24 16:00:00 +00:00)"
    );
    assert_eq!(&*said(&Saying::WasDown { from: at(10), to: at(25) }).intent.message, "The shop was down 16:10-16:25");
    let texts = (0..12).map(|n| format!("c{n} is down").into()).collect();
    let summary = said(&Saying::HeldBack { since: at(0), texts });
    assert_eq!(
        &*summary.intent.message,
        "12 messages were held back since 2025-11-24 16:00:00 +00:00: c0 is down; c1 is down; c2 is down; c3 is down; \
         c4 is down; c5 is down; c6 is down; c7 is down; c8 is down; c9 is down; and 2 more"
    );
    assert_eq!((summary.intent.event, summary.about.is_some()), (Event::Notice, false));
    assert_eq!(summary.intent.key, delivery.intent.key);
}

#[tokio::test]
async fn what_the_store_remembers_of_actions_and_alerts_that_are_gone_is_forgotten() {
    let mut stage = Stage::new();
    stage.alert("mail", Mood::Accepts);
    let batch = Batch {
        lanes: vec![(Id::from("gone"), Some(LaneRecord::default()))],
        channels: vec![
            (Id::from("gone"), Some(ChannelRecord::default())),
            (Id::from("mail"), Some(ChannelRecord::default())),
        ],
        ..Batch::default()
    };
    stage.store.ledger.lock().unwrap().apply(&batch);
    stage.play().stop().await;
    let ledger = stage.store.ledger.lock().unwrap();
    assert!(ledger.lanes.is_empty());
    assert_eq!(ledger.channels.keys().map(|id| id.as_str()).collect::<Vec<_>>(), ["mail"]);
}
