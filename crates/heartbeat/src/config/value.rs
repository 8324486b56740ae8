//! The trait of everything that can stand in a configuration.

use super::context::Context;
use super::node::Node;
use super::shape::Shape;

/// A type that decodes from a node. After that, nothing about it is checked twice.
pub trait Value: Sized {
    /// The forms that it may be written in.
    fn shape() -> Shape;

    /// Reads a node; on `None` at least one problem has been reported.
    fn decode(node: &Node, context: &mut Context<'_>) -> Option<Self>;

    /// How it would be written: for defaults in `config show`, the schema and the reference. Never a secret.
    fn show(&self) -> Node;

    /// What `config show` prints in place of `written`. A type that holds secrets hides them here.
    fn redact(written: &Node) -> Node {
        written.clone()
    }
}
