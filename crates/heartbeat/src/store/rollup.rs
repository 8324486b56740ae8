//! What results come to over minutes, hours and days: for charts and for the availability of a year.
//!
//! A point without verdicts is a time about which nothing is known: nobody probed, or only our own faults were met. Such
//! times count neither way.

use std::time::Duration;

use heartbeat_core::Wall;

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

impl Step {
    /// From the finest to the coarsest.
    pub const ALL: [Self; 3] = [Self::Minute, Self::Hour, Self::Day];

    /// How long it is.
    pub const fn span(self) -> Duration {
        Duration::from_secs(match self {
            Self::Minute => 60,
            Self::Hour => 3600,
            Self::Day => 24 * 3600,
        })
    }

    /// The finest that divides the time between into at most `points`; days if none does.
    pub fn fitting(from: Wall, until: Wall, points: usize) -> Self {
        let fits = |step: &Self| until.since(from).as_millis() / step.span().as_millis() <= points as u128;
        Self::ALL.into_iter().find(fits).unwrap_or(Self::Day)
    }
}

/// What one step of time came to for one check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Point {
    /// When the step began.
    pub at: Wall,
    /// Results that passed.
    pub pass: u32,
    /// Results that passed beyond a warning limit.
    pub warn: u32,
    /// Results that failed.
    pub fail: u32,
    /// Results that say nothing: our own faults.
    pub local: u32,
    /// Of those that passed, beyond a warning limit or not; `None` if there was none. To about 3 %.
    pub latency: Option<Latency>,
}

/// How long probes took.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Latency {
    /// The quickest.
    pub least: Duration,
    /// The mean.
    pub mean: Duration,
    /// The slowest.
    pub most: Duration,
}

impl Point {
    /// The share of verdicts that are good; `None` if there is no verdict.
    pub fn availability(&self) -> Option<f64> {
        let good = f64::from(self.pass) + f64::from(self.warn);
        let all = good + f64::from(self.fail);
        (all > 0.0).then(|| good / all)
    }
}

/// The mean availability of the points that have one, each as long as any other; `None` if none has. Between quicker probes
/// while something fails, counting results would count the failure double.
pub fn availability(points: &[Point]) -> Option<f64> {
    let known: Vec<f64> = points.iter().filter_map(Point::availability).collect();
    (!known.is_empty()).then(|| known.iter().sum::<f64>() / known.len() as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn point(pass: u32, fail: u32, local: u32) -> Point {
        Point { at: Wall::default(), pass, warn: 0, fail, local, latency: None }
    }

    #[test]
    fn absence_is_no_downtime() {
        assert_eq!(availability(&[]), None);
        assert_eq!(availability(&[point(0, 0, 3)]), None);
        assert_eq!(availability(&[point(1, 0, 0), point(0, 6, 0), point(0, 0, 1), point(0, 0, 0)]), Some(0.5));
    }

    #[test]
    fn the_finest_step_that_fits() {
        let at = |hours: i64| Wall::from_unix_millis(hours * 3_600_000);
        assert_eq!(Step::fitting(at(0), at(1), 60), Step::Minute);
        assert_eq!(Step::fitting(at(0), at(2), 60), Step::Hour);
        assert_eq!(Step::fitting(at(0), at(9999), 60), Step::Day);
    }
}
