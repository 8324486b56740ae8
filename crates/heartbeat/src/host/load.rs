//! How busy this machine is.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use heartbeat_core::Mono;

use super::clock;

/// The kernel counts anew every five seconds; a value of this age is as good as a fresh one.
const FRESH: Duration = Duration::from_secs(1);

/// The load average of one minute for each core, looked up at most once a second however often it is asked for.
#[derive(Debug, Default)]
pub struct Load {
    last: Mutex<Option<(Mono, Option<f64>)>>,
}

impl Load {
    /// Tasks that run or wait to run, for each core that we may use; `None` where the system does not tell.
    pub fn per_core(&self) -> Option<f64> {
        self.at(clock::mono(), look)
    }

    fn at(&self, now: Mono, look: impl FnOnce() -> Option<f64>) -> Option<f64> {
        // Nothing here panics half-way through a change, so a poisoned lock is as good as any.
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        match *last {
            Some((at, load)) if now.since(at) < FRESH => load,
            _ => {
                let load = look();
                *last = Some((now, load));
                load
            }
        }
    }
}

fn look() -> Option<f64> {
    let average = parse(&std::fs::read_to_string("/proc/loadavg").ok()?)?;
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    Some(average / cores as f64)
}

/// The first number of `/proc/loadavg` (`proc_loadavg(5)`).
fn parse(text: &str) -> Option<f64> {
    text.split_whitespace().next()?.parse().ok().filter(|load: &f64| load.is_finite() && *load >= 0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_number_is_the_minute() {
        assert_eq!(parse("0.52 0.58 0.59 3/511 1234\n"), Some(0.52));
        for nonsense in ["", "\n", "x 1 2", "-1 0 0", "NaN", "inf"] {
            assert_eq!(parse(nonsense), None, "{nonsense:?}");
        }
    }

    #[test]
    fn is_looked_up_once_a_second() {
        let load = Load::default();
        let at = Mono::from_origin;
        assert_eq!(load.at(at(Duration::from_millis(10)), || Some(1.0)), Some(1.0));
        assert_eq!(load.at(at(Duration::from_millis(1009)), || panic!("looked up again")), Some(1.0));
        assert_eq!(load.at(at(Duration::from_millis(1010)), || None), None);
    }

    #[test]
    fn this_machine_tells() {
        assert!(Load::default().per_core().is_some_and(|load| load >= 0.0));
    }
}
