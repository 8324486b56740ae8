//! What an engine was told, so that it can be told again.
//!
//! A shard and a coordinator read no clock and draw no lots: the same inputs at the same times give the same states and
//! effects, in another process and another year. A journal is those inputs.

use alloc::vec::Vec;

use crate::Now;

/// Inputs in their order, each with its time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Journal<I>(Vec<(Now, I)>);

impl<I> Default for Journal<I> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<I: Clone> Journal<I> {
    /// Takes note of an input.
    pub fn note(&mut self, now: Now, input: &I) {
        self.0.push((now, input.clone()));
    }

    /// Tells everything again, to a [`Shard::handle`](crate::shard::Shard::handle) or
    /// [`Coordinator::handle`](crate::coordinator::Coordinator::handle) that begins where the noted one began. Returns all
    /// effects.
    pub fn replay<E>(&self, mut handle: impl FnMut(Now, I, &mut Vec<E>)) -> Vec<E> {
        let mut effects = Vec::new();
        for (now, input) in &self.0 {
            handle(*now, input.clone(), &mut effects);
        }
        effects
    }
}
