//! Whoever wants to hear of transitions.
//!
//! An observer may send mail and wait for it: it has a thread of its own, so that neither the runner nor a poll waits for
//! it. It may panic: the next transition is told all the same.

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::{self, SyncSender};
use std::{fmt, io};

use heartbeat_core::Id;
pub use heartbeat_core::intent::Transition;
use heartbeat_core::record::State;

use crate::clock;
use crate::flag::{self, FLAG};

/// So many transitions wait for an observer that is slow; what comes on top of them is not told.
const WAITING: usize = 1024;

/// Tells an observer, if there is one. Once all clones are dropped, the thread ends when it has told what it was given.
#[derive(Clone, Default)]
pub(crate) struct Observer(Option<SyncSender<Transition>>);

impl Observer {
    /// One that is told by a thread of its own.
    pub(crate) fn start(mut told: impl FnMut(&Transition) + Send + 'static) -> io::Result<Self> {
        let (sender, transitions) = mpsc::sync_channel::<Transition>(WAITING);
        std::thread::Builder::new().name("observer".to_owned()).spawn(move || {
            for transition in transitions {
                // The panic hook has said it already, and the closure was told that it may be called again.
                let _ = catch_unwind(AssertUnwindSafe(|| told(&transition)));
            }
        })?;
        Ok(Self(Some(sender)))
    }

    /// Tells of a transition; never waits.
    pub(crate) fn tell(&self, transition: Transition) {
        if let Some(sender) = &self.0 {
            // Full or gone: in both cases there is nobody to tell it to.
            let _ = sender.try_send(transition);
        }
    }
}

/// What was told of a flag: it is up until it says otherwise.
struct Told {
    state: State,
    epoch: u64,
}

impl Observer {
    /// Tells of drains that begin or end, as of the check `flag`, for one view alone `flag.VIEW`. To be given to a
    /// [`Lookout`](crate::lookout::Lookout).
    pub(crate) fn of_flags(self) -> impl FnMut(Option<&str>, &flag::State) + Send + 'static {
        let mut flags: HashMap<Id, Told> = HashMap::new();
        move |view, says| {
            let subject = view.map_or_else(|| Id::from(FLAG), |view| Id::new(format!("{FLAG}.{view}")));
            let told = flags.entry(subject.clone()).or_insert(Told { state: State::Up, epoch: 0 });
            let (to, reason) = match says {
                flag::State::Up => (State::Up, Arc::default()),
                flag::State::Down(drain) => (State::Down, drain.to_string().into()),
            };
            if to == told.state {
                return;
            }
            let from = std::mem::replace(&mut told.state, to);
            told.epoch += 1;
            self.tell(Transition { subject, epoch: told.epoch, at: clock::wall(), from, to, reason });
        }
    }
}

impl fmt::Debug for Observer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Observer").field(&self.0.is_some()).finish()
    }
}

#[cfg(test)]
mod tests {
    use heartbeat_core::Wall;
    use heartbeat_core::record::State;

    use super::*;

    fn transition(epoch: u64) -> Transition {
        let at = Wall::from_unix_millis(0);
        Transition { subject: "database".into(), epoch, at, from: State::Up, to: State::Down, reason: "".into() }
    }

    #[test]
    fn a_panic_is_not_the_end() {
        let (heard, hears) = mpsc::channel();
        let observer = Observer::start(move |transition| {
            assert!(transition.epoch != 1, "the observer breaks on purpose");
            heard.send(transition.epoch).expect("the test listens");
        })
        .expect("a thread");
        (1..=3).for_each(|epoch| observer.tell(transition(epoch)));
        drop(observer);
        assert_eq!(hears.iter().collect::<Vec<_>>(), [2, 3], "all is told, also after the end");
    }

    #[test]
    fn a_slow_one_holds_nobody_up() {
        let (release, held) = mpsc::channel::<()>();
        let (heard, hears) = mpsc::channel();
        let observer = Observer::start(move |transition| {
            let _ = held.recv();
            let _ = heard.send(transition.epoch);
        })
        .expect("a thread");
        let told = WAITING as u64 + 10;
        (0..told).for_each(|epoch| observer.tell(transition(epoch)));
        drop((release, observer));
        let heard = hears.iter().count();
        assert!(heard == WAITING || heard == WAITING + 1, "{heard}: those that wait, and perhaps the one at work");
    }
}
