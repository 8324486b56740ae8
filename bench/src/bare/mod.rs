//! Probers with nothing around them: what the kernel, and for TLS the cryptography, charges for a probe. The limits that
//! heartbeat is measured against. They read and judge the whole answer, for a weak limit would flatter.

pub(crate) mod plain;
pub(crate) mod spawn;
pub(crate) mod tls;
