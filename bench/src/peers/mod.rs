//! The programs that operators use today, where they are installed.

pub(crate) mod blackbox;
pub(crate) mod monit;
pub(crate) mod nginx;
pub(crate) mod python;
