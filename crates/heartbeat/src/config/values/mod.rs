//! The values that configurations are made of.

pub mod basic;
pub mod duration;
pub mod secret;
pub mod size;

pub use secret::Secret;
pub use size::Size;
