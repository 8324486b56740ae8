//! The load balancers of Debian, each with a configuration of its own in a temporary folder; and the load that they carry.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use crate::support::{Home, PATIENCE, Program, closed_port, wait_for};

/// A program of Debian's.
///
/// # Panics
/// If it is not there, naming the package.
fn debian(path: &str, package: &str) -> Command {
    assert!(Path::new(path).exists(), "there is no {path}: apt-get install {package}");
    Command::new(path)
}

/// A HAProxy in front of one backend, `site`. It ends with the test.
pub(crate) struct Haproxy {
    home: Home,
    program: Program,
    pub(crate) port: u16,
}

/// What HAProxy knows of a server, by the names of its statistics (HAProxy management guide, section 9.1).
pub(crate) type Statistics = BTreeMap<String, String>;

impl Haproxy {
    /// With this section `backend site`.
    pub(crate) fn start(backend: &str) -> Self {
        let (home, port) = (Home::new(), closed_port());
        let configuration = format!(
            "global\n    stats socket {}\n\
             defaults\n    mode http\n    timeout connect 5s\n    timeout client 10s\n    timeout server 10s\n    \
             default-server fastinter 100ms downinter 100ms\n\
             frontend front\n    bind 127.0.0.1:{port}\n    default_backend site\n{backend}\n",
            home.path("socket").display(),
        );
        home.write("haproxy.cfg", &configuration);
        let mut command = debian("/usr/sbin/haproxy", "haproxy");
        command.arg("-db").arg("-f").arg(home.path("haproxy.cfg"));
        let haproxy = Self { program: Program::start(command), home, port };
        wait_for("HAProxy listens", || haproxy.ask("show info").map(drop));
        haproxy
    }

    fn ask(&self, command: &str) -> Option<String> {
        let mut socket = UnixStream::connect(self.home.path("socket")).ok()?;
        writeln!(socket, "{command}").ok()?;
        let mut answer = String::new();
        socket.read_to_string(&mut answer).ok()?;
        Some(answer)
    }

    /// What it knows of a server.
    pub(crate) fn server(&self, name: &str) -> Statistics {
        let table = self.ask("show stat").unwrap_or_else(|| panic!("HAProxy has gone: {}", self.program.said()));
        let mut lines = table.lines();
        let names: Vec<_> = lines.next().unwrap_or_default().trim_start_matches("# ").split(',').collect();
        let row = lines.map(|line| line.split(',').collect::<Vec<_>>()).find(|row| row.get(1) == Some(&name));
        let row = row.unwrap_or_else(|| panic!("HAProxy has no server {name}: {table}"));
        names.into_iter().zip(row).map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
    }

    /// Waits until it says this of a server's state.
    #[track_caller]
    pub(crate) fn wait_for_status(&self, server: &str, status: &str) {
        let start = Instant::now();
        loop {
            let known = self.server(server);
            if known["status"] == status {
                return;
            }
            assert!(start.elapsed() < PATIENCE, "{server} is not {status} to HAProxy: {known:?}");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// How many requests a server has had.
    pub(crate) fn requests(&self, server: &str) -> u64 {
        self.server(server)["stot"].parse().expect("a number")
    }
}

/// An nginx. It ends with the test.
pub(crate) struct Nginx {
    program: Program,
    /// Its files.
    _home: Home,
}

impl Nginx {
    /// With these servers in its `http` block; `port` is one at which it will listen.
    pub(crate) fn start(servers: &str, port: u16) -> Self {
        let home = Home::new();
        let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
            .map(|kind| format!("{kind}_temp_path {};\n", home.path(kind).display()))
            .concat();
        let configuration = format!(
            "daemon off;\nmaster_process off;\npid {pid};\nerror_log {errors};\nevents {{}}\n\
             http {{\naccess_log off;\n{temporary}{servers}\n}}\n",
            pid = home.path("pid").display(),
            errors = home.path("errors").display(),
        );
        home.write("nginx.conf", &configuration);
        let mut command = debian("/usr/sbin/nginx", "nginx");
        command.arg("-e").arg(home.path("errors")).arg("-c").arg(home.path("nginx.conf"));
        let program = Program::start(command);
        wait_for("nginx listens", || {
            let listens = std::net::TcpStream::connect(("127.0.0.1", port)).is_ok();
            listens.then_some(()).or_else(|| {
                assert!(!program.said().contains("[emerg]"), "{}", program.said());
                None
            })
        });
        Self { program, _home: home }
    }

    /// Ends it at once, as a machine that loses its power.
    pub(crate) fn kill(self) {
        self.program.kill();
    }
}

/// A load that goes on until it is ended.
pub(crate) struct Load(Program);

impl Load {
    /// Eight connections that ask for `/` without a pause.
    pub(crate) fn start(port: u16) -> Self {
        let mut command = debian("/usr/bin/wrk", "wrk");
        command.args(["--threads", "1", "--connections", "8", "--duration", "10m"]);
        command.arg(format!("http://127.0.0.1:{port}/"));
        Self(Program::start(command))
    }

    /// Ends it.
    ///
    /// # Panics
    /// If a request was not answered, or not well.
    #[track_caller]
    pub(crate) fn end_without_a_failure(mut self) {
        self.0.signal(Signal::SIGINT);
        let said = self.0.wait().stdout;
        let requests = said.lines().find_map(|line| line.trim().split_once(" requests in ")?.0.parse::<u64>().ok());
        assert!(requests.is_some_and(|requests| requests > 0), "wrk asked nothing: {said}");
        // wrk writes these lines only where there is something to tell.
        assert!(!said.contains("Non-2xx") && !said.contains("Socket errors"), "{said}");
    }
}
