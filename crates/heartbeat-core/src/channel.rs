//! The worker of one alert channel: which message is tried next, and what becomes of those that cannot be delivered.
//!
//! Messages about one check or group form a *thread*, which is delivered in order, one at a time; threads do not wait
//! for each other. Every attempt that failed lengthens two waits: that of its message, and that of the channel as a
//! whole. While the channel as a whole waits, one attempt at a time feels whether the provider is back: it then
//! sees one attempt in five minutes, however many messages are owed. Threads take turns: a message that the
//! provider chokes on delays the others by a second or two, not by its own long backoff.
//!
//! What comes too late or is too much is said in other words (see [`Saying`]) and never dropped: the messages of a
//! summary stay unsettled until the summary is accepted, so that a crash loses none of them. A summary that has been
//! tried once stays as it is: its retries must say what the first attempt said, which the provider may have taken.
//!
//! The wall clock is read once, when a message arrives; what waits afterwards waits on the monotonic clock.
//!
//! Deliberately absent: the texts of summaries, for times are written in a time zone and that is not ours to know.

use alloc::boxed::Box;
use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::time::Duration;

use crate::delivery::{Delivery, Note, Notice, Status};
use crate::intent::Event;
use crate::pace::{Age, Dice, Window, message_delay};
use crate::policy::ChannelPolicy;
use crate::record::ChannelRecord;
use crate::{Id, Mono, Now, Wall, delivery};

/// Attempts in flight at once, on one channel.
pub const IN_FLIGHT: usize = 4;
/// The same in a single run, which has no time to wait.
pub const IN_FLIGHT_ONCE: usize = 32;
/// A provider that asks for a longer wait than this is asked again after this.
pub const LONGEST_AFTER: Duration = Duration::from_secs(3600);
/// So long after it has expired, a message that nobody takes is a dead letter.
pub const GIVE_UP: Duration = Duration::from_secs(30 * 24 * 3600);

/// Of a summary that is a dead letter, its notice repeats so many texts.
const TEXTS_IN_NOTICE: usize = 3;

const UNCONFIGURED: &str = "the alert is no longer configured";

/// What a channel answers.
pub type Turn = delivery::Turn<Effect>;

/// What came of one attempt. Answers are one line, without secrets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The provider has taken the message over.
    Accepted(Arc<str>),
    /// Another attempt cannot help.
    ForGood(Arc<str>),
    /// Another attempt may help.
    ForNow {
        /// What was said.
        answer: Arc<str>,
        /// The least time to wait, if the provider named one.
        after: Option<Duration>,
    },
}

/// What a channel is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    /// [`Channel::next_wake`] has come.
    Wake,
    /// An intent for this alert has been committed.
    Wish(Box<Delivery>),
    /// The attempt of [`Effect::Send`] with this key has ended.
    Tried(Arc<str>, Answer),
    /// Another configuration holds.
    Replanned(ChannelPolicy),
    /// The alert is no longer configured.
    Retired,
    /// This is a single run: every message is tried now, and none twice.
    Once,
    /// The program ends: nothing starts any more.
    Stop,
}

/// What a channel wants done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Try to deliver. `attempts` counts this attempt.
    Send(Box<Delivery>, Saying),
}

/// What a message says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Saying {
    /// What its intent says.
    AsWritten,
    /// The same, and that it could not be delivered since then.
    Late(Wall),
    /// In place of all messages of an incident, none of which was delivered in time: the check was down.
    WasDown {
        /// From when.
        from: Wall,
        /// Until when.
        to: Wall,
    },
    /// In place of messages that the channel's limit held back.
    HeldBack {
        /// When the first of them was decided on.
        since: Wall,
        /// Their texts, in order.
        texts: Vec<Arc<str>>,
    },
}

