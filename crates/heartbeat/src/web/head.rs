//! The head of a request: RFC 9112, sections 2 to 7, as far as an answer and the framing depend on it.
//!
//! The bytes are taken apart by httparse; what they mean is decided here. Lines may end in a bare LF (section 2.2). No Host
//! is asked for, and any is fine: health checks are sent by machines that know an address and nothing else.

use heartbeat_responder::ask::{Asked, FORWARDED, Method};
use httparse::{EMPTY_HEADER, Error, Status};

/// The longest head, in bytes.
pub(super) const LONGEST: usize = 8 * 1024;
/// The most header lines.
const MOST_LINES: usize = 100;

/// A request without its body.
#[derive(Clone, Copy, Debug)]
pub(super) struct Head<'a> {
    /// What is asked; `local` is whether no proxy says that it asks for somebody else.
    pub(super) asked: Asked<'a>,
    /// How many bytes it took.
    pub(super) length: usize,
    /// How the body is framed.
    pub(super) framing: Framing,
    /// Whether the connection may be used again.
    pub(super) keep: bool,
    /// Whether the peer waits for our word before it sends the body.
    pub(super) expects: bool,
}

/// How a body is framed (RFC 9112, section 6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Framing {
    /// So many bytes.
    Length(u64),
    /// In chunks.
    Chunked,
    /// In a way that nobody can rely on: the connection ends after the answer.
    Faulty,
}

/// Why a request is not answered by the board.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// It is not HTTP, or contradicts itself.
    Garbage,
    /// The target does not end within the bound.
    TargetTooLong,
    /// The head does not end within the bound.
    HeadTooLarge,
    /// A transfer coding other than chunked.
    Coding,
    /// A version other than 1.0 and 1.1.
    Version,
}

impl Refusal {
    /// The status, its phrase, and a sentence.
    pub(super) const fn words(self) -> (u16, &'static str, &'static str) {
        match self {
            Self::Garbage => (400, "Bad Request", "expected a request of HTTP/1.1 or HTTP/1.0"),
            Self::TargetTooLong => (414, "URI Too Long", "expected a request line of at most 8 KiB"),
            Self::HeadTooLarge => {
                (431, "Request Header Fields Too Large", "expected at most 8 KiB of header in at most 100 lines")
            }
            Self::Coding => (501, "Not Implemented", "expected the transfer coding `chunked` or none"),
            Self::Version => (505, "HTTP Version Not Supported", "expected HTTP/1.1 or HTTP/1.0"),
        }
    }
}

/// Reads the head that `bytes` begin with; `None` while it is not complete.
pub(super) fn read(bytes: &[u8]) -> Result<Option<Head<'_>>, Refusal> {
    let bounded = &bytes[..bytes.len().min(LONGEST)];
    let mut headers = [EMPTY_HEADER; MOST_LINES];
    let mut request = httparse::Request::new(&mut headers);
    let length = match request.parse(bounded) {
        Ok(Status::Complete(length)) => length,
        Ok(Status::Partial) if bytes.len() < LONGEST => return Ok(None),
        Ok(Status::Partial) if bounded.trim_ascii_start().contains(&b'\n') => return Err(Refusal::HeadTooLarge),
        Ok(Status::Partial) => return Err(Refusal::TargetTooLong),
        Err(Error::TooManyHeaders) => return Err(Refusal::HeadTooLarge),
        Err(Error::Version) => return Err(version(bounded)),
        Err(_) => return Err(Refusal::Garbage),
    };
    let (Some(method), Some(target), Some(minor)) = (request.method, request.path, request.version) else {
        return Err(Refusal::Garbage);
    };
    let lines = Lines::read(request.headers)?;
    let (path, query) = split(target);
    let asked = Asked {
        method: Method::named(method),
        path,
        query,
        accept: lines.accept,
        authorization: lines.authorization,
        local: !lines.forwarded,
    };
    Ok(Some(Head {
        asked,
        length,
        framing: lines.framing(minor)?,
        // What HTTP/1.0 calls keep-alive never worked through proxies (RFC 9112, appendix C.2.2).
        keep: minor == 1 && !lines.close,
        expects: minor == 1 && lines.expects,
    }))
}

