//! The worker of one action: one command at a time, strictly in order.
//!
//! A lane holds at most two deliveries: the one whose command runs, and the latest wish that came after it. Whatever
//! stood between them is settled as superseded when the next wish arrives, so that a service that flaps while a slow
//! command runs costs one more command and not a queue of them. The final command always agrees with the final wish: a
//! waiting wish is dropped only when the command that ended last, with success, was the one that it asks for.
//!
//! The lane decides; processes and the store are somebody else's. It is told when a command has started and ended, and
//! says what to write before what. What runs is not known here, only in which direction.
//!
//! A process that a crash of ours left running is waited for, if its number reached the store. Between the start of a
//! command and that write there are a few milliseconds in which a crash leaves an at-least-once command unknown; it is
//! then repeated beside itself. At-most-once commands have no such gap: their start is durable before it happens.
//!
//! Deliberately absent: verdicts, `on_start` and `repeat`. They are the coordinator's, which knows the checks; here a
//! repetition is a wish like any other.

use alloc::boxed::Box;
use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::mem;
use core::time::Duration;

use crate::delivery::{Delivery, Note, Notice, Running, Status};
use crate::pace::{Age, CEILING, Dice, Window, command_delay};
use crate::policy::{ActionPolicy, Guarantee, Retry};
use crate::record::{Direction, LaneRecord, LastRun};
use crate::{Id, Mono, Now, delivery};

/// After the stop, running commands are asked to end.
pub const STOP_TERM: Duration = Duration::from_secs(7);
/// After the stop, running commands are killed.
pub const STOP_KILL: Duration = Duration::from_secs(9);
/// Between asking a process of a former life to end and killing it.
pub const GRACE: Duration = Duration::from_secs(5);
/// Between two tries to make the start of an at-most-once command durable.
const MARK_PAUSE: Duration = Duration::from_secs(5);

const UNCONFIGURED: &str = "the action is no longer configured";

/// What a lane answers.
pub type Turn = delivery::Turn<Effect>;

/// Which commands an action has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Commands {
    /// There is one for good times.
    pub promote: bool,
    /// There is one for bad times.
    pub demote: bool,
}

impl Commands {
    const fn has(self, direction: Direction) -> bool {
        match direction {
            Direction::Promote => self.promote,
            Direction::Demote => self.demote,
        }
    }
}

/// Whether an overlay holds promotions back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Promotions {
    /// Nothing stands in their way.
    Run,
    /// They wait until the operator's overlay is gone.
    Wait,
}

/// What the store said to the mark of a start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mark {
    /// It is on the disk.
    Durable,
    /// It is in memory only.
    Volatile,
}

/// How a command ended. The answer is one line, without secrets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// With success.
    Done(Arc<str>),
    /// With another status, by a signal or at its timeout.
    Failed(Arc<str>),
    /// It was never started: no such file, refused, no process to be had.
    NotStarted(Arc<str>),
}

impl End {
    /// What is said of it.
    pub const fn answer(&self) -> &Arc<str> {
        match self {
            Self::Done(answer) | Self::Failed(answer) | Self::NotStarted(answer) => answer,
        }
    }
}

/// What a lane is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    /// [`Lane::next_wake`] has come.
    Wake,
    /// An intent for this action has been committed.
    Wish(Box<Delivery>),
    /// The answer to [`Effect::Mark`].
    Marked(Mark),
    /// The command of [`Effect::Run`] has a process.
    Started(Running),
    /// The command of [`Effect::Run`] has ended.
    Ended(End),
    /// The process of [`Effect::Adopt`] is not there, or not any more.
    Gone,
    /// The operator lifts the suspension.
    Resume,
    /// An overlay has begun or ended.
    Overlay(Promotions),
    /// Another configuration holds.
    Replanned(ActionPolicy, Commands),
    /// The action is no longer configured.
    Retired,
    /// This is a single run: what waits for a retry is tried now, and nothing is tried twice.
    Once,
    /// The program ends: nothing starts any more.
    Stop,
}

