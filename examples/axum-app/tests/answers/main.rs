//! The application answers like the program: the same suite, to the byte.
#![allow(clippy::disallowed_methods)] // tests start processes and read clocks

#[path = "../../../../crates/heartbeat-responder/tests/answers/mod.rs"]
mod answers;
mod subject;
