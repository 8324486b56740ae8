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