/// What a lane wants done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Say whether this turn's batch is durable, by [`Input::Marked`].
    Mark,
    /// Start this delivery's command. `attempts` counts this attempt.
    Run(Box<Delivery>),
    /// Watch the process, which a former life started, until it has ended.
    Adopt(Running),
    /// End the process group of the command, or of the adopted process.
    Signal(Signal),
}

/// How a process group is ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Signal {
    /// SIGTERM.
    Term,
    /// SIGKILL.
    Kill,
}

/// The worker of one action.
#[derive(Debug)]
pub struct Lane {
    id: Id,
    policy: ActionPolicy,
    commands: Commands,
    record: LaneRecord,
    stored: LaneRecord,
    starts: Window,
    dice: Dice,
    step: Step,
    latest: Option<Wish>,
    last_wish: Option<u64>,
    promotions: Promotions,
    suspended_until: Option<Mono>,
    signalled: Option<Signal>,
    stopped: Option<Mono>,
    retired: bool,
    once: bool,
    warned_of_marks: bool,
}

/// What the lane is busy with.
#[derive(Debug)]
enum Step {
    Idle,
    /// The start is being made durable; `counted` by the limit or not.
    Marking {
        delivery: Box<Delivery>,
        counted: bool,
    },
    Running(Box<Delivery>),
    /// A process of a former life runs this delivery's command, at most until then.
    Adopted {
        delivery: Box<Delivery>,
        until: Mono,
    },
}

#[derive(Debug)]
struct Wish {
    delivery: Box<Delivery>,
    not_before: Mono,
    /// It has had its attempt in this process.
    tried: bool,
}

impl Wish {
    const fn new(delivery: Box<Delivery>, not_before: Mono) -> Self {
        Self { delivery, not_before, tried: false }
    }

    /// It waits after an attempt.
    const fn again(delivery: Box<Delivery>, not_before: Mono) -> Self {
        Self { delivery, not_before, tried: true }
    }
}

impl Lane {
    /// Takes up where the record left off. What the store owes follows with [`Lane::restore`].
    pub fn new(id: Id, policy: ActionPolicy, commands: Commands, mut record: LaneRecord, seed: u64, now: Now) -> Self {
        let stored = record.clone();
        let since = policy.limit.and_then(|limit| Some(Age::of(record.suspended?, now).reaches(limit.window)));
        if since.is_none() {
            record.suspended = None;
        }
        Self {
            id,
            policy,
            commands,
            starts: Window::recall(&record.starts, now),
            record,
            stored,
            dice: Dice::new(seed),
            step: Step::Idle,
            latest: None,
            last_wish: None,
            promotions: Promotions::Run,
            suspended_until: since,
            signalled: None,
            stopped: None,
            retired: false,
            once: false,
            warned_of_marks: false,
        }
    }

    /// Takes up the unsettled deliveries of this action that the store holds.
    pub fn restore(&mut self, now: Now, mut unsettled: Vec<Delivery>) -> Turn {
        let mut turn = Turn::default();
        unsettled.sort_by_key(|delivery| delivery.sequence);
        for delivery in unsettled {
            self.recall(delivery, now, &mut turn);
        }
        self.finish(now, &mut turn);
        turn
    }

