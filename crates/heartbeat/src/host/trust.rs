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
use std::fs::Metadata;
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
        let found = find(&here)?;
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
            judge(trusted, &here, &found, ahead.len() == 1)?;
        }
    }
    Ok(())
}

fn look(trusted: &[u32], path: &Path, last_folder: bool) -> Result<(), String> {
    judge(trusted, path, &find(path)?, last_folder)
}

fn find(path: &Path) -> Result<Metadata, String> {
    path.symlink_metadata().map_err(|error| format!("cannot look at {}: {error}", path.display()))
}

/// One file or folder. In the last folder the sticky bit excuses nothing.
fn judge(trusted: &[u32], path: &Path, found: &Metadata, last_folder: bool) -> Result<(), String> {
    owned(trusted, path, found.uid())?;
    let sticky = found.is_dir() && found.mode() & 0o1000 != 0 && !last_folder;
    if found.mode() & 0o022 != 0 && !sticky {
        let mode = found.mode() & 0o7777;
        return Err(format!(
            "others may write {} (mode {mode:04o}): take that away with `chmod go-w {}`",
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
        "{} belongs to the user {owner}, who may change it: give it to root with `chown root {}`",
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

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    struct Place {
        folder: tempfile::TempDir,
        me: u32,
    }

    impl Place {
        /// `bin/tool` in a folder of our own.
        fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            let place = Self { me: nix::unistd::geteuid().as_raw(), folder };
            fs::create_dir(place.path("bin")).unwrap();
            fs::write(place.path("bin/tool"), "").unwrap();
            place.mode("bin", 0o755);
            place.mode("bin/tool", 0o755);
            place
        }

        fn path(&self, name: &str) -> PathBuf {
            self.folder.path().canonicalize().unwrap().join(name)
        }

        fn mode(&self, name: &str, mode: u32) {
            fs::set_permissions(self.path(name), Permissions::from_mode(mode)).unwrap();
        }

        fn verdict(&self, name: &str) -> Result<(), String> {
            only_writable_by(&[0, self.me], &self.path(name))
        }
    }

    #[test]
    fn our_own_are_fine() {
        let place = Place::new();
        assert_eq!(place.verdict("bin/tool"), Ok(()));
        assert_eq!(only_writable_by(&[0], Path::new("/bin/sh")), Ok(()));
    }

    #[test]
    fn a_file_that_others_may_write_is_named() {
        let place = Place::new();
        for mode in [0o775, 0o757] {
            place.mode("bin/tool", mode);
            let path = place.path("bin/tool");
            assert_eq!(
                place.verdict("bin/tool").unwrap_err(),
                format!("others may write {0} (mode {mode:04o}): take that away with `chmod go-w {0}`", path.display())
            );
        }
    }

    #[test]
    fn every_folder_on_the_way_counts() {
        let place = Place::new();
        place.mode("", 0o777);
        assert!(place.verdict("bin/tool").unwrap_err().contains("(mode 0777)"));
        // What is ours in a sticky folder stays ours; but a program does not lie in one.
        place.mode("", 0o1777);
        assert_eq!(place.verdict("bin/tool"), Ok(()));
        place.mode("bin", 0o1777);
        assert!(place.verdict("bin/tool").unwrap_err().contains("/bin (mode 1777)"));
    }

    #[test]
    fn links_are_followed_and_count() {
        let place = Place::new();
        fs::create_dir(place.path("open")).unwrap();
        place.mode("open", 0o777);
        symlink(place.path("bin/tool"), place.path("open/link")).unwrap();
        assert!(place.verdict("open/link").unwrap_err().contains("/open (mode 0777)"));

        fs::write(place.path("open/loose"), "").unwrap();
        symlink("../open/loose", place.path("bin/link")).unwrap();
        assert!(place.verdict("bin/link").unwrap_err().contains("/open (mode 0777)"));
        // A link into a sticky folder leads to a program that lies in one.
        place.mode("open", 0o1777);
        assert!(place.verdict("bin/link").unwrap_err().contains("/open (mode 1777)"));

        symlink("../bin/../bin/tool", place.path("bin/round")).unwrap();
        assert_eq!(place.verdict("bin/round"), Ok(()));
        symlink("self", place.path("bin/self")).unwrap();
        assert!(place.verdict("bin/self").unwrap_err().starts_with("too many symbolic links"));
        assert!(place.verdict("bin/nothing").unwrap_err().starts_with("cannot look at"));
    }

    #[test]
    fn who_is_not_trusted_is_named() {
        let place = Place::new();
        let stranger = only_writable_by(&[0x7fff_fff0], &place.path("bin/tool")).unwrap_err();
        assert!(stranger.starts_with("/ belongs to the user `root`, who may change it"), "{stranger}");
        if nix::unistd::geteuid().is_root() {
            let nobody = Some(nix::unistd::Uid::from_raw(65534));
            nix::unistd::chown(&place.path("bin/tool"), nobody, None).unwrap();
            let error = only_writable_by(&[0], &place.path("bin/tool")).unwrap_err();
            assert!(error.contains("/bin/tool belongs to the user `nobody`"), "{error}");
            assert_eq!(only_writable_by(&[0, 65534], &place.path("bin/tool")), Ok(()));
        }
    }
}
