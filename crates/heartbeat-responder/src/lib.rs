//! Health answers for load balancers, to embed in a web application.
//!
//! In this version it is a thin shell of [`heartbeat_core::answer`]: an application says how its services are, from
//! whatever thread knows, and its health endpoint asks [`Health::answer`], which waits for nothing. There are no probes, no
//! background tasks and no HTTP here yet.
//!
//! ```
//! use heartbeat_core::record::State;
//! use heartbeat_responder::Health;
//!
//! let health = Health::new([("database", true), ("search", false)]);
//! assert!(!health.answer().is_ok()); // the database is not known yet
//! health.set("database", State::Up);
//! assert!(health.answer().is_ok());
//! health.drain(true);
//! assert!(!health.answer().is_ok());
//! ```

use std::sync::{Mutex, MutexGuard, PoisonError};

use heartbeat_core::Id;
pub use heartbeat_core::answer::Answer;
use heartbeat_core::answer::{Service, View, answer};
use heartbeat_core::record::State;

/// The states of an application's services. Share it in an `Arc`.
#[derive(Debug)]
pub struct Health(Mutex<Known>);

#[derive(Debug)]
struct Known {
    services: Vec<Service>,
    drained: bool,
}

impl Health {
    /// Services by name, all of them unknown; `true` for those that take this server out of service.
    pub fn new<'a>(services: impl IntoIterator<Item = (&'a str, bool)>) -> Self {
        let unknown = |(id, takedown)| Service { id: Id::from(id), state: State::Unknown, stale: false, takedown };
        Self(Mutex::new(Known { services: services.into_iter().map(unknown).collect(), drained: false }))
    }

    /// Says how a service is. A name that was not given to [`new`](Self::new) is ignored.
    pub fn set(&self, id: &str, state: State) {
        if let Some(service) = self.known().services.iter_mut().find(|service| service.id.as_str() == id) {
            service.state = state;
        }
    }

    /// Takes this server out of service, or puts it back.
    pub fn drain(&self, drained: bool) {
        self.known().drained = drained;
    }

    /// Whether requests are welcome, and if not, why.
    pub fn answer(&self) -> Answer {
        let known = self.known();
        answer(View { services: &known.services, drained: known.drained, alive: true })
    }

    /// No code that holds the lock can panic half-way through a change, so a poisoned one is as good as any.
    fn known(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
