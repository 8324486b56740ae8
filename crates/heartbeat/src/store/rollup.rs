//! What results of one check come to: counts of verdicts, and how long probes took. For charts, and for the availability of
//! a year.
//!
//! Rollups add up: those of sixty minutes are the one of their hour. A time without one is a time about which nothing is
//! known, because nobody probed; it counts neither way, and neither does one that met only our own faults.

use std::time::Duration;

use heartbeat_core::Wall;
use heartbeat_core::outcome::Verdict;

/// How finely time is divided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// A minute.
    Minute,
    /// An hour.
    Hour,
    /// A day of UTC.
    Day,
}

/// What the results of one step of time came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Point {
    /// When the step began.
    pub at: Wall,
    /// Of at least one result.
    pub rollup: Rollup,
}

/// What some results came to. The default is that of none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rollup {
    /// In the order of [`VERDICTS`].
    pub(super) counts: [u32; VERDICTS.len()],
    /// Of the latencies of passes and warnings, in microseconds: together …
    pub(super) sum: u64,
    /// … and the longest.
    pub(super) most: u32,
}

/// By their numbers, in tables and columns.
pub(super) const VERDICTS: [Verdict; 4] = [Verdict::Pass, Verdict::Warn, Verdict::Fail, Verdict::Local];

/// How long probes took.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Latency {
    /// The mean.
    pub mean: Duration,
    /// The slowest.
    pub most: Duration,
}

impl Rollup {
    /// One result. Its latency counts up to 71 minutes.
    pub fn of(verdict: Verdict, latency: Duration) -> Self {
        let counts = VERDICTS.map(|one| u32::from(one == verdict));
        let micros = match verdict {
            Verdict::Pass | Verdict::Warn => u32::try_from(latency.as_micros()).unwrap_or(u32::MAX),
            Verdict::Fail | Verdict::Local => 0,
        };
        Self { counts, sum: micros.into(), most: micros }
    }

    /// Takes other results in.
    pub fn add(&mut self, other: &Self) {
        self.most = self.most.max(other.most);
        self.sum = self.sum.saturating_add(other.sum);
        for (count, more) in self.counts.iter_mut().zip(other.counts) {
            *count = count.saturating_add(more);
        }
    }

    /// How many results had this verdict.
    pub fn count(&self, verdict: Verdict) -> u32 {
        VERDICTS.iter().zip(self.counts).map(|(one, count)| if *one == verdict { count } else { 0 }).sum()
    }

    /// How long probes that passed took, beyond a warning limit or not; `None` if none did. In a store it is rounded by
    /// some 3 %.
    pub fn latency(&self) -> Option<Latency> {
        let micros = |micros: u32| Duration::from_micros(micros.into());
        let latency = Latency { mean: micros(self.mean()), most: micros(self.most) };
        (self.timed() > 0).then_some(latency)
    }

    /// The share of verdicts that are good; `None` if there is no verdict.
    pub fn availability(&self) -> Option<f64> {
        let good = f64::from(self.timed());
        let all = good + f64::from(self.count(Verdict::Fail));
        (all > 0.0).then(|| good / all)
    }

    /// How many results have a latency that counts.
    pub(super) fn timed(&self) -> u32 {
        self.counts[0].saturating_add(self.counts[1])
    }

    /// The mean latency, in microseconds; 0 if none counts.
    pub(super) fn mean(&self) -> u32 {
        u32::try_from(self.sum / u64::from(self.timed().max(1))).unwrap_or(u32::MAX)
    }
}

/// The mean availability of the points that have one, each as long as any other; `None` if none has. Over counts of results
/// a failure would weigh double: a check is probed faster while it fails.
pub fn availability(points: &[Point]) -> Option<f64> {
    let known: Vec<f64> = points.iter().filter_map(|point| point.rollup.availability()).collect();
    (!known.is_empty()).then(|| known.iter().sum::<f64>() / known.len() as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn point(verdicts: &[Verdict]) -> Point {
        let mut rollup = Rollup::default();
        verdicts.iter().for_each(|verdict| rollup.add(&Rollup::of(*verdict, Duration::ZERO)));
        Point { at: Wall::default(), rollup }
    }

    #[test]
    fn absence_is_no_downtime() {
        use Verdict::{Fail, Local, Pass, Warn};
        assert_eq!(availability(&[]), None);
        assert_eq!(availability(&[point(&[Local]), point(&[])]), None);
        assert_eq!(availability(&[point(&[Pass]), point(&[Fail; 6]), point(&[Local]), point(&[])]), Some(0.5));
        assert_eq!(availability(&[point(&[Pass, Warn, Fail, Fail, Local])]), Some(0.5));
    }

    #[test]
    fn only_what_passed_has_a_latency() {
        let millis = Duration::from_millis;
        let mut rollup = Rollup::of(Verdict::Fail, millis(9));
        assert_eq!(rollup.latency(), None);
        rollup.add(&Rollup::of(Verdict::Warn, millis(4)));
        rollup.add(&Rollup::of(Verdict::Local, millis(1)));
        rollup.add(&Rollup::of(Verdict::Pass, millis(2)));
        assert_eq!(rollup.latency(), Some(Latency { mean: millis(3), most: millis(4) }));
    }
}
