//! A Kubernetes node's probes see the right answers through the life of a server.

use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::lifecycle::Lifecycle;
use crate::support::wait_for;

/// `periodSeconds`, which is not below a second there.
const PERIOD: Duration = Duration::from_millis(50);

/// `failureThreshold`; `successThreshold` is 1.
const FAILURES: u32 = 3;

/// A probe that goes on until it is dropped, by the rules of the kubelet: GET, 200 to 399 within a second is a success.
struct Probe {
    state: Arc<State>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct State {
    succeeds: AtomicBool,
    /// How often it has begun to fail.
    verdicts_against: AtomicU32,
    stop: AtomicBool,
}

impl Probe {
    fn start(port: u16, path: &'static str) -> Self {
        let state = Arc::<State>::default();
        let probing = Arc::clone(&state);
        let thread = std::thread::spawn(move || {
            let mut failures = 0;
            while !probing.stop.load(Ordering::SeqCst) {
                failures = if is_success(port, path) { 0 } else { failures + 1 };
                if failures == 0 {
                    probing.succeeds.store(true, Ordering::SeqCst);
                } else if failures == FAILURES {
                    probing.verdicts_against.fetch_add(1, Ordering::SeqCst);
                    probing.succeeds.store(false, Ordering::SeqCst);
                }
                std::thread::sleep(PERIOD);
            }
        });
        Self { state, thread: Some(thread) }
    }

    fn verdicts_against(&self) -> u32 {
        self.state.verdicts_against.load(Ordering::SeqCst)
    }

    #[track_caller]
    fn wait_for(&self, succeeds: bool) {
        let is_so = || (self.state.succeeds.load(Ordering::SeqCst) == succeeds).then_some(());
        wait_for(&format!("the probe's success is {succeeds}"), is_so);
    }
}

impl Drop for Probe {
    fn drop(&mut self) {
        self.state.stop.store(true, Ordering::SeqCst);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn is_success(port: u16, path: &str) -> bool {
    let output = Command::new("/usr/bin/curl")
        .args(["--silent", "--output", "/dev/null", "--write-out", "%{http_code}", "--max-time", "1", "--noproxy", "*"])
        .args(["--user-agent", "kube-probe/1.30", "--header", "Connection: close", "--header", "Accept: */*"])
        .arg(format!("http://127.0.0.1:{port}{path}"))
        .output()
        .expect("there is no curl: apt-get install curl");
    let status = String::from_utf8_lossy(&output.stdout).parse().unwrap_or(0);
    output.status.success() && (200..400).contains(&status)
}

#[test]
fn probes_of_a_node_follow_the_life_of_a_server() {
    let mut life = Lifecycle::start("");
    let startup = Probe::start(life.http, "/startupz");
    let readiness = Probe::start(life.http, "/readyz");
    let liveness = Probe::start(life.http, "/livez");
    liveness.wait_for(true);
    wait_for("three failures at the start", || {
        (startup.verdicts_against() == 1 && readiness.verdicts_against() == 1).then_some(())
    });
    life.service_answers();
    startup.wait_for(true);
    readiness.wait_for(true);
    life.service_fails();
    readiness.wait_for(false);
    life.service_answers();
    readiness.wait_for(true);
    life.down();
    readiness.wait_for(false);
    life.up();
    readiness.wait_for(true);
    assert_eq!(startup.verdicts_against(), 1, "what has started has started, drained or not");
    life.terminate();
    readiness.wait_for(false);
    assert_eq!(liveness.verdicts_against(), 0, "a server that is not ready is not to be restarted");
    life.has_ended();
    liveness.wait_for(false);
}
