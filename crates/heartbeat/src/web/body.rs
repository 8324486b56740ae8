//! Reading past the body of a request.
//!
//! Nobody wants it, but it stands between this request and the next.

use super::head::{Framing, Refusal};

/// The most that is read of a body, chunk headers included. Of a longer one the connection ends after the answer.
pub(super) const LONGEST: u64 = 64 * 1024;
/// The longest line of a chunk or trailer, in bytes.
const LONGEST_LINE: usize = 1024;

/// What is left of a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Body {
    /// Nothing.
    Done,
    /// So many bytes.
    Bytes(u64),
    /// The line that says how long a chunk is.
    Size,
    /// So many bytes of a chunk.
    Chunk(u64),
    /// The line end after a chunk.
    ChunkEnd,
    /// Trailers, up to an empty line.
    Trailers,
}

impl Body {
    /// A body of that framing; `None` if it will not be read.
    pub(super) fn of(framing: Framing) -> Option<Self> {
        match framing {
            Framing::Length(0) => Some(Self::Done),
            Framing::Length(length) => (length <= LONGEST).then_some(Self::Bytes(length)),
            Framing::Chunked => Some(Self::Size),
            Framing::Faulty => None,
        }
    }

    /// Reads on; returns how many of the bytes belong to the body. It wants more if it is not [`Done`](Self::Done) then.
    pub(super) fn skip(&mut self, bytes: &[u8]) -> Result<usize, Refusal> {
        let mut at = 0;
        loop {
            let rest = &bytes[at..];
            match *self {
                Self::Done => return Ok(at),
                Self::Bytes(left) | Self::Chunk(left) => {
                    let taken = usize::try_from(left).unwrap_or(usize::MAX).min(rest.len());
                    let left = left - taken as u64;
                    at += taken;
                    *self = match self {
                        Self::Bytes(_) if left == 0 => Self::Done,
                        Self::Bytes(_) => Self::Bytes(left),
                        _ if left == 0 => Self::ChunkEnd,
                        _ => Self::Chunk(left),
                    };
                    if left > 0 {
                        return Ok(at);
                    }
                }
                Self::Size | Self::ChunkEnd | Self::Trailers => {
                    let Some(line) = line(rest)? else { return Ok(at) };
                    at += line.len() + 1;
                    let line = line.strip_suffix(b"\r").unwrap_or(line);
                    *self = match self {
                        Self::Size => match size(line)? {
                            0 => Self::Trailers,
                            size => Self::Chunk(size),
                        },
                        Self::ChunkEnd if line.is_empty() => Self::Size,
                        Self::ChunkEnd => return Err(Refusal::Garbage),
                        _ if line.is_empty() => Self::Done,
                        _ => Self::Trailers,
                    };
                }
            }
        }
    }
}

/// The line that bytes begin with, without its LF; `None` while it is not complete.
fn line(bytes: &[u8]) -> Result<Option<&[u8]>, Refusal> {
    match bytes.iter().take(LONGEST_LINE).position(|byte| *byte == b'\n') {
        Some(end) => Ok(Some(&bytes[..end])),
        None if bytes.len() < LONGEST_LINE => Ok(None),
        None => Err(Refusal::Garbage),
    }
}

/// The size of a chunk; extensions are ignored (RFC 9112, section 7.1.1).
fn size(line: &[u8]) -> Result<u64, Refusal> {
    let digits = line.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii_end();
    let text = std::str::from_utf8(digits).map_err(|_| Refusal::Garbage)?;
    match u64::from_str_radix(text, 16) {
        Ok(size) if text.as_bytes()[0].is_ascii_hexdigit() => Ok(size),
        _ => Err(Refusal::Garbage),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// How much of the bytes is body, if they come in pieces of these lengths; `None` while there is more to come.
    fn skip(framing: Framing, bytes: &[u8], pieces: &[usize]) -> Result<Option<usize>, Refusal> {
        let mut body = Body::of(framing).expect("one that is read");
        let (mut passed, mut arrived) = (0, 0);
        let mut pieces = pieces.iter().cycle();
        loop {
            passed += body.skip(&bytes[passed..arrived])?;
            if body == Body::Done {
                return Ok(Some(passed));
            }
            if arrived == bytes.len() {
                return Ok(None);
            }
            arrived = (arrived + pieces.next().map_or(1, |piece| (*piece).max(1))).min(bytes.len());
        }
    }

    fn chunked(text: &str) -> Result<Option<usize>, Refusal> {
        skip(Framing::Chunked, text.as_bytes(), &[1])
    }

    #[test]
    fn chunks_end_with_an_empty_one() {
        assert_eq!(chunked("0\r\n\r\nGET"), Ok(Some(5)));
        assert_eq!(chunked("3\r\nabc\r\n0\r\n\r\nGET"), Ok(Some(13)));
        assert_eq!(chunked("3 ;a=b\nabc\n000\nA: b\n\n"), Ok(Some(21)));
        assert_eq!(chunked("3\r\nabc\r\n0\r\nA: b\r\n"), Ok(None));
        for wrong in
            ["\r\n", "-1\r\n", "+1\r\n", "x\r\n", " 1\r\n", "1\r\nab\r\n", "fffffffffffffffff\r\n", "\u{e9}\r\n"]
        {
            assert_eq!(chunked(wrong), Err(Refusal::Garbage), "{wrong:?}");
        }
        assert_eq!(chunked(&"1".repeat(2000)), Err(Refusal::Garbage));
        assert_eq!(chunked(&format!("0\r\n{}", "A".repeat(2000))), Err(Refusal::Garbage));
    }

    #[test]
    fn a_length_is_a_length() {
        assert_eq!(Body::of(Framing::Length(0)), Some(Body::Done));
        assert_eq!(skip(Framing::Length(3), b"abcGET", &[2]), Ok(Some(3)));
        assert_eq!(skip(Framing::Length(7), b"abcGET", &[2]), Ok(None));
        assert_eq!(Body::of(Framing::Length(LONGEST + 1)), None);
        assert_eq!(Body::of(Framing::Faulty), None);
    }

    proptest! {
        #[test]
        fn where_the_network_cuts_changes_nothing(
            chunks in proptest::collection::vec("[a-z\r\n]{0,20}", 0..6),
            after in "[a-z]{0,9}",
            pieces in proptest::collection::vec(1_usize..9, 1..20),
        ) {
            let chunks = chunks.iter().filter(|chunk| !chunk.is_empty());
            let written: String = chunks.map(|chunk| format!("{:x}\r\n{chunk}\r\n", chunk.len())).collect();
            let written = format!("{written}0\r\nTrailer: x\r\n\r\n");
            let bytes = format!("{written}{after}");
            prop_assert_eq!(skip(Framing::Chunked, bytes.as_bytes(), &pieces), Ok(Some(written.len())));
        }

        #[test]
        fn any_bytes_are_read_or_refused(
            bytes in proptest::collection::vec(proptest::sample::select(b"0123aF;\r\n x\0\xff".to_vec()), 0..60),
            pieces in proptest::collection::vec(1_usize..9, 1..20),
        ) {
            let whole = skip(Framing::Chunked, &bytes, &[usize::MAX / 2]);
            prop_assert_eq!(skip(Framing::Chunked, &bytes, &pieces), whole);
        }
    }
}
