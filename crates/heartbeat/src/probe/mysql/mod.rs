//! The kind `mysql`: a login to MySQL or MariaDB, and a query's answer.
//!
//! The URL is that of MySQL's own tools (MySQL's documentation, "Connecting to the Server Using URI-Like Strings") with a few
//! of its parameters.

mod auth;
mod packet;
mod session;

#[cfg(test)]
mod tests;

use std::path::PathBuf;

use self::session::MySql;
use super::budget::Budget;
use super::database::encryption::{Encryption, Mode};
use super::database::server::{self, Login, Opened, Protocol};
use super::database::wire::Wire;
use super::database::{Refusal, Wrong};
use super::{Kind, PickedBy, Spec, Trace};
use crate::config::Fields;

/// The line of the table.
pub const KIND: Kind = Kind {
    name: "mysql",
    doc: "Logs in to MySQL or MariaDB, and asks it something.",
    picked_by: PickedBy::Schemes(&["mysql", "mariadb"]),
    example: "\
url: mysql://app@db.example.org/app?ssl-mode=VERIFY_IDENTITY
password: { env: DB_PASSWORD }
write: true
expect: { latency: 1s }
",
    decode,
};

fn decode(fields: &mut Fields<'_, '_, '_>) -> Option<Box<dyn Spec>> {
    server::decode::<Line>(
        fields,
        "`mysql://user@host:port/database`; `?ssl-mode=` as in MySQL's clients, `?socket=/run/mysqld/mysqld.sock`.",
    )
}

/// The classic protocol.
#[derive(Debug)]
struct Line;

impl Protocol for Line {
    type Session = MySql;
    const PORT: u16 = 3306;
    const MODES: (&'static str, &'static [(&'static str, Mode)]) = (
        "ssl-mode",
        &[
            ("DISABLED", Mode::Disable),
            ("PREFERRED", Mode::Prefer),
            ("REQUIRED", Mode::Require),
            ("VERIFY_CA", Mode::VerifyAuthority),
            ("VERIFY_IDENTITY", Mode::VerifyAll),
        ],
    );
    const SOCKET: &'static str = "socket";
    const PARAMETERS: &'static [&'static str] = &[];

    fn socket(parameter: &str, _port: u16) -> PathBuf {
        parameter.into()
    }

    /// No user of MySQL is forbidden encryption.
    fn is_about_encryption(_refusal: &Refusal) -> bool {
        false
    }

    async fn open(
        wire: Wire,
        login: &Login,
        encryption: Option<Encryption<'_>>,
        bodies: &Budget,
        trace: &Trace,
    ) -> Result<Opened<MySql>, Wrong> {
        session::open(wire, login, encryption, bodies, trace).await
    }
}
