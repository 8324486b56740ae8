//! The only door to the operating system: clocks, processes, the environment, secrets, privileges.

pub mod activation;
pub mod clock;
pub mod cores;
pub mod daemon;
pub mod env;
pub mod failpoint;
pub mod hostname;
pub mod load;
pub mod memory;
pub mod notify;
pub mod process;
pub mod random;
pub mod trust;
pub mod user;
pub mod zone;