/// The worker of one alert channel.
#[derive(Debug)]
pub struct Channel {
    id: Id,
    policy: ChannelPolicy,
    record: ChannelRecord,
    accepted: Window,
    dice: Dice,
    /// Every message that is not settled.
    keys: BTreeSet<Arc<str>>,
    threads: BTreeMap<Option<Id>, Thread>,
    /// In flight, and summaries between two attempts.
    parcels: Vec<Parcel>,
    /// Attempts that failed in a row, over all threads.
    failures: u32,
    /// While `failures` is not zero: no attempt before this.
    gate: Mono,
    /// The limit has held something back.
    held_back: bool,
    /// Attempts so far: threads take turns by it.
    turn_number: u64,
    /// Of a check: the incident whose down message was refused for good, so that its up message has nothing to end.
    unheard: BTreeMap<Id, u64>,
    once: bool,
    stopped: bool,
    retired: bool,
}

#[derive(Debug, Default)]
struct Thread {
    queue: VecDeque<Message>,
    /// A parcel holds its foremost messages.
    busy: bool,
    last_turn: u64,
}

#[derive(Debug)]
struct Message {
    delivery: Delivery,
    age: Age,
    due: Mono,
    /// It has had an attempt in this process.
    tried: bool,
}

/// One message, or several that are told in one. The last one lends its key.
#[derive(Debug)]
struct Parcel {
    folded: Vec<Message>,
    carrier: Message,
    saying: Saying,
    last_turn: u64,
    /// While it is in flight: `failures` when the attempt began.
    flight: Option<u32>,
}

/// Who is next.
#[derive(Clone, Debug)]
enum Next {
    Thread(Option<Id>),
    Parcel(usize),
}

impl Channel {
    /// Takes up where the record left off. What the store owes follows with [`Channel::restore`].
    pub fn new(id: Id, policy: ChannelPolicy, record: ChannelRecord, seed: u64, now: Now) -> Self {
        Self {
            id,
            policy,
            accepted: Window::recall(&record.accepted, now),
            record,
            dice: Dice::new(seed),
            keys: BTreeSet::new(),
            threads: BTreeMap::new(),
            parcels: Vec::new(),
            failures: 0,
            gate: Mono::ZERO,
            held_back: false,
            turn_number: 0,
            unheard: BTreeMap::new(),
            once: false,
            stopped: false,
            retired: false,
        }
    }

    /// Takes up the unsettled deliveries of this alert that the store holds.
    pub fn restore(&mut self, now: Now, mut unsettled: Vec<Delivery>) -> Turn {
        let mut turn = Turn::default();
        unsettled.sort_by_key(|delivery| delivery.sequence);
        for delivery in unsettled {
            let wait = delivery.not_before.since(now.wall).min(LONGEST_AFTER);
            self.wish(delivery, now.mono + wait, now, &mut turn);
        }
        self.send_what_is_due(now, &mut turn);
        turn
    }

    /// Decides what follows from an input.
    pub fn handle(&mut self, now: Now, input: Input) -> Turn {
        let mut turn = Turn::default();
        match input {
            Input::Wake => {}
            Input::Wish(delivery) => self.wish(*delivery, now.mono, now, &mut turn),
            Input::Tried(key, answer) => {
                let sent = |parcel: &Parcel| parcel.flight.is_some() && parcel.carrier.delivery.intent.key == key;
                if let Some(at) = self.parcels.iter().position(sent) {
                    let parcel = self.parcels.swap_remove(at);
                    self.tried(parcel, answer, now, &mut turn);
                }
            }
            Input::Replanned(policy) => {
                self.policy = policy;
                self.retired = false;
            }
            Input::Retired => self.retire(now, &mut turn),
            Input::Once => self.once = true,
            Input::Stop => self.stopped = true,
        }
        self.send_what_is_due(now, &mut turn);
        turn
    }

    /// When [`Input::Wake`] is due; `None` while only another input can change anything.
    pub fn next_wake(&self, now: Mono) -> Option<Mono> {
        let flights = self.flights();
        if self.stopped || flights >= self.places() || (self.feeling() && flights > 0) {
            return None;
        }
        let heads = self.threads.values().filter(|thread| !thread.busy).filter_map(|thread| thread.queue.front());
        let summaries = self.parcels.iter().filter(|parcel| parcel.flight.is_none()).map(|parcel| &parcel.carrier);
        let due = heads.chain(summaries).filter_map(|message| self.due(message)).min()?;
        let due = if self.feeling() { due.max(self.gate) } else { due };
        let room = self.accepted.room_at(self.policy.limit, flights, now);
        Some(room.map_or(due, |room| due.max(room)))
    }

