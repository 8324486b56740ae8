//! What a load balancer is told.
//!
//! An answer is computed from what is known already; nothing is probed for it. It fails closed: when nobody watches the
//! services any more, or one that decides is not known, the answer is not [`Answer::Ok`].
//!
//! A view over a hundred thousand services is answered from a handful of [`Counts`], which change with a service's state
//! and not with a poll.

use crate::record::State;

/// How a service stands, as a view judges it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Standing {
    /// No verdict has been reached yet.
    #[default]
    Unknown,
    /// There was a verdict, but it is too old to be believed.
    Stale,
    /// As it should be.
    Up,
    /// Beyond a warning limit: healthy for load balancers.
    Degraded,
    /// Failed.
    Down,
}

impl Standing {
    /// The standing of a service in this state. A service that is down stays so, however old that is.
    pub const fn of(state: State, stale: bool) -> Self {
        match (state, stale) {
            (State::Down, _) => Self::Down,
            (State::Unknown, false) => Self::Unknown,
            (_, true) => Self::Stale,
            (State::Up, false) => Self::Up,
            (State::Degraded, false) => Self::Degraded,
        }
    }
}

/// How many services stand how.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    unknown: u32,
    stale: u32,
    degraded: u32,
    down: u32,
}

impl Counts {
    /// One more service that stands so.
    pub const fn add(&mut self, standing: Standing) {
        if let Some(count) = self.of(standing) {
            *count += 1;
        }
    }

    /// One service less; it must have been [added](Self::add).
    pub const fn remove(&mut self, standing: Standing) {
        if let Some(count) = self.of(standing) {
            *count -= 1;
        }
    }

    /// Whether at least one is degraded.
    pub const fn any_degraded(&self) -> bool {
        self.degraded > 0
    }

    const fn of(&mut self, standing: Standing) -> Option<&mut u32> {
        match standing {
            Standing::Unknown => Some(&mut self.unknown),
            Standing::Stale => Some(&mut self.stale),
            Standing::Degraded => Some(&mut self.degraded),
            Standing::Down => Some(&mut self.down),
            Standing::Up => None,
        }
    }
}

/// What is asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Question {
    /// Whether requests are welcome.
    #[default]
    Ready,
    /// Whether the start is over: every service that decides has had its first verdict.
    Started,
    /// Whether the process is worth keeping: only that it watches its services.
    Live,
}

/// All that an answer depends on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Situation {
    /// The services are being watched.
    pub watched: bool,
    /// An operator has taken this server out of service, or the program is about to end.
    pub drained: bool,
    /// The services that decide. Those that are only shown do not count.
    pub deciding: Counts,
}

/// What is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Answer {
    /// Send requests.
    Ok,
    /// Send none: nobody watches the services.
    Stalled,
    /// Send none: a service that decides is down.
    Down,
    /// Send none: an operator said so.
    Drained,
    /// Send none: what is known of a service that decides is too old.
    Stale,
    /// Send none yet: a service that decides is not known.
    Unknown,
}

impl Answer {
    /// Whether requests are welcome.
    pub const fn is_ok(self) -> bool {
        matches!(self, Self::Ok)
    }
}

/// Answers. Of several reasons the first in the order of [`Answer`] is given: a server whose services have failed is down,
/// be it drained or not.
pub const fn answer(question: Question, situation: &Situation) -> Answer {
    let Situation { watched, drained, deciding } = situation;
    match question {
        _ if !*watched => Answer::Stalled,
        Question::Ready if deciding.down > 0 => Answer::Down,
        Question::Ready if *drained => Answer::Drained,
        Question::Ready if deciding.stale > 0 => Answer::Stale,
        Question::Ready | Question::Started if deciding.unknown > 0 => Answer::Unknown,
        Question::Ready | Question::Started | Question::Live => Answer::Ok,
    }
}

/// The HTTP status codes (RFC 9110, section 15) of the answers that are not [`Answer::Ok`], which is always 200.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Statuses {
    /// When a service that decides is down, and when nobody watches.
    pub fail: u16,
    /// When this server is drained. HAProxy's `disable-on-404` wants 404.
    pub drain: u16,
    /// When a service that decides is not known yet.
    pub unknown: u16,
    /// When what is known of one is too old.
    pub stale: u16,
}

