//! What HAProxy's agent check is told: a connection, one line, the end (HAProxy 2.6 configuration manual, "agent-check").
//!
//! A word of an agent is sticky. `drain` lasts until an agent says `ready`, `down` until one says `up`, however often the
//! ordinary checks pass in between, and an agent that cannot be reached changes nothing. So every line says both, and
//! whoever is about to end says `up drain`: a `down` left behind would keep the server out until we are back.
//!
//! Absent: `maint`, which stops HAProxy's own checks, and `stopped` and `fail`, which mean `down` to it.

use std::sync::Arc;
use std::time::Duration;

use heartbeat_responder::board::Word;
use heartbeat_responder::view::Details;
use heartbeat_responder::{Answer, Board};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::time::timeout;

use crate::host::clock;
use crate::host::load::Load;
use crate::web::polls::{Counters, Peer};

/// A poller that has not taken its line and gone within this is left.
const PATIENCE: Duration = Duration::from_secs(2);

/// So much of what a poller sends (`agent-send`) is read and thrown away, in bytes.
const HEARD: usize = 16 * 1024;

/// The longest reason, in characters. HAProxy keeps 127 bytes of `via agent : down (REASON)`.
const LONGEST: usize = 108;

/// The weight that a server is given while it is up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Weight {
    /// What HAProxy's configuration says.
    #[default]
    None,
    /// Less of it the busier this machine is.
    Load,
}

/// What an agent speaks of.
#[derive(Debug)]
pub struct Agent {
    board: Arc<Board>,
    view: Arc<str>,
    weight: Weight,
    load: Load,
}

impl Agent {
    /// An agent that says what this view says.
    pub fn new(board: Arc<Board>, view: impl Into<Arc<str>>, weight: Weight) -> Self {
        Self { board, view: view.into(), weight, load: Load::default() }
    }

    /// What it says now to somebody there, and the word of the view that is behind it. A view that there is not (any more)
    /// is down.
    fn line(&self, peer: Peer) -> (String, Option<Word>) {
        let word = self.board.word(&self.view).map(|word| match word.ending {
            true => Word { answer: Answer::Drained, ..word },
            false => word,
        });
        let line = match &word {
            Some(word) if word.answer == Answer::Drained => "up drain\n".to_owned(),
            Some(word) if word.is_welcome() => format!("up ready {}%\n", self.percentage()),
            Some(word) => format!("down ready # {}\n", reason(&self.why(word, peer))),
            None => "down ready # there is no such view\n".to_owned(),
        };
        (line, word)
    }

    fn percentage(&self) -> u8 {
        match self.weight {
            Weight::None => 100,
            Weight::Load => self.load.per_core().map_or(100, share),
        }
    }

    fn why(&self, word: &Word, peer: Peer) -> Arc<str> {
        let may_know = match word.details {
            Details::Public => true,
            Details::Local => peer.is_local(),
            // There is no way to show a token here.
            Details::Token => false,
        };
        let told = if may_know { self.board.answer(&self.view).and_then(|(_, why)| why) } else { None };
        told.unwrap_or_else(|| {
            match word.answer {
                Answer::Stalled => "the checks are not being watched",
                Answer::Stale => "what is known is too old",
                Answer::Unknown => "not known yet",
                Answer::Ok | Answer::Down | Answer::Drained => "a check is down",
            }
            .into()
        })
    }

    /// Tells whoever has connected, and waits a moment for them to go.
    pub async fn tell(&self, mut connection: impl AsyncRead + AsyncWrite + Unpin, mut counters: Counters) {
        let (line, word) = self.line(counters.peer());
        let telling = async {
            connection.write_all(line.as_bytes()).await?;
            connection.shutdown().await
        };
        let Ok(Ok(())) = timeout(PATIENCE, telling).await else { return };
        if let Some(word) = word {
            counters.count_answer(Some(&word.view), Some(word.answer), word.status, clock::now());
        }
        // If something unread is left when we close, the system resets the connection, and the line may be lost with it.
        let mut heard = 0;
        let mut buffer = [0; 1024];
        let hearing = async {
            while heard < HEARD
                && let Ok(length @ 1..) = connection.read(&mut buffer).await
            {
                heard += length;
            }
        };
        let _ = timeout(PATIENCE, hearing).await;
    }
}

/// The share of its weight that a machine is given, in percent: 100 for an idle one, 50 where as many tasks run or wait as
/// there are cores, a third at twice as many. Never 0, which would be a drain.
fn share(load_per_core: f64) -> u8 {
    (100.0 / (1.0 + load_per_core)).round().clamp(1.0, 100.0) as u8
}

/// One line of ASCII that fits into what HAProxy keeps.
fn reason(why: &str) -> String {
    let plain: String = why.chars().map(|c| if c.is_ascii() && !c.is_ascii_control() { c } else { '?' }).collect();
    match plain.get(..LONGEST - 3).filter(|_| plain.len() > LONGEST) {
        Some(begin) => format!("{begin}..."),
        None => plain,
    }
}

#[cfg(test)]
mod tests;
