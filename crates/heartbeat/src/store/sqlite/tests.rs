//! What only SQLite does.
