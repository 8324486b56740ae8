//! A file that is rotated when it has grown: `log`, `log.1`, … `log.N`.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// A log file with a bound on its size.
#[derive(Debug)]
pub struct LogFile {
    path: PathBuf,
    /// Bytes; a line that would cross it goes to a fresh file. 0: never.
    rotate: u64,
    /// Rotated files that are kept.
    keep: u32,
    open: Mutex<Open>,
}

#[derive(Debug)]
struct Open {
    file: File,
    size: u64,
}

impl LogFile {
    /// Opens the file for appending and makes it, readable for all and writable for its owner, if it is not there.
    ///
    /// # Errors
    /// As [`OpenOptions::open`].
    pub fn open(path: &Path, rotate: u64, keep: u32) -> io::Result<Self> {
        let open = Mutex::new(append(path)?);
        Ok(Self { path: path.to_owned(), rotate, keep, open })
    }

    /// Writes one line, newline included, in one piece.
    pub fn write_line(&self, line: &[u8]) {
        let mut open = self.lock();
        let length = line.len() as u64;
        if self.rotate > 0 && open.size > 0 && open.size + length > self.rotate {
            // Where rotation is not possible, a long log is better than none.
            if let Ok(fresh) = self.rotated() {
                *open = fresh;
            }
        }
        if open.file.write_all(line).is_ok() {
            open.size += length;
        }
    }

    /// Opens the path anew.
    ///
    /// # Errors
    /// As [`OpenOptions::open`]; the old file stays in use.
    pub fn reopen(&self) -> io::Result<()> {
        *self.lock() = append(&self.path)?;
        Ok(())
    }

    /// Gives the file to another user.
    ///
    /// # Errors
    /// As chown(2).
    pub fn hand_to(&self, user: u32, group: u32) -> io::Result<()> {
        std::os::unix::fs::fchown(&self.lock().file, Some(user), Some(group))
    }

    fn rotated(&self) -> io::Result<Open> {
        if self.keep == 0 {
            fs::remove_file(&self.path)?;
            return append(&self.path);
        }
        for number in (1..self.keep).rev() {
            let from = self.numbered(number);
            if from.exists() {
                fs::rename(&from, self.numbered(number + 1))?;
            }
        }
        match fs::rename(&self.path, self.numbered(1)) {
            // Somebody has removed it: what is written to it now takes space and can be read by nobody.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            done => done?,
        }
        append(&self.path)
    }

    fn numbered(&self, number: u32) -> PathBuf {
        let mut name: OsString = self.path.clone().into_os_string();
        name.push(format!(".{number}"));
        PathBuf::from(name)
    }

    /// A writer that panicked has left at worst half a line.
    fn lock(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn append(path: &Path) -> io::Result<Open> {
    let file = OpenOptions::new().append(true).create(true).mode(0o644).open(path)?;
    let size = file.metadata()?.len();
    Ok(Open { file, size })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_grown_file_moves_aside_and_the_oldest_goes() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("heartbeat.log");
        let log = LogFile::open(&path, 10, 2).unwrap();
        for line in [b"one....\n", b"two....\n", b"three..\n", b"four...\n"] {
            log.write_line(line);
        }
        let read = |name: &str| fs::read_to_string(folder.path().join(name)).ok();
        assert_eq!(read("heartbeat.log").as_deref(), Some("four...\n"));
        assert_eq!(read("heartbeat.log.1").as_deref(), Some("three..\n"));
        assert_eq!(read("heartbeat.log.2").as_deref(), Some("two....\n"));
        assert_eq!(read("heartbeat.log.3"), None);
    }

    #[test]
    fn a_file_that_was_removed_is_begun_anew_when_it_would_be_rotated() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let log = LogFile::open(&path, 10, 2).unwrap();
        log.write_line(b"one....\n");
        fs::remove_file(&path).unwrap();
        log.write_line(b"two....\n");
        assert_eq!(fs::read_to_string(&path).unwrap(), "two....\n");
    }

    #[test]
    fn a_file_that_was_moved_away_is_opened_anew() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let log = LogFile::open(&path, 0, 4).unwrap();
        log.write_line(b"before\n");
        fs::rename(&path, folder.path().join("moved")).unwrap();
        log.reopen().unwrap();
        log.write_line(b"after\n");
        assert_eq!(fs::read_to_string(&path).unwrap(), "after\n");
        assert_eq!(fs::read_to_string(folder.path().join("moved")).unwrap(), "before\n");
    }
}
