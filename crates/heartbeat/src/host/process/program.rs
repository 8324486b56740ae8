//! Which file a command names.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use super::{Command, SpawnClass, SpawnError};
use crate::host::{trust, user};

/// Where programs are looked up when the environment has no `PATH` (`confstr(3)`, `_CS_PATH`).
const DEFAULT_PATH: &str = "/bin:/usr/bin";

/// The absolute path of the program that `command` names, as it will be seen from its folder and through its `PATH`.
///
/// Entries of `PATH` that are not absolute are passed over: what runs must not depend on a folder. As root, a program that
/// somebody else may write is refused.
pub(super) fn find(command: &Command) -> Result<PathBuf, SpawnError> {
    let name = command.argv.first().expect("a command has at least its program");
    let path = match name.as_bytes().contains(&b'/') {
        true => given(&command.cwd.join(name))?,
        false => search(name, command)?,
    };
    if user::is_root() {
        let mut trusted = vec![0];
        trusted.extend(command.user.as_ref().map(|user| user.uid));
        if let Err(step) = trust::only_writable_by(&trusted, &path) {
            return Err(SpawnError {
                class: SpawnClass::Refused,
                message: format!("refusing to run {} as root: {step}", path.display()),
            });
        }
    }
    Ok(path)
}

/// A program given by its path.
fn given(path: &Path) -> Result<PathBuf, SpawnError> {
    match look(path) {
        Found::Program => Ok(path.to_owned()),
        Found::Other => Err(not_executable(path)),
        Found::Nothing => {
            Err(SpawnError { class: SpawnClass::NotFound, message: format!("there is no program {}", path.display()) })
        }
    }
}

/// A program given by its name.
fn search(name: &OsStr, command: &Command) -> Result<PathBuf, SpawnError> {
    // Of a variable that is given twice the last one counts, as it does when std builds the environment.
    let path = command.env.iter().rev().find(|(key, _)| key == "PATH").map(|(_, value)| value.as_os_str());
    let path = path.unwrap_or(OsStr::new(DEFAULT_PATH));
    let mut other = None;
    for folder in std::env::split_paths(path).filter(|folder| folder.is_absolute()) {
        let candidate = folder.join(name);
        match look(&candidate) {
            Found::Program => return Ok(candidate),
            Found::Other => other = other.or(Some(candidate)),
            Found::Nothing => {}
        }
    }
    Err(match other {
        Some(candidate) => not_executable(&candidate),
        None => SpawnError {
            class: SpawnClass::NotFound,
            message: format!(
                "there is no program `{}` in {}: install it, or write its full path",
                name.display(),
                path.display()
            ),
        },
    })
}

enum Found {
    Program,
    Other,
    Nothing,
}

fn look(path: &Path) -> Found {
    match path.metadata() {
        // Bits, not access(2): a command may run as another user than we do, and exec has the last word anyway.
        Ok(found) if found.is_file() && found.permissions().mode() & 0o111 != 0 => Found::Program,
        Ok(_) => Found::Other,
        Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => Found::Other,
        Err(_) => Found::Nothing,
    }
}

fn not_executable(path: &Path) -> SpawnError {
    let why = match path.metadata() {
        Ok(found) if found.is_dir() => "it is a folder".to_owned(),
        Ok(found) if found.is_file() => format!("make it so with `chmod +x {}`", path.display()),
        Ok(_) => "it is not a file".to_owned(),
        Err(error) => error.to_string(),
    };
    SpawnError {
        class: SpawnClass::NotExecutable,
        message: format!("{} is not an executable program: {why}", path.display()),
    }
}
