//! What a process has cost: CPU and memory from /proc, and what others have used meanwhile.

use std::fs;
use std::time::Duration;

/// The CPU time of a process so far, in user and kernel mode, with that of the children it has waited for.
pub(crate) fn of(pid: u32) -> Duration {
    let Ok(stat) = fs::read_to_string(format!("/proc/{pid}/stat")) else { return Duration::ZERO };
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks = |place: usize| fields.get(place).and_then(|field| field.parse::<u64>().ok()).unwrap_or(0);
    let children = ticks(13) + ticks(14);
    threads(pid).unwrap_or_else(|| from_ticks(ticks(11) + ticks(12))) + from_ticks(children)
}

/// The threads that live, to the nanosecond: the scheduler's own count.
fn threads(pid: u32) -> Option<Duration> {
    let mut total = 0;
    for task in fs::read_dir(format!("/proc/{pid}/task")).ok()?.flatten() {
        let text = fs::read_to_string(task.path().join("schedstat")).ok()?;
        total += text.split_whitespace().next()?.parse::<u64>().ok()?;
    }
    Some(Duration::from_nanos(total))
}

/// The CPU time that the whole machine has spent working.
pub(crate) fn of_machine() -> Duration {
    let stat = fs::read_to_string("/proc/stat").unwrap_or_default();
    let line = stat.lines().next().unwrap_or_default();
    let fields: Vec<u64> = line.split_whitespace().skip(1).filter_map(|field| field.parse().ok()).collect();
    // user, nice, system, then idle and iowait, then irq, softirq, steal.
    from_ticks(
        fields.iter().enumerate().filter(|(place, _)| !matches!(place, 3 | 4 | 8 | 9)).map(|(_, ticks)| ticks).sum(),
    )
}

fn from_ticks(ticks: u64) -> Duration {
    // USER_HZ is 100 on every Linux that this runs on: proc(5).
    Duration::from_millis(ticks * 10)
}

/// A memory line of /proc/PID/status in bytes: `VmRSS`, `VmHWM`.
pub(crate) fn memory(pid: u32, line: &str) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let found = status.lines().find_map(|text| text.strip_prefix(line)?.strip_prefix(':'));
    found.and_then(|text| text.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()).unwrap_or(0) * 1024
}