    /// Decides what follows from an input.
    pub fn handle(&mut self, now: Now, input: Input) -> Turn {
        let mut turn = Turn::default();
        match input {
            Input::Wake => {}
            Input::Wish(delivery) => self.wish(Wish::new(delivery, now.mono), now, &mut turn),
            Input::Marked(mark) => self.marked(mark, now, &mut turn),
            Input::Started(running) => {
                if let Step::Running(delivery) = &mut self.step {
                    delivery.status = Status::Started(running);
                    turn.write(delivery);
                }
            }
            Input::Ended(end) => {
                if let Step::Running(delivery) = self.take_running() {
                    self.ended(delivery, end, now, &mut turn);
                }
            }
            Input::Gone => {
                if let Step::Adopted { delivery, .. } = self.take_adopted() {
                    self.interrupted(
                        delivery,
                        "its command outlived heartbeat and its end was not seen",
                        now,
                        &mut turn,
                    );
                }
            }
            Input::Resume => {
                self.starts.clear();
                self.record.starts.clear();
                self.lift("resumed", &mut turn);
            }
            Input::Overlay(promotions) => self.promotions = promotions,
            Input::Replanned(policy, commands) => {
                self.policy = policy;
                self.commands = commands;
                self.retired = false;
                if policy.limit.is_none() {
                    self.lift("it has no limit any more", &mut turn);
                }
            }
            Input::Retired => {
                self.retired = true;
                if let Some(wish) = self.latest.take() {
                    self.supersede(*wish.delivery, UNCONFIGURED, now, &mut turn);
                }
            }
            Input::Once => {
                self.once = true;
                if let Some(wish) = &mut self.latest {
                    wish.not_before = now.mono;
                }
            }
            Input::Stop => {
                self.stopped.get_or_insert(now.mono);
            }
        }
        self.finish(now, &mut turn);
        turn
    }

    /// When [`Input::Wake`] is due; `None` while only another input can change anything.
    pub fn next_wake(&self) -> Option<Mono> {
        [self.next_start(), self.suspended_until, self.next_signal().map(|(at, _)| at)].into_iter().flatten().min()
    }

    /// Whether no command runs and none is about to: the program may end, or a retired lane be dropped.
    pub const fn is_idle(&self) -> bool {
        matches!(self.step, Step::Idle)
    }

    fn next_start(&self) -> Option<Mono> {
        let wish = self.latest.as_ref()?;
        let held = self.promotions == Promotions::Wait && direction(&wish.delivery) == Direction::Promote;
        let free = matches!(self.step, Step::Idle) && self.stopped.is_none() && self.suspended_until.is_none();
        let spent = self.once && wish.tried;
        (free && !held && !spent).then_some(wish.not_before)
    }

    fn recall(&mut self, delivery: Delivery, now: Now, turn: &mut Turn) {
        match delivery.status {
            Status::Started(running) if running.pid != 0 && matches!(self.step, Step::Idle) => {
                let left = self.policy.timeout.saturating_sub(now.wall.since(running.at));
                turn.notes.push(Note::Told(format!(
                    "{} was running when heartbeat ended: waiting for process {}",
                    direction(&delivery).as_str(),
                    running.pid
                )));
                self.last_wish = Some(delivery.sequence);
                self.step = Step::Adopted { delivery: Box::new(delivery), until: now.mono + left };
                turn.effects.push(Effect::Adopt(running));
            }
            Status::Started(_) => {
                self.last_wish = Some(delivery.sequence);
                let why = "heartbeat ended while its command was being started";
                self.interrupted(Box::new(delivery), why, now, turn);
            }
            _ => {
                let longest = match self.policy.retry {
                    Retry::Every(pace) => pace.max(CEILING),
                    Retry::Backoff { .. } => CEILING,
                };
                let wait = delivery.not_before.since(now.wall).min(longest);
                self.wish(Wish::new(Box::new(delivery), now.mono + wait), now, turn);
            }
        }
    }

