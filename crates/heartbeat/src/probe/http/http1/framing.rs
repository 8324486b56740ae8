//! Where a body begins and ends (RFC 9112, sections 6 and 7).
//!
//! It is fed bytes as they come and says which of them are the body's; it keeps none. Of chunks, extensions and trailers
//! are passed over, so much of them as a sane server sends.

use super::Malformed;

/// The most bytes of chunk extensions in one body.
const EXTENSIONS: usize = 16 << 10;

/// The most bytes and lines of trailers.
const TRAILERS: usize = 64 << 10;
const TRAILER_LINES: usize = 256;

/// What is left of a body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Framing {
    /// So many bytes.
    Length(u64),
    /// Chunks.
    Chunked(Chunks),
    /// Everything until the server hangs up.
    UntilClosed,
}

impl Framing {
    /// Whether nothing more belongs to the answer.
    pub(super) fn is_over(&self) -> bool {
        matches!(self, Self::Length(0) | Self::Chunked(Chunks { at: At::Over, .. }))
    }

    /// Whether the answer is whole if the server hangs up now.
    pub(super) fn may_end(&self) -> bool {
        self.is_over() || matches!(self, Self::UntilClosed)
    }

    /// Takes from the front of `bytes` what belongs to the answer; the first piece of body in it. `None`: all of `bytes`
    /// was taken, or the answer is over.
    pub(super) fn take<'b>(&mut self, bytes: &mut &'b [u8]) -> Result<Option<&'b [u8]>, Malformed> {
        match self {
            Self::Length(left) => Ok(some_of(bytes, left)),
            Self::UntilClosed => {
                let mut endless = u64::MAX;
                Ok(some_of(bytes, &mut endless))
            }
            Self::Chunked(chunks) => chunks.take(bytes),
        }
    }
}

/// Up to so many bytes from the front; `None` if there are none.
fn some_of<'b>(bytes: &mut &'b [u8], left: &mut u64) -> Option<&'b [u8]> {
    let count = usize::try_from(*left).unwrap_or(usize::MAX).min(bytes.len());
    let (taken, rest) = bytes.split_at(count);
    (*bytes, *left) = (rest, *left - count as u64);
    (!taken.is_empty()).then_some(taken)
}

/// A body in chunks, somewhere in it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Chunks {
    at: At,
    /// Bytes of extensions so far.
    extensions: usize,
    /// Bytes and lines of trailers so far.
    trailers: usize,
    trailer_lines: usize,
}

/// Between which bytes of the grammar in RFC 9112, section 7.1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum At {
    /// Before the first digit of a size.
    #[default]
    Size,
    /// After some of its digits.
    Digits(u64),
    /// After blanks behind them.
    Blank(u64),
    /// In an extension.
    Extension(u64),
    /// Before the line feed of the size.
    SizeEnd(u64),
    /// In the bytes of a chunk.
    Data(u64),
    /// Before the carriage return behind them.
    DataReturn,
    /// Before the line feed behind that.
    DataEnd,
    /// At the start of a line behind the last chunk.
    Line,
    /// In the name of a trailer.
    Name,
    /// In its value.
    Value,
    /// Before its line feed.
    ValueEnd,
    /// Before the last line feed.
    LastEnd,
    /// Behind everything.
    Over,
}

impl Chunks {
    fn take<'b>(&mut self, bytes: &mut &'b [u8]) -> Result<Option<&'b [u8]>, Malformed> {
        loop {
            match &mut self.at {
                At::Data(0) => self.at = At::DataReturn,
                At::Data(left) => return Ok(some_of(bytes, left)),
                At::Over => return Ok(None),
                _ => {
                    let Some((byte, rest)) = bytes.split_first() else { return Ok(None) };
                    *bytes = rest;
                    self.at = self.step(*byte)?;
                }
            }
        }
    }

    /// Where a byte leads to that is not the body's.
    fn step(&mut self, byte: u8) -> Result<At, Malformed> {
        match (self.at, byte) {
            (At::Size, _) => match digit(byte) {
                Some(digit) => Ok(At::Digits(digit)),
                None => Err(Malformed("the size of a chunk is missing")),
            },
            (At::Digits(size) | At::Blank(size), b' ' | b'\t') => Ok(At::Blank(size)),
            (At::Digits(size) | At::Blank(size), b';') => Ok(At::Extension(size)),
            (At::Digits(size) | At::Blank(size) | At::Extension(size), b'\r') => Ok(At::SizeEnd(size)),
            (At::Digits(size), _) => match digit(byte) {
                Some(digit) if size <= u64::MAX >> 4 => Ok(At::Digits(size << 4 | digit)),
                Some(_) => Err(Malformed("the size of a chunk is beyond all measure")),
                None => Err(Malformed("the size of a chunk is not a number")),
            },
            (At::Blank(_), _) => Err(Malformed("the size of a chunk is not a number")),
            // Some programs take a bare line feed for the end of the line: nobody may be led to read it differently.
            (At::Extension(_), b'\n') => Err(Malformed("the extension of a chunk holds a line feed")),
            (At::Extension(size), _) => {
                count(&mut self.extensions, EXTENSIONS, "the extensions of its chunks have no end")?;
                Ok(At::Extension(size))
            }
            (At::SizeEnd(0), b'\n') => Ok(At::Line),
            (At::SizeEnd(size), b'\n') => Ok(At::Data(size)),
            (At::DataReturn, b'\r') => Ok(At::DataEnd),
            (At::DataEnd, b'\n') => Ok(At::Size),
            (At::SizeEnd(_) | At::DataReturn | At::DataEnd, _) => {
                Err(Malformed("a chunk does not end where it should"))
            }
            (At::Line, b'\r') => Ok(At::LastEnd),
            (At::LastEnd, b'\n') => Ok(At::Over),
            (At::Name, b':') => Ok(At::Value),
            (At::Value, b'\r') => Ok(At::ValueEnd),
            (At::ValueEnd, b'\n') => {
                count(&mut self.trailer_lines, TRAILER_LINES, ENDLESS_TRAILERS)?;
                Ok(At::Line)
            }
            (At::Line | At::Name, b':' | b'\r' | b'\n') | (At::Value, b'\n') | (At::ValueEnd | At::LastEnd, _) => {
                Err(Malformed("what follows its chunks is no trailer"))
            }
            (At::Line | At::Name, _) => {
                count(&mut self.trailers, TRAILERS, ENDLESS_TRAILERS)?;
                Ok(At::Name)
            }
            (At::Value, _) => {
                count(&mut self.trailers, TRAILERS, ENDLESS_TRAILERS)?;
                Ok(At::Value)
            }
            (At::Data(_) | At::Over, _) => unreachable!("`take` steps over no byte there"),
        }
    }
}

const ENDLESS_TRAILERS: &str = "its trailers have no end";

fn digit(byte: u8) -> Option<u64> {
    char::from(byte).to_digit(16).map(u64::from)
}

fn count(so_far: &mut usize, most: usize, what: &'static str) -> Result<(), Malformed> {
    *so_far += 1;
    if *so_far > most { Err(Malformed(what)) } else { Ok(()) }
}
