//! The worker's loop: inputs to the lanes and channels, and what they answer to tasks, the store and the log.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use heartbeat_core::channel::{self, Answer, Channel};
use heartbeat_core::delivery::{Delivery, Note, Notice, Turn};
use heartbeat_core::intent::Destination;
use heartbeat_core::lane::{self, Commands, End, Lane, Mark, Signal};
use heartbeat_core::ledger::Ledger;
use heartbeat_core::policy::{ActionPolicy, ChannelPolicy};
use heartbeat_core::record::{ChannelRecord, LaneRecord};
use heartbeat_core::{Id, Mono, Now};
use tokio::sync::mpsc;
use tokio::task::{self, JoinError, JoinSet};

use super::attempt::{self, Report};
use super::commits::{self, Committed, Entry};
use super::{ALERT_GRACE, Mode, Order, Setup, text};
use crate::alert;

/// What the ledger says of deliveries.
pub(super) struct Remembered {
    lanes: BTreeMap<Id, LaneRecord>,
    channels: BTreeMap<Id, ChannelRecord>,
    owed: BTreeMap<Destination, Vec<Delivery>>,
}

impl Remembered {
    pub(super) fn of(ledger: &Ledger) -> Self {
        let mut owed: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for delivery in ledger.outbox.values().filter(|delivery| delivery.status.is_unsettled()) {
            owed.entry(delivery.intent.to.clone()).or_default().push(delivery.clone());
        }
        Self { lanes: ledger.lanes.clone(), channels: ledger.channels.clone(), owed }
    }

    fn destinations(&self) -> impl Iterator<Item = Destination> + '_ {
        let lanes = self.lanes.keys().cloned().map(Destination::Action);
        let channels = self.channels.keys().cloned().map(Destination::Alert);
        self.owed.keys().cloned().chain(lanes).chain(channels)
    }
}

/// An action's lane and the way to the command that it runs.
struct LaneSeat {
    lane: Lane,
    signals: Option<mpsc::UnboundedSender<Signal>>,
    configured: bool,
}

/// An alert's channel and its client; there is none for an alert that is not configured.
struct ChannelSeat {
    channel: Channel,
    client: Option<(ChannelPolicy, Arc<dyn alert::Channel>)>,
}

/// What a task works on, in case that it panics.
enum Work {
    Command(Id),
    Adopted(Id),
    Message(Id, Arc<str>),
}

struct Worker {
    setup: Setup,
    lanes: BTreeMap<Id, LaneSeat>,
    channels: BTreeMap<Id, ChannelSeat>,
    tasks: JoinSet<Report>,
    work: HashMap<task::Id, Work>,
    reports: mpsc::UnboundedSender<Report>,
    entries: mpsc::UnboundedSender<Entry>,
    /// Entries that are on their way to the store.
    uncommitted: usize,
    finishing: Option<Mono>,
    /// After the stop: messages under way may take until then.
    stopped: Option<Mono>,
    seeds: u64,
}

/// Works until it is at rest after it was told to stop.
pub(super) async fn run(setup: Setup, remembered: Remembered, mut orders: mpsc::UnboundedReceiver<Order>) {
    let (reports, mut reported) = mpsc::unbounded_channel();
    let (entries, queue) = mpsc::unbounded_channel();
    let (committed, mut commits) = mpsc::unbounded_channel();
    let committer = tokio::spawn(commits::run(setup.ledgerman.clone(), queue, committed));
    let mut worker = Worker {
        seeds: setup.seed,
        setup,
        lanes: BTreeMap::new(),
        channels: BTreeMap::new(),
        tasks: JoinSet::new(),
        work: HashMap::new(),
        reports,
        entries,
        uncommitted: 0,
        finishing: None,
        stopped: None,
    };
    worker.take_up(remembered);
    loop {
        let now = (worker.setup.now)();
        if worker.is_over(now) {
            break;
        }
        let pause = worker.next_wake(now).map(|at| at.since(now.mono));
        tokio::select! {
            Some(report) = reported.recv() => worker.reported(report),
            Some(done) = commits.recv() => worker.committed(done),
            order = orders.recv(), if worker.stopped.is_none() => worker.ordered(order.unwrap_or(Order::Stop)),
            Some(ended) = worker.tasks.join_next_with_id() => worker.joined(ended),
            () = tokio::time::sleep(pause.unwrap_or_default()), if pause.is_some() => {}
        }
        worker.wake();
    }
    // What is under way is left to its next life: it is still due.
    let Worker { tasks, entries, setup, .. } = worker;
    drop((tasks, entries));
    while let Some(done) = commits.recv().await {
        tell(&setup.settled, &done);
    }
    // The committer ends when its queue does; if it panicked, so do we.
    if let Err(error) = committer.await
        && error.is_panic()
    {
        std::panic::resume_unwind(error.into_panic());
    }
}

