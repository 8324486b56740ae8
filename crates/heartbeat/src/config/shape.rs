//! What a value may look like: the source of the schema and of the reference page.

use super::node::Node;

/// The form of a value.
#[derive(Clone, Debug, PartialEq)]
pub enum Shape {
    /// Text, with a noun for what it means (`a URL`) and, where a regular expression says it, its form.
    Text {
        /// The noun.
        noun: &'static str,
        /// An ECMA-262 regular expression, anchored, for the schema.
        pattern: Option<&'static str>,
    },
    /// A whole number between two bounds, both included.
    Integer {
        /// The least.
        least: i64,
        /// The greatest.
        greatest: i64,
    },
    /// A decimal number, not negative.
    Number,
    /// `true` or `false`.
    Bool,
    /// One of some words.
    Word(&'static [&'static str]),
    /// A list of one shape.
    List(Box<Shape>),
    /// A map from free names to one shape.
    Map(Box<Shape>),
    /// A map with known keys.
    Section(Vec<FieldDoc>),
    /// Any of several shapes.
    Either(Vec<Shape>),
}

/// One key of a section.
#[derive(Clone, Debug, PartialEq)]
pub struct FieldDoc {
    /// The key.
    pub key: &'static str,
    /// One sentence for the reference, without the default.
    pub doc: &'static str,
    /// The form of its value.
    pub shape: Shape,
    /// Whether it must be there.
    pub required: bool,
    /// What holds without it.
    pub default: Option<Node>,
}
