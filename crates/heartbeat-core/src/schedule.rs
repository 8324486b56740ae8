//! When a check is due: every check has its own place on the clock, and nothing bursts.
//!
//! A check's *grid* is the set of times `phase + k * period`, its phase a hash of its id over the period. Whatever disturbs
//! its rhythm (the first probe, a late one, a suspend, a reload, the fast interval) the next probe is at a point of the
//! grid again, at least half a period after the last start, so that two probes are never far apart and never on each
//! other's heels.
//!
//! Points are rounded up to *cells* of 50 ms, or, so that the delay is at most a twentieth of the period, to halves,
//! quarters … of it. Cells of all sizes share their edges, so probes that may start within the same slack do start
//! together, and a sleeping core is woken once for all of them.

use core::time::Duration;

use crate::hash::hash;
use crate::{Id, Mono};

/// The largest delay that is accepted so that probes start together.
pub const SLACK: Duration = Duration::from_millis(50);

/// The first probes after a start are spread over this much per check.
const SPREAD_PER_CHECK: Duration = Duration::from_millis(1);

/// The place of one check on the clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grid {
    /// The phase, as a fraction of 2^64 of any period.
    fraction: u64,
}

impl Grid {
    /// The grid of a check; the same in every process.
    pub fn of(id: &Id) -> Self {
        Self { fraction: hash(id.as_bytes()) }
    }

    /// The first probe, when `checks` start at the same time: spread over 1 s per 1,000 of them, but over one period at most.
    pub fn first(self, start: Mono, period: Duration, checks: usize) -> Mono {
        let spread = SPREAD_PER_CHECK.saturating_mul(u32::try_from(checks).unwrap_or(u32::MAX)).min(period);
        // Shuffled once more, for those that a standstill has delayed are neighbours by their phases.
        let shuffled = Self { fraction: self.fraction.wrapping_mul(0x9e37_79b9_7f4a_7c15) };
        let point = nanos(start.since_origin()).saturating_add(shuffled.part_of(nanos(spread)));
        let first = edge(point, period);
        // Few checks, and those of the cell that has begun, gain nothing by waiting for its edge.
        if spread < SLACK || first == edge(nanos(start.since_origin()), period) { start } else { first }
    }

    /// The probe after one that started at `last`: the first point that is at least half a period later and not past.
    pub fn next(self, period: Duration, last: Option<Mono>, now: Mono) -> Mono {
        let step = nanos(period).max(1);
        let phase = self.part_of(step);
        let earliest = last.map_or(now, |last| now.max(last + period / 2));
        let steps = nanos(earliest.since_origin()).saturating_sub(phase).div_ceil(step);
        edge(steps.saturating_mul(step).saturating_add(phase), period)
    }

    fn part_of(self, span: u64) -> u64 {
        u64::try_from((u128::from(self.fraction) * u128::from(span)) >> 64).expect("less than the span")
    }
}

/// How much later than its point on the grid a probe may start: the size of a cell.
pub fn slack(period: Duration) -> Duration {
    let mut cell = SLACK;
    while cell > period / 20 && cell > Duration::from_micros(1) {
        cell /= 2;
    }
    cell
}

/// The edge of the cell that a point is in.
fn edge(point: u64, period: Duration) -> Mono {
    let cell = nanos(slack(period));
    Mono::from_origin(Duration::from_nanos(point.div_ceil(cell).saturating_mul(cell)))
}

/// Nanoseconds; 584 years are enough.
fn nanos(span: Duration) -> u64 {
    u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use alloc::format;
    use alloc::vec::Vec;
    use core::time::Duration;

    use super::{Grid, slack};
    use crate::{Id, Mono};

    fn at(seconds: u64) -> Mono {
        Mono::from_origin(Duration::from_secs(seconds))
    }

    #[test]
    fn slack_is_a_twentieth_at_most_and_cells_share_their_edges() {
        let cells = [60_000, 1000, 999, 500, 499, 100].map(|period| slack(Duration::from_millis(period)));
        assert_eq!(cells.map(|cell| cell.as_micros()), [50_000, 50_000, 25_000, 25_000, 12_500, 3_125]);
        assert!(slack(Duration::ZERO) > Duration::ZERO);
    }

    #[test]
    fn the_next_probe_is_on_the_grid_at_least_half_a_period_later() {
        let half = Grid { fraction: 1 << 63 };
        let period = Duration::from_secs(60);
        assert_eq!(half.next(period, None, at(0)), at(30));
        assert_eq!(half.next(period, None, at(30)), at(30));
        assert_eq!(half.next(period, Some(at(30)), at(31)), at(90));
        assert_eq!(half.next(period, Some(at(60)), at(61)), at(90));
        assert_eq!(half.next(period, Some(at(61)), at(62)), at(150));
        assert_eq!(half.next(period, Some(at(30)), at(100)), at(150));
    }

    #[test]
    fn few_checks_start_at_once_and_many_within_the_period() {
        let grid = Grid::of(&Id::from("web"));
        let minute = Duration::from_secs(60);
        assert_eq!(grid.first(at(7), minute, 49), at(7));
        assert_eq!(grid.first(at(7), minute, 50), at(7) + Duration::from_millis(50));
        for checks in [50, 1000, 1_000_000] {
            let wait = grid.first(at(7), minute, checks).since(at(7));
            assert!(wait <= minute.min(Duration::from_millis(checks as u64)), "{wait:?}");
        }
    }

    #[test]
    fn the_first_of_many_do_not_wait_for_the_edge_of_the_cell_that_has_begun() {
        let amid = at(7) + Duration::from_millis(10);
        let first =
            |check: u32| Grid::of(&format!("check{check}").as_str().into()).first(amid, at(60).since(at(0)), 1000);
        let starts: Vec<_> = (0..1000).map(first).collect();
        let at_once = starts.iter().filter(|start| **start == amid).count();
        assert!((10..100).contains(&at_once), "{at_once} of a thousand in 40 of 1000 ms");
        assert!(starts.iter().all(|start| *start == amid || start.since(at(0)).as_millis() % 50 == 0));
    }
}