impl Worker {
    /// Builds the workers of all that is configured, and of all that the ledger owes something to or remembers: what is
    /// configured no more is forgotten when it is at rest.
    fn take_up(&mut self, mut remembered: Remembered) {
        let now = (self.setup.now)();
        let destinations: BTreeSet<_> = self.configured().chain(remembered.destinations()).collect();
        for to in destinations {
            let owed = remembered.owed.remove(&to).unwrap_or_default();
            match to {
                Destination::Action(id) => {
                    let record = remembered.lanes.remove(&id).unwrap_or_default();
                    self.seat_lane(id.clone(), record, owed, now);
                    self.drop_lane_if_over(&id);
                }
                Destination::Alert(id) => {
                    let record = remembered.channels.remove(&id).unwrap_or_default();
                    self.seat_channel(id.clone(), record, owed, now);
                    self.drop_channel_if_over(&id);
                }
            }
        }
    }

    /// Everything that the roster names.
    fn configured(&self) -> impl Iterator<Item = Destination> + use<> {
        let roster = &self.setup.roster;
        let actions = roster.actions.keys().cloned().map(Destination::Action);
        actions.chain(roster.alerts.keys().cloned().map(Destination::Alert)).collect::<Vec<_>>().into_iter()
    }

    fn seat_lane(&mut self, id: Id, record: LaneRecord, owed: Vec<Delivery>, now: Now) {
        if self.lanes.contains_key(&id) {
            return;
        }
        let configured = self.setup.roster.actions.get(&id).copied();
        let nothing = (ActionPolicy::default(), Commands { promote: false, demote: false });
        let (policy, commands) = configured.unwrap_or(nothing);
        // Promotions are held back before the lane looks at what is owed, and single runs are told before it waits.
        let mut lane = Lane::new(id.clone(), policy, commands, record, self.seed(), now);
        let mut turns = vec![lane.handle(now, lane::Input::Overlay(self.setup.promotions))];
        if configured.is_none() {
            turns.push(lane.handle(now, lane::Input::Retired));
        }
        turns.push(lane.restore(now, owed));
        if self.setup.mode == Mode::Once {
            turns.push(lane.handle(now, lane::Input::Once));
        }
        self.lanes.insert(id.clone(), LaneSeat { lane, signals: None, configured: configured.is_some() });
        for turn in turns {
            self.carry_out_lane(&id, turn, now);
        }
    }

    fn seat_channel(&mut self, id: Id, record: ChannelRecord, owed: Vec<Delivery>, now: Now) {
        if self.channels.contains_key(&id) {
            return;
        }
        let client = self.setup.roster.alerts.get(&id).cloned();
        let policy = client.as_ref().map_or_else(ChannelPolicy::default, |(policy, _)| *policy);
        let mut channel = Channel::new(id.clone(), policy, record, self.seed(), now);
        let mut turns = Vec::new();
        if client.is_none() {
            turns.push(channel.handle(now, channel::Input::Retired));
        }
        if self.setup.mode == Mode::Once {
            turns.push(channel.handle(now, channel::Input::Once));
        }
        turns.push(channel.restore(now, owed));
        self.channels.insert(id.clone(), ChannelSeat { channel, client });
        for turn in turns {
            self.carry_out_channel(&id, turn, now);
        }
    }

    fn seed(&mut self) -> u64 {
        self.seeds = self.seeds.wrapping_add(1);
        self.seeds
    }

