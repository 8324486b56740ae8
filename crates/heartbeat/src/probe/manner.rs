//! Fingerprints of what a probe does: whether a new configuration means the same by a check.

use std::fmt::{self, Debug, Write as _};
use std::hash::{DefaultHasher, Hasher as _};
use std::sync::OnceLock;

/// The fingerprint of a value, by all that it shows of itself.
pub fn of(value: &dyn Debug) -> u64 {
    let mut hashing = Hashing(DefaultHasher::new());
    write!(hashing, "{value:?}").expect("a hasher takes everything");
    hashing.0.finish()
}

/// The fingerprint of what very many checks share, in a field of its own there: it is made once. It says nothing more about
/// the value, and so shows nothing and is equal to every other.
#[derive(Default)]
pub struct Manner(OnceLock<u64>);

impl Manner {
    /// The fingerprint; `value` is what this is a field of.
    pub fn of(&self, value: &dyn Debug) -> u64 {
        *self.0.get_or_init(|| of(value))
    }
}

impl Debug for Manner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Manner")
    }
}

impl PartialEq for Manner {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

/// Hashes a text as it is written, without the text.
struct Hashing(DefaultHasher);

impl fmt::Write for Hashing {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0.write(text.as_bytes());
        Ok(())
    }
}
