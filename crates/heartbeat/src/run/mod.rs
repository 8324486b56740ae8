//! The running program: driver, prober pool, outbox, reload, shutdown.

pub mod control;
pub mod outbox;
pub mod pidfile;