    /// Whether nothing is in flight: the program may end, or a retired channel be dropped.
    pub fn is_idle(&self) -> bool {
        self.flights() == 0
    }

    fn flights(&self) -> usize {
        self.parcels.iter().filter(|parcel| parcel.flight.is_some()).count()
    }

    const fn places(&self) -> usize {
        if self.once { IN_FLIGHT_ONCE } else { IN_FLIGHT }
    }

    /// Whether one attempt at a time feels if the provider is back.
    const fn feeling(&self) -> bool {
        self.failures > 0 && !self.once
    }

    /// When a message may be tried; `None`: not in this run.
    const fn due(&self, message: &Message) -> Option<Mono> {
        match (self.once, message.tried) {
            (true, true) => None,
            (true, false) => Some(Mono::ZERO),
            (false, _) => Some(message.due),
        }
    }

    fn wish(&mut self, delivery: Delivery, due: Mono, now: Now, turn: &mut Turn) {
        if self.keys.contains(&delivery.intent.key) {
            return;
        }
        if self.retired {
            turn.settle(delivery, Status::Superseded(now.wall), UNCONFIGURED);
        } else if delivery.intent.event == Event::Reminder && self.owes_an_earlier_one(&delivery) {
            let why = "an earlier message of the incident is not delivered yet";
            turn.notes.push(Note::Told(format!("{} is not sent: {why}", delivery.intent.key)));
            turn.settle(delivery, Status::Superseded(now.wall), why);
        } else if delivery.intent.event == Event::Up && self.is_unheard(&delivery) {
            self.drop_unheard(delivery, now, turn);
        } else {
            self.keys.insert(delivery.intent.key.clone());
            let age = Age::of(delivery.intent.at, now);
            let thread = self.threads.entry(delivery.intent.subject.clone()).or_default();
            let message = Message { delivery, age, due, tried: false };
            let at = thread.queue.partition_point(|other| other.delivery.sequence <= message.delivery.sequence);
            thread.queue.insert(at, message);
        }
    }

    fn owes_an_earlier_one(&self, reminder: &Delivery) -> bool {
        let queued = self.threads.get(&reminder.intent.subject).into_iter().flat_map(|thread| &thread.queue);
        let parcelled = self.parcels.iter().flat_map(Parcel::messages);
        queued.chain(parcelled).map(|message| &message.delivery.intent).any(|intent| {
            intent.subject == reminder.intent.subject
                && intent.incident == reminder.intent.incident
                && matches!(intent.event, Event::Down | Event::Reminder)
        })
    }

    fn is_unheard(&self, delivery: &Delivery) -> bool {
        let unheard = delivery.intent.subject.as_ref().and_then(|subject| self.unheard.get(subject));
        unheard.is_some() && unheard.copied() == delivery.intent.incident
    }

    fn drop_unheard(&self, delivery: Delivery, now: Now, turn: &mut Turn) {
        let why = "nobody was told that it was down";
        turn.notes.push(Note::Told(format!("{} is not sent: {why}", delivery.intent.key)));
        turn.settle(delivery, Status::Superseded(now.wall), why);
    }

    fn retire(&mut self, now: Now, turn: &mut Turn) {
        self.retired = true;
        let (flying, summaries): (Vec<_>, Vec<_>) = self.parcels.drain(..).partition(|parcel| parcel.flight.is_some());
        self.parcels = flying;
        for parcel in &summaries {
            self.release(parcel);
        }
        let summarised = summaries.into_iter().flat_map(Parcel::into_messages);
        for message in self.threads.values_mut().flat_map(|thread| thread.queue.drain(..)).chain(summarised) {
            self.keys.remove(&message.delivery.intent.key);
            turn.settle(message.delivery, Status::Superseded(now.wall), UNCONFIGURED);
        }
        self.threads.retain(|_, thread| thread.busy);
    }

