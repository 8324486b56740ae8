//! The time zone of the people who read our times.

use jiff::tz::TimeZone;

use super::env;

/// The zone of this machine, read from where it lies.
const LOCAL: &str = "/etc/localtime";

/// The zone that `TZ` names, else that of this machine.
///
/// The library would look up the name of the machine's zone among all that there are: a walk through hundreds of files at
/// every start, for a name that we never print.
pub fn local() -> TimeZone {
    let unnamed = || TimeZone::tzif(LOCAL, &std::fs::read(LOCAL).ok()?).ok();
    match env::raw("TZ") {
        None => unnamed().unwrap_or_else(TimeZone::system),
        Some(_) => TimeZone::system(),
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;

    #[test]
    fn says_what_the_library_says() {
        let at = |seconds| Timestamp::from_second(seconds).expect("a time of this century");
        for time in [1_764_000_000, 1_784_000_000].map(at) {
            assert_eq!(local().to_offset(time), TimeZone::system().to_offset(time));
        }
    }
}
