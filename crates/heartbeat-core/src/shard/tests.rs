//! The shard by itself.
