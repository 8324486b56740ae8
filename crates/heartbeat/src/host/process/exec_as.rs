//! The helper that becomes another user and then the program: `heartbeat exec-as NAME UID GID PROGRAM ARGV…`.
//!
//! std would do this between fork and exec, and would have to copy our page tables for it; and it would set the numbers
//! only, not prove that there is no way back. So heartbeat starts itself, drops everything and execs.
//!
//! The variables of the program travel under [a prefix](PREFIX): nothing in them (`LD_PRELOAD`, `GCONV_PATH`) can have a
//! say in what the helper does while it is still root.

use std::convert::Infallible;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::CommandExt;
use std::path::Path;

use super::{SpawnClass, SpawnError};
use crate::host::user::{self, User};

/// The hidden subcommand.
pub const SUBCOMMAND: &str = "exec-as";

/// Stands before the name of every variable on its way through the helper.
const PREFIX: &str = "HEARTBEAT_EXEC_";

/// The words that start the helper: this very program, even if its file has been replaced by an upgrade.
pub(super) fn helper() -> [OsString; 2] {
    ["/proc/self/exe".into(), SUBCOMMAND.into()]
}

/// Whom the helper is needed for: nobody, if we are that user already.
pub(super) fn needed(user: Option<&User>) -> Result<Option<&User>, SpawnError> {
    let Some(user) = user else { return Ok(None) };
    let now = nix::unistd::geteuid();
    if now.as_raw() == user.uid {
        return Ok(None);
    }
    if now.is_root() {
        return Ok(Some(user));
    }
    Err(SpawnError {
        class: SpawnClass::Refused,
        message: format!(
            "cannot run a command as the user `{}`: only root can, and heartbeat runs as number {now}",
            user.name
        ),
    })
}

/// What the helper is told after its own words.
pub(super) fn arguments(user: &User, program: &Path, argv: &[OsString]) -> Vec<OsString> {
    let mut words = vec![
        user.name.as_str().into(),
        user.uid.to_string().into(),
        user.gid.to_string().into(),
        program.as_os_str().to_owned(),
    ];
    words.extend_from_slice(argv);
    words
}

/// The environment of the helper.
pub(super) fn wrap(env: &[(OsString, OsString)]) -> impl Iterator<Item = (OsString, OsString)> {
    env.iter().map(|(name, value)| {
        let mut wrapped = OsString::from(PREFIX);
        wrapped.push(name);
        (wrapped, value.clone())
    })
}

/// The helper itself: `words` are those after the subcommand, `env` is its environment. It returns only if it fails, with a
/// sentence for standard error.
///
/// # Errors
/// Always.
#[allow(clippy::disallowed_methods)] // this is the door
pub fn run(words: &[OsString], env: impl IntoIterator<Item = (OsString, OsString)>) -> Result<Infallible, String> {
    let [name, uid, gid, program, argv0, args @ ..] = words else {
        return Err(format!("{SUBCOMMAND} is for heartbeat itself: NAME UID GID PROGRAM ARGV…"));
    };
    let number = |word: &OsStr| word.to_str().and_then(|text| text.parse().ok());
    let (Some(name), Some(uid), Some(gid)) = (name.to_str(), number(uid), number(gid)) else {
        return Err(format!("{SUBCOMMAND}: a user is a name and two numbers"));
    };
    let user = User { name: name.to_owned(), uid, gid, home: "/".into() };
    user::drop_to(&user, None).map_err(|error| error.to_string())?;
    let unwrapped = env.into_iter().filter_map(|(name, value)| {
        Some((OsStr::from_bytes(name.as_bytes().strip_prefix(PREFIX.as_bytes())?).to_owned(), value))
    });
    // exec puts the signals that Rust's start has changed back to their defaults.
    let error = std::process::Command::new(program).arg0(argv0).args(args).env_clear().envs(unwrapped).exec();
    Err(format!("cannot run {} as the user `{name}`: {error}", Path::new(program).display()))
}