    /// The latest wish takes the place of the one that waited.
    fn wish(&mut self, wish: Wish, now: Now, turn: &mut Turn) {
        // Wishes are committed in their order: one that is not later than the last has been here before.
        if self.last_wish.is_some_and(|last| wish.delivery.sequence <= last) {
            return;
        }
        self.last_wish = Some(wish.delivery.sequence);
        if self.retired {
            self.supersede(*wish.delivery, UNCONFIGURED, now, turn);
            return;
        }
        let Some(waiting) = &self.latest else {
            self.latest = Some(wish);
            return;
        };
        let (asked, waits) = (direction(&wish.delivery), direction(&waiting.delivery));
        if waiting.delivery.attempts > 0 && asked == waits {
            self.supersede(*wish.delivery, "the same command is already being retried", now, turn);
        } else {
            let never_started = waiting.delivery.attempts == 0;
            if let Some(waiting) = self.latest.take() {
                let why = format!("a later wish took its place: {}", asked.as_str());
                self.supersede(*waiting.delivery, &why, now, turn);
            }
            if never_started && asked != waits && matches!(self.step, Step::Idle) && self.agrees(asked) {
                self.supersede(
                    *wish.delivery,
                    "nothing to run: it was the last command to end, with success",
                    now,
                    turn,
                );
            } else {
                self.latest = Some(wish);
            }
        }
    }

    /// Whether the command that ended last was this one, and ended well.
    fn agrees(&self, asked: Direction) -> bool {
        self.record.last_run.as_ref().is_some_and(|last| last.ok && last.direction == asked)
    }

    fn supersede(&self, delivery: Delivery, why: &str, now: Now, turn: &mut Turn) {
        let what = direction(&delivery).as_str();
        turn.notes.push(Note::Told(format!("{what} ({}) is not run: {why}", delivery.intent.key)));
        turn.settle(delivery, Status::Superseded(now.wall), why);
    }

    fn take_running(&mut self) -> Step {
        if matches!(self.step, Step::Running(_)) { mem::replace(&mut self.step, Step::Idle) } else { Step::Idle }
    }

    fn take_adopted(&mut self) -> Step {
        if matches!(self.step, Step::Adopted { .. }) { mem::replace(&mut self.step, Step::Idle) } else { Step::Idle }
    }

    fn marked(&mut self, mark: Mark, now: Now, turn: &mut Turn) {
        let Step::Marking { mut delivery, counted } = mem::replace(&mut self.step, Step::Idle) else {
            return;
        };
        let held = self.promotions == Promotions::Wait && direction(&delivery) == Direction::Promote;
        if mark == Mark::Durable && self.stopped.is_none() && !held && !self.retired {
            self.warned_of_marks = false;
            self.step = Step::Running(delivery.clone());
            turn.effects.push(Effect::Run(delivery));
            return;
        }
        if counted {
            self.starts.uncount();
            self.record.starts = self.starts.moments();
        }
        delivery.attempts -= 1;
        delivery.status = Status::Due;
        let mut wish = Wish::new(delivery, now.mono);
        if mark == Mark::Volatile {
            wish = Wish::again(wish.delivery, now.mono + MARK_PAUSE);
            let text = format!(
                "{} waits: it must not be run twice, and the store cannot record that it starts",
                direction(&wish.delivery).as_str()
            );
            if !mem::replace(&mut self.warned_of_marks, true) {
                let key = format!("unmarked.{}.{}", wish.delivery.intent.key, now.wall.unix_millis());
                turn.notices.push(self.notice(key, &wish.delivery, &text));
            }
            turn.notes.push(Note::Warned(text));
        }
        self.take_back(wish, "a later wish took its place before it started", now, turn);
    }

    /// Puts a delivery that is due again into its place, unless a later wish is there.
    fn take_back(&mut self, wish: Wish, superseded: &str, now: Now, turn: &mut Turn) {
        if self.latest.is_some() {
            self.supersede(*wish.delivery, superseded, now, turn);
        } else if self.retired {
            self.supersede(*wish.delivery, UNCONFIGURED, now, turn);
        } else {
            turn.write(&wish.delivery);
            self.latest = Some(wish);
        }
    }

