//! Health answers for load balancers, to embed in a web application.

pub mod ask;
pub mod board;
mod builder;
mod check;
mod clock;
pub mod defaults;
pub mod flag;
pub mod format;
mod health;
pub mod lookout;
mod observer;
pub mod pulse;
pub mod reply;
mod runner;
mod service;
pub mod view;

pub use board::Board;
pub use builder::{BuildError, Builder, Options, ViewOptions};
pub use check::{Boxed, Check, Verdict, blocking};
pub use health::Health;
pub use observer::Transition;
pub use service::{Body, Peer};

pub use heartbeat_core::Wall;
pub use heartbeat_core::answer::{Answer, Question, Standing, Statuses};
pub use heartbeat_core::record::State;
