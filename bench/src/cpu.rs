//! What a process has cost: CPU and memory from /proc, and what others have used meanwhile.

use std::fs;
use std::time::{Duration, Instant};

use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeVal;

use crate::child::now;

/// The CPU time of a process so far, in user and kernel mode, with that of the children it has waited for.
pub(crate) fn of(pid: u32) -> Duration {
    let (own, children) = ticks(pid);
    // To the nanosecond are only threads that live; what has ended is in the ticks, which are rounded down.
    of_threads(pid, |_| true).max(own) + children
}

/// The CPU time of those threads of a process that live and have this name.
pub(crate) fn of_thread(pid: u32, name: &str) -> Duration {
    of_threads(pid, |found| found == name)
}

/// The CPU time of this process and the children that it has waited for, to the microsecond.
pub(crate) fn own() -> Duration {
    usage(UsageWho::RUSAGE_SELF) + of_children()
}

/// The CPU time of all children that this process has waited for, to the microsecond.
pub(crate) fn of_children() -> Duration {
    usage(UsageWho::RUSAGE_CHILDREN)
}

fn usage(who: UsageWho) -> Duration {
    let span = |time: TimeVal| Duration::new(time.tv_sec().unsigned_abs(), time.tv_usec() as u32 * 1000);
    getrusage(who).map_or(Duration::ZERO, |usage| span(usage.user_time()) + span(usage.system_time()))
}

/// The CPU time of this process, its children and theirs: of everybody who takes part.
fn of_family() -> Duration {
    let mut total = Duration::ZERO;
    let mut rest = vec![std::process::id()];
    while let Some(pid) = rest.pop() {
        total += of(pid);
        rest.extend(children(pid));
    }
    total
}

/// The children of a process, whichever of its threads has started them.
pub(crate) fn children(pid: u32) -> Vec<u32> {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    let texts: String = tasks.filter_map(|task| fs::read_to_string(task.path().join("children")).ok()).collect();
    texts.split_whitespace().filter_map(|child| child.parse().ok()).collect()
}

/// Time of the process itself, and of children that it has waited for.
fn ticks(pid: u32) -> (Duration, Duration) {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks = |place: usize| fields.get(place).and_then(|field| field.parse::<u64>().ok()).unwrap_or(0);
    (from_ticks(ticks(11) + ticks(12)), from_ticks(ticks(13) + ticks(14)))
}

/// The scheduler's own count.
fn of_threads(pid: u32, wanted: impl Fn(&str) -> bool) -> Duration {
    let mut total = 0;
    for task in fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten() {
        let read = |name: &str| fs::read_to_string(task.path().join(name)).unwrap_or_default();
        if wanted(read("comm").trim_end()) {
            total += read("schedstat").split_whitespace().next().and_then(|text| text.parse::<u64>().ok()).unwrap_or(0);
        }
    }
    Duration::from_nanos(total)
}

/// The CPU time that the whole machine has spent working.
fn of_machine() -> Duration {
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

/// A memory line of /proc/PID/status in megabytes: `VmRSS`, `VmHWM`.
pub(crate) fn megabytes(pid: u32, line: &str) -> f64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let found = status.lines().find_map(|text| text.strip_prefix(line)?.strip_prefix(':'));
    let kibibytes = found.and_then(|text| text.trim().strip_suffix("kB")?.trim().parse::<f64>().ok());
    kibibytes.unwrap_or(0.0) * 1024.0 / 1e6
}

/// Sees what others use of the machine.
pub(crate) struct Watch {
    begin: Instant,
    machine: Duration,
    family: Duration,
}

impl Watch {
    /// From now on.
    pub(crate) fn start() -> Self {
        Self { family: of_family(), machine: of_machine(), begin: now() }
    }

    /// What processes that are not ours have used since, in cores.
    pub(crate) fn foreign(&self) -> f64 {
        let all = of_machine().saturating_sub(self.machine);
        let ours = of_family().saturating_sub(self.family);
        all.saturating_sub(ours).as_secs_f64() / self.begin.elapsed().as_secs_f64()
    }
}
