//! What the log says of probes that start late: a line a minute at most, for a machine that has too much to do should not
//! have to write about it as well.

use std::time::Duration;

use heartbeat_core::Mono;
use heartbeat_core::schedule::SLACK;

/// Between two lines.
const PACE: Duration = Duration::from_secs(60);

/// Late starts that the log has not told of.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Late {
    starts: u64,
    worst: Duration,
    told: Option<Mono>,
}

impl Late {
    /// Counts a start that is so late, and logs what there is to tell.
    pub(super) fn note(&mut self, late: Duration, now: Mono) {
        let Some((starts, worst)) = self.count(late, now) else { return };
        let why = "the machine is busy, or `limits` leaves no place for more probes at once";
        let text = format!("{starts} probes started late, by up to {:.3} s: {why}", worst.as_secs_f64());
        if worst < Duration::from_secs(1) {
            tracing::info!("{text}");
        } else {
            tracing::warn!("{text}");
        }
    }

    /// How many starts to tell of now, and the latest of them. A probe may start later than it could by its slack.
    fn count(&mut self, late: Duration, now: Mono) -> Option<(u64, Duration)> {
        if late <= SLACK {
            return None;
        }
        self.starts += 1;
        self.worst = self.worst.max(late);
        if self.told.is_some_and(|told| now.since(told) < PACE) {
            return None;
        }
        let Self { starts, worst, .. } = std::mem::replace(self, Self { told: Some(now), ..Self::default() });
        Some((starts, worst))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_of_the_first_at_once_and_of_the_others_together_a_minute_later() {
        let mut late = Late::default();
        let mut count = |millis, at| {
            late.count(Duration::from_millis(millis), Mono::from_origin(Duration::from_secs(at)))
                .map(|(starts, worst)| (starts, worst.as_millis()))
        };
        assert_eq!(count(50, 100), None, "within the slack");
        assert_eq!(count(51, 100), Some((1, 51)));
        assert_eq!(count(900, 101), None);
        assert_eq!(count(70, 159), None);
        assert_eq!(count(10, 161), None);
        assert_eq!(count(80, 162), Some((3, 900)));
        assert_eq!(count(60, 222), Some((1, 60)));
    }
}
