//! `heartbeat status`: the states, from the running daemon or else from the store.

use std::collections::BTreeMap;
use std::path::Path;

use heartbeat_core::schedule::SLACK;

use super::args::Global;
use super::screen::{Ink, Screen};
use super::{configuration, load, prepare};
use crate::exit::Exit;
use crate::plan::{Plan, Storage};
use crate::run::control::{self, Answer, Request};
use crate::run::status::{CheckStatus, Status};
use crate::store;

/// Prints the states of everything, or of one check, group or action; ends as they are.
pub fn run(global: &Global, screen: Screen, id: Option<&str>) -> Exit {
    read(global, screen, id).unwrap_or_else(|exit| exit)
}

fn read(global: &Global, screen: Screen, id: Option<&str>) -> Result<Exit, Exit> {
    let path = configuration(global, screen)?;
    let plan = load(screen, &path)?;
    let storage = prepare::storage(global, screen, &plan)?;
    let status = match prepare::socket(&storage, &plan).ok().and_then(|socket| from_daemon(screen, &socket)) {
        Some(status) => status,
        None => from_store(screen, &plan, &storage)?,
    };
    let status = match id {
        None => status,
        Some(id) => status.only(id).ok_or_else(|| {
            screen.error(format_args!("no check, group or action has the id `{id}`"));
            Exit::Usage
        })?,
    };
    print(screen, &status);
    Ok(Exit::worst(status.states().map(Exit::from)))
}

/// What the daemon says, if there is one and it speaks our language.
fn from_daemon(screen: Screen, socket: &Path) -> Option<Status> {
    match control::ask(socket, &Request::Status) {
        Ok(Some(Answer::Status { status })) => serde_json::from_value(status).ok(),
        Ok(_) => None,
        Err(error) => {
            screen.say(format_args!("warning: the daemon at {} did not answer: {error}", socket.display()));
            None
        }
    }
}

fn from_store(screen: Screen, plan: &Plan, storage: &Storage) -> Result<Status, Exit> {
    let snapshot = store::read(storage, 0).map_err(|error| {
        screen.error(error);
        Exit::Failed
    })?;
    if screen.is_interactive() {
        screen.say("no daemon is running; this is what the store remembers");
    }
    Ok(Status::new(plan, &snapshot.ledger, &BTreeMap::new()))
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
    if status.outbox > 0 {
        let owed = super::screen::counted(usize::try_from(status.outbox).unwrap_or(usize::MAX), "delivery");
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
