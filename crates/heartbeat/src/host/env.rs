//! The environment of this process.
#![allow(clippy::disallowed_methods)] // this is the door

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

/// A variable, if it is set and is text.
pub fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// A variable as it stands.
pub fn raw(name: &str) -> Option<OsString> {
    std::env::var_os(name)
}

/// Every variable.
pub fn all() -> Vec<(OsString, OsString)> {
    std::env::vars_os().collect()
}

/// The folder that this process was started in: the current one when this was first asked, which
/// [`process::prepare`](super::process::prepare) does. `/` if it is gone.
pub fn launch_folder() -> &'static Path {
    /// A process has one launch.
    static FOLDER: LazyLock<PathBuf> = LazyLock::new(|| std::env::current_dir().unwrap_or_else(|_| "/".into()));
    &FOLDER
}
