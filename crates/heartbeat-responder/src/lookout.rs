//! Whoever looks at the flags: a thread of its own, for a file system may hang.

use std::io;
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::sync::{Arc, Weak};
use std::time::Duration;

use crate::board::Board;
use crate::clock;
use crate::flag::{Flag, State};

/// How often a flag is looked at. What it says is seen well within a second.
pub const PACE: Duration = Duration::from_millis(250);

/// Looks until it is dropped.
#[derive(Debug)]
pub struct Lookout {
    _stop: Sender<()>,
}

impl Lookout {
    /// Looks at the flag for all views and at those of single views, and tells the board. `changed` hears of every word
    /// that is not the one before, the first ones of all included: the view's name, or none for all views.
    ///
    /// # Errors
    /// If the system gives us no thread.
    pub fn start(
        board: &Arc<Board>,
        flag: &Flag,
        mut changed: impl FnMut(Option<&str>, &State) + Send + 'static,
    ) -> io::Result<Self> {
        let (stop, stopped) = mpsc::channel();
        let mut posts = vec![Post { view: None, flag: flag.clone(), said: None }];
        let own = |view: Arc<str>| Post { flag: flag.of_view(&view), view: Some(view), said: None };
        posts.extend(board.views().into_iter().map(own));
        let board = Arc::downgrade(board);
        std::thread::Builder::new().name("flag".to_owned()).spawn(move || {
            while look(&board, &mut posts, &mut changed) {
                if stopped.recv_timeout(PACE) != Err(RecvTimeoutError::Timeout) {
                    return;
                }
            }
        })?;
        Ok(Self { _stop: stop })
    }
}

/// A flag, and what it said.
struct Post {
    view: Option<Arc<str>>,
    flag: Flag,
    said: Option<State>,
}

/// Looks once. Whether there is still somebody to tell.
fn look(board: &Weak<Board>, posts: &mut [Post], changed: &mut impl FnMut(Option<&str>, &State)) -> bool {
    for post in posts {
        let says = post.flag.read(clock::wall());
        if post.said.as_ref() == Some(&says) {
            continue;
        }
        let Some(board) = board.upgrade() else { return false };
        board.flag(post.view.as_deref(), says.clone());
        changed(post.view.as_deref(), &says);
        post.said = Some(says);
    }
    board.upgrade().inspect(|board| board.looked()).is_some()
}
