//! The flag: a file that takes this server out of service while it says so.
//!
//! The rule is that of the Django application of our name: down if the file exists and holds a `0` anywhere. Further lines
//! may follow it: `until: TIME` (RFC 3339), after which the flag does not count any more, and `reason: TEXT`. What cannot
//! be read (no permission, a folder, a pipe, more than a flag can be) takes the server out of service too: whoever put it
//! there wanted something.

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use heartbeat_core::Wall;

/// The name under which the flag is shown.
pub(crate) const FLAG: &str = "flag";

/// So much of a flag is read, in bytes.
const LONGEST: u64 = 64 * 1024;

/// O_NONBLOCK of open(2): a pipe in the flag's place must not hold whoever looks.
const NONBLOCK: i32 = rustix::fs::OFlags::NONBLOCK.bits() as i32;

/// A flag file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Flag {
    path: PathBuf,
}

/// What a flag says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// In service.
    Up,
    /// Out of service.
    Down(Drain),
}

/// Why and how long a server is out of service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Drain {
    /// What says so: `PATH exists and contains 0`.
    pub why: Arc<str>,
    /// The operator's words.
    pub reason: Option<Arc<str>>,
    /// Since when, as far as that is known.
    pub since: Option<Wall>,
    /// When it ends by itself.
    pub until: Option<Wall>,
}

/// What an operator orders with `down`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Order {
    /// When it shall end by itself.
    pub until: Option<Wall>,
    /// Why; one line.
    pub reason: Option<String>,
}

impl Flag {
    /// The flag at `path`.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The flag of one view alone: beside this one, with the view's name after its own. What has a meaning in a path, or
    /// for a shell, is written `%2F`.
    pub fn of_view(&self, view: &str) -> Self {
        let mut path = self.path.clone().into_os_string();
        path.push(".");
        for byte in view.bytes() {
            match byte {
                b'-' | b'.' | b'0'..=b'9' | b'A'..=b'Z' | b'_' | b'a'..=b'z' => path.push(char::from(byte).to_string()),
                _ => path.push(format!("%{byte:02X}")),
            }
        }
        Self::new(path)
    }

    /// Reads it. A flag whose time is over at `now` does not count.
    pub fn read(&self, now: Wall) -> State {
        match self.contents() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => State::Up,
            Err(error) => State::Down(Drain::because(format!("{} cannot be read: {error}", self.path.display()))),
            Ok((bytes, since)) => self.judge(&bytes, since, now),
        }
    }

    fn contents(&self) -> io::Result<(Vec<u8>, Option<Wall>)> {
        let file = OpenOptions::new().read(true).custom_flags(NONBLOCK).open(&self.path)?;
        let metadata = file.metadata()?;
        if !metadata.is_file() {
            return Err(io::Error::other("it is no file"));
        }
        let mut bytes = Vec::new();
        file.take(LONGEST + 1).read_to_end(&mut bytes)?;
        if bytes.len() as u64 > LONGEST {
            return Err(io::Error::other(format!("it is longer than {LONGEST} bytes")));
        }
        let since = metadata.modified().ok().and_then(|at| at.duration_since(std::time::UNIX_EPOCH).ok());
        let millis = since.and_then(|since| i64::try_from(since.as_millis()).ok());
        Ok((bytes, millis.map(Wall::from_unix_millis)))
    }

    fn judge(&self, bytes: &[u8], since: Option<Wall>, now: Wall) -> State {
        let text = String::from_utf8_lossy(bytes);
        let line = |key: &str| text.lines().find_map(|line| line.strip_prefix(key)).map(str::trim);
        // A time that cannot be read is none: the flag stands until it is taken away.
        let until = line("until:").and_then(|text| text.parse::<jiff::Timestamp>().ok());
        let until = until.map(|at| Wall::from_unix_millis(at.as_millisecond()));
        if !bytes.contains(&b'0') || until.is_some_and(|until| until <= now) {
            return State::Up;
        }
        let reason = line("reason:").filter(|reason| !reason.is_empty()).map(Arc::from);
        State::Down(Drain {
            why: format!("{} exists and contains 0", self.path.display()).into(),
            reason,
            since,
            until,
        })
    }

    /// Takes the server out of service.
    ///
    /// A flag that exists is overwritten in place, for whoever may write it need not be allowed to replace it; at no time
    /// it says less than `0`.
    ///
    /// # Errors
    /// If the file cannot be written. One that was not there before is not there then either.
    pub fn raise(&self, order: &Order) -> io::Result<()> {
        let text = order.text();
        let (mut file, is_new) = match OpenOptions::new().write(true).create_new(true).open(&self.path) {
            Ok(file) => (file, true),
            // It is there; or a link is, which may lead to where nothing is yet.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                let mut existing = OpenOptions::new();
                existing.write(true).create(true).truncate(false).custom_flags(NONBLOCK);
                (existing.open(&self.path)?, false)
            }
            Err(error) => return Err(error),
        };
        let written = Self::overwrite(&mut file, text.as_bytes());
        if written.is_err() && is_new {
            let _ = fs::remove_file(&self.path);
        }
        written
    }

    fn overwrite(file: &mut File, bytes: &[u8]) -> io::Result<()> {
        if !file.metadata()?.is_file() {
            return Err(io::Error::other("it is no file"));
        }
        file.rewind()?;
        file.write_all(bytes)?;
        file.set_len(bytes.len() as u64)?;
        file.sync_all()
    }

    /// Puts the server back into service. A flag that is not there is as good as one that was taken away.
    ///
    /// # Errors
    /// If the file can be neither removed nor emptied.
    pub fn lower(&self) -> io::Result<()> {
        match fs::remove_file(&self.path) {
            Ok(()) => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            // Whoever may write the flag need not be allowed to remove it. An empty one does not count.
            Err(error) => match OpenOptions::new().write(true).custom_flags(NONBLOCK).open(&self.path) {
                Ok(file) if file.metadata()?.is_file() => {
                    file.set_len(0)?;
                    file.sync_all()
                }
                _ => Err(error),
            },
        }
    }
}

impl Order {
    /// `0` alone, as the Django application wrote it, unless there is more to say.
    fn text(&self) -> String {
        let mut text = "0".to_owned();
        if let Some(until) = self.until.and_then(|at| jiff::Timestamp::from_millisecond(at.unix_millis()).ok()) {
            text = format!("{text}\nuntil: {until}");
        }
        if let Some(reason) = &self.reason {
            let one_line: String = reason.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
            text = format!("{text}\nreason: {}", one_line.trim());
        }
        if text.len() > 1 { text + "\n" } else { text }
    }
}

impl fmt::Display for Drain {
    /// What says so, and the operator's words.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.reason {
            Some(reason) => write!(f, "{}: {reason}", self.why),
            None => f.write_str(&self.why),
        }
    }
}

impl Drain {
    /// A drain that nobody set a time for.
    pub fn because(why: impl Into<Arc<str>>) -> Self {
        Self { why: why.into(), reason: None, since: None, until: None }
    }
}

#[cfg(test)]
mod tests;
