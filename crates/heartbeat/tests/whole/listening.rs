//! Where the daemon listens: sockets of the service manager, and more connections than there are descriptors.

use std::io::Write as _;
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::support::{Home, PATIENCE, Program, wait_for};

const POLL: &str = "GET /readyz HTTP/1.0\r\n\r\n";

/// What a service manager does (sd_listen_fds(3)): opens two sockets, and becomes the daemon.
const MANAGER: &str = r#"
import os, socket, sys
web = socket.create_server(("127.0.0.1", 0))
local = socket.socket(socket.AF_UNIX)
local.bind(sys.argv[1])
local.listen()
print("port", web.getsockname()[1], flush=True)
os.dup2(web.fileno(), 13, inheritable=True)
os.dup2(local.fileno(), 14, inheritable=True)
os.dup2(13, 3, inheritable=True)
os.dup2(14, 4, inheritable=True)
os.closerange(5, 64)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS="2", LISTEN_FDNAMES="web:local")
os.execv(sys.argv[2], sys.argv[2:])
"#;

/// The status of an answer; `None` if there is none.
fn poll(stream: std::io::Result<impl std::io::Read + std::io::Write>) -> Option<u16> {
    let mut stream = stream.ok()?;
    stream.write_all(POLL.as_bytes()).ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    answer.split(' ').nth(1)?.parse().ok()
}

fn unix(path: &Path) -> std::io::Result<UnixStream> {
    let stream = UnixStream::connect(path)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    Ok(stream)
}

/// The same call through another program.
fn through(launcher: &[&str], home: &Home, arguments: &[&str]) -> Command {
    let inside = home.command(arguments);
    let mut command = Command::new(launcher[0]);
    command.args(&launcher[1..]).arg(inside.get_program()).args(inside.get_args()).current_dir(home.path(""));
    command.env_clear();
    for (name, value) in inside.get_envs() {
        command.env(name, value.unwrap_or_default());
    }
    command
}

#[test]
fn sockets_of_the_service_manager_are_answered_at_and_left_behind() {
    // The check fails if a program of ours holds a socket that is none of its business.
    let home = Home::new().with(
        "heartbeat.yaml",
        "checks:\n\
         \x20 mine:\n\
         \x20   shell: \"for f in /proc/self/fd/*; do case $(readlink $f) in socket:*) exit 1;; esac; done\"\n\
         alerts: []\n\
         responder: { listen: [ 'systemd:web', 'systemd:local' ] }\n",
    );
    let path = home.path("local.sock");
    let python = Path::new("/usr/bin/python3");
    assert!(python.exists(), "this test needs {} (package python3-minimal)", python.display());
    let socket = path.display().to_string();
    let mut program = Program::start(through(&["/usr/bin/python3", "-c", MANAGER, &socket], &home, &["run"]));
    program.wait_for("started with");
    let said = program.said();
    let port = said.split_once("port ").and_then(|(_, rest)| rest.lines().next()?.parse::<u16>().ok()).expect("a port");
    wait_for("the TCP socket answers that all is well", || {
        (poll(TcpStream::connect(("127.0.0.1", port))) == Some(200)).then_some(())
    });
    assert_eq!(poll(unix(&path)), Some(200));
    program.terminate();
    assert!(path.exists(), "the socket is the service manager's, and so is its file");
    assert!(unix(&path).is_err(), "nobody holds it any more");
}

#[test]
fn an_address_in_use_is_an_error_at_the_start() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a loopback port");
    let address = taken.local_addr().expect("bound");
    let home = Home::new().with(
        "heartbeat.yaml",
        &format!("responder: {{ listen: [ '{address}', 'unix:absent/heartbeat.sock', systemd ] }}\n"),
    );
    let ended = home.run(&["run"]);
    assert_eq!(ended.code, 1, "{}{}", ended.stdout, ended.stderr);
    for expected in [address.to_string(), "ss -ltnp".to_owned(), "mkdir -p".to_owned(), "$LISTEN_FDS".to_owned()] {
        assert!(ended.stderr.contains(&expected), "{expected}: {}", ended.stderr);
    }
}

#[test]
fn who_has_run_out_of_descriptors_answers_all_the_same() {
    let home = Home::new().with(
        "heartbeat.yaml",
        "checks:\n  always: { shell: 'true', interval: 1s }\nalerts: []\nstorage: memory\n\
         responder: { listen: 'unix:poll.sock', connections: 10000 }\n",
    );
    let mut program = Program::start(through(&["prlimit", "--nofile=64:64"], &home, &["run"]));
    program.wait_for("started with");
    let path = home.path("poll.sock");
    wait_for("all is well", || (poll(unix(&path)) == Some(200)).then_some(()));
    let half_open: Vec<_> = (0..300)
        .map(|_| {
            let mut stream = unix(&path).expect("a connection waits until it is accepted");
            let _ = stream.write_all(b"GET /readyz HTTP/1.0\r\nX-Slow: ");
            stream
        })
        .collect();
    for _ in 0..20 {
        assert!(poll(unix(&path)).is_some(), "{}", program.said());
    }
    // However full it is, nothing turns in circles.
    let before = cpu(program.pid());
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(1) {
        std::thread::sleep(Duration::from_millis(100));
    }
    let used = cpu(program.pid()) - before;
    assert!(used < Duration::from_millis(300), "{used:?} of processor time in a second of doing nothing");
    drop(half_open);
    wait_for("all is well again", || (poll(unix(&path)) == Some(200)).then_some(()));
    program.terminate();
    assert!(!path.exists());
}

/// The processor time that a process has used (proc_pid_stat(5), utime and stime, in hundredths of a second).
fn cpu(pid: u32) -> Duration {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).expect("our own child");
    let after_name = stat.rsplit_once(')').expect("a name in brackets").1;
    let ticks: u64 =
        after_name.split_whitespace().skip(11).take(2).map(|field| field.parse::<u64>().expect("ticks")).sum();
    Duration::from_millis(ticks * 10)
}
