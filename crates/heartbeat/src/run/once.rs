//! One round: probe all, decide, act, alert, save, end.

use std::time::Duration;

use heartbeat_core::ledger::Ledger;
use heartbeat_responder::flag::Flag;
use tokio::time::sleep_until;

use super::session::Session;
use crate::host::clock;
use crate::store::writer::Durability;

/// After the longest timeout everything must be over within this.
const MARGIN: Duration = Duration::from_secs(30);
/// Of that, the time that commands have to end when they are told to, and the store to be closed.
const END: Duration = Duration::from_secs(12);

/// Works through one round and puts everything away. Returns what is remembered at its end.
pub async fn run(mut session: Session, ledger: Ledger) -> (Durability, Ledger) {
    let longest = longest_timeout(&session);
    let until = clock::mono() + longest + MARGIN;
    session.begin(ledger.checks);
    let flag = session.driver.plan().flag().map(|flag| Flag::new(&flag.path));
    if let Some(flag) = flag {
        session.flagged(&flag.read(clock::wall()));
    }
    while !session.driver.is_idle() {
        let wake = session.driver.next_wake().map_or(until, |due| due.min(until));
        tokio::select! {
            biased;
            Some(done) = session.probed.recv() => session.driver.probed([done]),
            Some(delivery) = session.settled.recv() => session.settle(delivery),
            () = sleep_until(clock::instant(wake)) => session.driver.wake(),
        }
        if clock::mono() >= until {
            tracing::error!("the round took too long and is ended; what is owed is tried next time");
            break;
        }
    }
    let left = until.since(clock::mono()).saturating_sub(END);
    session.finish(left).await
}

/// Of probes, commands and messages.
fn longest_timeout(session: &Session) -> Duration {
    let plan = session.driver.plan();
    let probes = plan.checks.iter().map(|check| check.policy.timeout);
    let commands = plan.actions.iter().map(|action| action.policy.timeout);
    let messages = plan.alerts.iter().map(|alert| alert.policy.timeout);
    probes.chain(commands).chain(messages).max().unwrap_or_default()
}
