//! Values that are made of others when somebody needs them, once, and kept beside them.

use std::fmt;
use std::sync::OnceLock;

/// What is made of the other fields of a struct. It says nothing more about the struct than they do, and so shows nothing
/// and is equal to every other.
pub(super) struct Made<T>(OnceLock<T>);

impl<T> Made<T> {
    /// The value, made now if it has not been made yet.
    pub(super) fn get_or_make(&self, make: impl FnOnce() -> T) -> &T {
        self.0.get_or_init(make)
    }
}

impl<T> Default for Made<T> {
    fn default() -> Self {
        Self(OnceLock::new())
    }
}

impl<T> fmt::Debug for Made<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Made")
    }
}

impl<T> PartialEq for Made<T> {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}
