//! Many checks at their pace, against a bare loop that starts what is due on a grid of 50 ms, and against monit.

use super::{in_process, text};
use crate::bare::plain::{self, Pace};
use crate::child::pause;
use crate::lab::{Contender, Lab};
use crate::peers::monit;
use crate::subject::{Checks, SLACK, Subject};
use crate::table::Row;
use crate::target::Kind;

pub(super) fn run(lab: &Lab) -> Result<Vec<Row>, String> {
    let mut rows = steady(lab, 1_000, 5, 5)?;
    rows.extend(steady(lab, 10_000, 10, 3)?);
    Ok(rows)
}

fn steady(lab: &Lab, number: usize, seconds: u64, rounds: usize) -> Result<Vec<Row>, String> {
    let _target = lab.target(Kind::Http)?;
    let interval = lab.scale.every(seconds);
    let checks = Checks::new(Kind::Http, lab.scale.checks(number), &interval, "5s");
    // A whole interval, in which everybody has made every probe once.
    let span = lab.scale.seconds(seconds);
    let pace = Pace::Steady(checks.number, span);
    let mut late: f64 = 0.0;
    let mut contenders = vec![
        Contender::new("heartbeat", || {
            let daemon = Subject::start(lab, &checks, "")?;
            // After the first probes every check has taken up its phase.
            pause(span * 2);
            let sample = lab.watch(&daemon.child, Kind::Http, span)?;
            late = late.max(daemon.lateness()?.worst);
            Ok(sample)
        }),
        Contender::new("a bare loop on the grid", || {
            in_process(|| plain::run(lab.net, Kind::Http, pace, span).map_err(text))
        }),
    ];
    if monit::is_installed() {
        contenders.push(Contender::new("monit", || {
            let daemon = monit::start(lab, checks.number, seconds, 0)?;
            pause(span);
            lab.watch(&daemon, Kind::Http, span)
        }));
    }
    let results = lab.rounds(rounds, &mut contenders)?;
    drop(contenders);
    let what = format!("{} HTTP checks every {interval}", checks.number);
    let mut rows = vec![Row::ratio(&what, &results[0], &results[1], 1.25)];
    rows.extend(results.get(2).map(|peer| Row::ratio(&what, &results[0], peer, 1.05)));
    let measured = format!("{late} ms, the slack is {SLACK} ms");
    rows.push(Row::at_most(SLACK, format!("{what}: the latest start of all in ms"), late, measured));
    if number == 10_000 {
        rows.push(Row::memory(20.0, what, results[0].memory));
    }
    Ok(rows)
}