    fn next_wake(&self, now: Now) -> Option<Mono> {
        let lanes = self.lanes.values().filter_map(|seat| seat.lane.next_wake());
        let channels = self.channels.values().filter_map(|seat| seat.channel.next_wake(now.mono));
        let grace = self.stopped.filter(|until| *until > now.mono);
        lanes.chain(channels).chain(self.finishing).chain(grace).min()
    }

    /// Gives everybody whose time has come a look at the clock.
    fn wake(&mut self) {
        let now = (self.setup.now)();
        let is_due = |at: Option<Mono>| at.is_some_and(|at| at <= now.mono);
        let lanes: Vec<_> =
            self.lanes.iter().filter(|(_, seat)| is_due(seat.lane.next_wake())).map(|(id, _)| id.clone()).collect();
        for id in lanes {
            self.tell_lane(&id, lane::Input::Wake, now);
        }
        let channels: Vec<_> = self
            .channels
            .iter()
            .filter(|(_, seat)| is_due(seat.channel.next_wake(now.mono)))
            .map(|(id, _)| id.clone())
            .collect();
        for id in channels {
            self.tell_channel(&id, channel::Input::Wake, now);
        }
        if is_due(self.finishing) {
            tracing::warn!("not everything could be tried in time: the rest stays due");
            self.finishing = None;
            self.stop(Duration::ZERO, now);
        }
    }

    fn is_over(&self, now: Now) -> bool {
        let lanes = self.lanes.values().all(|seat| seat.lane.is_idle());
        let channels = self.channels.values().all(|seat| seat.channel.is_idle());
        match (self.stopped, self.finishing) {
            (Some(until), _) => lanes && (channels || now.mono >= until),
            (None, Some(_)) => lanes && channels && self.uncommitted == 0,
            (None, None) => false,
        }
    }

    fn ordered(&mut self, order: Order) {
        let now = (self.setup.now)();
        match order {
            Order::Committed(deliveries) => self.take_on(deliveries, now),
            Order::Resume(id) => self.tell_lane(&id, lane::Input::Resume, now),
            Order::Overlay(promotions) => {
                self.setup.promotions = promotions;
                for id in self.lanes.keys().cloned().collect::<Vec<_>>() {
                    self.tell_lane(&id, lane::Input::Overlay(promotions), now);
                }
            }
            Order::Replan(hands, roster) => {
                self.setup.hands = hands;
                self.setup.roster = roster;
                self.replan(now);
            }
            Order::Finish(longest) => self.finishing = Some(now.mono + longest),
            Order::Stop => self.stop(ALERT_GRACE, now),
        }
    }

    fn stop(&mut self, grace: Duration, now: Now) {
        self.stopped.get_or_insert(now.mono + grace);
        for id in self.lanes.keys().cloned().collect::<Vec<_>>() {
            self.tell_lane(&id, lane::Input::Stop, now);
        }
        for id in self.channels.keys().cloned().collect::<Vec<_>>() {
            self.tell_channel(&id, channel::Input::Stop, now);
        }
    }

    /// Hands new deliveries to those who are to carry them out.
    fn take_on(&mut self, deliveries: Vec<Delivery>, now: Now) {
        for delivery in deliveries.into_iter().filter(|delivery| delivery.status.is_unsettled()) {
            match delivery.intent.to.clone() {
                Destination::Action(id) => {
                    self.seat_lane(id.clone(), LaneRecord::default(), Vec::new(), now);
                    self.tell_lane(&id, lane::Input::Wish(Box::new(delivery)), now);
                }
                Destination::Alert(id) => {
                    self.seat_channel(id.clone(), ChannelRecord::default(), Vec::new(), now);
                    self.tell_channel(&id, channel::Input::Wish(Box::new(delivery)), now);
                }
            }
        }
    }

    fn replan(&mut self, now: Now) {
        for id in self.lanes.keys().cloned().collect::<Vec<_>>() {
            let configured = self.setup.roster.actions.get(&id).copied();
            if let Some(seat) = self.lanes.get_mut(&id) {
                seat.configured = configured.is_some();
            }
            let input =
                configured.map_or(lane::Input::Retired, |(policy, commands)| lane::Input::Replanned(policy, commands));
            self.tell_lane(&id, input, now);
        }
        for id in self.channels.keys().cloned().collect::<Vec<_>>() {
            let client = self.setup.roster.alerts.get(&id).cloned();
            let policy = client.as_ref().map(|(policy, _)| *policy);
            if let Some(seat) = self.channels.get_mut(&id) {
                seat.client = client;
            }
            let input = policy.map_or(channel::Input::Retired, channel::Input::Replanned);
            self.tell_channel(&id, input, now);
        }
        self.take_up(Remembered { lanes: BTreeMap::new(), channels: BTreeMap::new(), owed: BTreeMap::new() });
    }

