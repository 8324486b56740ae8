//! Results on disk: how large they are, and what storing them costs.

use crate::child::pause;
use crate::cpu;
use crate::lab::Lab;
use crate::subject::{Checks, Subject, forget, stored};
use crate::table::Row;
use crate::target::Kind;

use super::full_load;

pub(super) fn run(lab: &Lab) -> Result<Vec<Row>, String> {
    let _target = lab.target(Kind::Http)?;
    Ok(vec![size(lab)?, share(lab)?])
}

/// Bytes that a result adds to the files; what the checks themselves need is there before.
fn size(lab: &Lab) -> Result<Row, String> {
    let checks = Checks { width: 64, ..Checks::new(Kind::Http, lab.scale.checks(1_000), "200ms", "200ms") };
    let text = checks.text(lab, "");
    forget(lab);
    let mut found = Vec::new();
    for seconds in [2, 20] {
        let daemon = Subject::start_on(lab, "bench.yaml", &text)?;
        pause(lab.scale.seconds(seconds));
        let notices = daemon.status()?["notices"].to_string();
        if notices.contains("did not keep up") {
            return Err(format!("not every result is stored: {notices}"));
        }
        daemon.child.end()?;
        found.push((stored(lab), lab.net.hits(Kind::Http)?));
    }
    let (bytes, results) = (found[1].0.saturating_sub(found[0].0), found[1].1 - found[0].1);
    let each = bytes as f64 / results.max(1) as f64;
    Ok(Row::at_most(26.0, "bytes on disk a result", each, format!("{bytes} bytes for {results} results")))
}

/// The store's part of what a probe costs.
fn share(lab: &Lab) -> Result<Row, String> {
    let daemon = Subject::start(lab, &full_load::checks(lab, Kind::Http, &full_load::interval(lab)), "")?;
    let pid = daemon.child.pid();
    pause(lab.scale.seconds(3));
    let (store, all) = (cpu::of_thread(pid, "store"), daemon.child.cpu());
    pause(lab.scale.seconds(10));
    let (store, all) = (cpu::of_thread(pid, "store") - store, daemon.child.cpu() - all);
    let share = store.as_secs_f64() / all.as_secs_f64();
    let measured = format!("{:.2} s of {:.2} s of CPU", store.as_secs_f64(), all.as_secs_f64());
    Ok(Row::at_most(0.1, "storing results: share of the daemon's CPU at full load", share, measured))
}
