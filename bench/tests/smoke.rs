//! The harness works: every subject is measured, with counts so small that the numbers mean nothing.
#![allow(clippy::disallowed_methods)] // tests start processes

use std::path::Path;
use std::process::Command;

/// Something of every case, whether its peers are installed or not.
const SUBJECTS: [&str; 18] = [
    "good probes",
    "http probe",
    "https probe",
    "tcp probe",
    "a command check, against",
    "a command check among",
    "against a bare loop on the grid",
    "from exec",
    "reload",
    "a probe, against",
    "all refusing",
    "all silent",
    "polls/s",
    "the program in MB",
    "bytes on disk",
    "storing results",
    "rollups of a year",
    "the slowest question",
];

#[test]
fn every_subject_gives_its_lines() {
    let bench = Path::new(env!("CARGO_BIN_EXE_heartbeat-bench"));
    let heartbeat = bench.with_file_name("heartbeat");
    assert!(heartbeat.exists(), "{} is missing: run `cargo build --package heartbeat`", heartbeat.display());
    let file = tempfile::NamedTempFile::new().expect("a temporary file");
    let output = Command::new(bench)
        .arg("--heartbeat")
        .arg(&heartbeat)
        .args(["--smoke", "--json"])
        .arg(file.path())
        .output()
        .expect("the harness can be started");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    let rows: serde_json::Value =
        serde_json::from_reader(std::fs::File::open(file.path()).expect("the rows")).expect("JSON");
    let rows = rows.as_array().expect("a list");
    for subject in SUBJECTS {
        let row = rows.iter().find(|row| row["what"].as_str().is_some_and(|what| what.contains(subject)));
        let Some(row) = row else { panic!("no line about `{subject}` in {rows:#?}\n{said}") };
        assert!(row["number"].is_number(), "expected a number, found {row:#}");
    }
}
