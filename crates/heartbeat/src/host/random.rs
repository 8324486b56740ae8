//! Chance, for jitter. Not for secrets.

use std::hash::{BuildHasher, RandomState};

/// A number that nobody can foresee well enough to align with it: the seed of what wants to be spread out.
///
/// std seeds its hash maps from the kernel, once per thread, and changes the seed with every use; that is all the chance
/// that backoff needs.
pub fn seed() -> u64 {
    RandomState::new().hash_one(0)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    #[test]
    fn no_two_seeds_are_equal() {
        let seeds: HashSet<u64> = (0..1000).map(|_| super::seed()).collect();
        assert_eq!(seeds.len(), 1000);
    }
}
