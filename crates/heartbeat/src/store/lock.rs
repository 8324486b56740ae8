//! The lock that keeps a second instance out: an advisory lock of the operating system on a file beside the store.
//!
//! Not on the store itself: the JSON file is replaced at every save, and SQLite has locks of its own. The file is left
//! behind, for removing it would race with somebody who has just opened it; that it is there also tells that the path
//! has been a store of ours. The lock ends with the process, however that ends.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::{StoreError, StoreFault};

/// Held as long as it lives.
#[derive(Debug)]
pub(super) struct Lock {
    file: File,
}

/// Where the lock of the store at `path` is.
fn beside(path: &Path) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(".lock");
    PathBuf::from(name)
}

/// Whether the store at `path` has ever been locked, and so been ours.
pub(super) fn was_taken(path: &Path) -> bool {
    beside(path).exists()
}

impl Lock {
    /// Keeps `lock` if it still is the lock of the store at `path`, and takes that anew if not: a lock whose file somebody
    /// has removed keeps nobody out.
    ///
    /// # Errors
    /// As [`take`](Self::take).
    pub(super) fn keep(lock: &mut Option<Self>, path: &Path) -> Result<(), StoreError> {
        if !lock.as_ref().is_some_and(|lock| lock.is_of(path)) {
            *lock = Some(Self::take(path)?);
        }
        Ok(())
    }

    fn is_of(&self, path: &Path) -> bool {
        let id = |meta: fs::Metadata| (meta.dev(), meta.ino());
        fs::metadata(beside(path)).is_ok_and(|there| self.file.metadata().is_ok_and(|ours| id(ours) == id(there)))
    }

    /// Takes the lock of the store at `path`, or fails at once.
    ///
    /// # Errors
    /// [`StoreFault::Locked`] if another instance holds it, [`StoreFault::Unavailable`] if it cannot be made.
    pub(super) fn take(path: &Path) -> Result<Self, StoreError> {
        let name = beside(path);
        let unavailable = |error: io::Error| {
            StoreError::new(StoreFault::Unavailable, format!("cannot lock `{}`: {error}", name.display()))
        };
        let mut file = match open(&name, true) {
            Ok(file) => file,
            // A lock can be had through a descriptor that cannot write: on a read-only file system it still excludes.
            Err(error) => open(&name, false).map_err(|_| unavailable(error))?,
        };
        match file.try_lock() {
            Ok(()) => {
                // The number is for people only; a disk too full for it is no reason to stay out.
                let _ = sign(&mut file);
                Ok(Self { file })
            }
            Err(TryLockError::WouldBlock) => Err(StoreError::new(StoreFault::Locked, held(path, &mut file))),
            Err(TryLockError::Error(error)) => Err(unavailable(error)),
        }
    }
}

fn open(name: &Path, writable: bool) -> io::Result<File> {
    OpenOptions::new()
        .read(true)
        .write(writable)
        .create(writable)
        .truncate(false)
        .mode(0o600)
        .custom_flags(nix::libc::O_NOFOLLOW)
        .open(name)
}

/// Writes who holds it over who held it before: to empty a file and fill it again costs far more.
fn sign(file: &mut File) -> io::Result<()> {
    let name = format!("{}\n", std::process::id());
    file.write_all(name.as_bytes())?;
    match file.metadata()?.len() > name.len() as u64 {
        true => file.set_len(name.len() as u64),
        false => Ok(()),
    }
}

fn held(path: &Path, file: &mut File) -> String {
    let mut text = String::new();
    let holder = file.rewind().and_then(|()| file.take(32).read_to_string(&mut text));
    let holder = match holder {
        Ok(_) if text.trim().parse::<u32>().is_ok() => format!(" (process {})", text.trim()),
        _ => String::new(),
    };
    format!(
        "another instance of heartbeat{holder} uses `{}`; stop it first, or name another store with `--state`",
        path.display()
    )
}
