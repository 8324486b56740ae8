//! The programs that operators use today, where they are installed.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, TcpStream};
use std::path::Path;
use std::time::Duration;

use crate::child::{Child, command};
use crate::lab::{Lab, Sample, now};
use crate::target::{Kind, address};

const BLACKBOX: &str = "/usr/bin/prometheus-blackbox-exporter";
const BLACKBOX_PORT: u16 = 19115;
const NGINX: &str = "/usr/sbin/nginx";
/// Where nginx answers.
pub(crate) const NGINX_PORT: u16 = 19080;
/// So many probes at a time are asked of blackbox_exporter.
const WIDTH: usize = 16;

/// Starts blackbox_exporter; `None` if it is not installed.
pub(crate) fn blackbox(lab: &Lab) -> Result<Option<Child>, String> {
    if !Path::new(BLACKBOX).exists() {
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
    let mut program = command(BLACKBOX);
    program.arg(format!("--config.file={}", file.display()));
    program.arg(format!("--web.listen-address=127.0.0.1:{BLACKBOX_PORT}"));
    program.arg("--log.level=error");
    Child::start_listening(program, BLACKBOX_PORT).map(Some)
}

/// Asks blackbox_exporter for probes, as Prometheus does, several at a time.
pub(crate) fn ask_blackbox(lab: &Lab, blackbox: &Child, kind: Kind) -> Result<Sample, String> {
    let (begin, end) = (blackbox.cpu(), now() + lab.scale.span);
    let counts: Result<Vec<u64>, String> = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..WIDTH)
            .map(|worker| {
                scope.spawn(move || {
                    let mut stream = connect(BLACKBOX_PORT)?;
                    let mut done = 0;
                    while now() < end {
                        let (module, target) = match kind {
                            Kind::Tcp => ("tcp", format!("{}:{}", address(worker), kind.port())),
                            _ => ("http", format!("{}://{}:{}/", kind.name(), address(worker), kind.port())),
                        };
                        let answer = get(&mut stream, &format!("/probe?module={module}&target={target}"))?;
                        if !answer.contains("\nprobe_success 1") {
                            return Err(format!("a probe failed:\n{answer}"));
                        }
                        done += 1;
                    }
                    Ok(done)
                })
            })
            .collect();
        workers.into_iter().map(|worker| worker.join().expect("workers do not panic")).collect()
    });
    let cpu = blackbox.cpu() - begin;
    Ok(Sample { count: counts?.iter().sum(), cpu, memory: crate::cpu::memory(blackbox.pid(), "VmRSS") })
}

fn connect(port: u16) -> Result<BufReader<TcpStream>, String> {
    TcpStream::connect((Ipv4Addr::LOCALHOST, port)).map(BufReader::new).map_err(|error| error.to_string())
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

/// Starts nginx with one worker that answers `return 200`; `None` if it is not installed.
pub(crate) fn nginx(lab: &Lab) -> Result<Option<Child>, String> {
    if !Path::new(NGINX).exists() {
        return Ok(None);
    }
    let folder = lab.folder.path();
    let file = folder.join("nginx.conf");
    let text = format!(
        "daemon off; master_process off; worker_processes 1; pid {0}/nginx.pid; error_log {0}/nginx.err;\n\
         events {{ worker_connections 4096; }}\n\
         http {{ access_log off; keepalive_requests 1000000000; client_body_temp_path {0}; proxy_temp_path {0};\n\
         fastcgi_temp_path {0}; uwsgi_temp_path {0}; scgi_temp_path {0};\n\
         server {{ listen 127.0.0.1:{NGINX_PORT}; location / {{ default_type application/json; return 200 '{{}}'; }} }} }}\n",
        folder.display()
    );
    std::fs::write(&file, text).map_err(|error| error.to_string())?;
    let mut program = command(NGINX);
    program.arg("-c").arg(&file).arg("-p").arg(folder);
    Child::start_listening(program, NGINX_PORT).map(Some)
}

/// Has wrk poll a server for a while.
pub(crate) fn wrk(lab: &Lab, server: &Child, url: &str, close: bool) -> Result<Sample, String> {
    let begin = server.cpu();
    let mut wrk = command("wrk");
    wrk.args(["-t1", "-c64"]).arg(format!("-d{}s", lab.scale.span.as_secs().max(1)));
    if close {
        wrk.args(["-H", "Connection: close"]);
    }
    let output = wrk.arg(url).output().map_err(|error| format!("cannot start wrk: {error}"))?;
    // What was under way at the end.
    crate::child::pause(Duration::from_millis(50));
    let text = String::from_utf8_lossy(&output.stdout);
    if text.contains("Non-2xx") {
        return Err(format!("not every answer was 200:\n{text}"));
    }
    let line = text.lines().find(|line| line.contains(" requests in ")).ok_or_else(|| format!("wrk said:\n{text}"))?;
    let count = line.split_whitespace().next().and_then(|word| word.parse().ok());
    let count = count.ok_or_else(|| format!("wrk said: {line}"))?;
    Ok(Sample { count, cpu: server.cpu() - begin, memory: crate::cpu::memory(server.pid(), "VmRSS") })
}
