//! monit: one check after the other in every cycle.

use std::fmt::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use crate::child::{Child, command};
use crate::lab::Lab;
use crate::target::Kind;

/// Where Debian puts it.
pub(crate) const PROGRAM: &str = "/usr/bin/monit";

/// Whether it can be compared with.
pub(crate) fn is_installed() -> bool {
    Path::new(PROGRAM).exists()
}

/// Starts monit on so many HTTP checks, of which one of `silent` is silent (0: none). A cycle begins so many seconds after
/// the end of the one before.
pub(crate) fn start(lab: &Lab, checks: usize, seconds: u64, silent: usize) -> Result<Child, String> {
    let folder = lab.folder.path();
    let mut text = format!(
        "set daemon {seconds}\nset log {0}/monit.log\nset pidfile {0}/monit.pid\nset idfile {0}/monit.id\n\
         set statefile {0}/monit.state\n",
        folder.display()
    );
    for check in 0..checks {
        let is_silent = silent > 0 && check % silent == 0;
        let port = if is_silent { Kind::Silent } else { Kind::Http }.port();
        writeln!(
            text,
            "check host c{check} with address {}\n  if failed port {port} protocol http request \"/\" \
             with timeout 5 seconds then alert",
            lab.net.address(check)
        )
        .expect("a string takes everything");
    }
    let file = folder.join("monitrc");
    let written = std::fs::write(&file, text)
        // monit insists.
        .and_then(|()| std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)));
    written.map_err(|error| format!("cannot write {}: {error}", file.display()))?;
    let mut program = command(PROGRAM);
    program.arg("-I").arg("-c").arg(&file);
    Child::start(program, " started")
}
