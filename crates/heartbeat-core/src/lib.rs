//! What heartbeat decides, and nothing else.
//!
//! Every function here is pure: time is an argument, the outside world arrives as values and leaves as values. There is no
//! clock, no input or output and no thread in this crate, so that an hour of outages is an ordinary unit test and the same
//! journal, replayed, gives the same states.
#![no_std]

extern crate alloc;
#[cfg(test)]
extern crate std;

pub mod answer;
pub mod channel;
pub mod coordinator;
pub mod delivery;
#[cfg(test)]
mod fuse;
mod hash;
pub mod id;
pub mod intent;
pub mod journal;
mod key;
pub mod lane;
pub mod lateness;
pub mod ledger;
pub mod outcome;
pub mod pace;
pub mod policy;
pub mod record;
pub mod schedule;
pub mod shard;
pub mod state;
mod tally;
pub mod template;
pub mod time;
mod timers;
mod turns;

pub use id::Id;
pub use time::{Mono, Now, Wall};
