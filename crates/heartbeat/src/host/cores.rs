//! Work on very many things, shared out among the cores of this machine.
//!
//! Absent on purpose: a pool that stays. Such work is done at a start and at a reload; a thread for it is worth its price only
//! then.

use std::num::NonZero;
use std::sync::{Mutex, PoisonError};
use std::{panic, thread};

/// A share of `all` things: one for each core, but no smaller than `least`, below which a thread costs more than it brings.
pub fn share(all: usize, least: NonZero<usize>) -> usize {
    all.div_ceil(count()).max(least.get())
}

/// Does `work` on all parts at once, as far as there are cores for it, and returns what came of them in their order. A thread
/// that the system refuses is done without.
pub fn at_once<P: Send, R: Send>(
    parts: impl ExactSizeIterator<Item = P> + Send,
    work: impl Fn(P) -> R + Sync,
) -> Vec<R> {
    let helpers = parts.len().min(count()).saturating_sub(1);
    let parts = Mutex::new(parts.enumerate());
    let next = || parts.lock().unwrap_or_else(PoisonError::into_inner).next();
    let take = || {
        let mut done = Vec::new();
        while let Some((place, part)) = next() {
            done.push((place, work(part)));
        }
        done
    };
    let mut done = thread::scope(|scope| {
        let spawn = |_| thread::Builder::new().spawn_scoped(scope, take).ok();
        let helpers: Vec<_> = (0..helpers).filter_map(spawn).collect();
        let mut done = take();
        for helper in helpers {
            done.extend(helper.join().unwrap_or_else(|panic| panic::resume_unwind(panic)));
        }
        done
    });
    done.sort_by_key(|(place, _)| *place);
    done.into_iter().map(|(_, result)| result).collect()
}

/// Does both at once, if the system gives us a thread for the other one.
pub fn both<A, B: Send>(one: impl FnOnce() -> A, other: impl FnOnce() -> B + Send) -> (A, B) {
    let other = Mutex::new(Some(other));
    let take = || {
        let other = other.lock().unwrap_or_else(PoisonError::into_inner).take();
        other.map(|other| other())
    };
    thread::scope(|scope| {
        let helper = thread::Builder::new().spawn_scoped(scope, take).ok();
        let one = one();
        // Unless the helper has begun with it.
        let done = take();
        let helped = helper.and_then(|helper| helper.join().unwrap_or_else(|panic| panic::resume_unwind(panic)));
        (one, done.or(helped).expect("one of us has done it"))
    })
}

fn count() -> usize {
    thread::available_parallelism().map_or(1, NonZero::get)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEAST: NonZero<usize> = NonZero::new(10).expect("it is not zero");

    #[test]
    fn shares_cover_everything_and_are_worth_a_thread() {
        for all in [0, 1, 9, 10, 11, 1000, 100_003] {
            let share = share(all, LEAST);
            assert!(share >= LEAST.get() && share * count() >= all, "{share} of {all}");
        }
    }

    #[test]
    fn what_comes_of_the_parts_is_in_their_order() {
        let mut numbers: Vec<u32> = (0..1003).collect();
        let doubled = at_once(numbers.chunks_mut(7), |part| {
            part.iter_mut().for_each(|number| *number *= 2);
            part.to_vec()
        });
        assert_eq!(doubled.concat(), (0..1003).map(|number| number * 2).collect::<Vec<_>>());
        assert_eq!(doubled.concat(), numbers);
        assert!(at_once([].chunks(7), |part: &[u32]| part.len()).is_empty());
    }

    #[test]
    fn both_are_done() {
        let (mut here, there) = (0, String::from("there"));
        assert_eq!(both(|| here += 1, || there), ((), "there".to_owned()));
        assert_eq!(here, 1);
    }

    #[test]
    #[should_panic(expected = "the seventh")]
    fn a_panic_goes_on() {
        at_once((0..20).collect::<Vec<_>>().into_iter(), |part| assert_ne!(part, 7, "the seventh"));
    }
}
