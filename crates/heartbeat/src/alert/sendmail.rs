//! The `sendmail` program, for machines whose mail system has no port: every mail system has one.

use std::ffi::OsString;
use std::time::Duration;

use lettre::Address;

use super::answer::Cleaner;
use super::{Accepted, Refused};
use crate::host::process::{self, Afterwards, Command, Exit};

/// Later than the deadline of the attempt, which stands above.
const WITHIN: Duration = Duration::from_secs(7 * 24 * 3600);

/// Statuses that no other attempt will change (sysexits.h): EX_USAGE, EX_DATAERR, EX_NOUSER, EX_NOHOST.
const FINAL: [i32; 4] = [64, 65, 67, 68];

/// Hands a mail over. `program`: the words before the recipients' part.
///
/// # Errors
/// [`Refused`], as its status says.
pub(super) async fn send(
    program: &[OsString],
    from: &Address,
    to: &[&Address],
    mail: &[u8],
) -> Result<Accepted, Refused> {
    let mut argv = program.to_vec();
    argv.extend(["-i", "-f"].map(OsString::from));
    argv.push(from.to_string().into());
    argv.push("--".into());
    argv.extend(to.iter().map(|address| OsString::from(address.to_string())));
    let mut command = Command::clean(argv, None);
    // The standard input of programs on this machine has plain line ends.
    command.stdin = String::from_utf8_lossy(mail).replace("\r\n", "\n").into_bytes();
    let cleaner = Cleaner::default();
    let child = match process::spawn(&command) {
        Ok(child) => child,
        Err(error) => return Err(Refused::ForNow { answer: cleaner.clean(&error.message), after: None }),
    };
    // It may leave a process behind that carries on with the delivery.
    let finished = child.wait(WITHIN, Afterwards::LeaveAlone).await;
    let answer = cleaner.clean(&format!("sendmail: {}", finished.line()));
    match finished.exit {
        Exit::Code(0) => Ok(Accepted { answer }),
        Exit::Code(code) if FINAL.contains(&code) => Err(Refused::ForGood { answer }),
        _ => Err(Refused::ForNow { answer, after: None }),
    }
}
