//! How late probes start.

use core::time::Duration;

/// Counts of starts by how late they were, in classes that double from 1 ms on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lateness {
    /// `classes[0]` counts starts up to 1 ms late, `classes[n]` those up to 2^n ms; the last one all the rest.
    classes: [u64; 20],
    worst: Duration,
}

impl Lateness {
    /// Counts one start.
    pub(crate) fn note(&mut self, late: Duration) {
        let millis = u64::try_from(late.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX);
        let class = millis.checked_next_power_of_two().map_or(63, u64::trailing_zeros) as usize;
        self.classes[class.min(self.classes.len() - 1)] += 1;
        self.worst = self.worst.max(late);
    }

    /// How many probes were started.
    pub fn count(&self) -> u64 {
        self.classes.iter().sum()
    }

    /// The latest start of all.
    pub const fn worst(&self) -> Duration {
        self.worst
    }

    /// So late, at most, were `percent` of 100 starts; rounded up to a power of two of milliseconds.
    pub fn percentile(&self, percent: u8) -> Duration {
        let wanted = (self.count() * u64::from(percent.min(100))).div_ceil(100);
        let mut seen = 0;
        for (class, count) in self.classes.iter().enumerate() {
            seen += count;
            if seen >= wanted && seen > 0 {
                return Duration::from_millis(1 << class).min(self.worst);
            }
        }
        Duration::ZERO
    }
}

#[cfg(test)]
mod tests {
    use core::time::Duration;

    use super::Lateness;

    const fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    #[test]
    fn tells_how_late_most_were_and_the_worst() {
        let mut lateness = Lateness::default();
        assert_eq!((lateness.count(), lateness.percentile(99), lateness.worst()), (0, ms(0), ms(0)));
        for late in [0, 0, 0, 0, 0, 0, 0, 1, 3, 700] {
            lateness.note(ms(late));
        }
        assert_eq!(lateness.count(), 10);
        assert_eq!(lateness.percentile(50), ms(1));
        assert_eq!(lateness.percentile(80), ms(1));
        assert_eq!(lateness.percentile(90), ms(4));
        assert_eq!(lateness.percentile(99), ms(700));
        assert_eq!(lateness.worst(), ms(700));
        lateness.note(Duration::MAX);
        assert_eq!(lateness.percentile(100), Duration::from_millis(1 << 19));
    }
}