    /// Starts every attempt that is due and that bounds, gate and limit allow.
    fn send_what_is_due(&mut self, now: Now, turn: &mut Turn) {
        while let Some(next) = self.next(now) {
            if self.accepted.room_at(self.policy.limit, self.flights(), now.mono).is_some() {
                if !self.held_back {
                    let limit = self.policy.limit.map(|limit| format!("{limit}")).unwrap_or_default();
                    turn.notes.push(Note::Warned(format!("messages are held back: the limit of {limit} is reached")));
                }
                self.held_back = true;
                return;
            }
            let mut parcel = match next {
                Next::Parcel(at) => self.parcels.swap_remove(at),
                Next::Thread(_) if self.held_back => self.gather(now),
                Next::Thread(subject) => self.take(subject, now),
            };
            self.turn_number += 1;
            parcel.last_turn = self.turn_number;
            for subject in parcel.subjects() {
                if let Some(thread) = self.threads.get_mut(subject) {
                    thread.last_turn = self.turn_number;
                }
            }
            parcel.flight = Some(self.failures);
            parcel.carrier.delivery.attempts += 1;
            parcel.carrier.tried = true;
            turn.effects.push(Effect::Send(Box::new(parcel.carrier.delivery.clone()), parcel.saying.clone()));
            self.parcels.push(parcel);
        }
    }

    /// Of what is due now, the one that has waited longest for its turn.
    fn next(&self, now: Now) -> Option<Next> {
        let flights = self.flights();
        let closed = self.feeling() && (flights > 0 || now.mono < self.gate);
        if self.stopped || closed || flights >= self.places() {
            return None;
        }
        let is_due = |message: &Message| self.due(message).is_some_and(|due| due <= now.mono);
        let threads = self.threads.iter().filter(|(_, thread)| !thread.busy).filter_map(|(subject, thread)| {
            let head = thread.queue.front().filter(|head| is_due(head))?;
            Some(((thread.last_turn, head.delivery.sequence), Next::Thread(subject.clone())))
        });
        let summaries = self.parcels.iter().enumerate().filter_map(|(at, parcel)| {
            let waits = parcel.flight.is_none() && is_due(&parcel.carrier);
            waits.then_some(((parcel.last_turn, parcel.carrier.delivery.sequence), Next::Parcel(at)))
        });
        threads.chain(summaries).min_by_key(|(order, _)| *order).map(|(_, next)| next)
    }

    /// The foremost message of a thread; with the whole incident, if all of it is stale.
    fn take(&mut self, subject: Option<Id>, now: Now) -> Parcel {
        let expire = self.policy.expire;
        let thread = self.threads.get_mut(&subject).expect("chosen among the threads");
        thread.busy = true;
        let stale = |message: &Message| message.age.at(now.mono) >= expire;
        let head = thread.queue.front().expect("chosen for its foremost message");
        let (event, incident) = (head.delivery.intent.event, head.delivery.intent.incident);
        let late = stale(head) && event != Event::Test;
        let ended = thread.queue.iter().position(|message| {
            let intent = &message.delivery.intent;
            intent.event == Event::Up && intent.incident == incident && stale(message)
        });
        if let (true, Event::Down | Event::Reminder, Some(ended)) = (late, event, ended) {
            let from = head.delivery.intent.facts.since.unwrap_or(head.delivery.intent.at);
            let mut folded: Vec<_> = thread.queue.drain(..=ended).collect();
            let carrier = folded.pop().expect("at least the message that ends it");
            let saying = Saying::WasDown { from, to: carrier.delivery.intent.at };
            return Parcel { folded, carrier, saying, last_turn: 0, flight: None };
        }
        let carrier = thread.queue.pop_front().expect("just seen");
        let saying = if late { Saying::Late(carrier.delivery.intent.at) } else { Saying::AsWritten };
        Parcel { folded: Vec::new(), carrier, saying, last_turn: 0, flight: None }
    }

