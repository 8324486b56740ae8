//! The values that configurations are made of.

pub mod basic;
pub mod duration;
pub mod secret;

pub use secret::Secret;
