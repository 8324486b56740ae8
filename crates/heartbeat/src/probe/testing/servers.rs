//! Real database servers on loopback, each with a folder and a port of its own. They end when they are dropped, and with
//! the thread that started them.
#![allow(clippy::disallowed_methods)] // servers of the tests, not programs of ours

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use nix::unistd::{User, geteuid};

use super::authority::Identity;
use super::process::{Process, eventually, free_port, mortal};

/// How many descriptors of this process are sockets.
pub(crate) fn open_sockets() -> usize {
    let entries = fs::read_dir("/proc/self/fd").expect("proc is mounted");
    let links = entries.flatten().filter_map(|entry| fs::read_link(entry.path()).ok());
    links.filter(|to| to.to_string_lossy().starts_with("socket:")).count()
}

/// The user that a server runs as: a database refuses to run as root, so that root becomes the user of Debian's package.
struct Account {
    user: Option<User>,
}

impl Account {
    fn of(name: &str, package: &str) -> Self {
        if !geteuid().is_root() {
            return Self { user: None };
        }
        let user = User::from_name(name).ok().flatten();
        Self { user: Some(user.unwrap_or_else(|| panic!("there is no user {name}: apt-get install {package}"))) }
    }

    /// Hands a file or folder over to the user.
    fn give(&self, path: &Path) {
        if let Some(user) = &self.user {
            chown(path, Some(user.uid.as_raw()), Some(user.gid.as_raw())).expect("root may");
        }
    }

    /// A program as this user, that does not outlive us.
    fn program(&self, program: &Path) -> Command {
        let mut command = mortal();
        if let Some(user) = &self.user {
            command.args(["--reuid", &user.uid.to_string(), "--regid", &user.gid.to_string(), "--init-groups"]);
        }
        command.arg(program).current_dir("/").stdin(Stdio::null());
        command
    }
}

/// Runs a program to its end.
fn run(command: &mut Command) -> String {
    let shown = format!("{command:?}");
    let done = command.output().unwrap_or_else(|error| panic!("{shown}: {error}"));
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim_end().to_owned();
    assert!(done.status.success(), "{shown}: {}\n{}", done.status, text(&done.stderr));
    text(&done.stdout)
}

/// A PostgreSQL server. `admin` may do everything, over the socket and without a password.
pub(crate) struct Postgres {
    pub(crate) process: Process,
    pub(crate) port: u16,
    folder: tempfile::TempDir,
}

impl Postgres {
    /// Starts one. `hba`: who may log in over the network, in the words of pg_hba.conf.
    pub(crate) async fn start(hba: &str, options: &[&str]) -> Self {
        let account = Account::of("postgres", "postgresql");
        let mut folder = tempfile::tempdir().expect("a folder");
        account.give(folder.path());
        let data = folder.path().join("data");
        let mut initdb = account.program(&Self::program("initdb"));
        initdb
            .args(["--username=admin", "--auth=trust", "--no-sync", "--encoding=UTF8", "--locale=C", "-D"])
            .arg(&data);
        run(&mut initdb);
        fs::write(data.join("pg_hba.conf"), format!("local all all trust\n{hba}\n")).expect("our own folder");
        loop {
            let port = free_port();
            let mut command = account.program(&Self::program("postgres"));
            command.arg("-D").arg(&data).arg("-k").arg(folder.path()).args(["-p", &port.to_string()]);
            command.args(["-c", "listen_addresses=127.0.0.1", "-c", "fsync=off", "-c", "log_min_messages=debug1"]);
            command.args(options.iter().flat_map(|option| ["-c", option]));
            let process = Process::start(&mut command, &folder.path().join("log"));
            let mut server = Self { process, port, folder };
            let ready =
                eventually("PostgreSQL is ready", || match server.log().contains("ready to accept connections") {
                    true => Some(true),
                    false => server.process.has_ended().then_some(false),
                });
            if ready.await {
                return server;
            }
            // Somebody may take the port before the server does: it ends then, and another one is tried.
            assert!(server.log().contains("Address already in use"), "PostgreSQL ended:\n{}", server.log());
            folder = server.folder;
            fs::remove_file(folder.path().join("log")).expect("it is there");
        }
    }

    /// A program of Debian's package, which keeps them apart by version.
    fn program(name: &str) -> PathBuf {
        let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
        let found = versions.map(|version| version.path().join("bin").join(name)).filter(|path| path.exists()).max();
        found.unwrap_or_else(|| panic!("{name} is not there: apt-get install postgresql"))
    }

