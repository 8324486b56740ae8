//! Whether a connection is encrypted, in the terms of libpq (PostgreSQL's documentation, "SSL Support") and of MySQL's
//! `--ssl-mode`, which mean the same.
//!
//! Without a word, the connection is encrypted if the server can, and any certificate will do, as in the clients of both;
//! whoever names an authority with `ca` gets the strictest mode instead.

use crate::probe::tls::{Client, Depth};

/// How much encryption is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// None.
    Disable,
    /// Only if the server does not want us without.
    Allow,
    /// If the server can; without, if it does not want us with it.
    Prefer,
    /// In any case, whoever the server is.
    Require,
    /// In any case, with a certificate of an authority that we trust.
    VerifyAuthority,
    /// The same, and the certificate names the server.
    VerifyAll,
}

impl Mode {
    /// What holds where nothing is said.
    pub fn default_for(names_authority: bool) -> Self {
        if names_authority { Self::VerifyAll } else { Self::Prefer }
    }

    /// How much of the certificate must be right. With an authority to measure by, `require` is `verify-ca`, as in libpq.
    pub fn depth(self, names_authority: bool) -> Depth {
        match self {
            Self::VerifyAll => Depth::Whole,
            Self::VerifyAuthority => Depth::Chain,
            Self::Require if names_authority => Depth::Chain,
            _ => Depth::Nothing,
        }
    }

    /// What is tried, one after the other.
    pub fn attempts(self) -> &'static [Attempt] {
        match self {
            Self::Disable => &[Attempt::Plain],
            Self::Allow => &[Attempt::Plain, Attempt::Encrypted],
            Self::Prefer => &[Attempt::IfOffered, Attempt::Plain],
            Self::Require | Self::VerifyAuthority | Self::VerifyAll => &[Attempt::Encrypted],
        }
    }
}

/// One connection's encryption.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Attempt {
    /// None.
    Plain,
    /// If the server offers it.
    IfOffered,
    /// Or else no connection.
    Encrypted,
}

/// The encryption of a connection that may have one.
#[derive(Clone, Copy, Debug)]
pub struct Encryption<'a> {
    /// Makes it.
    pub client: &'a Client,
    /// Whom the certificate must name, unless the check says otherwise.
    pub host: &'a str,
    /// Whether there is no connection without.
    pub insists: bool,
}
