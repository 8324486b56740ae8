//! Incidents, and who is told what of them.
//!
//! An incident is open while a check or group is down. It remembers what every alert has heard of it, because nobody is
//! told the end of a story that they have not heard the beginning of: an up goes where a message of the incident was
//! accepted, or still may be.
//!
//! While a dependency is down or failing, what opens or prolongs an incident is withheld, with the reason on its record; so
//! are messages about degradation. If the check is still down when a probe fails after the dependency has recovered, the
//! down is told then, late. Its end is never withheld from those who know of it, for nobody should go on worrying.

use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt::Display;
use core::time::Duration;

use super::{Coordinator, Draft, Known};
use crate::delivery::Delivery;
use crate::intent::{Destination, Event, Facts, Intent, Transition};
use crate::key::key;
use crate::ledger::Ledger;
use crate::pace::Age;
use crate::policy::Remind;
use crate::record::{CheckRecord, Incident, State, Told};
use crate::state::is_failing;
use crate::{Id, Now, Wall};

/// The reason of the up that ends the incident of a check or group that is no longer planned.
pub const REMOVED: &str = "removed from the configuration";

/// An incident, and how long ago it was last spoken of.
#[derive(Clone, Debug)]
pub(super) struct OpenIncident {
    pub(super) incident: Incident,
    /// The last message or, before the first, the opening.
    spoken: Age,
}

impl OpenIncident {
    fn new(incident: Incident, now: Now) -> Self {
        Self { incident, spoken: Age::of(now.wall, now) }
    }

    /// From the store. A message that the incident waits for and that the outbox has no more was settled in the moment of a
    /// crash; it counts as heard, for a word too many is better than none.
    pub(super) fn remembered(ledger: &Ledger, now: Now) -> BTreeMap<Id, Self> {
        let mut owed: BTreeMap<(&Id, u64, &Id), u32> = BTreeMap::new();
        for Delivery { intent, .. } in ledger.outbox.values() {
            if let (Some(subject), Some(epoch), Destination::Alert(alert)) =
                (&intent.subject, intent.incident, &intent.to)
            {
                *owed.entry((subject, epoch, alert)).or_default() += 1;
            }
        }
        let mut incidents = BTreeMap::new();
        for (id, incident) in &ledger.incidents {
            let mut incident = incident.clone();
            for (alert, told) in &mut incident.told {
                let pending = owed.get(&(id, incident.epoch, alert)).copied().unwrap_or(0);
                told.delivered |= told.pending > pending;
                told.pending = pending;
            }
            let spoken = Age::of(incident.last_message.unwrap_or(incident.opened), now);
            incidents.insert(id.clone(), Self { incident, spoken });
        }
        incidents
    }
}

impl Coordinator {
    /// A check or group has changed its state: its record is the new one already. Returns what is known of it.
    pub(super) fn moved(
        &mut self,
        transition: &Transition,
        old: &CheckRecord,
        latency: Duration,
        draft: &mut Draft<'_>,
    ) -> Facts {
        let id = &transition.subject;
        let facts = Facts::of_transition(transition, old, self.recorded(id), latency);
        draft.batch.transitions.push(transition.clone());
        match (transition.from, transition.to) {
            (from, State::Down) => {
                let incident = Incident::opened(transition.epoch, transition.at, from);
                self.incidents.insert(id.clone(), OpenIncident::new(incident, draft.now));
                let due = self.alerts_of(id).into_iter().map(|alert| (Event::Down, alert)).collect();
                self.speak(id, due, &facts, draft);
                self.keep_incident(id, draft);
            }
            (State::Down, _) => self.close(id, transition.epoch, &facts, draft),
            (State::Degraded, _) | (_, State::Degraded) => self.tell_degraded(transition, &facts, draft),
            (State::Unknown | State::Up, State::Unknown | State::Up) => {}
        }
        facts
    }

    /// A probe of a check that is down has failed again.
    pub(super) fn still_down(&mut self, id: &Id, latency: Duration, draft: &mut Draft<'_>) {
        let (Some(open), Some(check)) = (self.incidents.get(id), self.index.checks.get(id)) else { return };
        let silent = open.spoken.at(draft.now.mono);
        let reminds = matches!(check.remind, Remind::Every(pace) if silent >= pace);
        let event_for = |alert: &Id| match open.incident.told.get(alert) {
            None if open.incident.withheld.is_some() => Some(Event::Down),
            Some(Told { pending: 1.., .. }) => None,
            _ => reminds.then_some(Event::Reminder),
        };
        let due: Vec<(Event, Id)> =
            check.alerts.iter().filter_map(|alert| Some((event_for(alert)?, alert.clone()))).collect();
        if due.is_empty() {
            return;
        }
        let facts = Facts {
            previous_state: open.incident.from,
            duration: Some(draft.now.wall.since(open.incident.opened)),
            latency: Some(latency),
            ..Facts::of(self.recorded(id))
        };
        if self.speak(id, due, &facts, draft) {
            self.keep_incident(id, draft);
        }
    }

