//! The daemon's loop: what wakes it, and its orderly end.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use heartbeat_core::ledger::Ledger;
use heartbeat_core::{Mono, coordinator};
use heartbeat_responder::flag::State;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;
use tokio::time::sleep_until;

use super::control::{Answer, Call, Request};
use super::drained::OverlayStatus;
use super::leftovers;
use super::reload::{self, Reread};
use super::responding::{BEAT, Responding, Word};
use super::session::Session;
use super::status::Status;
use crate::host::notify::{self, Notifier};
use crate::host::{clock, failpoint};
use crate::log::Log;
use crate::store::writer::{Durability, Health};

/// With nothing to do the loop still turns this often, for the watchdog's sake.
const IDLE: Duration = Duration::from_secs(60);

/// So many results of probes are taken in together at most: they share a look at the clock and a transaction.
const AT_ONCE: usize = 64;

/// The store's thread may take so long to say what it remembers.
const WRITER_PATIENCE: Duration = Duration::from_secs(3);

/// What a daemon needs besides its session.
pub struct Surroundings {
    /// The configuration, to be read again.
    pub config: PathBuf,
    /// The log, to be opened again.
    pub log: Log,
    /// Calls of the command line.
    pub calls: mpsc::Receiver<Call>,
    /// The service manager.
    pub notifier: Notifier,
    /// The trusted roots and the resolver.
    pub world: Arc<crate::probe::World>,
    /// What answers load balancers, if something does.
    pub responding: Option<Responding>,
}

/// What wakes the loop from outside.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
}

/// Works until a signal ends it. `ledger` is what the store remembers; `ready` is called after the first schedule.
///
/// # Errors
/// If the operating system lets us handle no signals.
pub async fn run(
    mut session: Session,
    ledger: Ledger,
    mut surroundings: Surroundings,
    ready: impl FnOnce(),
) -> std::io::Result<Durability> {
    let mut signals = Signals {
        terminate: signal(SignalKind::terminate())?,
        interrupt: signal(SignalKind::interrupt())?,
        hangup: signal(SignalKind::hangup())?,
    };
    let watchdog = notify::watchdog_interval();
    let mut health = session.writer.health();
    if *health.borrow() != Health::Ok {
        health.mark_changed();
    }
    let mut troubles = Troubles::default();
    let (mut rereading, mut reread) = Rereading::new();
    if let Some(responding) = &surroundings.responding {
        session.driver.show_on(Arc::clone(responding.board()));
    }
    session.begin(ledger.checks);
    if let Some(responding) = &mut surroundings.responding {
        responding.start(session.driver.plan())?;
    }
    surroundings.notifier.ready(&summary(&session));
    ready();
    leftovers::clear(());
    let pace = surroundings.responding.as_ref().map(|_| BEAT).into_iter().chain(watchdog).min().unwrap_or(IDLE);
    let mut ending: Option<Mono> = None;
    let mut ended = Vec::with_capacity(AT_ONCE);
    loop {
        failpoint::stall("scheduler");
        let idle = clock::mono() + pace;
        let idle = ending.map_or(idle, |end| end.min(idle));
        let wake = session.driver.next_wake().map_or(idle, |due| due.min(idle));
        tokio::select! {
            biased;
            _ = signals.terminate.recv() => match lame_duck(&mut session, &surroundings) {
                Some(span) if ending.is_none() => ending = Some(clock::mono() + span),
                _ => break,
            },
            _ = signals.interrupt.recv() => break,
            Some((view, state)) = word(&mut surroundings.responding) => flagged(view.as_deref(), &state, &mut session),
            _ = signals.hangup.recv() => rereading.ask(None, &surroundings, &session),
            Some(result) = reread.recv() => {
                let answer = take_over(result, &mut session, &mut surroundings);
                rereading.ended(&answer, &surroundings, &session);
            }
            Some(call) = surroundings.calls.recv() => answer(call, &surroundings, &session, &mut rereading),
            Some(delivery) = session.settled.recv() => session.settle(delivery),
            _ = session.probed.recv_many(&mut ended, AT_ONCE) => session.driver.probed(ended.drain(..)),
            Ok(()) = health.changed() => {
                tell_health(&health.borrow_and_update().clone(), &mut troubles, &mut session);
            },
            () = sleep_until(clock::instant(wake)) => session.driver.wake(),
        }
        // The loop has turned: the scheduler lives.
        if watchdog.is_some() {
            surroundings.notifier.watchdog();
        }
        if let Some(responding) = &surroundings.responding {
            responding.board().beat();
        }
        if ending.is_some_and(|end| end <= clock::mono()) {
            break;
        }
    }
    tracing::info!("ending: nothing starts any more");
    surroundings.notifier.stopping();
    Ok(end(session, surroundings.responding).await)
}

