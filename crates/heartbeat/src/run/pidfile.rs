//! The pid file: written, locked for as long as the process lives, gone at its orderly end.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

/// A pid file that is ours.
#[derive(Debug)]
pub struct PidFile {
    path: PathBuf,
    file: File,
}

/// Why there is no pid file.
#[derive(Debug)]
pub enum PidFileError {
    /// Another process holds it: its number, if the file says so.
    Held(PathBuf, Option<u32>),
    /// It cannot be opened or written.
    Io(PathBuf, io::Error),
}

impl std::fmt::Display for PidFileError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Held(path, Some(pid)) => {
                write!(f, "another instance, process {pid}, holds the pid file {}", path.display())
            }
            Self::Held(path, None) => write!(f, "another instance holds the pid file {}", path.display()),
            Self::Io(path, error) => write!(f, "cannot write the pid file {}: {error}", path.display()),
        }
    }
}

impl std::error::Error for PidFileError {}

impl PidFile {
    /// Opens and locks the file, then writes our number. A file that another process holds is left alone.
    ///
    /// # Errors
    /// [`PidFileError`].
    pub fn take(path: &Path) -> Result<Self, PidFileError> {
        let failed = |error| PidFileError::Io(path.to_owned(), error);
        loop {
            // A planted symbolic link must not make us truncate somebody's file.
            let mut file = OpenOptions::new()
                .read(true)
                .write(true)
                .create(true)
                .truncate(false)
                .mode(0o644)
                .custom_flags(nix::fcntl::OFlag::O_NOFOLLOW.bits())
                .open(path)
                .map_err(failed)?;
            match file.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => {
                    let mut text = String::new();
                    let _ = file.read_to_string(&mut text);
                    return Err(PidFileError::Held(path.to_owned(), text.trim().parse().ok()));
                }
                Err(TryLockError::Error(error)) => return Err(failed(error)),
            }
            // Its last owner may have removed it between our open and our lock.
            if !is_still_at(&file, path) {
                continue;
            }
            let mut pid_file = Self { path: path.to_owned(), file };
            pid_file.write(std::process::id()).map_err(failed)?;
            return Ok(pid_file);
        }
    }

    fn write(&mut self, pid: u32) -> io::Result<()> {
        self.file.set_len(0)?;
        self.file.rewind()?;
        writeln!(self.file, "{pid}")?;
        self.file.flush()
    }

    /// Lets a user that we are about to become own the file, so that it can be emptied at the end.
    ///
    /// # Errors
    /// As chown(2).
    pub fn hand_to(&self, user: Option<u32>, group: Option<u32>) -> io::Result<()> {
        std::os::unix::fs::fchown(&self.file, user, group)
    }
}

impl Drop for PidFile {
    fn drop(&mut self) {
        // After privileges were dropped the folder may not be ours: an empty file then says that nobody runs.
        if std::fs::remove_file(&self.path).is_err() {
            let _ = self.file.set_len(0);
        }
    }
}

fn is_still_at(file: &File, path: &Path) -> bool {
    match (file.metadata(), std::fs::metadata(path)) {
        (Ok(ours), Ok(there)) => (ours.dev(), ours.ino()) == (there.dev(), there.ino()),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_instance_is_told_of_the_first_and_leaves_its_file_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pid");
        let first = PidFile::take(&path).unwrap();
        let second = PidFile::take(&path).unwrap_err();
        assert!(second.to_string().contains(&format!("process {}", std::process::id())), "{second}");
        assert_eq!(std::fs::read_to_string(&path).unwrap().trim(), std::process::id().to_string());
        drop(first);
        assert!(!path.exists());
        PidFile::take(&path).unwrap();
    }

    #[test]
    fn a_planted_link_is_not_followed() {
        let folder = tempfile::tempdir().unwrap();
        let precious = folder.path().join("precious");
        std::fs::write(&precious, "keep").unwrap();
        let path = folder.path().join("pid");
        std::os::unix::fs::symlink(&precious, &path).unwrap();
        assert!(matches!(PidFile::take(&path), Err(PidFileError::Io(..))));
        assert_eq!(std::fs::read_to_string(&precious).unwrap(), "keep");
    }
}
