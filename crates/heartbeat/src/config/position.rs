//! From an offset in a text to a line and column.

use super::node::Span;

/// Bytes between two notes: the most that one look-up walks.
const STRIDE: usize = 256;

/// Notes taken on the way through a text, so that a look-up need not start over; one line may be megabytes long.
pub struct Positions<'t> {
    source: u16,
    text: &'t str,
    /// Offset, line, column; ascending.
    notes: Vec<(usize, u32, u32)>,
}

impl<'t> Positions<'t> {
    /// Walks through the text once.
    pub fn new(source: u16, text: &'t str) -> Self {
        let mut notes = vec![(0, 1, 1)];
        let (mut line, mut column) = (1, 1);
        for (offset, c) in text.char_indices() {
            if offset - notes[notes.len() - 1].0 >= STRIDE {
                notes.push((offset, line, column));
            }
            (line, column) = step(c, line, column);
        }
        Self { source, text, notes }
    }

    /// The position of the character at a byte offset, which may also be the end.
    pub fn span(&self, offset: usize) -> Span {
        let note = self.notes.partition_point(|note| note.0 <= offset) - 1;
        let (start, mut line, mut column) = self.notes[note];
        for (at, c) in self.text[start..].char_indices() {
            if start + at >= offset {
                break;
            }
            (line, column) = step(c, line, column);
        }
        Span { source: self.source, line, column }
    }
}

fn step(c: char, line: u32, column: u32) -> (u32, u32) {
    if c == '\n' { (line.saturating_add(1), 1) } else { (line, column.saturating_add(1)) }
}
