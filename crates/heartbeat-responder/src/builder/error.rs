//! What cannot be built.

use std::{fmt, io};

use crate::format::FORMATS;

/// Why there is no [`Health`](crate::Health).
#[derive(Debug)]
#[non_exhaustive]
pub enum BuildError {
    /// There is no runtime of Tokio around the call.
    NoRuntime,
    /// A name is empty, or holds control characters, or a slash where it names a view.
    Name(String),
    /// Two checks or views have this name or path; or a check is called `flag`, under which the flag is shown.
    Taken(String),
    /// A path that does not begin with a slash, or holds what no path can.
    Path(String),
    /// A view names a check that there is not.
    NoCheck {
        /// The view.
        view: String,
        /// The check.
        check: String,
    },
    /// A view names a format that there is not.
    NoFormat {
        /// The view.
        view: String,
        /// The format.
        format: String,
    },
    /// An option of a check is zero.
    Zero {
        /// The check.
        check: String,
        /// The option.
        option: &'static str,
    },
    /// A status that no answer can have.
    Status(u16),
    /// The token is empty: everybody would have it.
    EmptyToken,
    /// The system gives us no thread.
    Thread(io::Error),
}

impl fmt::Display for BuildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoRuntime => {
                f.write_str("expected a runtime of Tokio: build inside of `#[tokio::main]` or `block_on`")
            }
            Self::Name(name) => {
                write!(f, "expected a name without control characters, for a view also without slashes, found {name:?}")
            }
            Self::Taken(name) => write!(f, "`{name}` is taken: names and paths must differ, and `flag` is the flag's"),
            Self::Path(path) => write!(f, "expected a path such as `/healthz`, found {path:?}"),
            Self::NoCheck { view, check } => write!(f, "view `{view}` names the check `{check}`, which there is not"),
            Self::NoFormat { view, format } => {
                let names: Vec<_> = FORMATS.iter().map(|format| format.name).collect();
                write!(f, "view `{view}`: expected one of the formats {}, found `{format}`", names.join(", "))
            }
            Self::Zero { check, option } => write!(f, "check `{check}`: `{option}` must be more than zero"),
            Self::Status(status) => write!(f, "expected an HTTP status from 200 to 599, found {status}"),
            Self::EmptyToken => f.write_str("the token is empty: leave it out, or give it a word"),
            Self::Thread(error) => write!(f, "no thread could be started: {error}"),
        }
    }
}

impl std::error::Error for BuildError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Thread(error) => Some(error),
            _ => None,
        }
    }
}
