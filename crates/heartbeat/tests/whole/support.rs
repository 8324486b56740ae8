//! What the tests share: the program in a folder of its own, targets that can be told to fail, and waiting for a condition.

use std::collections::{BTreeMap, VecDeque};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU16, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use heartbeat::store::{self, Storage};
use heartbeat_core::delivery::Delivery;

/// The longest that any test waits for something that must happen.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// Waits until `done` gives a value.
///
/// # Panics
/// After [`PATIENCE`], saying what it was that did not happen.
#[track_caller]
pub(crate) fn wait_for<T>(what: &str, done: impl FnMut() -> Option<T>) -> T {
    wait_within(PATIENCE, Duration::from_millis(5), what, done)
}

/// Waits until `done` gives a value, and asks for it at that pace.
///
/// # Panics
/// After so long, saying what it was that did not happen.
#[track_caller]
pub(crate) fn wait_within<T>(patience: Duration, pace: Duration, what: &str, mut done: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(value) = done() {
            return value;
        }
        assert!(start.elapsed() < patience, "did not happen within {patience:?}: {what}");
        std::thread::sleep(pace);
    }
}

/// A folder with the program's files, and the program run in it.
pub(crate) struct Home {
    folder: tempfile::TempDir,
}

impl Home {
    pub(crate) fn new() -> Self {
        Self { folder: tempfile::tempdir().expect("a temporary folder") }
    }

    /// With a file of that name.
    pub(crate) fn with(self, name: &str, text: &str) -> Self {
        self.write(name, text);
        self
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path(name), text).expect("the temporary folder can be written");
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The text of a file; empty if it is not there.
    pub(crate) fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap_or_default()
    }

    /// The lines of a file.
    pub(crate) fn lines(&self, name: &str) -> Vec<String> {
        self.read(name).lines().map(str::to_owned).collect()
    }

    /// A call of the program in this folder, in an environment of its own.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_heartbeat"));
        command
            .args(arguments)
            .current_dir(self.folder.path())
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", self.folder.path())
            .env("TZ", "UTC")
            .env("STATE_DIRECTORY", self.state_folder())
            .stdin(Stdio::null());
        command
    }

    /// Where the program keeps its state unless told otherwise.
    pub(crate) fn state_folder(&self) -> PathBuf {
        let folder = self.path("state");
        std::fs::create_dir_all(&folder).expect("the temporary folder can be written");
        folder
    }

    /// Runs the program to its end.
    pub(crate) fn run(&self, arguments: &[&str]) -> Ended {
        Ended::from(self.command(arguments).output().expect("the program can be started"))
    }

    /// What `heartbeat status --json` prints.
    pub(crate) fn status(&self) -> serde_json::Value {
        let ended = self.run(&["status", "--json"]);
        serde_json::from_str(&ended.stdout).unwrap_or_else(|error| panic!("{error}: {}{}", ended.stdout, ended.stderr))
    }

    /// Waits until nothing is owed and every command that ran has ended.
    #[track_caller]
    pub(crate) fn wait_until_quiet(&self) {
        wait_for("nothing is owed any more", || (self.status()["outbox"] == 0).then_some(()));
    }

    /// What the database `state.db` knows of all deliveries, settled or not, by key.
    pub(crate) fn deliveries(&self) -> BTreeMap<String, Delivery> {
        let snapshot =
            store::read(&Storage::Sqlite(self.path("state.db")), usize::MAX >> 1).expect("the store can be read");
        let settled = snapshot.history.settled.into_iter();
        let owed = snapshot.ledger.outbox.into_values();
        settled.chain(owed).map(|delivery| (delivery.intent.key.to_string(), delivery)).collect()
    }

    /// Starts the program.
    pub(crate) fn start(&self, arguments: &[&str]) -> Program {
        Program::start(self.command(arguments))
    }
}