    fn ended(&mut self, mut delivery: Box<Delivery>, end: End, now: Now, turn: &mut Turn) {
        let by_our_stop = self.signalled.take().is_some();
        let ran = direction(&delivery);
        let ok = matches!(end, End::Done(_));
        self.record.last_run = Some(LastRun { at: now.wall, direction: ran, ok, result: end.answer().clone() });
        let never_again = self.policy.delivery == Guarantee::AtMostOnce && matches!(end, End::Failed(_));
        let answer = end.answer().clone();
        let later = self.latest.is_some() || self.retired;
        if ok {
            turn.settle(*delivery, Status::Done(now.wall), answer);
            if self.latest.as_ref().is_some_and(|wish| direction(&wish.delivery) == ran) {
                let wish = self.latest.take().expect("just seen");
                self.supersede(*wish.delivery, "nothing to run: it has just ended with success", now, turn);
            }
        } else if by_our_stop {
            self.interrupted(delivery, &format!("heartbeat was stopped and ended its command: {answer}"), now, turn);
        } else if never_again {
            self.dead(*delivery, &format!("failed and must not be repeated: {answer}"), answer, now, turn);
        } else if later {
            let why = format!("{answer}; not retried: a later wish took its place");
            self.supersede(*delivery, &why, now, turn);
        } else if let Some(delay) = command_delay(self.policy.retry, delivery.attempts, &mut self.dice) {
            turn.notes.push(Note::Warned(format!(
                "{} failed, attempt {}: {answer}; again in {:.1} s",
                ran.as_str(),
                delivery.attempts,
                delay.as_secs_f64()
            )));
            delivery.status = Status::Due;
            delivery.not_before = now.wall + delay;
            delivery.answer = answer;
            turn.write(&delivery);
            self.latest = Some(Wish::again(delivery, now.mono + delay));
        } else {
            let why = format!("failed, {} attempts: {answer}", delivery.attempts);
            self.dead(*delivery, &why, answer, now, turn);
        }
    }

    fn dead(&self, delivery: Delivery, why: &str, answer: Arc<str>, now: Now, turn: &mut Turn) {
        self.notify("dead", &delivery, why, turn);
        turn.settle(delivery, Status::Dead(now.wall), answer);
    }

    fn notify(&self, class: &str, delivery: &Delivery, what: &str, turn: &mut Turn) {
        let text = format!("{} {what}", direction(delivery).as_str());
        let key = format!("{class}.{}", delivery.intent.key);
        turn.notices.push(self.notice(key, delivery, &text));
        turn.notes.push(Note::Warned(text));
    }

    fn notice(&self, key: String, about: &Delivery, text: &str) -> Notice {
        let text = format!("action {}: {text}", self.id);
        Notice { key, at: about.intent.at, sequence: about.sequence, text }
    }

    /// The command was started and its end is not known: what that means depends on the guarantee.
    fn interrupted(&mut self, mut delivery: Box<Delivery>, why: &str, now: Now, turn: &mut Turn) {
        self.signalled = None;
        let ran = direction(&delivery);
        self.record.last_run = Some(LastRun { at: now.wall, direction: ran, ok: false, result: Arc::from(why) });
        match self.policy.delivery {
            Guarantee::AtMostOnce => {
                self.notify("uncertain", &delivery, &format!("may or may not have taken effect: {why}"), turn);
                turn.settle(*delivery, Status::Uncertain(now.wall), why);
            }
            Guarantee::AtLeastOnce => {
                turn.notes.push(Note::Warned(format!("{}: {why}", ran.as_str())));
                delivery.status = Status::Due;
                delivery.attempts = delivery.attempts.saturating_sub(1);
                delivery.not_before = now.wall;
                delivery.answer = Arc::from(why);
                let superseded = format!("{why}; not repeated: a later wish took its place");
                self.take_back(Wish::new(delivery, now.mono), &superseded, now, turn);
            }
        }
    }

    fn lift(&mut self, why: &str, turn: &mut Turn) {
        if self.record.suspended.take().is_some() {
            self.suspended_until = None;
            turn.notes.push(Note::Told(format!("no longer suspended: {why}")));
        }
    }

