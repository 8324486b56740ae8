//! What `/proc` says about processes (`proc_pid_stat(5)`, `proc_pid_status(5)`).

use std::collections::BTreeSet;
use std::fs;

/// The fields of `/proc/PID/stat` that we need.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stat {
    /// Its state: `Z` is ended and not reaped.
    pub(super) state: char,
    /// Its group.
    pub(super) group: u32,
    /// When it was started, in clock ticks since boot.
    pub(super) start_ticks: u64,
}

/// What the kernel says about a process; `None` if there is no such process.
pub(super) fn of(pid: u32) -> Option<Stat> {
    parse(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

impl Stat {
    /// Whether it has ended and only waits for its parent to take note. In a container without an init that can be for ever.
    pub(super) fn has_ended(&self) -> bool {
        matches!(self.state, 'Z' | 'X')
    }
}

/// The groups that have a member which has not ended. Costs a look at every process of the machine.
///
/// The look is not of one moment: a group whose only member forks and ends just then can be missed.
pub(super) fn living_groups() -> BTreeSet<u32> {
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    processes
        .filter_map(|entry| of(entry.file_name().to_str()?.parse().ok()?))
        .filter(|stat| !stat.has_ended())
        .map(|stat| stat.group)
        .collect()
}

fn parse(line: &str) -> Option<Stat> {
    // The second field is the name in parentheses, which may hold anything: the last parenthesis ends it.
    let (_, rest) = line.rsplit_once(") ")?;
    let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
    Some(Stat {
        state: fields.first()?.chars().next()?,
        group: fields.get(2)?.parse().ok()?,
        start_ticks: fields.get(19)?.parse().ok()?,
    })
}

/// The signals that this process ignores: bit n - 1 stands for signal n.
pub(super) fn ignored_signals() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:")).unwrap_or_default();
    u64::from_str_radix(mask.trim(), 16).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_may_hold_anything() {
        let line = "42 (a) S 1 (b) Z 7 43 43 0 -1 4194304 1 0 0 0 0 0 0 0 20 0 1 0 9876 0 0";
        assert_eq!(parse(line), Some(Stat { state: 'Z', group: 43, start_ticks: 9876 }));
        assert_eq!(parse("garbage"), None);
    }

    #[test]
    fn knows_this_process() {
        let stat = of(std::process::id()).unwrap();
        assert!(stat.start_ticks > 0);
        assert!(living_groups().contains(&stat.group));
        assert_eq!(of(u32::MAX), None);
    }
}
