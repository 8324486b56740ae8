//! `heartbeat status`: the states, from the running daemon or else from the store.

use std::collections::BTreeMap;
use std::path::Path;

use heartbeat_core::ledger::Ledger;
use heartbeat_core::schedule::SLACK;
use heartbeat_responder::flag::{self, Flag};

use super::args::Global;
use super::screen::{Ink, Screen};
use super::{configuration, help_for, load, prepare};
use crate::exit::Exit;
use crate::host::clock;
use crate::plan::{Plan, Storage};
use crate::run::control::{self, Answer, Request};
use crate::run::drained::OverlayStatus;
use crate::run::status::{CheckStatus, Status};
use crate::store::{self, StoreFault};
use crate::web::polls::Poller;

/// Prints the states of everything, or of one check, group or action; ends as they are.
pub fn run(global: &Global, screen: Screen, id: Option<&str>) -> Exit {
    read(global, screen, id).unwrap_or_else(|exit| exit)
}

fn read(global: &Global, screen: Screen, id: Option<&str>) -> Result<Exit, Exit> {
    let path = configuration(global, screen)?;
    let plan = load(screen, &path)?;
    if let Some(id) = id {
        refuse_unknown(screen, &plan, id)?;
    }
    let storage = prepare::storage(global, screen, &plan)?;
    let status = match prepare::socket(&storage, &plan).ok().and_then(|socket| from_daemon(screen, &socket)) {
        Some(status) => status,
        None => from_store(screen, &plan, &storage)?,
    };
    let status = match id {
        None => status,
        Some(id) => status.only(id).ok_or_else(|| {
            screen.error(format_args!("the daemon does not know `{id}` yet\n   = help: heartbeat reload"));
            Exit::Unknown
        })?,
    };
    print(screen, &status);
    Ok(Exit::worst(status.states().map(Exit::from)))
}

fn refuse_unknown(screen: Screen, plan: &Plan, id: &str) -> Result<(), Exit> {
    let checks = plan.checks.iter().map(|check| check.id.as_str());
    let groups = plan.groups.iter().map(|group| group.about.id.as_str());
    let actions = plan.actions.iter().map(|action| action.id.as_str());
    let known = || checks.clone().chain(groups.clone()).chain(actions.clone());
    if known().any(|known| known == id) {
        return Ok(());
    }
    screen.error(format_args!("no check, group or action has the id `{id}`{}", help_for(id, known())));
    Err(Exit::Usage)
}

/// What the daemon says, if there is one and it speaks our language.
fn from_daemon(screen: Screen, socket: &Path) -> Option<Status> {
    match control::ask(socket, &Request::Status) {
        Ok(Some(Answer::Status(status))) => Some(*status),
        Ok(_) => None,
        Err(error) => {
            screen.say(format_args!("warning: the daemon at {} did not answer: {error}", socket.display()));
            None
        }
    }
}

fn from_store(screen: Screen, plan: &Plan, storage: &Storage) -> Result<Status, Exit> {
    let ledger = match store::read(storage, 0) {
        Ok(snapshot) => {
            if screen.is_interactive() {
                screen.say("no daemon is running; this is what the store remembers");
            }
            snapshot.ledger
        }
        // Before the first round nothing is known, and that is an answer.
        Err(error) if error.class == StoreFault::Missing => {
            screen.say(format_args!("no daemon is running, and {error}"));
            screen.next("heartbeat run");
            Ledger::default()
        }
        Err(error) => {
            screen.error(error);
            return Err(Exit::Unknown);
        }
    };
    let mut status = Status::new(plan, &ledger, &BTreeMap::new());
    status.overlay =
        plan.flag().filter(|flag| flag.takedown).and_then(|flag| match Flag::new(&flag.path).read(clock::wall()) {
            flag::State::Up => None,
            flag::State::Down(drain) => Some(OverlayStatus::from(&drain)),
        });
    Ok(status)
}

/// Prints states as a table or as JSON.
pub fn print(screen: Screen, status: &Status) {
    if screen.wants_json() {
        screen.data(serde_json::to_string(status).unwrap_or_default());
        return;
    }
    let subjects = || status.checks.iter().chain(&status.groups);
    let width = subjects().map(|subject| subject.id.chars().count()).max().unwrap_or(0).min(40);
    for subject in subjects() {
        print_subject(screen, subject, width);
    }
    for action in &status.actions {
        let verdict = action.verdict.as_deref().unwrap_or("undecided");
        let result = action.result.as_ref().map(|result| format!("  {result}")).unwrap_or_default();
        let at = action.last_run.as_ref().map(|at| format!(" at {at}")).unwrap_or_default();
        screen.data(format_args!("{:<8} {:<width$}  {verdict}{result}{at}", "action", action.id));
    }
    if let Some(overlay) = &status.overlay {
        let reason = overlay.reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default();
        let until = overlay.until.as_ref().map(|until| format!(", until {until}")).unwrap_or_default();
        screen.data(screen.paint(Ink::Doubtful, format_args!("drained{reason} ({}){until}", overlay.why)));
    }
    for poller in &status.pollers {
        let view = poller.view.as_deref().unwrap_or("no view");
        let pace = poller.interval.map(|pace| format!(", every {:.1} s", pace.as_secs_f64())).unwrap_or_default();
        let silent = poller.silent.as_secs();
        let Poller { peer, transport, status, .. } = poller;
        screen.data(format_args!("poller   {peer}  {transport} {view}: {status}{pace}, last {silent} s ago"));
    }
    if status.outbox > 0 {
        let owed = if status.outbox == 1 { "1 delivery".to_owned() } else { format!("{} deliveries", status.outbox) };
        screen.data(format_args!("{owed} on the way"));
    }
    if let Some(late) = status.lateness.as_ref().filter(|late| u128::from(late.p99_ms) > SLACK.as_millis()) {
        let [most, worst] = [late.p99_ms, late.worst_ms];
        screen.data(screen.paint(Ink::Bad, format_args!("probes start up to {most} ms late, at worst {worst} ms")));
    }
    for notice in &status.notices {
        screen.data(screen.paint(Ink::Bad, notice));
    }
}

fn print_subject(screen: Screen, subject: &CheckStatus, width: usize) {
    let state = screen.paint(subject.state.into(), format_args!("{:<8}", subject.state.as_str()));
    let since = subject.since.as_ref().map(|since| format!("  since {since}")).unwrap_or_default();
    let counting = match subject.fail_count {
        0 => String::new(),
        1 => "  1 failure".to_owned(),
        failures => format!("  {failures} failures"),
    };
    let reason = if subject.reason.is_empty() { String::new() } else { format!("  {}", subject.reason) };
    screen.data(format_args!("{state} {:<width$}{since}{counting}{reason}", subject.id));
}
