//! What is measured: one function a subject, one line in [`CASES`].

use std::time::Duration;

use crate::bare::plain::{self, Pace};
use crate::bare::{spawn, tls};
use crate::child::{Child, pause};
use crate::cpu;
use crate::lab::{Contender, Lab, Outcome, Sample};
use crate::peers;
use crate::subject::{self, Checks};
use crate::table::{Bound, Row};
use crate::target::{self, Kind};

/// Measures one subject.
pub(crate) type Case = fn(&Lab) -> Result<Vec<Row>, String>;

/// Every subject by name.
pub(crate) const CASES: &[(&str, Case)] = &[
    ("http", |lab| full_load(lab, Kind::Http, 1.25, 1.0 / 6.0)),
    ("https", |lab| full_load(lab, Kind::Https, 1.15, 1.0 / 2.8)),
    ("tcp", |lab| full_load(lab, Kind::Tcp, 1.3, 1.0 / 5.0)),
    ("command", commands),
    ("steady", steady),
    ("silent", silent),
    ("responder", responder),
    ("idle", idle),
];

/// So many probes at a time.
const WIDTH: usize = 64;

/// The CPU of a call in this very process.
fn in_process(work: impl FnOnce() -> Result<u64, String>) -> Result<Sample, String> {
    let begin = cpu::of(std::process::id());
    let count = work()?;
    Ok(Sample { count, cpu: cpu::of(std::process::id()) - begin, memory: 0 })
}

fn text(error: std::io::Error) -> String {
    error.to_string()
}

fn row(what: &str, ours: &Outcome, other: &Outcome, bound: f64) -> Row {
    let noise = if ours.noisy + other.noisy > 0 { " (noisy)" } else { "" };
    Row {
        what: format!("{what}, against {}", other.name),
        measured: format!("{:.1} us against {:.1} us{noise}", ours.micros, other.micros),
        number: ours.micros / other.micros,
        bound: Bound::AtMost(bound),
    }
}

/// A probe at full load, everything on, against a bare loop and blackbox_exporter.
fn full_load(lab: &Lab, kind: Kind, of_bare: f64, of_blackbox: f64) -> Result<Vec<Row>, String> {
    let target = lab.target(kind)?;
    let span = lab.scale.span;
    let blackbox = peers::blackbox(lab)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(text)?;
    // More is due than anybody can probe, but every check has its turn before it is stale; as many are in flight as in the
    // bare loop.
    let number = 20_000 / lab.scale.divisor;
    let checks = Checks { kind, number, interval: "2s", timeout: "2s", silent: 0, width: WIDTH };
    let mut contenders = vec![
        Contender {
            name: "heartbeat",
            turn: Box::new(|| {
                let daemon = subject::start(lab, &checks, "")?;
                // The first probes of all have passed, and the daemon is at its pace.
                pause(span.min(Duration::from_secs(2)));
                lab.watch(&daemon, kind)
            }),
        },
        Contender {
            name: "a bare loop",
            turn: Box::new(|| {
                in_process(|| match kind {
                    Kind::Https => runtime.block_on(tls::run(&lab.certificate, WIDTH, span)).map_err(text),
                    _ => plain::run(kind, Pace::Full(WIDTH), span).map_err(text),
                })
            }),
        },
    ];
    if let Some(blackbox) = &blackbox {
        let turn = Box::new(|| peers::ask_blackbox(lab, blackbox, kind));
        contenders.push(Contender { name: "blackbox_exporter", turn });
    }
    let known: Vec<&Child> = std::iter::once(&target).collect();
    let results = lab.rounds(&mut contenders, &known)?;
    let what = format!("{} probe at full load", kind.name());
    let mut rows = vec![row(&what, &results[0], &results[1], of_bare)];
    rows.extend(results.get(2).map(|peer| row(&what, &results[0], peer, of_blackbox)));
    Ok(rows)
}

/// A command check against posix_spawn of the same program.
fn commands(lab: &Lab) -> Result<Vec<Row>, String> {
    const PROGRAM: &str = "/bin/true";
    let span = lab.scale.span;
    let mut file = String::from(
        "defaults: { interval: 100ms, fast_interval: 100ms, timeout: 100ms, remind: never }\nalerts: []\nstorage: memory\nchecks:\n",
    );
    for check in 0..400 / lab.scale.divisor {
        file += &format!("  c{check}: {{ command: [{PROGRAM}] }}\n");
    }
    let mut contenders = [
        Contender {
            name: "heartbeat",
            turn: Box::new(|| {
                let daemon = subject::start_on(lab, &file)?;
                pause(span.min(Duration::from_secs(2)));
                let begin = (probes(lab)?, daemon.cpu());
                pause(span);
                Ok(Sample { cpu: daemon.cpu() - begin.1, count: probes(lab)? - begin.0, memory: 0 })
            }),
        },
        Contender { name: "posix_spawn", turn: Box::new(|| in_process(|| spawn::run(PROGRAM, span).map_err(text))) },
    ];
    let results = lab.rounds(&mut contenders, &[])?;
    Ok(vec![row("a command check", &results[0], &results[1], 1.15)])
}

/// How many probes the running daemon has started.
fn probes(lab: &Lab) -> Result<u64, String> {
    let mut status = crate::child::command(&lab.heartbeat);
    status.args(["status", "--json", "-c"]).arg(lab.folder.path().join("bench.yaml"));
    let output = status.output().map_err(text)?;
    let status: serde_json::Value = serde_json::from_slice(&output.stdout).map_err(|error| error.to_string())?;
    status["lateness"]["probes"]
        .as_u64()
        .ok_or_else(|| format!("expected the number of probes, found {}", status["lateness"]))
}