    /// The folder of its socket.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// What it said about itself.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    /// What `admin` is answered.
    pub(crate) fn sql(&self, sql: &str) -> String {
        let mut psql = Command::new(Self::program("psql"));
        psql.args(["--no-psqlrc", "-qAt", "-v", "ON_ERROR_STOP=1", "-U", "admin", "-d", "postgres", "-c", sql]);
        run(psql.arg("-h").arg(self.folder.path()).args(["-p", &self.port.to_string()]))
    }

    /// Waits until nobody is connected.
    pub(crate) async fn is_alone(&self) {
        const OTHERS: &str = "SELECT count(*) FROM pg_stat_activity \
                              WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()";
        eventually("nobody is connected", || (self.sql(OTHERS) == "0").then_some(())).await;
    }

    /// Speaks TLS from now on, with this certificate.
    pub(crate) async fn speak_tls(&self, identity: &Identity) {
        let data = self.folder.path().join("data");
        for (name, text) in [("server.crt", &identity.chain), ("server.key", &identity.key)] {
            let path = data.join(name);
            fs::write(&path, text).expect("our own folder");
            fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("our own file");
            Account::of("postgres", "postgresql").give(&path);
        }
        self.sql("ALTER SYSTEM SET ssl = on");
        self.sql("SELECT pg_reload_conf()");
        eventually("PostgreSQL speaks TLS", || (self.sql("SHOW ssl") == "on").then_some(())).await;
    }
}

/// A MariaDB server. `root` may do everything, over the socket and without a password.
pub(crate) struct MariaDb {
    pub(crate) process: Process,
    pub(crate) port: u16,
    folder: tempfile::TempDir,
}

impl MariaDb {
    /// Starts one with options as its command line takes them, with TLS if there is a certificate for it.
    pub(crate) async fn start(options: &[&str], identity: Option<&Identity>) -> Self {
        let account = Account::of("mysql", "mariadb-server");
        let mut folder = tempfile::tempdir().expect("a folder");
        account.give(folder.path());
        let data = folder.path().join("data");
        let mut install = account.program(Path::new("mariadb-install-db"));
        install.args(["--no-defaults", "--auth-root-authentication-method=normal", "--skip-test-db"]);
        run(install.args(["--skip-name-resolve", &format!("--datadir={}", data.display())]));
        let files = identity.map(|identity| {
            [("server.crt", &identity.chain), ("server.key", &identity.key)].map(|(name, text)| {
                let path = folder.path().join(name);
                fs::write(&path, text).expect("our own folder");
                account.give(&path);
                path
            })
        });
        loop {
            let port = free_port();
            let mut command = account.program(Path::new("/usr/sbin/mariadbd"));
            command.args(["--no-defaults", "--bind-address=127.0.0.1", "--skip-name-resolve", "--port"]);
            command.arg(port.to_string()).arg("--datadir").arg(&data);
            command.arg("--socket").arg(folder.path().join("socket")).arg("--pid-file").arg(folder.path().join("pid"));
            command.args(["--innodb-flush-log-at-trx-commit=0", "--innodb-buffer-pool-size=8M"]).args(options);
            if let Some([certificate, key]) = &files {
                command.arg("--ssl-cert").arg(certificate).arg("--ssl-key").arg(key);
            }
            let process = Process::start(&mut command, &folder.path().join("log"));
            let mut server = Self { process, port, folder };
            let ready = eventually("MariaDB is ready", || match server.log().contains("ready for connections") {
                true => Some(true),
                false => server.process.has_ended().then_some(false),
            });
            if ready.await {
                return server;
            }
            // Somebody may take the port before the server does: it ends then, and another one is tried.
            assert!(server.log().contains("Address already in use"), "MariaDB ended:\n{}", server.log());
            folder = server.folder;
            fs::remove_file(folder.path().join("log")).expect("it is there");
        }
    }

    /// Its socket.
    pub(crate) fn socket(&self) -> PathBuf {
        self.folder.path().join("socket")
    }

    /// What it said about itself.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    /// What `root` is answered.
    pub(crate) fn sql(&self, sql: &str) -> String {
        let mut client = Command::new("mariadb");
        client.args(["--no-defaults", "--user=root", "--batch", "--skip-column-names", "--execute", sql]);
        run(client.arg("--socket").arg(self.socket()))
    }

    /// Waits until nobody is connected.
    pub(crate) async fn is_alone(&self) {
        const OTHERS: &str = "SELECT count(*) FROM information_schema.processlist \
                              WHERE user NOT IN ('system user', 'event_scheduler') AND id <> connection_id()";
        eventually("nobody is connected", || (self.sql(OTHERS) == "0").then_some(())).await;
    }
}
