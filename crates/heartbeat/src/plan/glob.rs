//! Patterns of file names: `*` and `?`, in any component of a path.

use std::ffi::OsStr;
use std::path::{Component, Path, PathBuf};
use std::{fs, io};

/// Whether a path holds wildcards.
pub(super) fn is_pattern(path: &Path) -> bool {
    path.components().any(|component| has_wildcard(component.as_os_str()))
}

/// The existing paths that match, sorted. Names that begin with a dot only match a pattern that does.
///
/// # Errors
/// A folder that is there and cannot be read.
pub(super) fn matches(pattern: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = vec![PathBuf::new()];
    for component in pattern.components() {
        found = match component {
            Component::Normal(name) if has_wildcard(name) => {
                let mut deeper = Vec::new();
                for folder in found {
                    deeper.extend(entries(&folder, &name.to_string_lossy())?);
                }
                deeper
            }
            plain => found.into_iter().map(|path| path.join(plain)).collect(),
        };
    }
    found.retain(|path| path.exists());
    found.sort();
    Ok(found)
}

fn has_wildcard(name: &OsStr) -> bool {
    name.to_string_lossy().contains(['*', '?'])
}

fn entries(folder: &Path, pattern: &str) -> io::Result<Vec<PathBuf>> {
    let readable = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    let mut found = Vec::new();
    let listing = match fs::read_dir(readable) {
        Ok(listing) => listing,
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            return Ok(found);
        }
        Err(error) => return Err(error),
    };
    for entry in listing {
        let name = entry?.file_name();
        let text = name.to_string_lossy();
        if text.starts_with('.') == pattern.starts_with('.') && is_match(pattern, &text) {
            found.push(folder.join(&name));
        }
    }
    Ok(found)
}

/// Whether a name matches; without recursion, so that no pattern takes more than quadratic time.
fn is_match(pattern: &str, name: &str) -> bool {
    let (pattern, name): (Vec<char>, Vec<char>) = (pattern.chars().collect(), name.chars().collect());
    let (mut p, mut n) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while n < name.len() {
        match pattern.get(p) {
            Some('*') => {
                star = Some((p, n));
                p += 1;
            }
            Some(c) if *c == '?' || *c == name[n] => {
                p += 1;
                n += 1;
            }
            _ => match star {
                Some((at, from)) => {
                    star = Some((at, from + 1));
                    p = at + 1;
                    n = from + 1;
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|c| *c == '*')
}
