//! How often something may be done: ages, windows and backoff.
//!
//! What is counted must outlive the process, so it is kept as [`Wall`]; what is waited for must not move with the wall
//! clock, so it is reckoned in [`Mono`]. The change from one to the other happens once, when a worker is built; after
//! that a clock that jumps neither frees a backlog nor freezes it.
//!
//! Randomness is a value like time: [`Dice`] gives the same throws for the same seed.

use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::time::Duration;

use crate::policy::{Limit, Retry};
use crate::{Mono, Now, Wall};

/// The longest wait between two attempts, unless a provider or the configuration names a longer one.
pub const CEILING: Duration = Duration::from_secs(300);

/// How long ago something was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Age {
    seen: Mono,
    then: Duration,
}

impl Age {
    /// Reads the wall clock's difference once. What lies in the future has just happened.
    pub fn of(at: Wall, now: Now) -> Self {
        Self { seen: now.mono, then: now.wall.since(at) }
    }

    /// How old it is.
    pub fn at(self, now: Mono) -> Duration {
        self.then.saturating_add(now.since(self.seen))
    }

    /// When it will be `span` old; a point that is not in the future if it is so already.
    pub fn reaches(self, span: Duration) -> Mono {
        self.seen + span.saturating_sub(self.then)
    }
}

/// The moments that a [`Limit`] counts, oldest first.
#[derive(Clone, Debug, Default)]
pub struct Window {
    moments: VecDeque<(Wall, Age)>,
}

impl Window {
    /// The moments that were stored.
    pub fn recall(moments: &[Wall], now: Now) -> Self {
        let mut moments: Vec<_> = moments.iter().map(|&at| (at, Age::of(at, now))).collect();
        moments.sort_by_key(|(_, age)| core::cmp::Reverse(age.at(now.mono)));
        Self { moments: moments.into() }
    }

    /// Counts this moment, and forgets those that have left the window.
    pub fn count(&mut self, limit: Option<Limit>, now: Now) {
        let span = limit.map_or(Duration::ZERO, |limit| limit.window);
        self.moments.retain(|(_, age)| age.at(now.mono) < span);
        if limit.is_some() {
            self.moments.push_back((now.wall, Age::of(now.wall, now)));
        }
    }

    /// Takes the latest moment back.
    pub fn uncount(&mut self) {
        self.moments.pop_back();
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        self.moments.clear();
    }

    /// From when on there is room for one more, with `taken` places spoken for; `None`: now.
    pub fn room_at(&self, limit: Option<Limit>, taken: usize, now: Mono) -> Option<Mono> {
        let limit = limit?;
        let places = usize::try_from(limit.count.max(1)).unwrap_or(usize::MAX).saturating_sub(taken);
        let inside: Vec<_> = self.moments.iter().filter(|(_, age)| age.at(now) < limit.window).collect();
        if inside.len() < places {
            return None;
        }
        match inside.get(inside.len() - places) {
            Some((_, age)) => Some(age.reaches(limit.window)),
            None => Some(now + limit.window),
        }
    }

    /// What to store.
    pub fn moments(&self) -> Vec<Wall> {
        self.moments.iter().map(|&(at, _)| at).collect()
    }
}

/// A source of jitter: SplitMix64 (Steele, Lea, Flood: Fast splittable pseudorandom number generators, 2014).
#[derive(Clone, Debug)]
pub struct Dice(u64);

impl Dice {
    /// The same seed, the same throws.
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// A span from `low` to `high`, both included, to the millisecond.
    pub fn between(&mut self, low: Duration, high: Duration) -> Duration {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^= z >> 31;
        let span = u64::try_from(high.saturating_sub(low).as_millis()).unwrap_or(u64::MAX);
        low + Duration::from_millis(z % span.saturating_add(1))
    }
}

/// One second, doubled with every failure after the first.
fn doubled(failures: u32) -> Duration {
    Duration::from_secs(1u64.checked_shl(failures.saturating_sub(1)).unwrap_or(u64::MAX))
}

/// How long a command waits after its `attempts`-th attempt has failed; `None`: it is not tried again.
///
/// The backoff doubles from 1 s to [`CEILING`]; at most half of it is taken away by chance.
pub fn command_delay(retry: Retry, attempts: u32, dice: &mut Dice) -> Option<Duration> {
    match retry {
        Retry::Every(pace) => Some(pace),
        Retry::Backoff { attempts: allowed } if attempts > allowed => None,
        Retry::Backoff { .. } => {
            let whole = doubled(attempts).min(CEILING);
            Some(dice.between(whole / 2, whole))
        }
    }
}

/// How long a message waits after `failures` attempts in a row have failed.
///
/// Full jitter between 1 s and a bound that doubles; once the bound has reached [`CEILING`], no less than that, so that
/// a dead provider sees one attempt in five minutes and not more.
pub fn message_delay(failures: u32, dice: &mut Dice) -> Duration {
    let bound = doubled(failures.saturating_add(1));
    if bound >= CEILING {
        dice.between(CEILING, CEILING + CEILING / 10)
    } else {
        dice.between(Duration::from_secs(1), bound)
    }
}

