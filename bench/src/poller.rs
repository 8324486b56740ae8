//! Polls a responder at a fixed pace, as load balancers do: on connections that stay open.
//!
//! The latency of a poll counts from the moment at which it should have been sent, so that an answer that is late is late for
//! all those that wait behind it, too.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use serde_json::json;

use crate::bare::plain::content_length;
use crate::child::{now, pause};

/// So many load balancers.
const CONNECTIONS: u32 = 32;
const REQUEST: &[u8] = b"GET /readyz HTTP/1.1\r\nHost: localhost\r\n\r\n";

/// One poll: the status of the answer.
pub(crate) fn ask(server: SocketAddr) -> Result<u16, String> {
    poll(&mut connect(server)?)
}

/// Polls so often a second for so many seconds, and prints how long answers took, in milliseconds.
pub(crate) fn run(server: SocketAddr, rate: u32, seconds: f64) -> Result<(), String> {
    let begin = now() + Duration::from_millis(100);
    let end = begin + Duration::from_secs_f64(seconds);
    let found: Result<Vec<Vec<(Duration, u16)>>, String> = std::thread::scope(|scope| {
        let pollers: Vec<_> = (0..CONNECTIONS)
            .map(|place| {
                let first = begin + Duration::from_secs(1) * place / rate;
                scope.spawn(move || keep_polling(server, first, Duration::from_secs(1) * CONNECTIONS / rate, end))
            })
            .collect();
        pollers.into_iter().map(|poller| poller.join().expect("pollers do not panic")).collect()
    });
    let found = found?.concat();
    let ready = found.iter().filter(|(_, status)| *status == 200).count();
    let mut times: Vec<f64> = found.iter().map(|(time, _)| time.as_secs_f64() * 1e3).collect();
    times.sort_by(f64::total_cmp);
    let at = |percent: usize| times.get(times.len().saturating_sub(1) * percent / 100).copied();
    println!("{}", json!({ "polls": times.len(), "ready": ready, "p50": at(50), "p99": at(99), "worst": at(100) }));
    Ok(())
}

fn keep_polling(
    server: SocketAddr,
    mut due: Instant,
    pace: Duration,
    end: Instant,
) -> Result<Vec<(Duration, u16)>, String> {
    let mut stream = connect(server)?;
    let mut found = Vec::new();
    while due < end {
        pause(due.saturating_duration_since(now()));
        let status = poll(&mut stream)?;
        found.push((now() - due, status));
        due += pace;
    }
    Ok(found)
}

fn connect(server: SocketAddr) -> Result<TcpStream, String> {
    let connect = || {
        let stream = TcpStream::connect(server)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(Duration::from_secs(10)))?;
        Ok::<_, std::io::Error>(stream)
    };
    connect().map_err(|error| format!("the responder at {server}: {error}"))
}

fn poll(stream: &mut TcpStream) -> Result<u16, String> {
    stream.write_all(REQUEST).map_err(|error| error.to_string())?;
    let (mut piece, mut heard) = ([0; 4096], Vec::new());
    loop {
        match stream.read(&mut piece) {
            Ok(0) => return Err("the responder closed the connection".to_owned()),
            Ok(count) => heard.extend_from_slice(&piece[..count]),
            Err(error) => return Err(format!("no answer: {error}")),
        }
        let Some(end) = heard.windows(4).position(|bytes| bytes == b"\r\n\r\n") else { continue };
        let (head, body) = (String::from_utf8_lossy(&heard[..end]), &heard[end + 4..]);
        let length = content_length(&head).ok_or_else(|| format!("expected the length of the body, found `{head}`"))?;
        if body.len() >= length {
            let status = head.split_whitespace().nth(1).and_then(|word| word.parse().ok());
            return status.ok_or_else(|| format!("expected a status, found `{head}`"));
        }
    }
}