/// A run that has ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl From<Output> for Ended {
    fn from(output: Output) -> Self {
        Self {
            code: code(output.status),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

/// The exit code; for a signal, its number, negative.
fn code(status: ExitStatus) -> i32 {
    use std::os::unix::process::ExitStatusExt as _;
    status.code().unwrap_or_else(|| -status.signal().unwrap_or(0))
}

/// A running program. It is killed when the test forgets it.
pub(crate) struct Program {
    child: Child,
    said: Arc<Mutex<String>>,
    readers: Vec<JoinHandle<()>>,
}

impl Program {
    pub(crate) fn start(mut command: Command) -> Self {
        let mut child =
            command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the program can be started");
        let said = Arc::new(Mutex::new(String::new()));
        let readers = vec![
            collect(child.stdout.take().expect("stdout is piped"), &said),
            collect(child.stderr.take().expect("stderr is piped"), &said),
        ];
        Self { child, said, readers }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// A figure of `/proc/PID/status`, in KiB.
    pub(crate) fn memory(&self, figure: &str) -> usize {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid())).expect("it runs");
        let line = status.lines().find_map(|line| line.strip_prefix(figure)).expect("a line of proc(5)");
        line.trim_matches(|c: char| !c.is_ascii_digit()).parse().expect("kB")
    }

    /// Everything that was printed so far, on both streams.
    pub(crate) fn said(&self) -> String {
        self.said.lock().expect("readers do not panic").clone()
    }

    /// Waits until something was printed.
    #[track_caller]
    pub(crate) fn wait_for(&mut self, text: &str) {
        let start = Instant::now();
        while !self.said().contains(text) {
            if let Ok(Some(status)) = self.child.try_wait() {
                panic!("ended with {status} before it said `{text}`; it said:\n{}", self.said());
            }
            assert!(start.elapsed() < PATIENCE, "did not say `{text}`; it said:\n{}", self.said());
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    pub(crate) fn signal(&self, signal: nix::sys::signal::Signal) {
        let pid = nix::unistd::Pid::from_raw(i32::try_from(self.pid()).expect("a process number"));
        nix::sys::signal::kill(pid, signal).expect("our own child can be signalled");
    }

    /// Ends it as an operator would, and waits.
    pub(crate) fn terminate(mut self) -> Ended {
        self.signal(nix::sys::signal::Signal::SIGTERM);
        self.wait()
    }

    /// kill -9, and waits until it is gone.
    pub(crate) fn kill(mut self) {
        self.child.kill().expect("our own child can be killed");
        self.wait();
    }

    /// Waits for its end.
    #[track_caller]
    pub(crate) fn wait(&mut self) -> Ended {
        let child = &mut self.child;
        let status = wait_for("the program ends", || child.try_wait().expect("our own child"));
        for reader in self.readers.drain(..) {
            let _ = reader.join();
        }
        Ended { code: code(status), stdout: self.said(), stderr: String::new() }
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn collect(mut from: impl std::io::Read + Send + 'static, into: &Arc<Mutex<String>>) -> JoinHandle<()> {
    let into = Arc::clone(into);
    std::thread::spawn(move || {
        let mut buffer = [0; 4096];
        while let Ok(length @ 1..) = from.read(&mut buffer) {
            into.lock().expect("readers do not panic").push_str(&String::from_utf8_lossy(&buffer[..length]));
        }
    })
}

/// An HTTP server on loopback whose answer can be changed, and which keeps what it was sent.
pub(crate) struct Web {
    address: SocketAddr,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

struct Shared {
    status: AtomicU16,
    /// Answers before that one: a status, and a header or nothing.
    first: Mutex<VecDeque<(u16, &'static str)>>,
    hang: AtomicBool,
    stop: AtomicBool,
    hits: AtomicUsize,
    requests: Mutex<Vec<Received>>,
}

/// One request.
#[derive(Clone, Debug)]
pub(crate) struct Received {
    pub(crate) at: Instant,
    pub(crate) head: String,
    pub(crate) body: String,
    /// What it was answered; 0 if the connection was left hanging.
    pub(crate) status: u16,
}

impl Received {
    /// A header's value.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().skip(1).find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }
}

impl Web {
    /// A server that answers with this status.
    pub(crate) fn answering(status: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a loopback port");
        let address = listener.local_addr().expect("a bound socket");
        let shared = Arc::new(Shared {
            status: AtomicU16::new(status),
            first: Mutex::default(),
            hang: AtomicBool::new(false),
            stop: AtomicBool::new(false),
            hits: AtomicUsize::new(0),
            requests: Mutex::default(),
        });
        let serving = Arc::clone(&shared);
        let thread = std::thread::spawn(move || serve(&listener, &serving));
        Self { address, shared, thread: Some(thread) }
    }

    pub(crate) fn port(&self) -> u16 {
        self.address.port()
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}/", self.address)
    }

    /// From now on answers with this status.
    pub(crate) fn answer(&self, status: u16) {
        self.shared.status.store(status, Ordering::SeqCst);
    }

    /// Answers the next requests with these statuses and headers, before it goes on as it was.
    pub(crate) fn answer_first(&self, answers: &[(u16, &'static str)]) {
        self.shared.first.lock().expect("the server does not panic").extend(answers);
    }

    /// From now on accepts, reads and never answers; or answers again.
    pub(crate) fn hang(&self, hang: bool) {
        self.shared.hang.store(hang, Ordering::SeqCst);
    }

    pub(crate) fn hits(&self) -> usize {
        self.shared.hits.load(Ordering::SeqCst)
    }

    pub(crate) fn requests(&self) -> Vec<Received> {
        self.shared.requests.lock().expect("the server does not panic").clone()
    }
}

impl Drop for Web {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(self.address);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn serve(listener: &TcpListener, shared: &Arc<Shared>) {
    let mut held = Vec::new();
    for stream in listener.incoming().flatten() {
        if shared.stop.load(Ordering::SeqCst) {
            return;
        }
        if shared.hang.load(Ordering::SeqCst) {
            shared.hits.fetch_add(1, Ordering::SeqCst);
            held.push(stream);
            continue;
        }
        let shared = Arc::clone(shared);
        std::thread::spawn(move || answer(stream, &shared));
    }
}

fn answer(mut stream: TcpStream, shared: &Shared) -> Option<()> {
    stream.set_read_timeout(Some(PATIENCE)).ok()?;
    let mut reader = BufReader::new(stream.try_clone().ok()?);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if reader.read_line(&mut head).ok()? == 0 {
            return None;
        }
    }
    let length = head.lines().find_map(|line| {
        let (key, value) = line.split_once(':')?;
        key.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().ok())?
    });
    let mut body = vec![0; length.unwrap_or(0)];
    reader.read_exact(&mut body).ok()?;
    let first = shared.first.lock().ok()?.pop_front();
    let (status, header) = first.unwrap_or_else(|| (shared.status.load(Ordering::SeqCst), ""));
    let header = if header.is_empty() { String::new() } else { format!("{header}\r\n") };
    shared.requests.lock().ok()?.push(Received {
        at: Instant::now(),
        head,
        body: String::from_utf8_lossy(&body).into_owned(),
        status,
    });
    shared.hits.fetch_add(1, Ordering::SeqCst);
    write!(stream, "HTTP/1.1 {status} Told\r\n{header}Content-Length: 2\r\nConnection: close\r\n\r\nok").ok()
}

/// A port on loopback that nobody listens at.
pub(crate) fn closed_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a loopback port").port()
}

/// The repository's root.
pub(crate) fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().expect("the repository is there")
}
