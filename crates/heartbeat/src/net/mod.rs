//! What everything that opens connections shares: whom this machine trusts.

pub mod roots;
#[cfg(test)]
pub(crate) mod testing;
