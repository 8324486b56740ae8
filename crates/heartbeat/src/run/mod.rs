//! The running program: driver, prober pool, outbox, reload, shutdown.
