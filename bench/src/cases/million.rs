//! A million checks load and run, and a probe costs what it costs with 100,000 at the same pace.

use crate::child::{now, pause};
use crate::lab::{Lab, Sample};
use crate::subject::{Checks, Subject};
use crate::table::{Bound, Row};
use crate::target::Kind;

pub(super) fn run(lab: &Lab) -> Result<Vec<Row>, String> {
    let _target = lab.target(Kind::Http)?;
    let (often, seldom) = (lab.scale.every(60), lab.scale.every(600));
    let few = Checks::new(Kind::Http, lab.scale.checks(100_000), &often, "10s");
    let many = Checks::new(Kind::Http, lab.scale.checks(1_000_000), &seldom, "10s");
    let ((few_cost, _), (many_cost, load)) = (cost(lab, &few)?, cost(lab, &many)?);
    let noise = if few_cost.remark().is_empty() { many_cost.remark() } else { few_cost.remark() };
    let what = format!("{} HTTP checks every {}", many.number, many.interval);
    let measured = format!("{:.1} us against {:.1} us{noise}", many_cost.micros(), few_cost.micros());
    Ok(vec![
        Row {
            what: format!("{what}: a probe, against {} every {}", few.number, few.interval),
            measured,
            number: many_cost.micros() / few_cost.micros(),
            bound: Bound::Near(0.10),
        },
        Row::plain(format!("{what}: from exec until it runs, in s"), load, format!("{load:.2} s")),
        Row { bound: Bound::None, ..Row::memory(0.0, what, many_cost.memory) },
    ])
}

/// What a probe costs in the first round, and how long the start took.
fn cost(lab: &Lab, checks: &Checks<'_>) -> Result<(Sample, f64), String> {
    let begin = now();
    let daemon = Subject::start(lab, checks, "")?;
    let load = begin.elapsed().as_secs_f64();
    pause(lab.scale.seconds(8));
    Ok((lab.watch(&daemon.child, checks.kind, lab.scale.seconds(20))?, load))
}