    fn tell_lane(&mut self, id: &Id, input: lane::Input, now: Now) {
        let Some(seat) = self.lanes.get_mut(id) else { return };
        let turn = seat.lane.handle(now, input);
        self.carry_out_lane(id, turn, now);
        self.drop_lane_if_over(id);
    }

    /// Forgets an action that is no longer configured, when its last command has ended.
    fn drop_lane_if_over(&mut self, id: &Id) {
        if self.lanes.get(id).is_some_and(|seat| !seat.configured && seat.lane.is_idle()) {
            self.lanes.remove(id);
            let mut entry = Entry::default();
            entry.batch.lanes.push((id.clone(), None));
            self.submit(entry);
        }
    }

    fn tell_channel(&mut self, id: &Id, input: channel::Input, now: Now) {
        let Some(seat) = self.channels.get_mut(id) else { return };
        let turn = seat.channel.handle(now, input);
        self.carry_out_channel(id, turn, now);
        self.drop_channel_if_over(id);
    }

    /// Forgets an alert that is no longer configured, when its last attempt has ended.
    fn drop_channel_if_over(&mut self, id: &Id) {
        if self.channels.get(id).is_some_and(|seat| seat.client.is_none() && seat.channel.is_idle()) {
            self.channels.remove(id);
            let mut entry = Entry::default();
            entry.batch.channels.push((id.clone(), None));
            self.submit(entry);
        }
    }

    fn carry_out_lane(&mut self, id: &Id, turn: Turn<lane::Effect>, now: Now) {
        log(&format_args!("action {id}"), &turn.notes);
        let marks = turn.effects.contains(&lane::Effect::Mark).then(|| id.clone());
        let fresh = self.owed_for(&turn.notices, None, now);
        self.write(turn.batch, marks, fresh);
        for effect in turn.effects {
            match effect {
                lane::Effect::Mark => {}
                lane::Effect::Run(delivery) => {
                    let order = text::message(&delivery, &channel::Saying::AsWritten, &self.setup.roster);
                    tracing::info!("action {id}: {} starts, attempt {}", order.intent.key, order.attempt);
                    let (hands, reports) = (self.setup.hands.clone(), self.reports.clone());
                    let signals = self.signals(id);
                    let task = attempt::command(id.clone(), hands, order, now.wall, signals, reports);
                    let handle = self.tasks.spawn(task);
                    self.work.insert(handle.id(), Work::Command(id.clone()));
                }
                lane::Effect::Adopt(running) => {
                    let signals = self.signals(id);
                    let task = attempt::adopted(id.clone(), self.setup.hands.clone(), running, signals);
                    let handle = self.tasks.spawn(task);
                    self.work.insert(handle.id(), Work::Adopted(id.clone()));
                }
                lane::Effect::Signal(signal) => {
                    let signals = self.lanes.get(id).and_then(|seat| seat.signals.as_ref());
                    if let Some(signals) = signals {
                        // A command that has just ended needs no signal.
                        let _ = signals.send(signal);
                    }
                }
            }
        }
    }

    fn carry_out_channel(&mut self, id: &Id, turn: Turn<channel::Effect>, now: Now) {
        log(&format_args!("alert {id}"), &turn.notes);
        let fresh = self.owed_for(&turn.notices, Some(id), now);
        self.write(turn.batch, None, fresh);
        for channel::Effect::Send(delivery, saying) in turn.effects {
            let Some((policy, client)) = self.channels.get(id).and_then(|seat| seat.client.clone()) else { return };
            let message = text::message(&delivery, &saying, &self.setup.roster);
            let key = message.intent.key.clone();
            let handle = self.tasks.spawn(attempt::send(id.clone(), client, message, policy.timeout));
            self.work.insert(handle.id(), Work::Message(id.clone(), key));
        }
    }

