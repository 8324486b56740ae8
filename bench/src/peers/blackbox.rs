//! blackbox_exporter, asked as Prometheus does.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::time::Instant;

use crate::child::{Child, command, now};
use crate::lab::{Lab, Sample, measure};
use crate::net::Net;
use crate::target::Kind;

/// Where Debian puts it.
pub(crate) const PROGRAM: &str = "/usr/bin/prometheus-blackbox-exporter";
const PORT: u16 = 19115;
/// So many probes at a time are asked for.
const WIDTH: usize = 16;

/// Starts blackbox_exporter; `None` if it is not installed.
pub(crate) fn start(lab: &Lab) -> Result<Option<Child>, String> {
    if !Path::new(PROGRAM).exists() {
        return Ok(None);
    }
    let folder = lab.folder.path();
    let file = folder.join("blackbox.yml");
    let text = format!(
        "modules:\n  http: {{ prober: http, timeout: 5s, http: {{ tls_config: {{ ca_file: {}/target.pem }} }} }}\n  \
         tcp: {{ prober: tcp, timeout: 5s }}\n",
        folder.display()
    );
    std::fs::write(&file, text).map_err(|error| error.to_string())?;
    let mut program = command(PROGRAM);
    program.arg(format!("--config.file={}", file.display()));
    program.arg(format!("--web.listen-address={}:{PORT}", lab.net.server()));
    program.arg("--log.level=error");
    Child::start_listening(program, (lab.net.server(), PORT).into()).map(Some)
}

/// Asks blackbox_exporter for probes, as Prometheus does, several at a time.
pub(crate) fn ask(lab: &Lab, blackbox: &Child, kind: Kind) -> Result<Sample, String> {
    let sample = measure(
        || blackbox.cpu(),
        || {
            let end = now() + lab.scale.span;
            std::thread::scope(|scope| {
                let workers: Vec<_> =
                    (0..WIDTH).map(|worker| scope.spawn(move || keep_asking(lab.net, kind, worker, end))).collect();
                workers.into_iter().map(|worker| worker.join().expect("workers do not panic")).sum()
            })
        },
    )?;
    Ok(Sample { memory: blackbox.memory(), ..sample })
}

fn keep_asking(net: Net, kind: Kind, worker: usize, end: Instant) -> Result<u64, String> {
    let (module, target) = match kind {
        Kind::Tcp => ("tcp", format!("{}:{}", net.address(worker), kind.port())),
        _ => ("http", format!("{}://{}:{}/", kind.name(), net.address(worker), kind.port())),
    };
    let mut stream = connect(net)?;
    let mut done = 0;
    while now() < end {
        let answer = get(&mut stream, &format!("/probe?module={module}&target={target}"))?;
        if !answer.contains("\nprobe_success 1") {
            return Err(format!("a probe failed:\n{answer}"));
        }
        done += 1;
    }
    Ok(done)
}

fn connect(net: Net) -> Result<BufReader<TcpStream>, String> {
    TcpStream::connect((net.server(), PORT)).map(BufReader::new).map_err(|error| error.to_string())
}

/// One request of a connection that stays open.
fn get(stream: &mut BufReader<TcpStream>, path: &str) -> Result<String, String> {
    let text = |error: std::io::Error| error.to_string();
    write!(stream.get_mut(), "GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n").map_err(text)?;
    let (mut length, mut chunked, mut line) = (0, false, String::new());
    loop {
        line.clear();
        stream.read_line(&mut line).map_err(text)?;
        let lower = line.to_ascii_lowercase();
        if let Some(value) = lower.strip_prefix("content-length:") {
            length = value.trim().parse().unwrap_or(0);
        }
        chunked |= lower.starts_with("transfer-encoding:");
        if line.trim_end().is_empty() {
            break;
        }
    }
    let mut body = Vec::new();
    loop {
        if chunked {
            line.clear();
            stream.read_line(&mut line).map_err(text)?;
            length = usize::from_str_radix(line.trim(), 16).map_err(|_| format!("expected a chunk, found `{line}`"))?;
        }
        let mut part = vec![0; if chunked { length + 2 } else { length }];
        stream.read_exact(&mut part).map_err(text)?;
        body.extend_from_slice(&part[..length]);
        if !chunked || length == 0 {
            return String::from_utf8(body).map_err(|error| error.to_string());
        }
    }
}