    /// Everything that waits for nothing but the limit, in one.
    fn gather(&mut self, now: Now) -> Parcel {
        self.held_back = false;
        let due = |message: &Message| match (self.once, message.tried) {
            (true, tried) => !tried,
            (false, _) => message.due <= now.mono,
        };
        let ready: Vec<_> = self
            .threads
            .iter()
            .filter(|(_, thread)| !thread.busy && thread.queue.front().is_some_and(due))
            .map(|(subject, thread)| (subject.clone(), thread.queue.len()))
            .collect();
        if let [(subject, 1)] = &ready[..] {
            return self.take(subject.clone(), now);
        }
        let mut folded = Vec::new();
        for (subject, _) in ready {
            let thread = self.threads.get_mut(&subject).expect("chosen among the threads");
            thread.busy = true;
            folded.extend(thread.queue.drain(..));
        }
        folded.sort_by_key(|message| message.delivery.sequence);
        let texts = folded.iter().map(|message| message.delivery.intent.message.clone()).collect();
        let since = folded.iter().map(|message| message.delivery.intent.at).min().unwrap_or(now.wall);
        let carrier = folded.pop().expect("something was due");
        Parcel { folded, carrier, saying: Saying::HeldBack { since, texts }, last_turn: 0, flight: None }
    }

    fn tried(&mut self, mut parcel: Parcel, answer: Answer, now: Now, turn: &mut Turn) {
        let failures_then = parcel.flight.take().unwrap_or_default();
        match answer {
            Answer::Accepted(answer) => {
                self.failures = 0;
                self.accepted.count(self.policy.limit, now);
                self.record.accepted = self.accepted.moments();
                turn.batch.channels.push((self.id.clone(), Some(self.record.clone())));
                self.release(&parcel);
                let reminders = parcel.messages().filter(|message| message.is(Event::Reminder));
                for (subject, incident) in reminders.filter_map(Message::incident) {
                    if self.unheard.get(&subject) == Some(&incident) {
                        self.unheard.remove(&subject);
                    }
                }
                // Held back, they were told all the same: an up message may follow. Told too late, they were replaced.
                let folded = match parcel.saying {
                    Saying::WasDown { .. } => Status::Superseded(now.wall),
                    _ => Status::Done(now.wall),
                };
                self.settle(parcel, Status::Done(now.wall), folded, &answer, turn);
            }
            Answer::ForGood(answer) => {
                self.failures = 0;
                self.release(&parcel);
                self.bury(parcel, &answer, now, turn);
            }
            Answer::ForNow { answer, .. } if self.retired => {
                self.release(&parcel);
                let answer = format!("{answer}; {UNCONFIGURED}");
                let superseded = Status::Superseded(now.wall);
                self.settle(parcel, superseded.clone(), superseded, &answer, turn);
            }
            Answer::ForNow { answer, after } => {
                let after = after.unwrap_or_default().min(LONGEST_AFTER);
                if failures_then + 1 > self.failures {
                    self.failures = failures_then.saturating_add(1);
                    self.gate = now.mono + message_delay(self.failures, &mut self.dice).max(after);
                }
                if parcel.carrier.age.at(now.mono) >= self.policy.expire.saturating_add(GIVE_UP) {
                    self.release(&parcel);
                    self.bury(parcel, &format!("not delivered in all this time: {answer}"), now, turn);
                } else {
                    self.put_off(parcel, answer, after, now, turn);
                }
            }
        }
    }

    /// The threads of a parcel may go on.
    fn release(&mut self, parcel: &Parcel) {
        for subject in parcel.subjects() {
            if let Some(thread) = self.threads.get_mut(subject) {
                thread.busy = false;
                if thread.queue.is_empty() {
                    self.threads.remove(subject);
                }
            }
        }
    }

    fn settle(&mut self, parcel: Parcel, carrier: Status, folded: Status, answer: &str, turn: &mut Turn) {
        let key = parcel.carrier.delivery.intent.key.clone();
        for message in parcel.folded {
            self.keys.remove(&message.delivery.intent.key);
            turn.settle(message.delivery, folded.clone(), format!("told in one with {key}: {answer}"));
        }
        self.keys.remove(&key);
        turn.settle(parcel.carrier.delivery, carrier, answer);
    }

