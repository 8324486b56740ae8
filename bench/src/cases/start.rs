//! From exec to the first probe, and the start of programs that have nothing to do.

use std::path::Path;
use std::time::Duration;

use super::text;
use crate::child::{command, output, wait_for};
use crate::lab::{Lab, median};
use crate::peers::{blackbox, monit};
use crate::subject::{Checks, Subject, forget};
use crate::table::Row;
use crate::target::{Kind, clock};

pub(super) fn run(lab: &Lab) -> Result<Vec<Row>, String> {
    let _target = lab.target(Kind::Http)?;
    let mut rows = Vec::new();
    for (number, bound) in [(10, 5.0), (10_000, 100.0), (100_000, 1000.0)] {
        let checks = Checks::new(Kind::Http, lab.scale.checks(number), "60s", "10s");
        for store in ["a new store", "the store of an earlier run"] {
            let is_new = store == "a new store";
            let times: Result<Vec<f64>, String> =
                (0..lab.scale.rounds).map(|_| first_probe(lab, &checks, is_new)).collect();
            let time = median(times?.into_iter());
            let what = format!("from exec to the first probe with {} checks and {store}, in ms", checks.number);
            rows.push(Row::at_most(bound, what, time, format!("{time:.1} ms")));
        }
    }
    let heartbeat = lab.heartbeat.to_str().ok_or("the path of the program is not UTF-8")?;
    for program in [(heartbeat, "--version"), (monit::PROGRAM, "-V"), (blackbox::PROGRAM, "--version")] {
        rows.extend(empty(lab, program)?);
    }
    Ok(rows)
}

/// Milliseconds from the start of the program to its first connection. A new store has to be brought to the disk before.
fn first_probe(lab: &Lab, checks: &Checks<'_>, is_new: bool) -> Result<f64, String> {
    // Forgets an earlier one.
    lab.net.first_hit(checks.kind)?;
    if is_new {
        forget(lab);
    }
    let file = lab.folder.path().join("bench.yaml");
    std::fs::write(&file, checks.text(lab, "")).map_err(text)?;
    let begin = clock();
    let _daemon = Subject::launch(lab, file)?;
    let first = wait_for("there is a probe", Duration::from_secs(30), || lab.net.first_hit(checks.kind))?;
    Ok((first - begin).as_secs_f64() * 1e3)
}

/// How long a program takes that only says what it is.
fn empty(lab: &Lab, (program, word): (&str, &str)) -> Result<Option<Row>, String> {
    if !Path::new(program).exists() {
        return Ok(None);
    }
    let once = |_| {
        let mut version = command(program);
        version.arg(word);
        let begin = clock();
        output(&mut version)?;
        Ok((clock() - begin).as_secs_f64() * 1e3)
    };
    let times: Result<Vec<f64>, String> = (0..4 * lab.scale.rounds).map(once).collect();
    let (time, name) = (median(times?.into_iter()), Path::new(program).file_name().unwrap_or_default());
    Ok(Some(Row::plain(format!("start and end of `{} {word}`, in ms", name.display()), time, format!("{time:.1} ms"))))
}
