//! Where a store is: the default folder, and the real path behind the one that was asked for.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

use super::Storage;
use super::{StoreError, StoreFault};
use crate::host::env;

/// How many symbolic links may lead to a store, as in the kernel.
const MAX_LINKS: usize = 40;

/// The store for a native configuration that names none: a database named after the configuration's stem, in the
/// [folder] for state, which is created with mode 0700. Without a configuration it is `heartbeat.db`.
///
/// # Errors
/// [`StoreFault::Unavailable`] if the folder cannot be made.
pub fn default_storage(config: Option<&Path>) -> Result<Storage, StoreError> {
    let folder = folder(&env::variable, nix::unistd::geteuid().is_root());
    DirBuilder::new().recursive(true).mode(0o700).create(&folder).map_err(|error| {
        StoreError::new(
            StoreFault::Unavailable,
            format!("cannot create the folder `{}` for the state: {error}; set `storage`", folder.display()),
        )
    })?;
    let stem = config.and_then(Path::file_stem).unwrap_or("heartbeat".as_ref());
    Ok(Storage::Sqlite(super::aside::join(&folder.join(stem), ".db")))
}

/// The default folder for state: the first of `$STATE_DIRECTORY` (a list, as systemd sets it), for root
/// `/var/lib/heartbeat`, for others `$XDG_STATE_HOME/heartbeat` or `~/.local/state/heartbeat` (XDG base directories:
/// relative values are ignored).
fn folder(variable: &dyn Fn(&str) -> Option<String>, root: bool) -> PathBuf {
    let absolute = |text: &str| Some(PathBuf::from(text)).filter(|path| path.is_absolute());
    let variable = |name| variable(name).as_deref().and_then(absolute);
    let listed = |text: PathBuf| text.to_str().and_then(|text| text.split(':').next()).and_then(absolute);
    if let Some(folder) = variable("STATE_DIRECTORY").and_then(listed) {
        folder
    } else if root {
        PathBuf::from("/var/lib/heartbeat")
    } else if let Some(state) = variable("XDG_STATE_HOME") {
        state.join("heartbeat")
    } else {
        variable("HOME").unwrap_or_else(|| PathBuf::from("/")).join(".local/state/heartbeat")
    }
}

/// The path of the file itself: absolute and through all symbolic links, so that a save replaces the file and not the
/// link to it, and two names of one store have one lock. The file need not be there, its folder must.
///
/// # Errors
/// [`StoreFault::Missing`] if the folder is missing or the path is that of something that is no file.
pub(super) fn real_path(path: &Path) -> Result<PathBuf, StoreError> {
    let unusable = |what: &str| {
        StoreError::new(StoreFault::Missing, format!("cannot keep the state in `{}`: {what}", path.display()))
    };
    let mut target = path.to_path_buf();
    for _ in 0..MAX_LINKS {
        let (Some(folder), Some(name)) = (target.parent(), target.file_name()) else {
            return Err(unusable("it is not the name of a file"));
        };
        let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
        let folder = fs::canonicalize(folder).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => {
                unusable(&format!("the folder `{0}` is missing; create it: mkdir -p '{0}'", folder.display()))
            }
            _ => unusable(&format!("the folder `{}`: {error}", folder.display())),
        })?;
        let found = folder.join(name);
        match fs::symlink_metadata(&found) {
            Ok(meta) if meta.is_symlink() => {
                let link = fs::read_link(&found).map_err(|error| unusable(&error.to_string()))?;
                target = folder.join(link);
            }
            Ok(meta) if meta.is_dir() => return Err(unusable("it is a folder; name a file in it")),
            Ok(meta) if !meta.is_file() => return Err(unusable("it is not a regular file")),
            Ok(_) => return Ok(found),
            Err(error) if error.kind() == io::ErrorKind::NotADirectory => {
                return Err(unusable(&format!("`{}` is not a folder", folder.display())));
            }
            Err(_) => return Ok(found),
        }
    }
    Err(unusable("too many symbolic links"))
}

/// The place of a store, and which file it was that we found or made there: what has appeared since is not ours to write
/// over, be it a backup that was put back under a running daemon or what a late mount has brought.
#[derive(Debug)]
pub(super) struct Slot {
    /// The real path.
    pub(super) path: PathBuf,
    ours: Option<FileId>,
}

/// Device and inode.
type FileId = (u64, u64);

/// Who is in a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Occupant {
    /// No file.
    Nobody,
    /// The file that we know.
    Ours,
}

impl Slot {
    /// A slot in which nothing was found yet.
    pub(super) fn new(path: PathBuf) -> Self {
        Self { path, ours: None }
    }

    /// Takes whatever is there for ours.
    ///
    /// # Errors
    /// If that cannot be told.
    pub(super) fn adopt(&mut self) -> io::Result<()> {
        self.ours = self.now()?;
        Ok(())
    }

    /// Who is there now.
    ///
    /// # Errors
    /// [`StoreFault::Unavailable`] if it is somebody else, or cannot be told.
    pub(super) fn look(&self) -> Result<Occupant, StoreError> {
        let unavailable = |message| StoreError::new(StoreFault::Unavailable, message);
        match self.now() {
            Ok(None) => Ok(Occupant::Nobody),
            Ok(there) if there == self.ours => Ok(Occupant::Ours),
            Ok(Some(_)) => Err(unavailable(format!(
                "another file has taken the place of `{}`; it was not written over. Restart heartbeat to load it",
                self.path.display()
            ))),
            Err(error) => Err(unavailable(format!("cannot find `{}`: {error}", self.path.display()))),
        }
    }

    fn now(&self) -> io::Result<Option<FileId>> {
        match fs::metadata(&self.path) {
            Ok(meta) => Ok(Some((meta.dev(), meta.ino()))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn folder_with(variables: &[(&str, &str)], root: bool) -> PathBuf {
        let find =
            |name: &str| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned());
        folder(&find, root)
    }

    #[test]
    fn the_folder_is_the_first_that_applies() {
        let all = [("STATE_DIRECTORY", "/s/one:/s/two"), ("XDG_STATE_HOME", "/x"), ("HOME", "/h")];
        assert_eq!(folder_with(&all, true), Path::new("/s/one"));
        assert_eq!(folder_with(&all[1..], true), Path::new("/var/lib/heartbeat"));
        assert_eq!(folder_with(&all[1..], false), Path::new("/x/heartbeat"));
        assert_eq!(folder_with(&all[2..], false), Path::new("/h/.local/state/heartbeat"));
    }

    #[test]
    fn relative_folders_do_not_count() {
        let relative = [("STATE_DIRECTORY", "s"), ("XDG_STATE_HOME", "x"), ("HOME", "/h")];
        assert_eq!(folder_with(&relative, false), Path::new("/h/.local/state/heartbeat"));
        assert_eq!(folder_with(&[], false), Path::new("/.local/state/heartbeat"));
    }

    #[test]
    fn links_are_followed_and_circles_are_found() {
        let folder = tempfile::tempdir().expect("a folder");
        let real = fs::canonicalize(folder.path()).expect("it is there");
        symlink("b", real.join("a")).expect("a link");
        assert_eq!(real_path(&real.join("a")), Ok(real.join("b")));
        symlink("a", real.join("b")).expect("a link");
        let error = real_path(&real.join("a")).expect_err("a circle");
        assert_eq!(error.class, StoreFault::Missing);
        assert!(error.message.contains("links"), "{error}");
    }
}
