//! The values that configurations are made of.

pub mod basic;
pub mod command;
pub mod duration;
pub mod names;
pub mod pattern;
pub mod policy;
pub mod secret;
pub mod size;
pub mod template;
pub mod text;
pub mod words;

pub use basic::Count;
pub use command::{CommandLine, Surroundings};
pub use names::Names;
pub use pattern::Pattern;
pub use secret::{Hidden, Secret};
pub use size::Size;
pub use text::{FilePath, StateWords, Times, Verbatim};
pub(crate) use words::words;
