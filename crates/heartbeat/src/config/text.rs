//! From the bytes of a file to text.

use super::node::Span;
use super::position::Positions;
use super::problem::Problem;

/// Bytes that are no text.
#[derive(Debug)]
pub struct NotText {
    /// As much of them as can be shown.
    pub text: String,
    /// What is wrong; its span has source 0.
    pub problem: Problem,
}

/// The text of a configuration, without a byte order mark.
///
/// # Errors
/// What is not UTF-8, and what is binary, with its place.
pub fn from_bytes(bytes: Vec<u8>) -> Result<String, Box<NotText>> {
    let text = match String::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => {
            let valid = error.utf8_error().valid_up_to();
            let bytes = error.into_bytes();
            let text = String::from_utf8_lossy(&bytes).into_owned();
            let at = Positions::new(0, &text).span(valid);
            let problem = Problem::error(at, format!("this is not UTF-8 text: byte 0x{:02x}", bytes[valid]))
                .help("save the file as UTF-8");
            return Err(Box::new(NotText { text, problem }));
        }
    };
    let text = match text.strip_prefix('\u{feff}') {
        Some(rest) => rest.to_owned(),
        None => text,
    };
    let binary = |c: &char| c.is_control() && !matches!(c, '\t' | '\n' | '\r' | '\u{85}');
    match text.char_indices().find(|(_, c)| binary(c)) {
        Some((offset, c)) => {
            let at: Span = Positions::new(0, &text).span(offset);
            let message = format!("this is a binary file: the character U+{:04X} is not text", u32::from(c));
            Err(Box::new(NotText { text, problem: Problem::error(at, message) }))
        }
        None => Ok(text),
    }
}
