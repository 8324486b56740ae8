//! What whoever asks is answered, to the byte: one suite for the program and for an application that embeds us.
//!
//! Each includes these files in a test binary of its own, beside a module `subject` that starts whatever is tried:
//! `start(&World) -> impl Subject` with a flag, a check `database` that decides, a check `search` that is only shown, and the
//! token `sesame`; `hold(&World)`, while whose value lives the check of the database hangs; and the reasons that it gives
//! when the database is away or nothing is found.

mod details;
mod django;
mod flag;
mod formats;
mod life;
mod transport;
pub(crate) mod wire;
pub(crate) mod world;

/// Something that answers.
pub(crate) trait Subject {
    /// Where it does.
    fn address(&self) -> std::net::SocketAddr;
    /// Its process.
    fn pid(&self) -> u32;
}

/// The word that opens the details.
pub(crate) const TOKEN: &str = "sesame";

/// The path of the default view.
const STATUS: &str = "/heartbeat/status/";
