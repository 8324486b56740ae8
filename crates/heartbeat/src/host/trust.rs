//! Whether somebody else could have swapped a program.
//!
//! Root runs what the configuration names. If another user may write that file, or a folder on the way to it, that user
//! decides what root runs. So every step of the path is looked at, through symbolic links, and the first one that somebody
//! else may change is named.
//!
//! A folder with the sticky bit, such as `/tmp`, protects what root owns in it and may stand on the way; the folder of the
//! program itself may not be one. Access control lists are covered: their mask shows in the group bits.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};

/// The kernel's own limit on symbolic links in one path (`path_resolution(7)`).
const MOST_LINKS: usize = 40;

/// Finds a step on the way to `path` that somebody outside `trusted` (numbers of users) may change.
///
/// # Errors
/// A sentence that names that step, what is wrong with it and what to do; also when a step cannot be looked at.
///
/// # Panics
/// If `path` is not absolute.
pub fn only_writable_by(trusted: &[u32], path: &Path) -> Result<(), String> {
    assert!(path.is_absolute(), "{} should be absolute", path.display());
    let mut ahead: VecDeque<OsString> = steps(path);
    let mut here = PathBuf::from("/");
    let mut links = 0;
    look(trusted, &here, ahead.len() == 1)?;
    while let Some(step) = ahead.pop_front() {
        if step == ".." {
            here.pop();
            look(trusted, &here, ahead.len() == 1)?;
            continue;
        }
        here.push(&step);
        let found = here.symlink_metadata().map_err(|error| format!("cannot look at {}: {error}", here.display()))?;
        if found.is_symlink() {
            links += 1;
            if links > MOST_LINKS {
                return Err(format!("too many symbolic links on the way to {}", path.display()));
            }
            owned(trusted, &here, found.uid())?;
            let target = here.read_link().map_err(|error| format!("cannot read {}: {error}", here.display()))?;
            here.pop();
            if target.is_absolute() {
                here = PathBuf::from("/");
            }
            let mut rest = steps(&target);
            rest.append(&mut ahead);
            ahead = rest;
            // The folder that the last step of the new way stands in has been looked at as a folder on the way only.
            if ahead.len() == 1 {
                look(trusted, &here, true)?;
            }
        } else {
            look(trusted, &here, ahead.len() == 1)?;
        }
    }
    Ok(())
}

/// One file or folder. In the last folder the sticky bit excuses nothing.
fn look(trusted: &[u32], path: &Path, last_folder: bool) -> Result<(), String> {
    let found = path.symlink_metadata().map_err(|error| format!("cannot look at {}: {error}", path.display()))?;
    owned(trusted, path, found.uid())?;
    let sticky = found.is_dir() && found.mode() & 0o1000 != 0 && !last_folder;
    if found.mode() & 0o022 != 0 && !sticky {
        let mode = found.mode() & 0o7777;
        return Err(format!(
            "others may write {} (mode {mode:04o}): take that away with `chmod go-w {}`, or set `user`",
            path.display(),
            path.display()
        ));
    }
    Ok(())
}

fn owned(trusted: &[u32], path: &Path, uid: u32) -> Result<(), String> {
    if trusted.contains(&uid) {
        return Ok(());
    }
    let owner = nix::unistd::User::from_uid(nix::unistd::Uid::from_raw(uid)).ok().flatten();
    let owner = owner.map_or_else(|| format!("number {uid}"), |user| format!("`{}`", user.name));
    Err(format!(
        "{} belongs to the user {owner}, who may change it: give it to root with `chown root {}`, or set `user`",
        path.display(),
        path.display()
    ))
}

fn steps(path: &Path) -> VecDeque<OsString> {
    let step = |component: Component<'_>| match component {
        Component::Normal(name) => Some(name.to_owned()),
        Component::ParentDir => Some("..".into()),
        _ => None,
    };
    path.components().filter_map(step).collect()
}
