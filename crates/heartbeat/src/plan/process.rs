//! The process itself, and its bounds.

use super::{Limits, Process};
use crate::config::Fields;
use crate::config::values::{Count, FilePath};

/// The keys of `process`.
pub(super) fn fields(fields: &mut Fields<'_, '_, '_>) -> Option<Process> {
    let user = fields.optional("user", "Run as this user, with its groups.");
    let group = fields.optional("group", "Run as this group; the user's own if it is left out.");
    let pidfile = fields.optional::<FilePath>("pidfile", "Written and locked while the daemon runs.");
    let daemonize = fields.or("daemonize", "Whether a call without subcommand goes to the background.", false);
    Some(Process { user, group, pidfile: pidfile.map(|path| path.0), daemonize })
}

/// The keys of `limits`.
pub(super) fn limits(fields: &mut Fields<'_, '_, '_>) -> Option<Limits> {
    let probes = fields.or("probes", "Probes in flight, over all checks.", Count(Limits::default().probes));
    let per_host = fields.or("per_host", "Probes in flight per address and port.", Count(Limits::default().per_host));
    Some(Limits { probes: probes.0, per_host: per_host.0 })
}
