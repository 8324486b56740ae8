//! What a load balancer is told.
//!
//! An answer is computed from states that are known already; nothing is probed for it. It fails closed: when the scheduler
//! no longer runs, or a service that decides is not known, the answer is not "ok".

use crate::Id;
use crate::record::State;

/// A check, as a view shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Service {
    /// Its name.
    pub id: Id,
    /// Its state.
    pub state: State,
    /// That state is too old to be believed.
    pub stale: bool,
    /// Whether it decides the answer, rather than being shown only.
    pub takedown: bool,
}

/// What is asked about: a set of checks on this server, and the server itself.
#[derive(Clone, Copy, Debug)]
pub struct View<'a> {
    /// The checks.
    pub services: &'a [Service],
    /// An operator has taken this server out of service.
    pub drained: bool,
    /// The scheduler runs.
    pub alive: bool,
}

/// What is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Send requests.
    Ok,
    /// Send none: nobody watches the checks.
    Stalled,
    /// Send none: an operator said so.
    Drained,
    /// Send none: a check that decides is down.
    Down,
    /// Send none yet: a check that decides is not known.
    Unknown,
}

impl Answer {
    /// Whether requests are welcome.
    pub const fn is_ok(self) -> bool {
        matches!(self, Self::Ok)
    }
}

/// Answers for a view. Of several reasons the first in the order of [`Answer`] is given.
pub fn answer(view: View<'_>) -> Answer {
    let mut deciding = view.services.iter().filter(|service| service.takedown);
    let is_known = |service: &Service| service.state != State::Unknown && !service.stale;
    if !view.alive {
        Answer::Stalled
    } else if view.drained {
        Answer::Drained
    } else if deciding.clone().any(|service| service.state == State::Down) {
        Answer::Down
    } else if deciding.all(is_known) {
        Answer::Ok
    } else {
        Answer::Unknown
    }
}

#[cfg(test)]
mod tests {
    use super::{Answer, Id, Service, State, View, answer};

    fn service(state: State, stale: bool, takedown: bool) -> Service {
        Service { id: Id::from("web"), state, stale, takedown }
    }

    fn of(services: &[Service]) -> Answer {
        answer(View { services, drained: false, alive: true })
    }

    #[test]
    fn checks_that_decide_do() {
        let [up, degraded, down, unknown] =
            [State::Up, State::Degraded, State::Down, State::Unknown].map(|state| service(state, false, true));
        assert_eq!(of(&[]), Answer::Ok);
        assert_eq!(of(&[up.clone(), degraded]), Answer::Ok);
        assert_eq!(of(&[up.clone(), down, unknown.clone()]), Answer::Down);
        assert_eq!(of(&[up, unknown]), Answer::Unknown);
        assert_eq!(of(&[service(State::Up, true, true)]), Answer::Unknown);
        assert_eq!(of(&[service(State::Down, true, true)]), Answer::Down);
        assert_eq!(of(&[service(State::Down, false, false), service(State::Unknown, true, false)]), Answer::Ok);
    }

    #[test]
    fn what_stands_over_them_goes_first() {
        let down = [service(State::Down, false, true)];
        assert_eq!(answer(View { services: &down, drained: true, alive: true }), Answer::Drained);
        assert_eq!(answer(View { services: &down, drained: true, alive: false }), Answer::Stalled);
        assert!(answer(View { services: &[], drained: false, alive: true }).is_ok());
        assert!(!Answer::Drained.is_ok());
    }
}
