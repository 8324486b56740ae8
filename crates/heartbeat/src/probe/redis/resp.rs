//! The protocol of Redis, RESP2, as much of it as a check speaks.
//!
//! <https://redis.io/docs/latest/develop/reference/protocol-spec/>. Without `HELLO 3` a server speaks version 2: five types,
//! told apart by their first byte. A list is read to its end and not kept: only how long it is, and its first item. So no
//! nesting needs a limit, and no list takes memory.

use crate::probe::cache::wire::{Wire, unexpected};
use crate::probe::{Failure, clip};

/// The longest value and the longest list that a server may announce: its own limit, unless somebody has raised it.
const LONGEST: u64 = 512 << 20;

/// What a server answers.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Reply {
    /// A text or a number; the beginning of it, if it is long.
    Value(Vec<u8>),
    /// What stands for something that is not there.
    Nil,
    /// An error, in the server's words.
    Error(String),
    /// So many items, the first of which is this one.
    List(u64, Option<Vec<u8>>),
}

impl Reply {
    /// In words, after "the answer is".
    pub(super) fn describe(&self) -> String {
        match self {
            Self::Value(value) => format!("`{}`", clip(&String::from_utf8_lossy(value))),
            Self::Nil => "nil".to_owned(),
            Self::Error(words) => format!("the error `{}`", clip(words)),
            Self::List(length, _) => format!("a list of {length}"),
        }
    }
}

/// A command as it is sent: a list of values.
pub(super) fn command<W: AsRef<[u8]>>(words: &[W]) -> Vec<u8> {
    let mut bytes = format!("*{}\r\n", words.len()).into_bytes();
    for word in words {
        let word = word.as_ref();
        bytes.extend_from_slice(format!("${}\r\n", word.len()).as_bytes());
        bytes.extend_from_slice(word);
        bytes.extend_from_slice(b"\r\n");
    }
    bytes
}

/// Reads one reply; of a value the first `kept` bytes.
///
/// # Errors
/// `reset` if the connection ends, `protocol` for what is no reply.
pub(super) async fn reply(wire: &mut Wire<'_>, kept: usize) -> Result<Reply, Failure> {
    let mut outer = None;
    let mut pending: u64 = 1;
    while pending > 0 {
        pending -= 1;
        let item = item(wire, kept).await?;
        if let Reply::List(length, _) = item {
            pending = pending.saturating_add(length);
        }
        match (&mut outer, item) {
            (None, item) => outer = Some(item),
            (Some(Reply::List(_, first @ None)), Reply::Value(value)) => *first = Some(value),
            _ => {}
        }
    }
    Ok(outer.expect("at least one item has been read"))
}

/// One item; of a list only its head.
async fn item(wire: &mut Wire<'_>, kept: usize) -> Result<Reply, Failure> {
    let mut line = wire.line().await?;
    let Some(sort) = line.first().copied() else { return Err(unexpected("a reply of Redis", &line)) };
    let length = |line: &[u8]| length(line).map_err(|()| unexpected("a length", line));
    match sort {
        b'+' => Ok(Reply::Value(line.split_off(1))),
        b'-' => Ok(Reply::Error(String::from_utf8_lossy(&line[1..]).into_owned())),
        b':' => match number(&line[1..]) {
            Some(_) => Ok(Reply::Value(line.split_off(1))),
            None => Err(unexpected("a number", &line)),
        },
        b'$' => match length(&line)? {
            Some(length) => Ok(Reply::Value(wire.value(length, kept).await?)),
            None => Ok(Reply::Nil),
        },
        b'*' => match length(&line)? {
            Some(length) => Ok(Reply::List(length, None)),
            None => Ok(Reply::Nil),
        },
        _ => Err(unexpected("a reply of Redis", &line)),
    }
}

fn number(digits: &[u8]) -> Option<i64> {
    std::str::from_utf8(digits).ok()?.parse().ok()
}

/// The length behind the first byte of a line; `None` for -1, which means that nothing is there.
fn length(line: &[u8]) -> Result<Option<u64>, ()> {
    match number(&line[1..]).ok_or(())? {
        -1 => Ok(None),
        length => Ok(Some(u64::try_from(length).ok().filter(|length| *length <= LONGEST).ok_or(())?)),
    }
}

#[cfg(test)]
mod tests {
    use proptest::proptest;

    use super::*;
    use crate::probe::cache::suite::{hear, nonsense};
    use crate::probe::cache::wire::LINE;

    fn read(bytes: &[u8], kept: usize) -> Result<Reply, Failure> {
        hear(bytes.to_vec(), async |wire| reply(wire, kept).await)
    }

    #[test]
    fn replies_are_told_apart() {
        let value = |text: &str| Reply::Value(text.into());
        for (bytes, expected) in [
            ("+OK\r\n", value("OK")),
            (":-12\r\n", value("-12")),
            ("$5\r\na\r\nbc\r\n", value("a\r\nbc")),
            ("$0\r\n\r\n", value("")),
            ("$12\r\nabcdefghijkl\r\n", value("abcdefgh")),
            ("$-1\r\n", Reply::Nil),
            ("*-1\r\n", Reply::Nil),
            ("-ERR no\r\n", Reply::Error("ERR no".into())),
            ("*0\r\n", Reply::List(0, None)),
            ("*3\r\n$6\r\nmaster\r\n:0\r\n*1\r\n*2\r\n+a\r\n$-1\r\n", Reply::List(3, Some("master".into()))),
        ] {
            assert_eq!(read(bytes.as_bytes(), 8), Ok(expected), "{bytes:?}");
            for end in 0..bytes.len() {
                read(&bytes.as_bytes()[..end], 8).expect_err("cut short");
            }
        }
        assert_eq!(command(&["SET", "a b", ""]), b"*3\r\n$3\r\nSET\r\n$3\r\na b\r\n$0\r\n\r\n");
    }

    #[test]
    fn nesting_takes_no_stack() {
        let deep = "*1\r\n".repeat(1_000_000) + ":1\r\n";
        assert_eq!(read(deep.as_bytes(), 8), Ok(Reply::List(1, Some("1".into()))));
    }

    proptest! {
        #[test]
        fn nonsense_is_bounded(
            bytes in nonsense(&["+", "-", ":", "$", "*", "\r\n", "\n", "0", "1", "2", "-1", "x", "+OK\r\n", "$1\r\nx\r\n", "*2\r\n"]),
            kept in 0..10usize,
        ) {
            match read(&bytes, kept) {
                Ok(Reply::Value(value) | Reply::List(_, Some(value))) => assert!(value.len() <= kept.max(LINE)),
                Ok(Reply::Error(words)) => assert!(words.chars().count() <= LINE),
                Ok(Reply::Nil | Reply::List(_, None)) => {}
                Err(failure) => assert!(failure.reason.len() <= 1000),
            }
        }
    }
}
