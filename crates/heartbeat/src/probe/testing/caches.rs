//! Real servers of caches on loopback, each with a folder and a port of its own. They end when they are dropped.
#![allow(clippy::disallowed_methods)] // servers of the tests, not programs of ours

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpListener;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::AMPLE;
use super::authority::{Authority, Identity};

/// Waits until something is there.
pub(crate) async fn eventually<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let waiting = async {
        loop {
            if let Some(found) = look() {
                return found;
            }
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(AMPLE, waiting).await.unwrap_or_else(|_| panic!("never: {what}"))
}

/// A process that ends with this value, stopped or not.
pub(crate) struct Process(Child);

impl Process {
    fn start(command: &mut Command) -> Self {
        let name = command.get_program().display().to_string();
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        Self(child.unwrap_or_else(|error| panic!("{name} could not be started, apt-get install {name}: {error}")))
    }

    fn has_ended(&mut self) -> bool {
        self.0.try_wait().expect("a child of ours").is_some()
    }

    /// Halts it where it is: the kernel still takes connections for it.
    pub(crate) fn stop(&self) {
        self.signal(Signal::SIGSTOP);
    }

    /// Lets it go on.
    pub(crate) fn go_on(&self) {
        self.signal(Signal::SIGCONT);
    }

    fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(i32::try_from(self.0.id()).expect("a process number")), signal).expect("it runs");
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A Redis server.
pub(crate) struct Redis {
    pub(crate) process: Process,
    pub(crate) port: u16,
    folder: tempfile::TempDir,
}

impl Redis {
    /// Starts one with options as its command line takes them.
    pub(crate) async fn start(options: &[&str]) -> Self {
        Self::start_at("--port", options).await
    }

    /// Starts one that speaks only TLS, with this certificate.
    pub(crate) async fn start_tls(authority: &Authority, identity: &Identity) -> Self {
        let certificate = authority.file("server.pem", &identity.chain);
        let key = authority.file("server.key", &identity.key);
        let [certificate, key] = [&certificate, &key].map(|path| path.to_str().expect("text"));
        let files = ["--tls-cert-file", certificate, "--tls-key-file", key, "--tls-auth-clients", "no"];
        Self::start_at("--tls-port", &[&["--port", "0"], &files[..]].concat()).await
    }

    async fn start_at(port_option: &str, options: &[&str]) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        loop {
            // Somebody may take the port before the server does: it ends then, and another one is tried.
            let port = TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr()).expect("loopback").port();
            let mut command = Command::new("redis-server");
            command.current_dir(folder.path());
            command.args([port_option, &port.to_string(), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]);
            command.args(["--unixsocket", "socket", "--unixsocketperm", "700", "--logfile", "log"]);
            command.args(["--loglevel", "verbose"]).args(options);
            let mut process = Process::start(&mut command);
            let socket = folder.path().join("socket");
            let listens = eventually("Redis listens", || match UnixStream::connect(&socket) {
                Ok(_) => Some(true),
                Err(_) => process.has_ended().then_some(false),
            });
            if listens.await {
                return Self { process, port, folder };
            }
            let log = std::fs::read_to_string(folder.path().join("log")).unwrap_or_default();
            assert!(log.contains("Address already in use"), "Redis ended:\n{log}");
            std::fs::remove_file(folder.path().join("log")).expect("it is there");
        }
    }

    /// Its Unix socket, which is there before it is ready.
    pub(crate) fn socket(&self) -> PathBuf {
        self.folder.path().join("socket")
    }

    /// What it says about itself.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    /// The answer to a command, as long as it is a line or a value.
    pub(crate) fn ask(&self, command: &str) -> String {
        let mut stream = UnixStream::connect(self.socket()).expect("it listens");
        stream.set_read_timeout(Some(AMPLE)).expect("a socket");
        stream.write_all(format!("{command}\r\n").as_bytes()).expect("sent");
        let mut answer = BufReader::new(stream);
        let mut line = String::new();
        answer.read_line(&mut line).expect("an answer");
        let Some(length) = line.strip_prefix('$').and_then(|length| length.trim_end().parse().ok()) else {
            return line.trim_end().to_owned();
        };
        let mut value = vec![0; length];
        answer.read_exact(&mut value).expect("a value");
        String::from_utf8(value).expect("text")
    }

    /// Waits until it has no client but the one who asks.
    pub(crate) async fn is_alone(&self) {
        eventually("nobody is connected", || (self.ask("CLIENT LIST").lines().count() == 1).then_some(())).await;
    }
}
