//! The program as a subject of the suite of answers.

use std::fs::File;
use std::net::SocketAddr;

use crate::answers::world::{PATIENCE, World};
use crate::answers::{Subject, TOKEN};
use crate::support::{Home, Program, wait_for};

/// What the search says that has found nothing.
pub(crate) const NO_HITS: &str = "X";

/// What the database says that is not there.
pub(crate) fn no_database(_: &World) -> String {
    "exit status 1".to_owned()
}
