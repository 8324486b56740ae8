//! Measures heartbeat against bare loops and its peers, within one run: `bench/run`.

mod bare;
mod cases;
mod child;
mod cpu;
mod lab;
mod net;
mod peers;
mod poller;
mod subject;
mod table;
mod target;

use std::path::PathBuf;
use std::process::ExitCode;

use bare::plain;
use lab::{Lab, Scale};
use net::Net;
use target::Kind;

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let done = match words.first().map(String::as_str) {
        Some("target") => serve(&words[1..]),
        Some("poll") => poll(&words[1..]),
        Some("bare") => probe(&words[1..]),
        _ => measure(&words),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

const USAGE: &str = "usage: heartbeat-bench --heartbeat PROGRAM [--smoke] [--json FILE] [CASE]...";

fn measure(words: &[String]) -> Result<(), String> {
    let mut scale = Scale::FULL;
    let (mut heartbeat, mut file, mut wanted) = (None, None, Vec::new());
    let mut rest = words.iter();
    while let Some(word) = rest.next() {
        match word.as_str() {
            "--smoke" => scale = Scale::SMOKE,
            "--heartbeat" => heartbeat = rest.next().map(PathBuf::from),
            "--json" => file = rest.next().map(PathBuf::from),
            name if cases::CASES.iter().any(|(known, _)| *known == name) => wanted.push(name.to_owned()),
            other => {
                let names: Vec<_> = cases::CASES.iter().map(|(name, _)| *name).collect();
                return Err(format!("expected a case ({}), found `{other}`\n{USAGE}", names.join(", ")));
            }
        }
    }
    child::end_together()?;
    let lab = Lab::new(heartbeat.ok_or(USAGE)?, scale)?;
    let (mut rows, mut failed) = (Vec::new(), Vec::new());
    for (name, case) in
        cases::CASES.iter().filter(|(name, _)| wanted.is_empty() || wanted.iter().any(|word| word == name))
    {
        let begin = child::now();
        match case(&lab) {
            Ok(found) => rows.extend(found),
            Err(error) => failed.push(format!("{name}: {error}")),
        }
        eprintln!("{name}: measured in {:.0} s", begin.elapsed().as_secs_f64());
        // After every case: what has been measured stands, whatever ends the run.
        if let Some(file) = &file {
            let text = serde_json::to_string_pretty(&table::json(&rows)).map_err(|error| error.to_string())?;
            std::fs::write(file, text + "\n").map_err(|error| format!("cannot write {}: {error}", file.display()))?;
        }
    }
    table::print(&rows);
    // What the others have measured stands.
    if failed.is_empty() { Ok(()) } else { Err(failed.join("\n")) }
}

fn serve(words: &[String]) -> Result<(), String> {
    let (net, kind) = match words {
        [net, kind, ..] => (Net::read(net), Kind::named(kind)),
        _ => (None, None),
    };
    let net = net.ok_or("expected the middle of an address in 127.0.0.0/8")?;
    let kind = kind.ok_or("expected http, https, tcp or silent")?;
    let read = |path: &String| std::fs::read_to_string(path).map_err(|error| error.to_string());
    let tls = match words {
        [_, _, certificate, key] => Some((read(certificate)?, read(key)?)),
        _ => None,
    };
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|error| error.to_string())?;
    runtime.block_on(target::serve(net, kind, tls))
}

/// A bare loop alone, to look at: against a target that runs already.
fn probe(words: &[String]) -> Result<(), String> {
    let [net, kind, seconds] = words else {
        return Err("expected the middle of an address in 127.0.0.0/8, http or tcp, seconds".to_owned());
    };
    let net = Net::read(net).ok_or("expected the middle of an address in 127.0.0.0/8")?;
    let kind = Kind::named(kind).ok_or("expected http or tcp")?;
    let seconds = seconds.parse().map_err(|_| format!("expected a number, found `{seconds}`"))?;
    let sample = cases::in_process(|| {
        let span = std::time::Duration::from_secs(seconds);
        plain::run(net, kind, plain::Pace::Full(64), span).map_err(|error| error.to_string())
    })?;
    println!("{} probes, {:.1} us each", sample.count, sample.micros());
    Ok(())
}

fn poll(words: &[String]) -> Result<(), String> {
    let [server, rate, seconds] = words else {
        return Err("expected an address with its port, polls a second, seconds".to_owned());
    };
    let wrong = |word: &String| format!("expected a number, found `{word}`");
    poller::run(
        server.parse().map_err(|_| format!("expected an address with its port, found `{server}`"))?,
        rate.parse().map_err(|_| wrong(rate))?,
        seconds.parse().map_err(|_| wrong(seconds))?,
    )
}
