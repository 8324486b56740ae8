//! `heartbeat once`, start included, against a utility for cron in Python.

use std::process::Command;

use crate::child::{command, output};
use crate::cpu;
use crate::lab::{Contender, Lab, Sample, measure};
use crate::peers::python;
use crate::subject::Checks;
use crate::table::Row;
use crate::target::Kind;

pub(super) fn run(lab: &Lab) -> Result<Vec<Row>, String> {
    let _target = lab.target(Kind::Http)?;
    let number = lab.scale.checks(100);
    let file = lab.folder.path().join("bench.yaml");
    let text = Checks::new(Kind::Http, number, "60s", "10s").text(lab, "");
    // A state file, as the other keeps one.
    let text = text.replace("storage: sqlite:", "storage: file:").replace("/bench.db", "/bench.json");
    std::fs::write(&file, text).map_err(|error| error.to_string())?;
    let Some(mut theirs) = python::once(lab, number)? else { return Ok(Vec::new()) };
    let mut ours = command(&lab.heartbeat);
    ours.args(["once", "-c"]).arg(&file);
    let mut contenders = [
        Contender::new("heartbeat", || several(lab, 10, &mut ours)),
        Contender::new("Python", || several(lab, 2, &mut theirs)),
    ];
    let results = lab.rounds(5, &mut contenders)?;
    Ok(vec![Row::ratio(&format!("a run of `once` over {number} HTTP checks"), &results[0], &results[1], 0.1)])
}

/// Runs a program a few times.
fn several(lab: &Lab, times: u64, program: &mut Command) -> Result<Sample, String> {
    let times = if lab.scale.is_smoke() { 1 } else { times };
    measure(cpu::of_children, || {
        for _ in 0..times {
            output(program)?;
        }
        Ok(times)
    })
}
