//! What a probe writes, reads back and deletes must be its own: nodes that probe together would fail each other.

use crate::host::random;

/// A key that no other probe has, here or on another node: `heartbeat:NODE:RANDOM`, at most 128 bytes of printable ASCII
/// without spaces, which is a key to every server.
pub fn key(node: &str) -> String {
    const LONGEST: usize = 100;
    let plain = |c: char| if c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_') { c } else { '_' };
    let node: String = node.chars().map(plain).take(LONGEST).collect();
    format!("heartbeat:{node}:{:016x}", random::seed())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_fit_everywhere_and_are_never_equal() {
        assert!(key("web1").starts_with("heartbeat:web1:"));
        assert!(key("a node\r\nof ü").starts_with("heartbeat:a_node__of__:"));
        assert!(key(&"x".repeat(1000)).len() <= 128);
        assert_ne!(key("web1"), key("web1"));
    }
}