/// A version of HTTP that we do not speak, or something else altogether.
fn version(bytes: &[u8]) -> Refusal {
    let line = bytes.trim_ascii_start().split(|byte| *byte == b'\n').next().unwrap_or_default();
    let last = line.rsplit(|byte| *byte == b' ').next().unwrap_or_default();
    if last.starts_with(b"HTTP/") { Refusal::Version } else { Refusal::Garbage }
}

/// Path and query of a target in any of its forms (RFC 9112, section 3.2).
fn split(target: &str) -> (&str, Option<&str>) {
    let origin = match target.find("://") {
        Some(scheme) if !target.starts_with('/') => {
            let rest = &target[scheme + 3..];
            rest.find(['/', '?']).map_or("", |end| &rest[end..])
        }
        // The server as a whole is what an absolute target without a path means too (section 3.2.4).
        _ if target == "*" => "",
        _ => target,
    };
    match origin.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (origin, None),
    }
}

/// What the header lines say.
#[derive(Debug, Default)]
struct Lines<'a> {
    accept: Option<&'a str>,
    authorization: Option<&'a str>,
    forwarded: bool,
    close: bool,
    expects: bool,
    length: Option<u64>,
    coding: Option<Coding>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Coding {
    Chunked,
    Other,
}

impl<'a> Lines<'a> {
    fn read(headers: &[httparse::Header<'a>]) -> Result<Self, Refusal> {
        let mut lines = Self::default();
        for header in headers {
            let is = |name: &str| header.name.eq_ignore_ascii_case(name);
            let text = || std::str::from_utf8(header.value).ok();
            // Most lines concern nobody here; their lengths tell.
            match header.name.len() {
                6 if is("accept") => lines.accept = lines.accept.or_else(text),
                6 if is("expect") => lines.expects = header.value.eq_ignore_ascii_case(b"100-continue"),
                10 if is("connection") => {
                    lines.close |= elements(header.value).any(|word| word.eq_ignore_ascii_case(b"close"))
                }
                13 if is("authorization") => lines.authorization = lines.authorization.or_else(text),
                14 if is("content-length") => lines.has_length(header.value)?,
                17 if is("transfer-encoding") => lines.has_coding(header.value),
                _ => lines.forwarded |= FORWARDED.iter().any(|name| is(name)),
            }
        }
        Ok(lines)
    }

    /// The same length may be said more than once (section 6.3), another one may not.
    fn has_length(&mut self, value: &[u8]) -> Result<(), Refusal> {
        for digits in elements(value) {
            if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
                return Err(Refusal::Garbage);
            }
            let text = std::str::from_utf8(digits).map_err(|_| Refusal::Garbage)?;
            // What does not fit is more than anybody reads.
            let length = text.parse().unwrap_or(u64::MAX);
            if self.length.is_some_and(|known| known != length) {
                return Err(Refusal::Garbage);
            }
            self.length = Some(length);
        }
        Ok(())
    }

    fn has_coding(&mut self, value: &[u8]) {
        for word in elements(value) {
            self.coding = match self.coding {
                None if word.eq_ignore_ascii_case(b"chunked") => Some(Coding::Chunked),
                _ => Some(Coding::Other),
            };
        }
    }

    fn framing(&self, minor: u8) -> Result<Framing, Refusal> {
        match (self.coding, self.length) {
            (None, length) => Ok(Framing::Length(length.unwrap_or(0))),
            // Two lengths are how requests are smuggled (section 11.2).
            (Some(_), Some(_)) => Err(Refusal::Garbage),
            (Some(_), None) if minor == 0 => Ok(Framing::Faulty),
            (Some(Coding::Chunked), None) => Ok(Framing::Chunked),
            (Some(Coding::Other), None) => Err(Refusal::Coding),
        }
    }
}

