//! `heartbeat down --wait`: until it is safe to stop this server.
//!
//! Everybody who polls must have been told as often as a load balancer needs to believe it, and then the requests under
//! way need their time. Whoever has fallen silent since is not waited for: it sends no requests that it does not poll
//! for.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::json;

use super::args::Global;
use super::screen::{Screen, counted};
use super::{configuration, prepare, runtime};
use crate::config::values::duration;
use crate::exit::Exit;
use crate::host::clock;
use crate::plan;
use crate::plan::responder::{Drain, Responder};
use crate::run::control::{self, Answer, Request};
use crate::run::pollers::Pollers;
use crate::web::polls::Poller;

/// How often the daemon is asked.
const PACE: Duration = Duration::from_millis(250);
/// The pace of a load balancer of which nothing is known.
const USUAL_PACE: Duration = Duration::from_secs(5);
/// Whoever has polled within this, or within this many of its own intervals, is waited for.
const LATELY: (Duration, u32) = (Duration::from_secs(60), 10);
/// Whoever has missed so many of its intervals has gone.
const MISSED: u32 = 3;

/// Waits, and says for whom.
pub(super) fn wait(
    global: &Global,
    screen: Screen,
    responder: &Responder,
    view: Option<&str>,
    limit: Duration,
) -> Exit {
    let start = clock::mono();
    let socket = configuration(global, screen).ok().and_then(|path| {
        let (plan, _) = plan::load(&path);
        let plan = plan?;
        let storage = prepare::storage(global, screen, &plan).ok()?;
        prepare::socket(&storage, &plan).ok()
    });
    let ask = || match control::ask(socket.as_ref()?, &Request::Pollers) {
        Ok(Some(Answer::Pollers(pollers))) => Some(pollers),
        _ => None,
    };
    let mut watch = Watch::new(responder.drain, view, screen);
    let looking = async {
        loop {
            let waited = clock::mono().since(start);
            match watch.look(ask(), waited) {
                Outlook::Safe => return Exit::Done,
                Outlook::Waiting if waited >= limit => return Exit::Failed,
                Outlook::Waiting => tokio::time::sleep(PACE).await,
            }
        }
    };
    let exit = runtime::block_on(looking).unwrap_or_else(|error| {
        screen.error(error);
        Exit::Fault
    });
    watch.conclude(exit, clock::mono().since(start), limit);
    exit
}

/// What has been seen so far.
struct Watch<'a> {
    drain: Drain,
    view: Option<&'a str>,
    screen: Screen,
    /// What has been said of whom.
    told: BTreeSet<String>,
    /// When the last of them was told, counted from the start.
    all_told: Option<Duration>,
    missing: Vec<String>,
}

#[derive(Debug, PartialEq, Eq)]
enum Outlook {
    Safe,
    Waiting,
}

/// How somebody who polls stands to the drain.
#[derive(Debug, PartialEq, Eq)]
enum Standing {
    Told,
    NotYet,
    Silent,
    /// It had not polled for long when the drain began.
    Gone,
}

impl<'a> Watch<'a> {
    const fn new(drain: Drain, view: Option<&'a str>, screen: Screen) -> Self {
        Self { drain, view, screen, told: BTreeSet::new(), all_told: None, missing: Vec::new() }
    }

    fn look(&mut self, answer: Option<Pollers>, waited: Duration) -> Outlook {
        let Some(pollers) = answer else {
            // Nobody can say who polls. A load balancer of the usual pace has noticed after this.
            self.say_once("the daemon does not say who polls: waiting for as long as a load balancer takes".to_owned());
            let long_enough = USUAL_PACE * self.drain.polls + self.drain.grace;
            return if waited >= long_enough { Outlook::Safe } else { Outlook::Waiting };
        };
        if !pollers.has_seen(self.view) {
            self.missing = vec!["the daemon, which has not seen the flag yet".to_owned()];
            return Outlook::Waiting;
        }
        self.missing.clear();
        let mut heard = 0;
        let only = self.view;
        let concerned =
            |poller: &&Poller| pollers.concerns(poller) && only.is_none_or(|view| poller.view.as_deref() == Some(view));
        for poller in pollers.pollers.iter().filter(concerned) {
            let view = poller.view.as_deref().unwrap_or_default();
            let name = format!("{} ({}, view {view})", poller.peer, poller.transport);
            match standing(poller, self.drain, waited) {
                Standing::Told => {
                    heard += 1;
                    self.say_once(format!("{name} has been told"));
                }
                Standing::NotYet => {
                    self.say_once(format!("waiting for {name}"));
                    let polls = format!("{} of {} polls", poller.refused_in_a_row, self.drain.polls);
                    self.missing.push(format!("{name}: {polls}"));
                }
                Standing::Silent => self.say_once(format!("{name} has fallen silent and is not waited for")),
                Standing::Gone => {}
            }
        }
        if !self.missing.is_empty() {
            self.all_told = None;
            self.screen.transient(format_args!("waiting for {}", self.missing.join(", ")));
            return Outlook::Waiting;
        }
        if heard == 0 {
            self.say_once("nobody polls this server".to_owned());
        }
        let since = waited.saturating_sub(*self.all_told.get_or_insert(waited));
        self.screen.transient(format_args!("requests under way have {} to end", duration::format(self.drain.grace)));
        if since >= self.drain.grace { Outlook::Safe } else { Outlook::Waiting }
    }

    fn say_once(&mut self, line: String) {
        if !self.told.contains(&line) {
            self.screen.transient("");
            self.screen.say(&line);
            self.told.insert(line);
        }
    }

    fn conclude(&self, exit: Exit, waited: Duration, limit: Duration) {
        self.screen.transient("");
        let seconds = format!("{:.1} s", waited.as_secs_f64());
        if self.screen.wants_json() {
            let safe = exit == Exit::Done;
            self.screen.data(json!({ "safe": safe, "waited_ms": waited.as_millis() as u64, "missing": self.missing }));
        } else if exit == Exit::Done {
            self.screen.say(format_args!("It is safe to stop this server now, after {seconds}."));
        } else {
            for missing in &self.missing {
                self.screen.say(format_args!("not told yet: {missing}"));
            }
            let limit = duration::format(limit);
            let missing = counted(self.missing.len(), "poller");
            self.screen.error(format_args!("after {limit} {missing} may still send requests to this server"));
        }
    }
}

fn standing(poller: &Poller, drain: Drain, waited: Duration) -> Standing {
    // A single poll was somebody who looked by hand.
    let Some(interval) = poller.interval else { return Standing::Gone };
    let (span, intervals) = LATELY;
    if poller.silent.saturating_sub(waited) > span.max(interval * intervals) {
        Standing::Gone
    } else if poller.refused_in_a_row >= drain.polls {
        Standing::Told
    } else if poller.silent > interval * MISSED + Duration::from_secs(1) {
        Standing::Silent
    } else {
        Standing::NotYet
    }
}
