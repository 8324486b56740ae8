//! A probe at full load, everything on, against a bare loop and blackbox_exporter.

use std::time::Duration;

use super::{in_process, text};
use crate::bare::plain::{self, Pace};
use crate::bare::tls;
use crate::child::pause;
use crate::lab::{Contender, Lab};
use crate::peers::blackbox;
use crate::subject::{Checks, Subject};
use crate::table::Row;
use crate::target::Kind;

/// So many probes at a time.
const WIDTH: usize = 64;

/// More checks than anybody can probe, but every one has its turn before it is stale; as many are in flight as in the bare
/// loop.
pub(super) fn checks<'a>(lab: &Lab, kind: Kind, interval: &'a str) -> Checks<'a> {
    Checks { width: WIDTH, ..Checks::new(kind, lab.scale.checks(20_000), interval, "2s") }
}

/// The interval of these checks.
pub(super) fn interval(lab: &Lab) -> String {
    lab.scale.every(1)
}

/// Measures probes of a kind, with these bounds.
pub(super) fn run(lab: &Lab, kind: Kind, of_bare: f64, of_blackbox: f64) -> Result<Vec<Row>, String> {
    let _target = lab.target(kind)?;
    let span = lab.scale.span;
    let blackbox = blackbox::start(lab)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(text)?;
    let interval = interval(lab);
    let checks = checks(lab, kind, &interval);
    let mut contenders = vec![
        Contender::new("heartbeat", || {
            let daemon = Subject::start(lab, &checks, "")?;
            // The first probes of all have passed, and the daemon is at its pace.
            pause(span.min(Duration::from_secs(2)));
            lab.watch(&daemon.child, kind, span)
        }),
        Contender::new("a bare loop", || {
            in_process(|| match kind {
                Kind::Https => runtime.block_on(tls::run(lab.net, &lab.certificate, WIDTH, span)).map_err(text),
                _ => plain::run(lab.net, kind, Pace::Full(WIDTH), span).map_err(text),
            })
        }),
    ];
    if let Some(blackbox) = &blackbox {
        contenders.push(Contender::new("blackbox_exporter", || blackbox::ask(lab, blackbox, kind)));
    }
    let results = lab.rounds(5, &mut contenders)?;
    let what = format!("{} probe at full load", kind.name());
    let mut rows = vec![Row::ratio(&what, &results[0], &results[1], of_bare)];
    rows.extend(results.get(2).map(|peer| Row::ratio(&what, &results[0], peer, of_blackbox)));
    Ok(rows)
}
