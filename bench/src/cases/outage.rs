//! Everything is down at once: all targets refuse, or are silent until the timeout.

use std::time::Duration;

use serde_json::Value;

use crate::child::pause;
use crate::lab::{Lab, NOISY, Sample};
use crate::subject::{Checks, Subject};
use crate::table::Row;
use crate::target::Kind;

/// As long as every probe of a silent target takes, in seconds.
const TIMEOUT: usize = 10;

pub(super) fn run(lab: &Lab) -> Result<Vec<Row>, String> {
    let _targets = (lab.target(Kind::Http)?, lab.target(Kind::Silent)?);
    let number = lab.scale.checks(100_000);
    // A probe in flight holds a descriptor here and another one at the target.
    let most = lab.descriptors.saturating_sub(1500).clamp(500, 50_000);
    let seconds = (number * TIMEOUT).div_ceil(most).max(60);
    let interval = lab.scale.every(seconds as u64);
    let timeout = if lab.scale.is_smoke() { "200ms" } else { "10s" };
    let checks = |kind| Checks { width: most, defaults: ", fall: 1", ..Checks::new(kind, number, &interval, timeout) };
    let (healthy, _) = cost(lab, &checks(Kind::Http), seconds, "up")?;
    let mut rows = Vec::new();
    for (kind, word) in [(Kind::Refused, "refusing"), (Kind::Silent, "silent")] {
        let (sample, down) = cost(lab, &checks(kind), seconds, "down")?;
        let noise = if sample.foreign.max(healthy.foreign) < crate::lab::FOREIGN { "" } else { NOISY };
        let what = format!("{number} checks every {interval}, all {word}");
        let measured = format!("{:.1} us against {:.1} us{noise}", sample.micros(), healthy.micros());
        rows.push(Row::at_most(
            1.3,
            format!("{what}: a probe, against all healthy"),
            sample.micros() / healthy.micros(),
            measured,
        ));
        rows.push(Row::at_least(
            1.0,
            format!("{what}: share of states that are right"),
            down,
            format!("{down:.4} are down"),
        ));
        let flying = if kind == Kind::Silent { (number * TIMEOUT / seconds).min(most) } else { 0 };
        let bound = 128.0 + flying as f64 * 8192.0 / 1e6;
        rows.push(Row {
            measured: format!("{:.1} MB with {flying} probes in flight, at 8 KiB each", sample.memory),
            ..Row::memory(bound, what, sample.memory)
        });
    }
    Ok(rows)
}

/// What a probe costs in the second round, and the share of checks in that state afterwards.
fn cost(lab: &Lab, checks: &Checks<'_>, seconds: usize, state: &str) -> Result<(Sample, f64), String> {
    let daemon = Subject::start(lab, checks, "")?;
    // Until the first round is over, in which every state changes.
    pause(if lab.scale.is_smoke() { lab.scale.span * 4 } else { Duration::from_secs((seconds + TIMEOUT + 3) as u64) });
    let span = lab.scale.seconds(20);
    // Nobody counts what is refused, and to ask the daemon would cost more than its probes: by the clock, then.
    let due = (checks.number as f64 * span.as_secs_f64() / seconds as f64) as u64;
    let sample = crate::lab::measure(
        || daemon.child.cpu(),
        || {
            pause(span);
            Ok(due)
        },
    )?;
    let sample = Sample { memory: daemon.child.memory(), ..sample };
    let status = daemon.status()?;
    let all = status["checks"].as_array().map_or(&[] as &[Value], Vec::as_slice);
    let right = all.iter().filter(|check| check["state"] == state).count();
    Ok((sample, right as f64 / checks.number as f64))
}
