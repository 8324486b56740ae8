//! Real caches on loopback, each with a folder and a port of its own. They end when they are dropped.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;

use super::AMPLE;
use super::authority::{Authority, Identity};
use super::process::{Process, eventually, free_port, mortal};

/// What the tests want of every cache.
pub(crate) trait Cache {
    /// The schemes without and with TLS.
    const SCHEMES: [&'static str; 2];

    fn port(&self) -> u16;

    fn process(&self) -> &Process;

    /// Waits until it has no client but the one who asks.
    async fn is_alone(&self);

    /// How many keys it holds.
    fn keys(&self) -> u64;
}

/// A Redis server.
pub(crate) struct Redis {
    process: Process,
    port: u16,
    folder: tempfile::TempDir,
}

impl Redis {
    /// Starts one with options as its command line takes them.
    pub(crate) async fn start(options: &[&str]) -> Self {
        Self::start_at("--port", options).await
    }

    /// Starts one that speaks only TLS, with this certificate.
    pub(crate) async fn start_tls(authority: &Authority, identity: &Identity) -> Self {
        let [certificate, key] = files(authority, identity);
        let files = ["--tls-cert-file", &certificate, "--tls-key-file", &key, "--tls-auth-clients", "no"];
        Self::start_at("--tls-port", &[&["--port", "0"], &files[..]].concat()).await
    }

    async fn start_at(port_option: &str, options: &[&str]) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let log = folder.path().join("log");
        loop {
            let port = free_port();
            let mut command = mortal();
            command.arg("redis-server").current_dir(folder.path());
            command.args([port_option, &port.to_string(), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]);
            command.args(["--unixsocket", "socket", "--unixsocketperm", "700", "--loglevel", "verbose"]).args(options);
            let mut process = Process::start(&mut command, &log);
            // It listens at the socket after it listens at the port.
            let socket = folder.path().join("socket");
            let listens = eventually("Redis listens", || match UnixStream::connect(&socket) {
                Ok(_) => Some(true),
                Err(_) => process.has_ended().then_some(false),
            });
            if listens.await {
                return Self { process, port, folder };
            }
            // Somebody may take the port before the server does: it ends then, and another one is tried.
            let said = fs::read_to_string(&log).unwrap_or_default();
            assert!(said.contains("Address already in use"), "Redis ended, apt-get install redis-server: {said}");
            fs::remove_file(&log).expect("it is there");
        }
    }

    /// Its Unix socket.
    pub(crate) fn socket(&self) -> PathBuf {
        self.folder.path().join("socket")
    }

    /// What it says about itself.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).expect("a log")
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
}

impl Cache for Redis {
    const SCHEMES: [&'static str; 2] = ["redis", "rediss"];

    fn port(&self) -> u16 {
        self.port
    }

    fn process(&self) -> &Process {
        &self.process
    }

    async fn is_alone(&self) {
        eventually("nobody is connected", || (self.ask("CLIENT LIST").lines().count() == 1).then_some(())).await;
    }

    fn keys(&self) -> u64 {
        self.ask("DBSIZE").trim_start_matches(':').parse().expect("a number")
    }
}

/// A memcached server.
pub(crate) struct Memcached {
    process: Process,
    port: u16,
    _folder: tempfile::TempDir,
}

impl Memcached {
    /// Starts one with options as its command line takes them.
    pub(crate) async fn start(options: &[&str]) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let (port_file, log) = (folder.path().join("port"), folder.path().join("log"));
        let mut command = mortal();
        command.args(["memcached", "-u", "root", "-t", "1", "-l", "127.0.0.1", "-p", "-1", "-vv"]).args(options);
        let mut process = Process::start(command.env("MEMCACHED_PORT_FILENAME", &port_file), &log);
        let port = eventually("memcached listens", || {
            let said = || fs::read_to_string(&log).unwrap_or_default();
            assert!(!process.has_ended(), "memcached ended, apt-get install memcached: {}", said());
            let written = fs::read_to_string(&port_file).ok()?;
            written.lines().find_map(|line| line.strip_prefix("TCP INET: ")?.parse().ok())
        });
        Self { port: port.await, process, _folder: folder }
    }

    /// Starts one that speaks TLS with this certificate.
    pub(crate) async fn start_tls(authority: &Authority, identity: &Identity) -> Self {
        let [certificate, key] = files(authority, identity);
        Self::start(&["-Z", "-o", &format!("ssl_chain_cert={certificate},ssl_key={key}")]).await
    }

    /// Starts one at a Unix socket, which it takes in place of a port.
    pub(crate) async fn start_at(socket: &std::path::Path) -> Process {
        let mut command = mortal();
        command.args(["memcached", "-u", "root", "-t", "1", "-s"]).arg(socket);
        let mut process = Process::start(&mut command, &socket.with_extension("log"));
        eventually("memcached listens", || {
            assert!(!process.has_ended(), "memcached ended, apt-get install memcached");
            UnixStream::connect(socket).ok()
        })
        .await;
        process
    }

    /// The lines of its answer up to `END`.
    pub(crate) fn ask(&self, command: &str) -> String {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).expect("it listens");
        stream.set_read_timeout(Some(AMPLE)).expect("a socket");
        stream.write_all(format!("{command}\r\n").as_bytes()).expect("sent");
        let lines = BufReader::new(stream).lines().map(|line| line.expect("an answer"));
        lines.take_while(|line| line != "END").collect::<Vec<_>>().join("\n")
    }

    /// A number of its statistics.
    pub(crate) fn statistic(&self, name: &str) -> u64 {
        let statistics = self.ask("stats");
        let line = statistics.lines().find_map(|line| line.strip_prefix(&format!("STAT {name} ")));
        line.and_then(|number| number.parse().ok()).unwrap_or_else(|| panic!("no {name} in {statistics}"))
    }
}

impl Cache for Memcached {
    const SCHEMES: [&'static str; 2] = ["memcached", "memcacheds"];

    fn port(&self) -> u16 {
        self.port
    }

    fn process(&self) -> &Process {
        &self.process
    }

    async fn is_alone(&self) {
        eventually("nobody is connected", || (self.statistic("curr_connections") == 1).then_some(())).await;
    }

    fn keys(&self) -> u64 {
        self.statistic("curr_items")
    }
}

/// A certificate and its key in files.
fn files(authority: &Authority, identity: &Identity) -> [String; 2] {
    [("server.pem", &identity.chain), ("server.key", &identity.key)]
        .map(|(name, text)| authority.file(name, text).display().to_string())
}