    /// A fresh way to signal the command that a lane starts.
    fn signals(&mut self, id: &Id) -> mpsc::UnboundedReceiver<Signal> {
        let (sender, receiver) = mpsc::unbounded_channel();
        if let Some(seat) = self.lanes.get_mut(id) {
            seat.signals = Some(sender);
        }
        receiver
    }

    /// A notice, for every alert but one.
    fn owed_for(&self, notices: &[Notice], except: Option<&Id>, now: Now) -> Vec<Delivery> {
        let to = self.setup.roster.alerts.keys().filter(|id| Some(*id) != except);
        let pairs = to.flat_map(|id| notices.iter().map(move |notice| (id, notice)));
        pairs
            .map(|(id, notice)| notice.delivery(id, text::notice(&notice.text, &self.setup.roster), now.wall))
            .collect()
    }

    fn write(&mut self, mut batch: heartbeat_core::ledger::Batch, marks: Option<Id>, fresh: Vec<Delivery>) {
        batch.deliveries.extend(fresh.iter().cloned());
        if !batch.is_empty() || marks.is_some() {
            self.submit(Entry { batch, marks, fresh });
        }
    }

    fn submit(&mut self, entry: Entry) {
        self.uncommitted += 1;
        // The committer outlives this worker, unless it panicked; then the loop's end says so.
        let _ = self.entries.send(entry);
    }

    fn committed(&mut self, done: Committed) {
        let now = (self.setup.now)();
        tell(&self.setup.settled, &done);
        for mut entry in done.entries {
            self.uncommitted -= 1;
            if let Some(id) = entry.marks {
                self.tell_lane(&id, lane::Input::Marked(done.mark), now);
            }
            for delivery in &mut entry.fresh {
                delivery.durable = done.mark == Mark::Durable;
            }
            self.take_on(entry.fresh, now);
        }
    }

    fn reported(&mut self, report: Report) {
        let now = (self.setup.now)();
        match report {
            Report::Started(id, running) => self.tell_lane(&id, lane::Input::Started(running), now),
            Report::Ended(id, end) => {
                if let End::Done(answer) = &end {
                    tracing::info!("action {id}: done: {answer}");
                }
                self.tell_lane(&id, lane::Input::Ended(end), now);
            }
            Report::Gone(id) => self.tell_lane(&id, lane::Input::Gone, now),
            Report::Tried(id, key, answer) => {
                if let Answer::Accepted(answer) = &answer {
                    tracing::info!("alert {id}: {key} is delivered: {answer}");
                }
                self.tell_channel(&id, channel::Input::Tried(key, answer), now);
            }
        }
    }

    /// A task has ended: with its report, or in a panic, which is a failed attempt like any other.
    fn joined(&mut self, ended: Result<(task::Id, Report), JoinError>) {
        let report = match ended {
            Ok((id, report)) => {
                self.work.remove(&id);
                report
            }
            Err(error) => {
                let Some(work) = self.work.remove(&error.id()) else { return };
                tracing::error!("an attempt failed within heartbeat itself: {error}");
                let answer: Arc<str> = "failed within heartbeat itself".into();
                match work {
                    Work::Command(id) => Report::Ended(id, End::Failed(answer)),
                    Work::Adopted(id) => Report::Gone(id),
                    Work::Message(id, key) => Report::Tried(id, key, Answer::ForNow { answer, after: None }),
                }
            }
        };
        // Behind the task's own reports, which are in the queue already.
        let _ = self.reports.send(report);
    }
}

/// Tells the coordinator what has been settled.
fn tell(settled: &mpsc::UnboundedSender<Delivery>, done: &Committed) {
    let deliveries = done.entries.iter().flat_map(|entry| &entry.batch.deliveries);
    for delivery in deliveries.filter(|delivery| !delivery.status.is_unsettled()) {
        // Without a coordinator the program is ending, and the store knows.
        let _ = settled.send(delivery.clone());
    }
}

fn log(who: &dyn std::fmt::Display, notes: &[Note]) {
    for note in notes {
        match note {
            Note::Told(text) => tracing::info!("{who}: {text}"),
            Note::Warned(text) => tracing::warn!("{who}: {text}"),
        }
    }
}
