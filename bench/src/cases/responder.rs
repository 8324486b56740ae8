//! A poll against nginx' `return 200`.

use std::time::Duration;

use crate::child::pause;
use crate::lab::{Contender, Lab};
use crate::peers::nginx;
use crate::subject::{Checks, Subject};
use crate::table::Row;
use crate::target::Kind;

const PORT: u16 = 18811;

pub(super) fn run(lab: &Lab) -> Result<Vec<Row>, String> {
    let _target = lab.target(Kind::Http)?;
    let Some(nginx) = nginx::start(lab)? else { return Ok(Vec::new()) };
    let server = lab.net.server();
    let checks = Checks::new(Kind::Http, 2, "60s", "5s");
    let daemon = Subject::start(lab, &checks, &format!("responder: {{ listen: {server}:{PORT} }}"))?;
    let ours = format!("http://{server}:{PORT}/readyz");
    let theirs = format!("http://{server}:{}/", nginx::PORT);
    pause(Duration::from_secs(1));
    let mut rows = Vec::new();
    for (what, close, bound) in [("a poll with keep-alive", false, 1.0), ("a poll with close", true, 1.1)] {
        let mut contenders = [
            Contender::new("heartbeat", || nginx::wrk(lab, &daemon.child, &ours, close)),
            Contender::new("nginx", || nginx::wrk(lab, &nginx, &theirs, close)),
        ];
        let results = lab.rounds(5, &mut contenders)?;
        rows.push(Row::ratio(what, &results[0], &results[1], bound));
    }
    Ok(rows)
}
