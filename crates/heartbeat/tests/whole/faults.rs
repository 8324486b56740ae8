//! `heartbeat check` on what goes wrong: the right fault, in time, nothing left behind.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::{Home, Web, closed_port, wait_for};

/// The probes of a file's checks, by id.
fn probe(home: &Home, id: &str) -> (Value, Duration) {
    let start = Instant::now();
    let ended = home.run(&["check", "--json", id]);
    let took = start.elapsed();
    let line = ended.stdout.lines().next().unwrap_or_else(|| panic!("nothing was printed: {}", ended.stderr));
    (serde_json::from_str(line).expect("a JSON object a line"), took)
}

/// A server that does this with every connection.
fn server(behave: impl Fn(std::net::TcpStream) + Send + Sync + Clone + 'static) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a loopback port");
    let port = listener.local_addr().expect("a bound socket").port();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let behave = behave.clone();
            std::thread::spawn(move || behave(stream));
        }
    });
    port
}

#[test]
fn every_fault_has_its_name_and_comes_at_the_timeout() {
    let busy = Web::answering(503);
    let silent = server(|mut stream| {
        let _ = stream.read_to_end(&mut Vec::new());
    });
    let dripping = server(|mut stream| {
        let _ = stream.read(&mut [0; 4096]);
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n");
        while stream.write_all(b"x").is_ok() {
            std::thread::sleep(Duration::from_millis(50)); // a server that drips
        }
    });
    let home = Home::new();
    let marker = home.path("marker").display().to_string();
    home.write(
        "heartbeat.yaml",
        &format!(
            "defaults: {{ timeout: 1s, interval: 10s }}\nchecks:\n\
             \x20 closed: {{ url: \"http://127.0.0.1:{}/\" }}\n\
             \x20 busy: {{ url: \"{}\" }}\n\
             \x20 silent: {{ url: \"http://127.0.0.1:{silent}/\" }}\n\
             \x20 dripping: {{ url: \"http://127.0.0.1:{dripping}/\", expect: {{ body: {{ contains: never }} }} }}\n\
             \x20 handshake: {{ url: \"tls://127.0.0.1:{silent}\" }}\n\
             \x20 children: {{ shell: \"sh -c 'trap : TERM; : {marker}; while :; do sleep 0.1; done' & wait; : {marker}\" }}\n\
             alerts: []\n",
            closed_port(),
            busy.url()
        ),
    );
    for (id, fault, at_timeout) in [
        ("closed", "refused", false),
        ("busy", "status", false),
        ("silent", "timeout", true),
        ("dripping", "timeout", true),
        ("handshake", "timeout", true),
    ] {
        let (result, took) = probe(&home, id);
        assert_eq!(result["verdict"], "fail", "{result}");
        assert_eq!(result["fault"], fault, "{result}");
        let latency = result["latency_ms"].as_f64().expect("a number");
        if at_timeout {
            assert!((1000.0..1900.0).contains(&latency), "{result}");
            assert!(took < Duration::from_secs(4), "{id} took {took:?}");
        } else {
            assert!(latency < 1000.0, "{result}");
        }
    }
    let (result, _) = probe(&home, "children");
    assert_eq!(result["fault"], "timeout", "{result}");
    assert!((1000.0..1900.0).contains(&result["latency_ms"].as_f64().expect("a number")), "{result}");
    wait_for("no child is left", || (!somebody_runs(&marker)).then_some(()));
}

/// Whether the command line of any process has these words.
fn somebody_runs(words: &str) -> bool {
    let processes = std::fs::read_dir("/proc").expect("proc(5)").flatten();
    processes
        .filter_map(|process| std::fs::read(process.path().join("cmdline")).ok())
        .any(|line| String::from_utf8_lossy(&line).contains(words))
}

#[test]
fn json_has_the_fields_of_the_contract() {
    let web = Web::answering(200);
    let home = Home::new();
    let ended = home.run(&["check", "--json", &web.url()]);
    assert_eq!(ended.code, 0, "{}{}", ended.stdout, ended.stderr);
    let result: Value = serde_json::from_str(&ended.stdout).expect("one JSON object");
    let keys: Vec<_> = result.as_object().expect("an object").keys().map(String::as_str).collect();
    assert_eq!(keys, ["check", "kind", "target", "verdict", "fault", "reason", "latency_ms", "phases"]);
    assert_eq!(result["kind"], "http");
    assert_eq!(result["fault"], Value::Null);
    assert!(result["phases"]["total"].is_number(), "{result}");
    assert!(result["phases"].get("tls").is_none(), "a phase that did not happen is absent: {result}");
    assert!(!Path::new(&home.path("state")).join("heartbeat.db").exists(), "a check keeps nothing");
}
