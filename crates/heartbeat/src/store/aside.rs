//! Moving a store aside that cannot be used, where somebody may still salvage it. Nothing is removed or overwritten.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use jiff::Timestamp;

use super::{StoreError, StoreFault};
use crate::host::clock;

/// Renames the store at `path`, and whatever lies beside it under one of `suffixes`, to `NAME.corrupt-TIMESTAMP`, and
/// says so in a sentence for people that tells what was found.
///
/// # Errors
/// [`StoreFault::Unavailable`] if that is not possible, as in a read-only folder.
pub(super) fn move_corrupt(path: &Path, suffixes: &[&str], found: &str) -> Result<String, StoreError> {
    match move_aside(path, suffixes, "corrupt") {
        Ok(target) => Ok(format!(
            "`{}` is corrupt: {found}; it was moved aside to `{}` and an empty store takes its place",
            path.display(),
            target.display()
        )),
        Err(error) => Err(StoreError::new(
            StoreFault::Unavailable,
            format!("`{}` is corrupt: {found}; it could not be moved aside: {error}", path.display()),
        )),
    }
}

/// Renames to `NAME.LABEL-TIMESTAMP`, and returns that.
///
/// # Errors
/// If one of the files could not be renamed.
pub(super) fn move_aside(path: &Path, suffixes: &[&str], label: &str) -> io::Result<PathBuf> {
    let target = free_name(path, suffixes, label);
    with_suffixes(suffixes).try_for_each(|suffix| match fs::rename(join(path, suffix), join(&target, suffix)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        done => done,
    })?;
    sync_folder(path)?;
    Ok(target)
}

/// Makes renames and new files in the folder of `path` durable.
pub(super) fn sync_folder(path: &Path) -> io::Result<()> {
    File::open(path.parent().unwrap_or(Path::new("/")))?.sync_all()
}

/// `path` with `suffix` behind its name.
pub(super) fn join(path: &Path, suffix: impl AsRef<OsStr>) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(suffix);
    PathBuf::from(name)
}

fn with_suffixes<'a>(suffixes: &'a [&str]) -> impl Iterator<Item = &'a str> {
    std::iter::once("").chain(suffixes.iter().copied())
}

fn free_name(path: &Path, suffixes: &[&str], label: &str) -> PathBuf {
    let stamp = Timestamp::from_millisecond(clock::wall().unix_millis()).unwrap_or_default();
    let name = join(path, format!(".{label}-{}", stamp.strftime("%Y%m%dT%H%M%SZ")));
    std::iter::once(name.clone())
        .chain((2_u32..).map(|n| join(&name, format!("-{n}"))))
        .find(|name| with_suffixes(suffixes).all(|suffix| fs::symlink_metadata(join(name, suffix)).is_err()))
        .expect("a folder has fewer than four billion files")
}