impl Default for Statuses {
    fn default() -> Self {
        Self { fail: 503, drain: 503, unknown: 503, stale: 503 }
    }
}

impl Statuses {
    /// The status of an answer.
    pub const fn of(&self, answer: Answer) -> u16 {
        match answer {
            Answer::Ok => 200,
            Answer::Stalled | Answer::Down => self.fail,
            Answer::Drained => self.drain,
            Answer::Stale => self.stale,
            Answer::Unknown => self.unknown,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Standing; 5] = [Standing::Unknown, Standing::Stale, Standing::Up, Standing::Degraded, Standing::Down];

    fn situation(deciding: &[Standing]) -> Situation {
        let mut counts = Counts::default();
        deciding.iter().for_each(|standing| counts.add(*standing));
        Situation { watched: true, drained: false, deciding: counts }
    }

    fn ready(deciding: &[Standing]) -> Answer {
        answer(Question::Ready, &situation(deciding))
    }

    #[test]
    fn services_that_decide_do() {
        use Standing::{Degraded, Down, Stale, Unknown, Up};
        assert_eq!(ready(&[]), Answer::Ok);
        assert_eq!(ready(&[Up, Degraded]), Answer::Ok);
        assert_eq!(ready(&[Up, Down, Unknown, Stale]), Answer::Down);
        assert_eq!(ready(&[Up, Unknown]), Answer::Unknown);
        assert_eq!(ready(&[Stale, Unknown]), Answer::Stale);
    }

    #[test]
    fn a_drain_stands_below_a_failure_and_above_doubt() {
        let drained =
            |deciding: &[Standing]| answer(Question::Ready, &Situation { drained: true, ..situation(deciding) });
        assert_eq!(drained(&[Standing::Up]), Answer::Drained);
        assert_eq!(drained(&[Standing::Down]), Answer::Down);
        assert_eq!(drained(&[Standing::Unknown, Standing::Stale]), Answer::Drained);
    }

    #[test]
    fn nobody_who_watches_fails_every_question() {
        for question in [Question::Ready, Question::Started, Question::Live] {
            let unwatched = Situation { watched: false, ..situation(&[Standing::Up]) };
            assert_eq!(answer(question, &unwatched), Answer::Stalled);
        }
    }

    #[test]
    fn liveness_and_start_know_nothing_of_failures_and_drains() {
        for standing in ALL {
            let drained = Situation { drained: true, ..situation(&[standing]) };
            assert_eq!(answer(Question::Live, &drained), Answer::Ok);
            let started = answer(Question::Started, &drained);
            assert_eq!(started.is_ok(), standing != Standing::Unknown, "{standing:?}");
        }
    }

    #[test]
    fn counts_forget_what_is_removed() {
        let mut counts = Counts::default();
        ALL.iter().for_each(|standing| counts.add(*standing));
        assert!(counts.any_degraded());
        ALL.iter().for_each(|standing| counts.remove(*standing));
        assert_eq!(counts, Counts::default());
    }

    #[test]
    fn a_state_that_is_too_old_is_doubted_unless_it_is_bad() {
        assert_eq!(Standing::of(State::Up, true), Standing::Stale);
        assert_eq!(Standing::of(State::Unknown, true), Standing::Stale);
        assert_eq!(Standing::of(State::Down, true), Standing::Down);
        assert_eq!(Standing::of(State::Up, false), Standing::Up);
        assert_eq!(Standing::of(State::Degraded, false), Standing::Degraded);
    }

    #[test]
    fn each_reason_has_its_status() {
        let statuses = Statuses { fail: 500, drain: 404, unknown: 425, stale: 504 };
        let of = |answer| statuses.of(answer);
        assert_eq!([Answer::Ok, Answer::Stalled, Answer::Down].map(of), [200, 500, 500]);
        assert_eq!([Answer::Drained, Answer::Stale, Answer::Unknown].map(of), [404, 504, 425]);
    }
}
