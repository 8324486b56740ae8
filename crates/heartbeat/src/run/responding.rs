//! The responder of a running daemon: the board, those who look at the flags, and the listeners.
//!
//! The board is written by the scheduler and read by the listeners' own thread, which nothing that the scheduler, the store
//! or a probe does can delay.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use heartbeat_responder::flag::{Flag, State};
use heartbeat_responder::lookout::Lookout;
use heartbeat_responder::view::Layout;
use heartbeat_responder::{Board, flag};
use tokio::sync::mpsc;

use super::pollers::Pollers;
use crate::plan::Plan;
use crate::web::{Doors, Web};

/// The scheduler gives a sign of life at least this often, or the views fail.
pub const BEAT: Duration = Duration::from_secs(1);

/// What the answers say while the program ends.
const ENDING: &str = "heartbeat is ending";

/// A flag's word: whose it is, for that of a single view, and what it says.
pub type Word = (Option<Arc<str>>, State);

/// The responder. See the [module](self).
pub struct Responding {
    board: Arc<Board>,
    doors: Option<Doors>,
    web: Option<Web>,
    lookout: Option<Lookout>,
    words_in: mpsc::UnboundedSender<Word>,
    words: mpsc::UnboundedReceiver<Word>,
}

impl Responding {
    /// One that will answer at these doors. Nobody is let in before [`start`](Self::start).
    pub fn new(doors: Option<Doors>) -> Self {
        let (words_in, words) = mpsc::unbounded_channel();
        let board = Arc::new(Board::new(Layout::default()));
        Self { board, doors, web: None, lookout: None, words_in, words }
    }

    /// Where it is written what is known.
    pub fn board(&self) -> &Arc<Board> {
        &self.board
    }

    /// Looks at the flags and opens the doors. The board must show the plan by now.
    ///
    /// # Errors
    /// If the system gives us no threads.
    pub fn start(&mut self, plan: &Plan) -> io::Result<()> {
        self.look(plan)?;
        self.board.beat();
        self.web = self.doors.take().map(|doors| Web::start(doors, Arc::clone(&self.board))).transpose()?;
        if let Some(web) = &self.web {
            tracing::info!("load balancers are answered at {}", web.names().join(", "));
        }
        Ok(())
    }

    /// There is a new plan, and the board shows it. Returns what of it could not be taken over.
    pub fn replanned(&mut self, plan: &Plan) -> Vec<String> {
        let mut problems = Vec::new();
        if let Err(error) = self.look(plan) {
            problems.push(format!("nobody looks at the flag any more: {error}"));
        }
        problems.extend(self.web.as_ref().map(Web::reload).unwrap_or_default());
        problems
    }

    fn look(&mut self, plan: &Plan) -> io::Result<()> {
        self.lookout = None;
        let Some(flag) = plan.flag() else { return Ok(()) };
        let words = self.words_in.clone();
        let tell = move |view: Option<&str>, state: &State| {
            // At the end of the program nobody listens.
            let _ = words.send((view.map(Arc::from), state.clone()));
        };
        self.lookout = Some(Lookout::start(&self.board, &Flag::new(&flag.path), tell)?);
        Ok(())
    }

    /// The next word of a flag.
    pub async fn word(&mut self) -> Option<Word> {
        self.words.recv().await
    }

    /// Who polls.
    pub fn pollers(&self) -> Pollers {
        Pollers::of(&self.board, self.web.as_ref().map(Web::polls).unwrap_or_default())
    }

    /// From now on no view is ready.
    pub fn end(&self) {
        self.board.end(ENDING);
    }

    /// Closes the doors, the last thing of all.
    pub async fn close(self) {
        if let Some(web) = self.web {
            web.close().await;
        }
    }
}

/// The drain that stands until the flag has been looked at: nothing is started that an operator may have stopped.
pub fn not_looked_yet() -> flag::Drain {
    flag::Drain::because("the flag has not been looked at yet")
}
