//! Health answers to embed.
