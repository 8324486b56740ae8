//! Which configuration is meant.

use std::path::{Path, PathBuf};

use super::args::Global;
use crate::host::env;

/// The names that a configuration may have, in the order of preference.
const NAMES: [&str; 4] = ["heartbeat.yaml", "heartbeat.yml", "heartbeat.toml", "heartbeat.conf"];

/// The configuration that the options name, or the first one that is there.
///
/// # Errors
/// If none is: a message that lists where we looked.
pub fn configuration(global: &Global) -> Result<PathBuf, String> {
    if let Some(path) = &global.config {
        return Ok(path.clone());
    }
    if let Some(path) = env::variable("HEARTBEAT_CONFIG").filter(|path| !path.is_empty()) {
        return Ok(PathBuf::from(path));
    }
    let folders = folders();
    folders.iter().flat_map(|folder| NAMES.map(|name| folder.join(name))).find(|path| path.is_file()).ok_or_else(|| {
        let places: Vec<_> = folders.iter().map(|folder| shown(folder)).collect();
        format!(
            "no configuration: expected {} in {}\n   = help: write one with `heartbeat init URL`, or name it with -c FILE",
            NAMES.join(", "),
            places.join(", ")
        )
    })
}

fn folders() -> Vec<PathBuf> {
    let home = || env::variable("HOME").map(|home| Path::new(&home).join(".config"));
    let user = env::variable("XDG_CONFIG_HOME").filter(|path| !path.is_empty()).map(PathBuf::from).or_else(home);
    let mut folders = vec![PathBuf::new()];
    folders.extend(user.map(|folder| folder.join("heartbeat")));
    folders.push(PathBuf::from("/etc/heartbeat"));
    folders
}

fn shown(folder: &Path) -> String {
    if folder.as_os_str().is_empty() { "this folder".to_owned() } else { folder.display().to_string() }
}
