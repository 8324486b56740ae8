//! Health of an application: what its builder makes, and what it asks and answers.

use std::fmt;
use std::sync::Arc;

use heartbeat_core::answer::Answer;
use tokio::task::AbortHandle;

use crate::board::Board;
use crate::builder::Builder;
use crate::lookout::Lookout;
use crate::service::FindPeer;

/// The health of an application: its checks, watched in the background, and the answers about them.
///
/// It is a tower [`Service`](tower_service::Service). Clones are the same; when the last one is dropped, nothing is watched
/// any more.
#[derive(Clone, Debug)]
pub struct Health(Arc<Inner>);

pub(crate) struct Inner {
    pub(crate) board: Arc<Board>,
    pub(crate) find_peer: FindPeer,
    pub(crate) runner: AbortHandle,
    pub(crate) lookout: Option<Lookout>,
}

impl Health {
    /// A builder without checks.
    pub fn builder() -> Builder {
        Builder::default()
    }

    pub(crate) fn of(inner: Inner) -> Self {
        Self(Arc::new(inner))
    }

    /// The board that all answers come from, for transports other than [`http`].
    pub fn board(&self) -> &Arc<Board> {
        &self.0.board
    }

    /// Whether one of the views is at this path, with or without its last slash.
    pub fn handles(&self, path: &str) -> bool {
        self.0.board.handles(path)
    }

    /// The answer of a view by its name, such as `ready`, and why it is not [`Answer::Ok`]. `None`: there is no such view.
    pub fn answer(&self, view: &str) -> Option<(Answer, Option<Arc<str>>)> {
        self.0.board.answer(view)
    }

    /// Lets readiness fail from now on, for good: the application is about to end. Liveness goes on.
    ///
    /// To be called first of all at SIGTERM; then wait until the load balancers have seen it, then close the listener.
    pub fn end(&self, why: &str) {
        self.0.board.end(why);
    }

    pub(crate) fn find_peer(&self) -> &FindPeer {
        &self.0.find_peer
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.runner.abort();
    }
}

impl fmt::Debug for Inner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inner").field("views", &self.board.views()).field("flag", &self.lookout).finish_non_exhaustive()
    }
}
