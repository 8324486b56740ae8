//! The good probes that are made, and made in time, while some of the targets accept and never answer.

use crate::child::pause;
use crate::lab::Lab;
use crate::peers::monit;
use crate::subject::{Checks, SLACK, Subject};
use crate::table::Row;
use crate::target::Kind;

const CHECKS: usize = 200;
/// Between two probes of a check.
const SECONDS: u64 = 5;

pub(super) fn run(lab: &Lab) -> Result<Vec<Row>, String> {
    let (_good, _silent) = (lab.target(Kind::Http)?, lab.target(Kind::Silent)?);
    let mut rows = Vec::new();
    let (interval, span) = (lab.scale.every(SECONDS), lab.scale.seconds(SECONDS));
    for (every, share) in [(20, "5 %"), (2, "50 %")] {
        let checks = Checks { silent: every, ..Checks::new(Kind::Http, CHECKS, &interval, &interval) };
        let daemon = Subject::start(lab, &checks, "")?;
        pause(span + span / 5);
        let (made, due) = good(lab, every, 4)?;
        let late = daemon.lateness()?;
        let what = format!("good probes made with {share} of the targets silent");
        rows.push(Row::at_least(0.99, what, made / due, format!("{made} of {due} due")));
        let what = format!("start of probes with {share} of the targets silent: p99 of lateness in ms");
        let measured = format!("{} ms, worst {} ms; the slack is {SLACK} ms", late.p99, late.worst);
        rows.push(Row::at_most(SLACK, what, late.p99, measured));
    }
    if monit::is_installed() {
        let _monit = monit::start(lab, CHECKS, SECONDS, 20)?;
        pause(span);
        // A cycle takes the sum of all timeouts, so a minute has just one.
        let (made, due) = good(lab, 20, if lab.scale.is_smoke() { 1 } else { 12 })?;
        let what = "good probes that monit makes with 5 % of the targets silent";
        rows.push(Row::plain(what, made / due, format!("{made} of {due} due")));
    }
    Ok(rows)
}

/// How many good probes are made in so many rounds, and how many are due.
fn good(lab: &Lab, every: usize, rounds: u32) -> Result<(f64, f64), String> {
    let before = lab.net.hits(Kind::Http)?;
    pause(lab.scale.seconds(SECONDS) * rounds);
    let made = (lab.net.hits(Kind::Http)? - before) as f64;
    Ok((made, (CHECKS - CHECKS / every) as f64 * f64::from(rounds)))
}