/// The orderly end. Whoever asks meanwhile is told that we are not ready, but live; the doors are closed last.
async fn end(session: Session, responding: Option<Responding>) -> Durability {
    let Some(responding) = responding else { return session.stop().await.0 };
    responding.end();
    let stop = session.stop();
    tokio::pin!(stop);
    loop {
        responding.board().beat();
        if let Ok((durability, _)) = tokio::time::timeout(BEAT, &mut stop).await {
            responding.close().await;
            return durability;
        }
    }
}

/// The next word of a flag; never, if there is no responder.
async fn word(responding: &mut Option<Responding>) -> Option<Word> {
    match responding {
        Some(responding) => responding.word().await,
        None => std::future::pending().await,
    }
}

/// Works by a flag's word. That of a single view is a matter of its answers alone.
fn flagged(view: Option<&str>, state: &State, session: &mut Session) {
    let Some(view) = view else { return session.flagged(state) };
    match state {
        State::Down(drain) => tracing::warn!("view {view} is drained: {}", drain.why),
        State::Up => tracing::debug!("view {view} is not drained"),
    }
}

/// Begins the time in which we go on, but say that we are not ready. `None` if there is none.
fn lame_duck(session: &mut Session, surroundings: &Surroundings) -> Option<Duration> {
    let responding = surroundings.responding.as_ref()?;
    let span = session.driver.plan().responder.as_ref()?.lame_duck;
    if span.is_zero() {
        return None;
    }
    responding.end();
    session.hold(responding.board().drain().as_ref());
    surroundings.notifier.stopping();
    tracing::info!("ending in {:.0} s: load balancers are told to send no more requests", span.as_secs_f64());
    Some(span)
}

/// The reading of the configuration, one at a time: of two that overlapped, the older file could come last.
struct Rereading {
    results: mpsc::UnboundedSender<Result<Reread, String>>,
    under_way: bool,
    /// Who asked for the reading that is under way; `None` stands for a signal.
    askers: Vec<Option<Call>>,
    /// Who has asked since.
    later: Vec<Option<Call>>,
}

impl Rereading {
    fn new() -> (Self, mpsc::UnboundedReceiver<Result<Reread, String>>) {
        let (results, reread) = mpsc::unbounded_channel();
        (Self { results, under_way: false, askers: Vec::new(), later: Vec::new() }, reread)
    }

    /// The file may have changed since the reading that is under way began: then it is read once more afterwards.
    fn ask(&mut self, asker: Option<Call>, surroundings: &Surroundings, session: &Session) {
        self.later.push(asker);
        if !self.under_way {
            self.begin(surroundings, session);
        }
    }

    /// Reads and builds beside the loop: a large configuration must not delay a probe.
    fn begin(&mut self, surroundings: &Surroundings, session: &Session) {
        self.under_way = true;
        self.askers = std::mem::take(&mut self.later);
        surroundings.notifier.reloading();
        if let Err(error) = surroundings.log.reopen() {
            tracing::error!("cannot open the log file again, writing to the old one: {error}");
        }
        let (config, world) = (surroundings.config.clone(), Arc::clone(&surroundings.world));
        let (old, results) = (Arc::clone(session.driver.plan()), self.results.clone());
        let reading = tokio::task::spawn_blocking(move || reload::read(&config, &old, &world));
        tokio::spawn(async move {
            let result = reading.await.unwrap_or_else(|error| Err(format!("heartbeat itself failed at it: {error}")));
            // Nobody listens at the end of the program.
            let _ = results.send(result);
        });
    }

    /// Answers those who asked, and begins anew for those who came since.
    fn ended(&mut self, answer: &Answer, surroundings: &Surroundings, session: &Session) {
        self.under_way = false;
        for call in self.askers.drain(..).flatten() {
            let _ = call.reply.send(answer.clone());
        }
        if !self.later.is_empty() {
            self.begin(surroundings, session);
        }
    }
}

fn take_over(result: Result<Reread, String>, session: &mut Session, surroundings: &mut Surroundings) -> Answer {
    let answer = match result {
        Ok(Reread { built, mut remarks }) => {
            session.replan(built);
            if let Some(responding) = &mut surroundings.responding {
                remarks.extend(responding.replanned(session.driver.plan()));
            }
            let mut message = format!("read {} again: {}", surroundings.config.display(), summary(session));
            tracing::info!("{message}");
            for remark in remarks {
                tracing::warn!("{remark}");
                message = format!("{message}\n{remark}");
            }
            Answer::Done { message }
        }
        Err(problems) => {
            let message = format!("{}\nthe configuration is wrong; the old one stays in force", problems.trim_end());
            tracing::error!("{message}");
            Answer::Refused { message, configuration: true }
        }
    };
    surroundings.notifier.ready(&summary(session));
    answer
}

