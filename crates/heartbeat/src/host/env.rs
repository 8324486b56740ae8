//! The environment of this process.
#![allow(clippy::disallowed_methods)] // this is the door

/// A variable, if it is set and is text.
pub fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}
