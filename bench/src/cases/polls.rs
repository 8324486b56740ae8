//! Polls at a fixed pace while the node probes at full load.

use std::net::SocketAddr;
use std::time::Duration;

use super::full_load;
use crate::child::{command, output, pause, wait_for};
use crate::lab::Lab;
use crate::poller;
use crate::subject::{Checks, Subject};
use crate::table::Row;
use crate::target::Kind;

const PORT: u16 = 18812;
/// Polls a second.
const RATE: u32 = 2000;

pub(super) fn run(lab: &Lab) -> Result<Vec<Row>, String> {
    let target = lab.target(Kind::Http)?;
    let server = SocketAddr::from((lab.net.server(), PORT));
    let interval = full_load::interval(lab);
    let checks = Checks { defaults: ", fall: 1, rise: 1", ..full_load::checks(lab, Kind::Http, &interval) };
    let daemon = Subject::start(lab, &checks, &format!("responder: {{ listen: \"{server}\" }}"))?;
    // Until every check has its first verdict it answers 503.
    let patience = Duration::from_secs(60);
    wait_for("the node is ready", patience, || Ok((poller::ask(server)? == 200).then_some(())))?;
    pause(lab.scale.seconds(3));
    let seconds = lab.scale.seconds(15).as_secs_f64();
    // A process of its own, and ahead of others where we may: its waiting for a core is not the responder's.
    let own = std::env::current_exe().map_err(|error| error.to_string())?;
    let mut polling = command("nice");
    polling.arg("--adjustment=-15").arg(own).args([
        "poll",
        &server.to_string(),
        &RATE.to_string(),
        &seconds.to_string(),
    ]);
    let found: serde_json::Value = serde_json::from_str(&output(&mut polling)?).map_err(|error| error.to_string())?;
    let number = |name: &str| found[name].as_f64().unwrap_or(f64::NAN);
    let what = format!("{RATE} polls/s at full load");
    let measured = format!(
        "p50 {:.2}, p99 {:.2}, worst {:.2} ms of {}",
        number("p50"),
        number("p99"),
        number("worst"),
        number("polls")
    );
    let right = number("ready") / number("polls");
    // The answer is the states' own: it follows when they change.
    drop(target);
    wait_for("the node is no longer ready", patience, || Ok((poller::ask(server)? == 503).then_some(())))?;
    drop(daemon);
    Ok(vec![
        Row::at_most(5.0, format!("{what}: p99 in ms"), number("p99"), measured),
        Row::at_least(
            1.0,
            format!("{what}: share of answers that are right"),
            right,
            "200 while all are up, 503 afterwards",
        ),
    ])
}
