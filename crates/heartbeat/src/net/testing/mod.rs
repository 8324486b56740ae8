//! What the suites of checks and alerts share: servers that misbehave on the wire, and certificates.

pub(crate) mod authority;
pub(crate) mod fake;
