//! How much structure a configuration may have. Its size alone is no fault.

/// Levels of lists and maps within each other.
pub const MAX_DEPTH: usize = 64;

/// Values that all aliases of a file may repeat together.
pub const MAX_ALIASED: usize = 1_000_000;