#[cfg(test)]
mod tests {
    use super::{Age, CEILING, Dice, Window, command_delay, message_delay};
    use crate::policy::{Limit, Retry};
    use crate::{Mono, Now, Wall};
    use core::time::Duration;

    const fn secs(n: u64) -> Duration {
        Duration::from_secs(n)
    }

    fn now(mono: u64, wall: i64) -> Now {
        Now { mono: Mono::from_origin(secs(mono)), wall: Wall::from_unix_millis(wall * 1000) }
    }

    const LIMIT: Option<Limit> = Some(Limit { count: 2, window: secs(10) });

    #[test]
    fn an_age_does_not_follow_the_wall_clock() {
        let age = Age::of(Wall::from_unix_millis(100_000), now(5, 103));
        assert_eq!(age.at(now(7, 0).mono), secs(5));
        assert_eq!(age.reaches(secs(4)), now(6, 0).mono);
        assert_eq!(age.reaches(secs(1)), now(5, 0).mono);
    }

    #[test]
    fn what_lies_in_the_future_has_just_happened() {
        let age = Age::of(Wall::from_unix_millis(900_000), now(5, 100));
        assert_eq!(age.at(now(5, 0).mono), Duration::ZERO);
        assert_eq!(age.reaches(secs(4)), now(9, 0).mono);
    }

    #[test]
    fn room_comes_when_the_oldest_leaves() {
        let mut window = Window::default();
        assert_eq!(window.room_at(LIMIT, 0, now(0, 0).mono), None);
        window.count(LIMIT, now(0, 0));
        assert_eq!(window.room_at(LIMIT, 0, now(1, 0).mono), None);
        assert_eq!(window.room_at(LIMIT, 1, now(1, 0).mono), Some(now(10, 0).mono));
        window.count(LIMIT, now(1, 1));
        assert_eq!(window.room_at(LIMIT, 0, now(2, 0).mono), Some(now(10, 0).mono));
        assert_eq!(window.room_at(LIMIT, 0, now(10, 0).mono), None);
        window.count(LIMIT, now(10, 10));
        assert_eq!(window.moments().len(), 2, "the first one was forgotten");
        assert_eq!(window.room_at(LIMIT, 0, now(10, 0).mono), Some(now(11, 0).mono));
        window.uncount();
        assert_eq!(window.room_at(LIMIT, 0, now(10, 0).mono), None);
        assert_eq!(window.room_at(None, 0, now(10, 0).mono), None);
    }

    #[test]
    fn a_window_is_recalled_in_order_and_without_the_future() {
        let stored = [Wall::from_unix_millis(99_000), Wall::from_unix_millis(95_000)];
        let window = Window::recall(&stored, now(3, 100));
        assert_eq!(window.room_at(LIMIT, 0, now(3, 0).mono), Some(now(8, 0).mono));
        let set_back = Window::recall(&stored, now(3, 0));
        assert_eq!(set_back.room_at(LIMIT, 0, now(3, 0).mono), Some(now(13, 0).mono));
    }

    #[test]
    fn places_that_are_all_spoken_for_leave_no_room() {
        assert_eq!(Window::default().room_at(LIMIT, 2, now(1, 0).mono), Some(now(11, 0).mono));
    }

    #[test]
    fn commands_wait_longer_each_time_and_then_no_more() {
        let mut dice = Dice::new(7);
        let retry = Retry::Backoff { attempts: 12 };
        for attempt in 1..=12 {
            let whole = secs(1 << (attempt - 1)).min(CEILING);
            for _ in 0..50 {
                let delay = command_delay(retry, attempt, &mut dice).expect("allowed");
                assert!(delay >= whole / 2 && delay <= whole, "{attempt}: {delay:?}");
            }
        }
        assert_eq!(command_delay(retry, 13, &mut dice), None);
        assert_eq!(command_delay(Retry::Every(secs(60)), 9_999, &mut dice), Some(secs(60)));
        let endless = Retry::Backoff { attempts: u32::MAX };
        assert!(command_delay(endless, u32::MAX, &mut dice).expect("allowed") <= CEILING);
    }

    #[test]
    fn messages_are_jittered_fully_until_the_ceiling() {
        let mut dice = Dice::new(1);
        for failures in 1..=8 {
            for _ in 0..50 {
                let delay = message_delay(failures, &mut dice);
                assert!(delay >= secs(1) && delay <= secs(1 << failures), "{failures}: {delay:?}");
            }
        }
        for failures in [9, 10, 63, 64, u32::MAX] {
            assert!(message_delay(failures, &mut dice) >= CEILING);
        }
    }

    #[test]
    fn the_dice_reach_both_ends() {
        let mut dice = Dice::new(3);
        let throws: std::vec::Vec<_> =
            (0..200).map(|_| dice.between(Duration::from_millis(2), Duration::from_millis(4)).as_millis()).collect();
        for value in 2..=4 {
            assert!(throws.contains(&value), "{value}");
        }
        assert_eq!(dice.between(secs(4), secs(4)), secs(4));
        assert_eq!(dice.between(secs(4), secs(2)), secs(4));
    }
}