    /// A dead letter, with a notice for the other channels; a notice's own end is no news.
    fn bury(&mut self, parcel: Parcel, answer: &str, now: Now, turn: &mut Turn) {
        let carrier = &parcel.carrier.delivery;
        let text = format!("{} could not be delivered: {answer}", carrier.intent.key);
        if parcel.messages().any(|message| !message.is(Event::Notice) && !message.is(Event::Test)) {
            let texts: Vec<_> = parcel.messages().map(|message| &*message.delivery.intent.message).collect();
            let said = texts.iter().take(TEXTS_IN_NOTICE).copied().collect::<Vec<_>>().join("; ");
            let more = match texts.len().saturating_sub(TEXTS_IN_NOTICE) {
                0 => String::new(),
                more => format!("; and {more} more"),
            };
            let text = format!("alert {}: {text}. It said: {said}{more}", self.id);
            let key = format!("dead.{}", carrier.intent.key);
            turn.notices.push(Notice { key, at: carrier.intent.at, sequence: carrier.sequence, text });
        }
        turn.notes.push(Note::Warned(text));
        let ended: BTreeSet<_> =
            parcel.messages().filter(|message| message.is(Event::Up)).filter_map(Message::incident).collect();
        let unheard: Vec<_> = parcel
            .messages()
            .filter(|message| message.is(Event::Down))
            .filter_map(Message::incident)
            .filter(|incident| !ended.contains(incident))
            .collect();
        let dead = Status::Dead(now.wall);
        self.settle(parcel, dead.clone(), dead, answer, turn);
        for (subject, incident) in unheard {
            self.unheard.insert(subject.clone(), incident);
            self.drop_its_up(subject, incident, now, turn);
        }
    }

    fn drop_its_up(&mut self, subject: Id, incident: u64, now: Now, turn: &mut Turn) {
        let Some(thread) = self.threads.get_mut(&Some(subject.clone())) else { return };
        let of_it = |message: &Message| message.delivery.intent.incident == Some(incident);
        let Some(at) = thread.queue.iter().position(of_it) else { return };
        if !thread.queue[at].is(Event::Up) {
            return;
        }
        let message = thread.queue.remove(at).expect("just found");
        if thread.queue.is_empty() && !thread.busy {
            self.threads.remove(&Some(subject.clone()));
        }
        self.unheard.remove(&subject);
        self.keys.remove(&message.delivery.intent.key);
        self.drop_unheard(message.delivery, now, turn);
    }

    /// To be tried again: a single message goes back to the head of its thread, a summary stays together.
    fn put_off(&mut self, mut parcel: Parcel, answer: Arc<str>, after: Duration, now: Now, turn: &mut Turn) {
        let message = &mut parcel.carrier;
        let wait = message_delay(message.delivery.attempts, &mut self.dice).max(after);
        message.due = now.mono + wait;
        message.delivery.not_before = now.wall + wait;
        turn.notes.push(Note::Warned(format!(
            "{} is not delivered, attempt {}: {answer}; again after {:.1} s",
            message.delivery.intent.key,
            message.delivery.attempts,
            wait.as_secs_f64()
        )));
        message.delivery.answer = answer;
        turn.write(&message.delivery);
        if parcel.folded.is_empty() {
            let subject = &parcel.carrier.delivery.intent.subject;
            if let Some(thread) = self.threads.get_mut(subject) {
                thread.busy = false;
                thread.queue.push_front(parcel.carrier);
            }
        } else {
            self.parcels.push(parcel);
        }
    }
}

impl Message {
    fn is(&self, event: Event) -> bool {
        self.delivery.intent.event == event
    }

    fn incident(&self) -> Option<(Id, u64)> {
        Some((self.delivery.intent.subject.clone()?, self.delivery.intent.incident?))
    }
}

impl Parcel {
    fn messages(&self) -> impl Iterator<Item = &Message> {
        self.folded.iter().chain([&self.carrier])
    }

    fn into_messages(self) -> impl Iterator<Item = Message> {
        self.folded.into_iter().chain([self.carrier])
    }

    fn subjects(&self) -> impl Iterator<Item = &Option<Id>> {
        self.messages().map(|message| &message.delivery.intent.subject)
    }
}

#[cfg(test)]
mod tests;
