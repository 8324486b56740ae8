//! From text to typed values, with a position on every word.
//!
//! Every syntax becomes one tree of [`Node`]s. Decoding walks that tree through [`Fields`], whose calls are at the same time
//! the decoder, the list of known keys, the schema and the reference: there is no second list of names. A problem is
//! recorded and decoding goes on, so that all of them are reported at once. Decoding reads no file and no environment of
//! its own: what it may know is in [`Context`].

pub mod bounds;
pub mod context;
pub mod fields;
pub mod forerunners;
pub mod json;
pub mod node;
pub mod position;
pub mod problem;
pub mod reference;
pub mod schema;
pub mod shape;
pub mod text;
pub mod toml;
pub mod value;
pub mod values;
pub mod write;
pub mod yaml;

pub use context::Context;
pub use fields::Fields;
pub use node::{Node, Span};
pub use problem::{Problem, Problems};
pub use shape::{FieldDoc, Shape};
pub use value::Value;

#[cfg(test)]
mod tests;
