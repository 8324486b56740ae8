//! The whole engine under a simulated clock: scenarios that an operator can read, and properties that always hold.

mod properties;
mod scenarios;
mod script;
mod world;
