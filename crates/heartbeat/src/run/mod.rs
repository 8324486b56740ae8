//! The running program: driver, prober pool, outbox, reload, shutdown.

pub mod control;
pub mod pidfile;
