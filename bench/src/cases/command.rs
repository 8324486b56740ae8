//! A command check against posix_spawn of the same program, and with many other checks in memory.

use std::fmt::Write as _;
use std::time::Duration;

use super::{in_process, text};
use crate::bare::spawn;
use crate::child::pause;
use crate::lab::{Contender, Lab, Sample, measure};
use crate::subject::{Checks, Subject, forget};
use crate::table::Row;
use crate::target::Kind;

const PROGRAM: &str = "/bin/true";

pub(super) fn run(lab: &Lab) -> Result<Vec<Row>, String> {
    let mut rows = against_spawn(lab)?;
    rows.push(among_many(lab)?);
    Ok(rows)
}

/// Lines of so many command checks. None comes to its deadline: what is measured is no ending of programs.
fn commands(number: usize, interval: &str) -> String {
    (0..number).fold(String::new(), |mut text, check| {
        let keys = format!("interval: {interval}, fast_interval: {interval}, timeout: 5s");
        writeln!(text, "  command{check}: {{ command: [{PROGRAM}], {keys} }}").expect("a string takes everything");
        text
    })
}

/// The bare loop has one process at a time. Ours has two, so that there is always one to wait for; with hundreds at once it
/// would be measured how processes get in each other's way.
fn against_spawn(lab: &Lab) -> Result<Vec<Row>, String> {
    let span = lab.scale.span;
    let file = format!(
        "limits: {{ probes: 2 }}\ndefaults: {{ remind: never }}\nalerts: []\nstorage: sqlite:{}/bench.db\nchecks:\n{}",
        lab.folder.path().display(),
        commands(lab.scale.checks(400), "100ms")
    );
    let mut contenders = [
        Contender::new("heartbeat", || {
            forget(lab);
            let daemon = Subject::start_on(lab, "bench.yaml", &file)?;
            pause(span.min(Duration::from_secs(2)));
            measure(
                || daemon.child.cpu(),
                || {
                    let before = daemon.lateness()?.probes;
                    pause(span);
                    Ok(daemon.lateness()?.probes - before)
                },
            )
        }),
        Contender::new("posix_spawn", || in_process(|| spawn::run(PROGRAM, span).map_err(text))),
    ];
    let results = lab.rounds(5, &mut contenders)?;
    Ok(vec![Row::ratio("a command check", &results[0], &results[1], 1.15)])
}

/// Two daemons at the same time and pace, one of which has 100,000 further checks in memory: whatever disturbs one disturbs
/// the other.
fn among_many(lab: &Lab) -> Result<Row, String> {
    const PACE: usize = 200;
    let _target = lab.target(Kind::Tcp)?;
    forget(lab);
    // Once they have been probed for the first time they have nothing to do for hours.
    let others = Checks::new(Kind::Tcp, lab.scale.checks(100_000), "10h", "5s");
    let number = others.number;
    let many = Subject::start_on(lab, "bench.yaml", &(others.text(lab, "") + &commands(PACE / 2, "500ms")))?;
    let file = format!(
        "defaults: {{ remind: never }}\nalerts: []\nstorage: sqlite:{}/few.db\nchecks:\n",
        lab.folder.path().display()
    );
    let few = Subject::start_on(lab, "few.yaml", &(file + &commands(PACE / 2, "500ms")))?;
    // The first probes of all are spread over a second for every thousand checks.
    pause(lab.scale.seconds(number as u64 / 1000 + 5));
    let span = lab.scale.span * 4;
    let due = PACE as u64 * span.as_millis() as u64 / 1000;
    let other = few.child.cpu();
    let ours = measure(
        || many.child.cpu(),
        || {
            pause(span);
            Ok(due)
        },
    )?;
    let other = Sample { cpu: few.child.cpu() - other, ..ours };
    let measured = format!("{:.1} us against {:.1} us{}", ours.micros(), other.micros(), ours.remark());
    Ok(Row::at_most(
        1.1,
        format!("a command check among {number} others, against few"),
        ours.micros() / other.micros(),
        measured,
    ))
}
