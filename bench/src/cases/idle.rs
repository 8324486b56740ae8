//! Memory of a daemon with nothing to do, and the size of the program.

use super::text;
use crate::child::pause;
use crate::lab::Lab;
use crate::subject::{Checks, Subject};
use crate::table::Row;
use crate::target::Kind;

pub(super) fn run(lab: &Lab) -> Result<Vec<Row>, String> {
    let _target = lab.target(Kind::Tcp)?;
    let daemon = Subject::start(lab, &Checks::new(Kind::Tcp, 10, "60s", "5s"), "")?;
    pause(lab.scale.span);
    let size = std::fs::metadata(&lab.heartbeat).map_err(text)?.len() as f64 / 1e6;
    Ok(vec![
        Row::memory(8.0, "an idle daemon", daemon.child.memory()),
        Row::at_most(15.0, "the program in MB", size, format!("{size:.1} MB")),
    ])
}
