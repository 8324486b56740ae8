//! Stores: what survives the process.
//!
//! A store loads a [`Ledger`] and takes [`Batch`]es, each one transaction. It has one user, its writer thread, and knows
//! nothing of checks and alerts. One suite of tests holds for all of them.

use std::fmt;

use heartbeat_core::ledger::{Batch, Ledger};

/// Where the state is kept. Not shared: one writer.
pub trait Store: Send {
    /// Everything remembered. Called once, first.
    ///
    /// # Errors
    /// [`StoreError`] if the store cannot be read.
    fn load(&mut self) -> Result<Ledger, StoreError>;

    /// One transaction: when this returns, a batch that [is urgent](Batch::is_urgent) is on the disk.
    ///
    /// # Errors
    /// [`StoreError`] if nothing of it was kept.
    fn commit(&mut self, batch: &Batch) -> Result<(), StoreError>;

    /// Makes the store equal to `ledger`, after commits have failed.
    ///
    /// # Errors
    /// [`StoreError`] if nothing of it was kept.
    fn replace(&mut self, ledger: &Ledger) -> Result<(), StoreError>;

    /// Where it is, for people: `sqlite:/var/lib/heartbeat/heartbeat.db`.
    fn location(&self) -> String;
}

/// Why a store did not do what it should.
#[derive(Debug)]
pub struct StoreError {
    /// Whether trying again later may help.
    pub class: StoreFault,
    /// What was expected, what was found, where, and what to do.
    pub message: String,
}

/// The classes of failure that the caller treats differently.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoreFault {
    /// Full, read-only, locked: may pass.
    Unavailable,
    /// The content makes no sense. It was moved aside, to the path that the message names.
    Corrupt,
    /// Another instance holds the lock.
    Locked,
    /// The folder is missing, or the path cannot be used at all.
    Missing,
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for StoreError {}
