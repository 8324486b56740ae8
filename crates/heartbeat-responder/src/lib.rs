//! Health answers for load balancers, to embed in a web application.

pub mod ask;
pub mod board;
mod clock;
pub mod defaults;
pub mod flag;
pub mod format;
pub mod lookout;
pub mod pulse;
pub mod reply;
pub mod view;

pub use board::Board;
pub use heartbeat_core::answer::{Answer, Question, Standing, Statuses};
