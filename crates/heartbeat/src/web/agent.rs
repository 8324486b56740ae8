//! What HAProxy's agent check is told: a connection, one line, the end (HAProxy 2.6 configuration manual, "agent-check").
//!
//! A word of an agent is sticky. `drain` lasts until an agent says `ready`, `down` until one says `up`, however often the
//! ordinary checks pass in between, and an agent that cannot be reached changes nothing. So every line says both, and
//! whoever is about to end says `up drain`: a `down` left behind would keep the server out until we are back.
//!
//! Absent: `maint`, which stops HAProxy's own checks, and `stopped` and `fail`, which mean `down` to it.

mod options;

use std::io;
use std::sync::Arc;

use heartbeat_responder::board::Word;
use heartbeat_responder::view::Details;
use heartbeat_responder::{Answer, Board};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _};

pub use self::options::{Agents, Options, Weight};
use super::polls::{Peer, Transport};
use super::reception::{Protocol, Visit, part};
use crate::host::clock;
use crate::host::load::Load;

/// The longest reason, in characters. HAProxy keeps 127 bytes of `via agent : down (REASON)`.
const LONGEST: usize = 108;

/// What an agent speaks of.
#[derive(Debug)]
pub(super) struct Agent {
    board: Arc<Board>,
    view: Arc<str>,
    weight: Weight,
    load: Load,
}

impl Agent {
    /// An agent as the configuration has it.
    pub(super) fn new(board: Arc<Board>, options: &Options) -> Self {
        Self { board, view: options.view.clone(), weight: options.weight, load: Load::default() }
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
}

impl Protocol for Agent {
    const TRANSPORT: Transport = Transport::Agent;

    async fn converse<S>(&self, mut stream: S, mut visit: Visit) -> io::Result<()>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let (line, word) = self.line(visit.counters.peer());
        let now = clock::now();
        visit.seat.answers(now.mono);
        stream.write_all(line.as_bytes()).await?;
        stream.flush().await?;
        if let Some(word) = word {
            visit.counters.count_answer(Some(&word.view), Some(word.answer), word.status, now);
        }
        // HAProxy may have sent a line of its own (`agent-send`), or may be about to.
        Box::pin(part(stream)).await
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