/// Many checks at their pace, against a bare loop that starts what is due on a grid of 50 ms.
fn steady(lab: &Lab) -> Result<Vec<Row>, String> {
    let target = lab.target(Kind::Http)?;
    let mut rows = Vec::new();
    for (number, interval, span) in [(1_000, "5s", 5), (10_000, "10s", 10)] {
        let number = number / lab.scale.divisor;
        let checks = Checks { kind: Kind::Http, number, interval, timeout: "5s", silent: 0, width: 2000 };
        let pace = Pace::Steady(number, Duration::from_secs(span));
        let mut contenders = [
            Contender {
                name: "heartbeat",
                turn: Box::new(|| {
                    let daemon = subject::start(lab, &checks, "")?;
                    // After the first probes every check has taken up its phase.
                    pause(if lab.scale.is_smoke() { lab.scale.span } else { Duration::from_secs(2 * span) });
                    lab.watch(&daemon, Kind::Http)
                }),
            },
            Contender {
                name: "a bare loop on the grid",
                turn: Box::new(|| in_process(|| plain::run(Kind::Http, pace, lab.scale.span).map_err(text))),
            },
        ];
        let results = lab.rounds(&mut contenders, &[&target])?;
        let what = format!("{number} HTTP checks every {interval}");
        rows.push(row(&what, &results[0], &results[1], 1.25));
        if number == 10_000 {
            let megabytes = results[0].memory as f64 / 1e6;
            let measured = format!("{megabytes:.1} MB");
            rows.push(Row {
                what: format!("{what}: memory in MB"),
                measured,
                number: megabytes,
                bound: Bound::AtMost(20.0),
            });
        }
    }
    Ok(rows)
}

/// The good probes that are made while some of the targets accept and never answer.
fn silent(lab: &Lab) -> Result<Vec<Row>, String> {
    let (_good, _silent) = (lab.target(Kind::Http)?, lab.target(Kind::Silent)?);
    let mut rows = Vec::new();
    let (interval, seconds, rounds) = if lab.scale.is_smoke() { ("1s", 1, 1) } else { ("5s", 5, 4) };
    for (every, share) in [(20, "5 %"), (2, "50 %")] {
        let number = 200;
        let checks = Checks { kind: Kind::Http, number, interval, timeout: interval, silent: every, width: 2000 };
        let daemon = subject::start(lab, &checks, "")?;
        pause(Duration::from_secs(seconds + 1));
        let before = target::hits(Kind::Http)?;
        pause(Duration::from_secs(seconds * rounds));
        let made = (target::hits(Kind::Http)? - before) as f64;
        let due = (number - number / every) as f64 * rounds as f64;
        drop(daemon);
        rows.push(Row {
            what: format!("good probes made with {share} of the targets silent"),
            measured: format!("{made} of {due} due"),
            number: made / due,
            bound: Bound::AtLeast(0.99),
        });
    }
    Ok(rows)
}

/// A poll against nginx' `return 200`.
fn responder(lab: &Lab) -> Result<Vec<Row>, String> {
    const PORT: u16 = 18811;
    let target = lab.target(Kind::Http)?;
    let Some(nginx) = peers::nginx(lab)? else { return Ok(Vec::new()) };
    let checks = Checks { kind: Kind::Http, number: 2, interval: "60s", timeout: "5s", silent: 0, width: 2000 };
    let daemon = subject::start(lab, &checks, &format!("responder: {{ listen: 127.0.0.1:{PORT} }}"))?;
    let ours = format!("http://127.0.0.1:{PORT}/readyz");
    let theirs = format!("http://127.0.0.1:{}/", peers::NGINX_PORT);
    pause(Duration::from_secs(1));
    let mut rows = Vec::new();
    for (what, close, bound) in [("a poll with keep-alive", false, 1.0), ("a poll with close", true, 1.1)] {
        let mut contenders = [
            Contender { name: "heartbeat", turn: Box::new(|| peers::wrk(lab, &daemon, &ours, close)) },
            Contender { name: "nginx", turn: Box::new(|| peers::wrk(lab, &nginx, &theirs, close)) },
        ];
        let results = lab.rounds(&mut contenders, &[&target])?;
        rows.push(row(what, &results[0], &results[1], bound));
    }
    Ok(rows)
}

/// Memory of a daemon with nothing to do, and the size of the program.
fn idle(lab: &Lab) -> Result<Vec<Row>, String> {
    let _target = lab.target(Kind::Tcp)?;
    let checks = Checks { kind: Kind::Tcp, number: 10, interval: "60s", timeout: "5s", silent: 0, width: 2000 };
    let daemon = subject::start(lab, &checks, "")?;
    pause(lab.scale.span);
    let memory = cpu::memory(daemon.pid(), "VmRSS") as f64 / 1e6;
    let size = std::fs::metadata(&lab.heartbeat).map_err(text)?.len() as f64 / 1e6;
    let line = |what: &str, number: f64, bound| Row {
        what: what.to_owned(),
        measured: format!("{number:.1} MB"),
        number,
        bound: Bound::AtMost(bound),
    };
    Ok(vec![line("memory of an idle daemon in MB", memory, 8.0), line("the program in MB", size, 15.0)])
}
