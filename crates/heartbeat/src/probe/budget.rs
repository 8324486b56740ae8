//! An amount of memory that many probes share.
//!
//! Nobody waits for it: who gets none goes on with what it has. A hostile target can so take memory from other bodies, for
//! the length of one probe, but never more of it than the whole.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// The shared amount; a clone is another handle.
#[derive(Clone, Debug)]
pub struct Budget(Arc<AtomicUsize>);

impl Budget {
    /// So many bytes.
    pub fn new(bytes: usize) -> Self {
        Self(Arc::new(AtomicUsize::new(bytes)))
    }

    /// Nothing taken yet.
    pub fn share(&self) -> Share {
        Share { budget: self.clone(), taken: 0 }
    }

    /// Bytes that nobody holds.
    pub fn left(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

/// What one probe has taken; given back when dropped.
#[derive(Debug)]
pub struct Share {
    budget: Budget,
    taken: usize,
}

impl Share {
    /// Takes so many bytes more, or none.
    #[must_use]
    pub fn take(&mut self, bytes: usize) -> bool {
        let taken =
            self.budget.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(bytes)).is_ok();
        if taken {
            self.taken += bytes;
        }
        taken
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.budget.0.fetch_add(self.taken, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gives_no_more_than_there_is_and_takes_it_back() {
        let budget = Budget::new(10);
        let (mut one, mut two) = (budget.share(), budget.share());
        assert!(one.take(6));
        assert!(!two.take(5));
        assert!(two.take(4));
        drop(one);
        assert_eq!(budget.left(), 6);
        drop(two);
        assert_eq!(budget.left(), 10);
    }
}
