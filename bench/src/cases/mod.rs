//! What is measured: a file a subject, a line each in [`CASES`].

mod command;
mod full_load;
mod idle;
mod million;
mod once;
mod outage;
mod polls;
mod responder;
mod rollups;
mod scale;
mod silent;
mod start;
mod steady;
mod storage;

use crate::cpu;
use crate::lab::{Lab, Sample, measure};
use crate::table::Row;
use crate::target::Kind;

/// Measures one subject.
pub(crate) type Case = fn(&Lab) -> Result<Vec<Row>, String>;

/// Every subject by name.
pub(crate) const CASES: &[(&str, Case)] = &[
    ("silent", silent::run),
    ("http", |lab| full_load::run(lab, Kind::Http, 1.25, 1.0 / 6.0)),
    ("https", |lab| full_load::run(lab, Kind::Https, 1.15, 1.0 / 2.8)),
    ("tcp", |lab| full_load::run(lab, Kind::Tcp, 1.3, 1.0 / 5.0)),
    ("command", command::run),
    ("steady", steady::run),
    ("start", start::run),
    ("scale", scale::run),
    ("million", million::run),
    ("outage", outage::run),
    ("responder", responder::run),
    ("polls", polls::run),
    ("once", once::run),
    ("idle", idle::run),
    ("storage", storage::run),
    ("rollups", rollups::run),
];

/// The CPU of a call in this very process.
pub(crate) fn in_process(work: impl FnOnce() -> Result<u64, String>) -> Result<Sample, String> {
    measure(cpu::own, work)
}

fn text(error: std::io::Error) -> String {
    error.to_string()
}
