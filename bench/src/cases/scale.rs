//! 100,000 checks on one node: lateness, memory, a reload of the whole file.

use std::time::Duration;

use crate::child::{now, pause};
use crate::lab::Lab;
use crate::subject::{Checks, SLACK, Subject};
use crate::table::Row;
use crate::target::Kind;

pub(super) fn run(lab: &Lab) -> Result<Vec<Row>, String> {
    let _target = lab.target(Kind::Http)?;
    let interval = lab.scale.every(60);
    let checks = Checks::new(Kind::Http, lab.scale.checks(100_000), &interval, "10s");
    let daemon = Subject::start(lab, &checks, "")?;
    // Every check has been probed, and is at its pace.
    pause(lab.scale.seconds(75));
    let (memory, peak) = (daemon.child.memory(), daemon.child.peak());
    let late = daemon.lateness()?;
    let what = format!("{} HTTP checks every {interval}", checks.number);
    let measured =
        format!("p99 {} ms, worst {} ms of {} probes; the slack is {SLACK} ms", late.p99, late.worst, late.probes);
    let mut rows = vec![
        Row::at_most(
            100.0,
            format!("{what}: p99 of lateness beyond the slack in ms"),
            (late.p99 - SLACK).max(0.0),
            measured,
        ),
        Row { measured: format!("{memory:.1} MB, at most {peak:.1} MB"), ..Row::memory(128.0, what.as_str(), memory) },
    ];
    // To ask has a price of its own, which must not be the reload's.
    pause(Duration::from_secs(1));
    let before = daemon.lateness()?;
    // Another timeout for all.
    let text = Checks { timeout: "9s", ..checks }.text(lab, "");
    let begin = now();
    let done = daemon.reload(&text);
    let took = begin.elapsed().as_secs_f64();
    pause(lab.scale.seconds(3));
    let after = daemon.lateness()?;
    rows.push(match done {
        Ok(()) => Row::at_most(1.0, format!("{what}: reload of the whole file in s"), took, format!("{took:.2} s")),
        Err(error) => Row::at_most(1.0, format!("{what}: reload of the whole file in s"), f64::NAN, error),
    });
    let measured =
        format!("worst {} ms before, {} ms after; p99 {} and {} ms", before.worst, after.worst, before.p99, after.p99);
    let visible = if after.worst > before.worst { (after.worst - SLACK).max(0.0) } else { 0.0 };
    rows.push(Row::at_most(
        100.0,
        format!("{what}: the worst lateness beyond the slack that a reload brings, in ms"),
        visible,
        measured,
    ));
    Ok(rows)
}
