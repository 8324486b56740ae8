//! Fingerprints of what a probe does: whether a new configuration means the same by a check.

use std::fmt::{self, Debug, Write as _};
use std::hash::{DefaultHasher, Hasher as _};

/// The fingerprint of a value, by all that it shows of itself.
pub(super) fn of(value: &dyn Debug) -> u64 {
    let mut hashing = Hashing(DefaultHasher::new());
    write!(hashing, "{value:?}").expect("a hasher takes everything");
    hashing.0.finish()
}

/// Hashes a text as it is written, without the text.
struct Hashing(DefaultHasher);

impl fmt::Write for Hashing {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0.write(text.as_bytes());
        Ok(())
    }
}
