//! A real mail server on loopback that takes plain mail for `ops` and keeps it in a file.

use std::os::unix::fs::PermissionsExt as _;
use std::process::{Child, Command, Stdio};

use crate::support::{closed_port, wait_for};

/// The user that Debian's package makes.
const USER: &str = "Debian-exim";

/// A running Exim. It ends when this is dropped.
pub(crate) struct Exim {
    daemon: Child,
    folder: tempfile::TempDir,
    pub(crate) port: u16,
}

impl Exim {
    pub(crate) fn start() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path();
        // Exim gives root up and must write here; its configuration must stay root's.
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).expect("our own folder");
        let Ok(Some(user)) = nix::unistd::User::from_name(USER) else {
            panic!("there is no user {USER}: apt-get install exim4-daemon-light");
        };
        for name in ["spool", "log", "mail"] {
            std::fs::create_dir(path.join(name)).expect("our own folder");
            nix::unistd::chown(&path.join(name), Some(user.uid), Some(user.gid)).expect("the tests run as root");
        }
        let port = closed_port();
        let at = path.display();
        let configuration = format!(
            "primary_hostname = mail.test\nspool_directory = {at}/spool\nlog_file_path = {at}/log/%s\n\
             pid_file_path = {at}/spool/pid\nlocal_interfaces = <; 127.0.0.1.{port}\ntls_advertise_hosts =\n\
             exim_user = {USER}\nexim_group = {USER}\nkeep_environment =\nhost_lookup =\nrfc1413_query_timeout = 0s\n\
             acl_smtp_rcpt = rcpt\nbegin acl\nrcpt:\n  accept\n\
             begin routers\nall:\n  driver = accept\n  local_parts = ops\n  transport = file\n\
             begin transports\nfile:\n  driver = appendfile\n  file = {at}/mail/$local_part_data\n  user = {USER}\n"
        );
        std::fs::write(path.join("exim.conf"), configuration).expect("our own folder");
        let daemon = Command::new("/usr/sbin/exim4")
            .arg("-C")
            .arg(path.join("exim.conf"))
            .arg("-bdf")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("Exim could not be started: apt-get install exim4-daemon-light");
        let exim = Self { daemon, folder, port };
        wait_for("Exim listens", || std::net::TcpStream::connect(("127.0.0.1", port)).ok());
        exim
    }

    /// All mail for `ops` so far, when it holds this text.
    #[track_caller]
    pub(crate) fn mail(&self, text: &str) -> String {
        let path = self.folder.path().join("mail/ops");
        wait_for(&format!("a mail with `{text}`"), || {
            std::fs::read_to_string(&path).ok().filter(|mail| mail.contains(text) && mail.ends_with("\n\n"))
        })
    }
}

impl Drop for Exim {
    fn drop(&mut self) {
        let _ = self.daemon.kill();
        let _ = self.daemon.wait();
    }
}
