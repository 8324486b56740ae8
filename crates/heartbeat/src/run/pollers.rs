//! Who polls this server, and what of it is drained: for `heartbeat down --wait`.

use std::sync::Arc;

use heartbeat_responder::Board;
use serde::{Deserialize, Serialize};

use crate::web::polls::Poller;

/// Everybody who polls.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Pollers {
    /// Them.
    pub pollers: Vec<Poller>,
    /// The whole server is drained.
    pub flag: bool,
    /// The views that are drained, for that reason or one of their own.
    pub views: Vec<Arc<str>>,
}

impl Pollers {
    /// Those who poll a board.
    pub fn of(board: &Board, pollers: Vec<Poller>) -> Self {
        Self { pollers, flag: board.drain().is_some(), views: board.drained() }
    }

    /// Whether a drain of this view, or of the whole server, has been seen.
    pub fn has_seen(&self, view: Option<&str>) -> bool {
        view.map_or(self.flag, |view| self.views.iter().any(|drained| **drained == *view))
    }

    /// Whether this one asks for something that is drained.
    pub fn concerns(&self, poller: &Poller) -> bool {
        poller.view.as_ref().is_some_and(|view| self.views.contains(view))
    }
}
