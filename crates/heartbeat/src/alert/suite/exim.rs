//! A real mail server on loopback: Exim, with a configuration of its own.
#![allow(clippy::disallowed_methods)] // a server of the tests, not a program of ours

use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use super::rig::CANARY;
use crate::net::testing::authority::Authority;

/// The user that Debian's package makes.
const USER: &str = "Debian-exim";

/// A running server. Every password is the canary. It ends when this is dropped.
///
/// Recipients choose its behaviour by what stands before their @: `refused` gets 550, `later` 451, `members` wants
/// authentication and `private` encryption. Mail for the few people that there are is put into a file each.
pub(super) struct Exim {
    daemon: Child,
    folder: tempfile::TempDir,
    authority: Authority,
    /// Its port without TLS, with STARTTLS offered.
    pub(super) smtp: u16,
    /// Its port with implicit TLS.
    pub(super) smtps: u16,
}

impl Exim {
    pub(super) async fn start() -> Self {
        Self::start_with("*").await
    }

    /// `starttls`: the hosts that it is offered to.
    pub(super) async fn start_with(starttls: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path();
        let authority = Authority::new();
        let identity = authority.issue(&["localhost", "127.0.0.1"]);
        std::fs::write(path.join("certificate"), identity.chain).expect("written");
        std::fs::write(path.join("key"), identity.key).expect("written");
        for name in ["spool", "log", "mail"] {
            std::fs::create_dir(path.join(name)).expect("a folder");
        }
        let (smtp, smtps) = (free_port(), free_port());
        let config = path.join("exim.conf");
        std::fs::write(&config, configuration(path, smtp, smtps, starttls)).expect("written");
        give_away(path);
        let daemon = Command::new("/usr/sbin/exim4")
            .args(["-C".as_ref(), config.as_os_str(), "-bdf".as_ref()])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("Exim could not be started: apt-get install exim4-daemon-light");
        let exim = Self { daemon, folder, authority, smtp, smtps };
        for port in [smtp, smtps] {
            super::eventually(&format!("Exim listens: {}", exim.log()), || {
                std::net::TcpStream::connect(("127.0.0.1", port)).ok()
            })
            .await;
        }
        exim
    }

    /// The authority that has signed its certificate.
    pub(super) fn ca(&self) -> PathBuf {
        self.authority.ca()
    }

    pub(super) fn config(&self) -> PathBuf {
        self.folder.path().join("exim.conf")
    }

    /// The file of a recipient.
    pub(super) fn mailbox(&self, local_part: &str) -> PathBuf {
        self.folder.path().join("mail").join(local_part)
    }

    /// The mail that a recipient has got, when it is there.
    pub(super) async fn mail(&self, local_part: &str) -> String {
        let path = self.mailbox(local_part);
        // The transport ends every mail with an empty line.
        let complete = || std::fs::read_to_string(&path).ok().filter(|text| text.ends_with("\n\n"));
        super::eventually(&format!("mail for {local_part}: {}", self.log()), complete).await
    }

    /// What it says about itself.
    pub(super) fn log(&self) -> String {
        let read = |name: &str| std::fs::read_to_string(self.folder.path().join("log").join(name)).unwrap_or_default();
        format!("{}{}", read("main"), read("panic"))
    }
}

impl Drop for Exim {
    fn drop(&mut self) {
        let _ = self.daemon.kill();
        let _ = self.daemon.wait();
    }
}

/// A port that nobody has just now.
fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a loopback address");
    listener.local_addr().expect("bound").port()
}

/// Exim gives root up, and must write here; its configuration must stay root's.
fn give_away(path: &Path) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).expect("permissions");
    let Ok(Some(user)) = nix::unistd::User::from_name(USER) else {
        panic!("there is no user {USER}: apt-get install exim4-daemon-light");
    };
    for name in ["spool", "log", "mail", "key"] {
        nix::unistd::chown(&path.join(name), Some(user.uid), Some(user.gid)).expect("the tests run as root");
    }
}

fn configuration(path: &Path, smtp: u16, smtps: u16, starttls: &str) -> String {
    let folder = path.display();
    format!(
        "primary_hostname = mail.test
spool_directory = {folder}/spool
log_file_path = {folder}/log/%s
pid_file_path = {folder}/spool/pid
local_interfaces = <; 127.0.0.1.{smtp} ; 127.0.0.1.{smtps}
tls_on_connect_ports = {smtps}
tls_advertise_hosts = {starttls}
tls_certificate = {folder}/certificate
tls_privatekey = {folder}/key
exim_user = {USER}
exim_group = {USER}
keep_environment =
host_lookup =
rfc1413_query_timeout = 0s
trusted_users = root
acl_smtp_rcpt = rcpt
begin acl
rcpt:
  deny local_parts = refused
       message = no such person
  defer local_parts = later
        message = come back later
  deny local_parts = members
       !authenticated = *
       message = members only
  deny local_parts = private
       !encrypted = *
       message = TLS only
  accept
begin routers
all:
  driver = accept
  local_parts = ops : boss : staff : private : members : spy
  transport = file
begin transports
file:
  driver = appendfile
  file = {folder}/mail/$local_part_data
  user = {USER}
  return_path_add
  envelope_to_add
begin authenticators
plain:
  driver = plaintext
  public_name = PLAIN
  server_prompts = :
  server_condition = ${{if eq{{$auth3}}{{{CANARY}}}}}
  server_set_id = $auth2
begin retry
* * F,1h,1m
"
    )
}