fn answer(call: Call, surroundings: &Surroundings, session: &Session, rereading: &mut Rereading) {
    match &call.request {
        Request::Reload => rereading.ask(Some(call), surroundings, session),
        Request::Resume { action } => {
            let known = session.driver.plan().actions.iter().any(|configured| configured.id == *action);
            let answer = if known {
                session.outbox.resume(action.clone());
                Answer::Done { message: format!("action `{action}` may run again") }
            } else {
                Answer::Refused { message: format!("error: no action has the id `{action}`"), configuration: false }
            };
            let _ = call.reply.send(answer);
        }
        Request::Pollers => {
            let none = || Answer::Refused { message: "error: there is no responder".to_owned(), configuration: false };
            let responding = surroundings.responding.as_ref();
            let answer = responding.map_or_else(none, |responding| Answer::Pollers(responding.pollers()));
            let _ = call.reply.send(answer);
        }
        Request::Status => {
            let responding = surroundings.responding.as_ref();
            let overlay = responding.and_then(|responding| responding.board().drain());
            let pollers = responding.map(|responding| responding.pollers().pollers).unwrap_or_default();
            let (plan, stale) = (Arc::clone(session.driver.plan()), session.driver.stale().clone());
            let (lateness, dropped) = (session.driver.lateness().into(), session.writer.dropped_results());
            let (ledger, health) = (session.writer.ledger(), session.writer.health().borrow().clone());
            // The writer answers when it is free. While a disk hangs, the engine's own memory must do.
            let known = session.driver.remembered();
            tokio::spawn(async move {
                let ledger = tokio::time::timeout(WRITER_PATIENCE, ledger).await;
                // Beside the loop: of very many checks there is so much to say that probes would start late.
                tokio::task::spawn_blocking(move || {
                    let ledger = ledger.unwrap_or_else(|_| known());
                    let mut status = Status::new(&plan, &ledger, &stale);
                    status.lateness = Some(lateness);
                    status.overlay = overlay.as_ref().map(OverlayStatus::from);
                    status.pollers = pollers;
                    if dropped > 0 {
                        let notice = format!("the store did not keep up: {dropped} results of probes are not kept");
                        status.notices.push(notice);
                    }
                    if let Health::Failing { reason, .. } = health {
                        status.notices.push(format!("the store cannot be written: {reason}"));
                    }
                    let _ = call.reply.send(Answer::Status(Box::new(status)));
                });
            });
        }
    }
}

/// What people were told of the store's troubles, and when.
///
/// A full disk takes a small write between two that it refuses, and so the store goes and comes back every other second:
/// that is one trouble, not hundreds.
#[derive(Debug, Default)]
struct Troubles(BTreeMap<Arc<str>, Mono>);

/// A trouble of the store that goes on is told again after this.
const TOLD_AGAIN: Duration = Duration::from_secs(3600);

impl Troubles {
    /// Whether people have to be told of this one.
    fn is_news(&mut self, reason: &Arc<str>, now: Mono) -> bool {
        self.0.retain(|_, told| now.since(*told) < TOLD_AGAIN);
        let is_new = !self.0.contains_key(reason);
        if is_new {
            self.0.insert(Arc::clone(reason), now);
        }
        is_new
    }
}

/// A notice when the store goes away; the log alone hears of its return.
fn tell_health(health: &Health, troubles: &mut Troubles, session: &mut Session) {
    match health {
        Health::Ok => tracing::info!("the store can be written again and has caught up"),
        Health::Failing { reason, .. } => {
            tracing::error!("the store cannot be written, going on from memory: {reason}");
            if troubles.is_news(reason, clock::mono()) {
                let text = format!("the store cannot be written; states and messages live in memory: {reason}");
                session.driver.coordinate(coordinator::Input::Notice { text: text.into(), except: None });
            }
        }
    }
}

fn summary(session: &Session) -> String {
    let plan = session.driver.plan();
    format!("{} checks, {} actions, {} alerts", plan.checks.len(), plan.actions.len(), plan.alerts.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trouble_that_comes_and_goes_is_told_once_an_hour() {
        let at = |seconds| Mono::default() + Duration::from_secs(seconds);
        let (full, locked): (Arc<str>, Arc<str>) = ("disk full".into(), "locked".into());
        let mut troubles = Troubles::default();
        assert!(troubles.is_news(&full, at(0)));
        assert!(!troubles.is_news(&full, at(1)));
        assert!(troubles.is_news(&locked, at(2)), "another one is news");
        assert!(!troubles.is_news(&full, at(3599)));
        assert!(troubles.is_news(&full, at(3600)));
        assert!(!troubles.is_news(&full, at(3601)));
    }
}