/// The elements of a list (RFC 9110, section 5.6.1).
fn elements(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn framing(lines: &str) -> Result<Framing, Refusal> {
        read(format!("POST / HTTP/1.1\r\n{lines}\r\n").as_bytes()).map(|head| head.expect("complete").framing)
    }

    #[test]
    fn targets_have_four_forms() {
        assert_eq!(split("/a/b?c=d?e"), ("/a/b", Some("c=d?e")));
        assert_eq!(split("http://user@host:80/a?b"), ("/a", Some("b")));
        assert_eq!(split("http://host?b"), ("", Some("b")));
        assert_eq!(split("http://host"), ("", None));
        assert_eq!(split("*"), ("", None));
        assert_eq!(split("/a?b=http://c/"), ("/a", Some("b=http://c/")));
        assert_eq!(split("//host/a"), ("//host/a", None));
        assert_eq!(split("host:443"), ("host:443", None));
    }

    #[test]
    fn the_body_is_where_the_head_says() {
        assert_eq!(framing(""), Ok(Framing::Length(0)));
        assert_eq!(framing("content-length: 007\r\n"), Ok(Framing::Length(7)));
        assert_eq!(framing("Content-Length: 18446744073709551616\r\n"), Ok(Framing::Length(u64::MAX)));
        assert_eq!(framing("Transfer-Encoding: CHUNKED\r\n"), Ok(Framing::Chunked));
        assert_eq!(framing("Transfer-Encoding: chunked\r\nTransfer-Encoding: gzip\r\n"), Err(Refusal::Coding));
        assert_eq!(framing("Transfer-Encoding:\r\n"), Err(Refusal::Coding));
        assert_eq!(framing("Content-Length: 1,\r\n"), Err(Refusal::Garbage));
        assert_eq!(framing("Content-Length: 0x1\r\n"), Err(Refusal::Garbage));
    }

    /// Bytes that are nearly a request.
    fn nearly() -> impl Strategy<Value = Vec<u8>> {
        let piece = prop_oneof![
            4 => proptest::sample::select(vec![
                "GET ", "/heartbeat/status/", " HTTP/1.1", "\r\n", "\n", "\r\n\r\n", "Content-Length: 3", "Connection: close",
                "Transfer-Encoding: chunked", "X-Forwarded-For: ::1", ": ", " ", ",", "\0", "\r", "http://", "*",
            ]).prop_map(|piece| piece.as_bytes().to_vec()),
            1 => proptest::collection::vec(any::<u8>(), 0..6),
        ];
        proptest::collection::vec(piece, 0..24).prop_map(|pieces| pieces.concat())
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes in prop_oneof![nearly(), proptest::collection::vec(any::<u8>(), 0..9000)]) {
            if let Ok(Some(head)) = read(&bytes) {
                prop_assert!(head.length <= bytes.len().min(LONGEST));
                prop_assert!(bytes[..head.length].ends_with(b"\n"));
            }
        }

        /// Where the network cuts a request changes nothing, and nothing after a head belongs to it.
        #[test]
        fn a_head_ends_where_it_ends(bytes in nearly(), more in proptest::collection::vec(any::<u8>(), 0..40)) {
            let request = [b"GET /livez HTTP/1.1\r\nA: b\r\n", bytes.as_slice(), b"\r\n\r\n"].concat();
            if let Ok(Some(head)) = read(&request) {
                let longer = [request.as_slice(), &more].concat();
                let same = read(&longer);
                prop_assert!(matches!(&same, Ok(Some(again)) if again.length == head.length && again.framing == head.framing));
                for cut in 0..head.length {
                    prop_assert!(matches!(read(&request[..cut]), Ok(None)), "cut at {}", cut);
                }
            }
        }
    }
}
