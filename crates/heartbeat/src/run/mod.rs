//! The running program: driver, prober pool, outbox, reload, shutdown.
//!
//! [`session`] puts the parts together; [`daemon`] and [`once`] are the two ways to live.

pub mod board;
pub mod build;
pub mod committer;
pub mod control;
pub mod daemon;
mod deadlines;
pub mod drained;
pub mod driver;
pub mod hands;
mod late;
mod leftovers;
pub mod once;
pub mod outbox;
pub mod pidfile;
pub mod pollers;
pub mod pool;
pub mod reload;
pub mod responding;
pub mod session;
pub mod status;
pub mod wiring;
mod worker;

#[cfg(test)]
mod timelines;
