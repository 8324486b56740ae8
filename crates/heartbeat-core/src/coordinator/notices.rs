//! Notices: what people should know about heartbeat itself.
//!
//! When our own network is gone, every check becomes stale, each at its own pace. That is one piece of news, not a
//! thousand: what becomes stale within [`GATHER`] is told in one notice, and what follows at most once per [`PACE`].

use alloc::collections::BTreeSet;
use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::time::Duration;

use super::{Coordinator, Draft};
use crate::intent::{Destination, Event, Facts, Intent};
use crate::key::key;
use crate::{Id, Mono};

/// After the first stale check this long is waited for others.
const GATHER: Duration = Duration::from_secs(10);

/// Between two notices about stale checks.
const PACE: Duration = Duration::from_secs(3600);

/// So many checks are named in a notice.
const NAMED: usize = 10;

/// Checks that have become stale and that nobody has been told of.
#[derive(Clone, Debug, Default)]
pub(super) struct StaleNews {
    untold: BTreeSet<Id>,
    due: Option<Mono>,
    last: Option<Mono>,
}

impl StaleNews {
    pub(super) fn gather(&mut self, id: Id, now: Mono) {
        self.untold.insert(id);
        let earliest = self.last.map_or(Mono::ZERO, |last| last + PACE);
        self.due.get_or_insert_with(|| earliest.max(now + GATHER));
    }

    pub(super) fn forget(&mut self, id: &Id) {
        self.untold.remove(id);
        self.rest_if_empty();
    }

    pub(super) fn retain(&mut self, keep: impl FnMut(&Id) -> bool) {
        self.untold.retain(keep);
        self.rest_if_empty();
    }

    fn rest_if_empty(&mut self) {
        if self.untold.is_empty() {
            self.due = None;
        }
    }

    pub(super) const fn due(&self) -> Option<Mono> {
        self.due
    }

    fn take(&mut self, now: Mono) -> BTreeSet<Id> {
        if self.due.is_none_or(|due| due > now) {
            return BTreeSet::new();
        }
        self.due = None;
        self.last = Some(now);
        core::mem::take(&mut self.untold)
    }
}

impl Coordinator {
    /// Tells every alert but one.
    pub(super) fn notify(&self, text: &str, except: Option<&Id>, draft: &mut Draft<'_>) {
        let alerts: Vec<Id> = self.index.alerts.iter().filter(|alert| Some(*alert) != except).cloned().collect();
        send(text, alerts, draft);
    }

    pub(super) fn tell_stale_news(&mut self, draft: &mut Draft<'_>) {
        let stale = self.stale_news.take(draft.now.mono);
        if stale.is_empty() {
            return;
        }
        let concerned = |alert: &&Id| stale.iter().any(|id| self.index.checks[id].alerts.contains(alert));
        let alerts = self.index.alerts.iter().filter(concerned).cloned().collect();
        send(&stale_text(&stale), alerts, draft);
    }
}

fn stale_text(stale: &BTreeSet<Id>) -> String {
    let names: Vec<&str> = stale.iter().take(NAMED).map(Id::as_str).collect();
    let more = match stale.len().saturating_sub(NAMED) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    format!("no probe could be completed for a long time, so the state is not known: {}{more}", names.join(", "))
}

fn send(text: &str, alerts: Vec<Id>, draft: &mut Draft<'_>) {
    let at = draft.now.wall;
    for alert in alerts {
        let number = *draft.next_sequence;
        draft.owe(Intent {
            key: key(Event::Notice, "heartbeat", number, at, &alert),
            at,
            event: Event::Notice,
            to: Destination::Alert(alert),
            subject: None,
            incident: None,
            facts: Facts { reason: Arc::from(text), ..Facts::default() },
            message: Arc::from(""),
        });
    }
}
