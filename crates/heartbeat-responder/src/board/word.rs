//! What a view says to those who know few words: HAProxy's agent check, gRPC clients.

use std::sync::Arc;

use heartbeat_core::answer::{Answer, Situation, answer};

use super::{Board, lock};
use crate::view::Details;

/// What a view says, without its services.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Word {
    /// The view's name.
    pub view: Arc<str>,
    /// Its answer.
    pub answer: Answer,
    /// The HTTP status of that answer: what the configuration lets it count for.
    pub status: u16,
    /// The program is about to end, whatever the view says.
    pub ending: bool,
    /// Who may be told more.
    pub details: Details,
}

impl Word {
    /// Whether whoever asks over HTTP would send requests: any status that is no error (RFC 9110, section 15).
    pub const fn is_welcome(&self) -> bool {
        self.status < 400
    }
}

impl Board {
    /// What a view says by its name; `None` if there is no such view. It costs the same however many services there are.
    pub fn word(&self, view: &str) -> Option<Word> {
        let panels = self.panels.load();
        let place = panels.layout.views.iter().position(|candidate| &*candidate.name == view)?;
        let view = &panels.layout.views[place];
        let drained = self.drain_of(&panels, Some(place)).is_some();
        let deciding = lock(&panels.state).counts[view.scope];
        let answer = answer(view.question, &Situation { watched: self.is_watched(&panels), drained, deciding });
        let ending = lock(&self.drains).ending.is_some();
        Some(Word { view: view.name.clone(), answer, status: view.statuses.of(answer), ending, details: view.details })
    }
}