    /// What follows whatever the input was: suspensions end, signals are sent, the next command starts.
    fn finish(&mut self, now: Now, turn: &mut Turn) {
        if self.suspended_until.is_some_and(|until| until <= now.mono) {
            self.suspended_until = None;
            self.lift("the window has gone by", turn);
        }
        while let Some((_, signal)) = self.next_signal().filter(|&(at, _)| at <= now.mono) {
            self.signalled = Some(signal);
            turn.effects.push(Effect::Signal(signal));
        }
        while self.next_start().is_some_and(|at| at <= now.mono) {
            let Some(wish) = self.latest.take() else { break };
            self.begin(wish, now, turn);
        }
        if self.record != self.stored {
            self.stored = self.record.clone();
            turn.batch.lanes.push((self.id.clone(), Some(self.record.clone())));
        }
    }

    fn begin(&mut self, wish: Wish, now: Now, turn: &mut Turn) {
        let Wish { mut delivery, not_before, tried } = wish;
        let asked = direction(&delivery);
        if !self.commands.has(asked) {
            let result: Arc<str> = format!("the action has no {} command", asked.as_str()).into();
            self.record.last_run = Some(LastRun { at: now.wall, direction: asked, ok: true, result: result.clone() });
            turn.settle(*delivery, Status::Done(now.wall), result);
            return;
        }
        // A repetition of what stands already is no change, and the limit is there for changes.
        let counts = delivery.attempts == 0 && !self.agrees(asked);
        if counts && self.starts.room_at(self.policy.limit, 0, now.mono).is_some() {
            self.suspend(&delivery, now, turn);
            self.latest = Some(Wish { delivery, not_before, tried });
            return;
        }
        if counts {
            self.starts.count(self.policy.limit, now);
            self.record.starts = self.starts.moments();
        }
        delivery.attempts += 1;
        delivery.status = Status::Started(Running { at: now.wall, pid: 0, start_ticks: 0 });
        turn.write(&delivery);
        match self.policy.delivery {
            Guarantee::AtMostOnce => {
                turn.effects.push(Effect::Mark);
                self.step = Step::Marking { delivery, counted: counts };
            }
            Guarantee::AtLeastOnce => {
                turn.effects.push(Effect::Run(delivery.clone()));
                self.step = Step::Running(delivery);
            }
        }
    }

    fn suspend(&mut self, delivery: &Delivery, now: Now, turn: &mut Turn) {
        let Some(limit) = self.policy.limit else { return };
        self.record.suspended = Some(now.wall);
        self.suspended_until = Some(now.mono + limit.window);
        let what = format!(
            "is not run: its limit of {limit} is reached, the action is suspended for that time; \
             `heartbeat resume {}` lifts it",
            self.id
        );
        self.notify("suspended", delivery, &what, turn);
    }

    /// The next signal for the process that runs, and when it is due.
    fn next_signal(&self) -> Option<(Mono, Signal)> {
        let timeout = match &self.step {
            Step::Adopted { until, .. } => Some((*until, *until + GRACE)),
            Step::Running(_) => None,
            Step::Idle | Step::Marking { .. } => return None,
        };
        let stop = self.stopped.map(|at| (at + STOP_TERM, at + STOP_KILL));
        let (term, kill) = timeout
            .into_iter()
            .chain(stop)
            .reduce(|(term, kill), (other_term, other_kill)| (term.min(other_term), kill.min(other_kill)))?;
        match self.signalled {
            None => Some((term, Signal::Term)),
            Some(Signal::Term) => Some((kill, Signal::Kill)),
            Some(Signal::Kill) => None,
        }
    }
}

/// What a delivery asks for. An action is asked for nothing but the two.
fn direction(delivery: &Delivery) -> Direction {
    delivery.intent.event.direction().unwrap_or(Direction::Demote)
}

#[cfg(test)]
mod tests;