    /// Owes messages of an open incident, or withholds them all. Returns whether the incident has changed by it.
    fn speak(&mut self, id: &Id, due: Vec<(Event, Id)>, facts: &Facts, draft: &mut Draft<'_>) -> bool {
        let Some((first, _)) = due.first() else { return false };
        let obstacle = self.obstacle(id);
        let open = self.incidents.get_mut(id).expect("only open incidents are spoken of");
        if let Some(why) = obstacle {
            if open.incident.withheld.as_deref() == Some(&*why) {
                return false;
            }
            let why: Arc<str> = Arc::from(why);
            draft.withhold(id, *first, why.clone());
            open.incident.withheld = Some(why);
            return true;
        }
        open.spoken = Age::of(draft.now.wall, draft.now);
        let incident = &mut open.incident;
        incident.withheld = None;
        incident.last_message = Some(draft.now.wall);
        if due.iter().any(|(event, _)| *event == Event::Reminder) {
            incident.reminders += 1;
        }
        for (event, alert) in due {
            incident.told.entry(alert.clone()).or_default().pending += 1;
            let (epoch, reminders) = (incident.epoch, incident.reminders);
            let letter = Letter { event, subject: id, incident: Some(epoch), facts };
            match event {
                Event::Reminder => letter.send(alert, format_args!("{epoch}.{reminders}"), draft.now.wall, draft),
                _ => letter.send(alert, epoch, incident.opened, draft),
            }
        }
        true
    }

    /// Ends an incident, and tells those who know of it.
    fn close(&mut self, id: &Id, epoch: u64, facts: &Facts, draft: &mut Draft<'_>) {
        let Some(OpenIncident { incident, .. }) = self.incidents.remove(id) else { return };
        draft.batch.incidents.push((id.clone(), None));
        for (alert, told) in incident.told {
            if (told.delivered || told.pending > 0) && self.index.alerts.contains(&alert) {
                let letter = Letter { event: Event::Up, subject: id, incident: Some(incident.epoch), facts };
                letter.send(alert, epoch, draft.now.wall, draft);
            }
        }
    }

    /// Ends the incident of a check or group that is no longer planned.
    pub(super) fn close_removed(&mut self, id: &Id, record: &CheckRecord, draft: &mut Draft<'_>) {
        let facts = Facts {
            state: State::Unknown,
            previous_state: record.state,
            since: Some(draft.now.wall),
            duration: record.since.map(|since| draft.now.wall.since(since)),
            reason: Arc::from(REMOVED),
            ..Facts::of(record)
        };
        self.close(id, record.epoch, &facts, draft);
    }

    fn tell_degraded(&self, transition: &Transition, facts: &Facts, draft: &mut Draft<'_>) {
        let id = &transition.subject;
        let alerts = self.alerts_of(id);
        if alerts.is_empty() {
            return;
        }
        if let Some(why) = self.obstacle(id) {
            draft.withhold(id, Event::Degraded, Arc::from(why));
            return;
        }
        for alert in alerts {
            let letter = Letter { event: Event::Degraded, subject: id, incident: None, facts };
            letter.send(alert, transition.epoch, transition.at, draft);
        }
    }

    /// What became of a message.
    pub(super) fn settled(&mut self, alert: &Id, subject: &Id, epoch: u64, accepted: bool, draft: &mut Draft<'_>) {
        let Some(open) = self.incidents.get_mut(subject).filter(|open| open.incident.epoch == epoch) else { return };
        let Some(told) = open.incident.told.get_mut(alert) else { return };
        told.pending = told.pending.saturating_sub(1);
        told.delivered |= accepted;
        self.keep_incident(subject, draft);
    }

    /// A record that is down without an incident, as another program's state file may have it, gets a silent one.
    pub(super) fn reopen_incidents(&mut self, now: Now) {
        let down = |known: &Known| known.record.clone().filter(|record| record.state == State::Down);
        for (id, record) in self.known.iter().filter_map(|(id, known)| Some((id, down(known)?))) {
            self.incidents.entry(id.clone()).or_insert_with(|| {
                let opened = record.since.unwrap_or(now.wall);
                let incident = Incident::opened(record.epoch, opened, State::Unknown);
                OpenIncident { incident, spoken: Age::of(opened, now) }
            });
        }
    }

    /// What is known of a check or group that has been judged.
    fn recorded(&self, id: &Id) -> &CheckRecord {
        self.record(id).expect("who has moved has a record")
    }

    fn keep_incident(&self, id: &Id, draft: &mut Draft<'_>) {
        let incident = self.incidents.get(id).map(|open| open.incident.clone());
        draft.batch.incidents.push((id.clone(), incident));
    }

    fn alerts_of(&self, id: &Id) -> Vec<Id> {
        self.index.checks.get(id).map_or_else(Vec::new, |check| check.alerts.clone())
    }

    /// Why the alerts of a check are withheld now, if they are.
    fn obstacle(&self, id: &Id) -> Option<String> {
        self.index.checks.get(id)?.depends_on.iter().find_map(|on| {
            let record = self.record(on)?;
            let failing =
                self.index.groups.get(on).map_or_else(|| is_failing(record), super::groups::Group::is_failing);
            match record.state {
                State::Down => Some(format!("depends on {on}, which is down")),
                _ if failing => Some(format!("depends on {on}, which is failing")),
                _ => None,
            }
        })
    }
}

/// A message to one alert.
struct Letter<'a> {
    event: Event,
    subject: &'a Id,
    incident: Option<u64>,
    facts: &'a Facts,
}

impl Letter<'_> {
    fn send(self, alert: Id, number: impl Display, decided: Wall, draft: &mut Draft<'_>) {
        draft.owe(Intent {
            key: key(self.event, self.subject, number, decided, &alert),
            at: draft.now.wall,
            event: self.event,
            to: Destination::Alert(alert),
            subject: Some(self.subject.clone()),
            incident: self.incident,
            facts: self.facts.clone(),
            message: Arc::from(""),
        });
    }
}
