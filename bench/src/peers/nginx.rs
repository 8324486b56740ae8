//! nginx as the quickest answer to a poll, and wrk, which polls.

use std::path::Path;
use std::time::Duration;

use crate::child::{Child, command, output, pause};
use crate::lab::{Lab, Sample, measure};

const PROGRAM: &str = "/usr/sbin/nginx";
const WRK: &str = "/usr/bin/wrk";
/// Where nginx answers.
pub(crate) const PORT: u16 = 19080;

/// Starts nginx with one worker that answers `return 200`; `None` if it or wrk is not installed.
pub(crate) fn start(lab: &Lab) -> Result<Option<Child>, String> {
    if ![PROGRAM, WRK].iter().all(|program| Path::new(program).exists()) {
        return Ok(None);
    }
    let folder = lab.folder.path();
    let file = folder.join("nginx.conf");
    let text = format!(
        "daemon off; master_process off; worker_processes 1; pid {0}/nginx.pid; error_log {0}/nginx.err;\n\
         events {{ worker_connections 4096; }}\n\
         http {{ access_log off; keepalive_requests 1000000000; client_body_temp_path {0}; proxy_temp_path {0};\n\
         fastcgi_temp_path {0}; uwsgi_temp_path {0}; scgi_temp_path {0};\n\
         server {{ listen {1}:{PORT}; location / {{ default_type application/json; return 200 '{{}}'; }} }} }}\n",
        folder.display(),
        lab.net.server()
    );
    std::fs::write(&file, text).map_err(|error| error.to_string())?;
    let mut program = command(PROGRAM);
    program.arg("-c").arg(&file).arg("-p").arg(folder);
    Child::start_listening(program, (lab.net.server(), PORT).into()).map(Some)
}

/// Has wrk poll a server for a while.
pub(crate) fn wrk(lab: &Lab, server: &Child, url: &str, close: bool) -> Result<Sample, String> {
    let sample = measure(|| server.cpu(), || requests(lab, url, close))?;
    Ok(Sample { memory: server.memory(), ..sample })
}

fn requests(lab: &Lab, url: &str, close: bool) -> Result<u64, String> {
    let mut wrk = command(WRK);
    wrk.args(["-t1", "-c64"]).arg(format!("-d{}s", lab.scale.span.as_secs().max(1)));
    if close {
        wrk.args(["-H", "Connection: close"]);
    }
    wrk.arg(url);
    let text = output(&mut wrk)?;
    // What was under way at the end.
    pause(Duration::from_millis(50));
    if text.contains("Non-2xx") {
        return Err(format!("not every answer was 200:\n{text}"));
    }
    let line = text.lines().find(|line| line.contains(" requests in "));
    let count = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
    count.ok_or_else(|| format!("wrk said:\n{text}"))
}
