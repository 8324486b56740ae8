//! A program as people write them for cron: Python, requests, a YAML file, a state file.

use std::process::Command;

use crate::child::{command, output};
use crate::lab::Lab;
use crate::target::Kind;

/// Debian's, which has Debian's packages.
const PYTHON: &str = "/usr/bin/python3";
const PROGRAM: &str = include_str!("once.py");

/// The command that probes so many HTTP targets once; `None` if Python or its packages are not installed.
pub(crate) fn once(lab: &Lab, checks: usize) -> Result<Option<Command>, String> {
    let mut trial = command(PYTHON);
    trial.args(["-c", "import requests, yaml"]);
    if output(&mut trial).is_err() {
        return Ok(None);
    }
    let tests: String = (0..checks)
        .map(|check| {
            format!(
                "  - http: {{ name: c{check}, url: \"http://{}:{}/\" }}\n",
                lab.net.address(check),
                Kind::Http.port()
            )
        })
        .collect();
    let folder = lab.folder.path();
    let write = |name: &str, text: &str| std::fs::write(folder.join(name), text).map_err(|error| error.to_string());
    write("once.py", PROGRAM)?;
    write("once.yaml", &format!("tests:\n{tests}"))?;
    let mut program = command(PYTHON);
    program.args(["once.py", "once.yaml", "once.json"].map(|name| folder.join(name)));
    Ok(Some(program))
}
