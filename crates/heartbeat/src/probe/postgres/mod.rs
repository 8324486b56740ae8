//! The kind `postgres`: a login, and a query's answer.
//!
//! The URL is libpq's (PostgreSQL's documentation, "Connection URIs") with a few of its parameters.

mod session;

#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};

use self::session::Postgres;
use super::budget::Budget;
use super::database::encryption::{Encryption, Mode};
use super::database::server::{self, Login, Opened, Protocol};
use super::database::wire::Wire;
use super::database::{Refusal, Wrong};
use super::{Kind, PickedBy, Spec, Trace};
use crate::config::Fields;

/// The line of the table.
pub const KIND: Kind = Kind {
    name: "postgres",
    doc: "Logs in to PostgreSQL, or what speaks its protocol, and asks it something.",
    picked_by: PickedBy::Schemes(&["postgres", "postgresql"]),
    example: "\
url: postgres://app@db.example.org/app?sslmode=verify-full
password: { env: DB_PASSWORD }
query: SELECT count(*) < 1000 FROM jobs
expect: { value: t, latency: 1s }
",
    decode,
};

fn decode(fields: &mut Fields<'_, '_, '_>) -> Option<Box<dyn Spec>> {
    server::decode::<Line>(
        fields,
        "`postgres://user@host:port/database`; `?sslmode=` as in libpq, `?host=/run/postgresql` for a socket, \
         `?application_name=`.",
    )
}

/// The protocol, version 3.
#[derive(Debug)]
struct Line;

impl Protocol for Line {
    type Session = Postgres;
    const PORT: u16 = 5432;
    const MODES: (&'static str, &'static [(&'static str, Mode)]) = (
        "sslmode",
        &[
            ("disable", Mode::Disable),
            ("allow", Mode::Allow),
            ("prefer", Mode::Prefer),
            ("require", Mode::Require),
            ("verify-ca", Mode::VerifyAuthority),
            ("verify-full", Mode::VerifyAll),
        ],
    );
    const SOCKET: &'static str = "host";
    const PARAMETERS: &'static [&'static str] = &["port", "application_name"];

    fn socket(parameter: &str, port: u16) -> PathBuf {
        Path::new(parameter).join(format!(".s.PGSQL.{port}"))
    }

    /// What pg_hba.conf forbids with encryption it may allow without.
    fn is_about_encryption(refusal: &Refusal) -> bool {
        refusal.code == "28000"
    }

    async fn open(
        wire: Wire,
        login: &Login,
        encryption: Option<Encryption<'_>>,
        bodies: &Budget,
        trace: &Trace,
    ) -> Result<Opened<Postgres>, Wrong> {
        session::open(wire, login, encryption, bodies, trace).await
    }
}
