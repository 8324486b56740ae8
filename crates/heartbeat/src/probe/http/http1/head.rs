//! The head of an answer (RFC 9112, sections 4 to 6), parsed where it lies.
//!
//! Of its fields only those are kept that somebody looks at: a check of a status copies none. Folded lines are refused;
//! a bare line feed ends a line as well.

use std::mem::MaybeUninit;

use http::header::{CONTENT_LENGTH, TRANSFER_ENCODING};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use httparse::{Error, Header, ParserConfig, Response, Status};

use super::framing::{Chunks, Framing};
use super::{Malformed, Question};

/// The largest head, in bytes and in fields.
pub(super) const LARGEST: usize = 64 << 10;
const FIELDS: usize = 256;

const TOO_LARGE: Malformed = Malformed("its head is larger than 64 KiB");

/// What bytes may be the beginning of.
pub(super) enum Parsed {
    /// A head, but not all of it.
    Part,
    /// So many bytes of an interim answer (RFC 9110, section 15.2): another one follows.
    Interim(usize),
    /// The head, and how many bytes it is long.
    Whole(Head, usize),
}

/// What the head says.
pub(super) struct Head {
    /// The status.
    pub(super) status: StatusCode,
    /// The headers that somebody looks at.
    pub(super) headers: HeaderMap,
    /// How the body is to be read.
    pub(super) framing: Framing,
}

/// Reads the head that bytes begin with.
pub(super) fn parse(bytes: &[u8], question: &Question<'_>) -> Result<Parsed, Malformed> {
    let mut fields = [const { MaybeUninit::<Header<'_>>::uninit() }; FIELDS];
    let mut response = Response::new(&mut []);
    let length = match ParserConfig::default().parse_response_with_uninit_headers(&mut response, bytes, &mut fields) {
        Ok(Status::Complete(length)) if length > LARGEST => return Err(TOO_LARGE),
        Ok(Status::Complete(length)) => length,
        Ok(Status::Partial) if bytes.len() >= LARGEST => return Err(TOO_LARGE),
        Ok(Status::Partial) => return Ok(Parsed::Part),
        Err(error) => return Err(malformed(error)),
    };
    let status = response.code.and_then(|code| StatusCode::from_u16(code).ok()).ok_or(malformed(Error::Status))?;
    if status.is_informational() && status != StatusCode::SWITCHING_PROTOCOLS {
        return Ok(Parsed::Interim(length));
    }
    let is_new = response.version == Some(1);
    let framing = framing(status, is_new, response.headers, question.method)?;
    let mut headers = HeaderMap::new();
    for field in response.headers.iter().filter(|field| (question.looks_at)(field.name)) {
        let name = HeaderName::from_bytes(field.name.as_bytes()).map_err(|_| malformed(Error::HeaderName))?;
        let value = HeaderValue::from_bytes(field.value).map_err(|_| malformed(Error::HeaderValue))?;
        headers.append(name, value);
    }
    Ok(Parsed::Whole(Head { status, headers, framing }, length))
}

/// How long the body is (RFC 9112, section 6.3).
fn framing(status: StatusCode, is_new: bool, fields: &[Header<'_>], method: &Method) -> Result<Framing, Malformed> {
    const BODILESS: [StatusCode; 3] =
        [StatusCode::SWITCHING_PROTOCOLS, StatusCode::NO_CONTENT, StatusCode::NOT_MODIFIED];
    if BODILESS.contains(&status) || method == Method::HEAD {
        return Ok(Framing::Length(0));
    }
    if let Some(coding) = values(fields, &TRANSFER_ENCODING).last() {
        let last = coding.rsplit(|byte| *byte == b',').next().unwrap_or_default();
        return match last.trim_ascii().eq_ignore_ascii_case(b"chunked") {
            _ if !is_new => Err(Malformed("HTTP/1.0 with a transfer coding")),
            true => Ok(Framing::Chunked(Chunks::default())),
            false => Ok(Framing::UntilClosed),
        };
    }
    let mut lengths = values(fields, &CONTENT_LENGTH).flat_map(|value| value.split(|byte| *byte == b','));
    let Some(first) = lengths.next() else { return Ok(Framing::UntilClosed) };
    match number(first) {
        Some(length) if lengths.all(|other| number(other) == Some(length)) => Ok(Framing::Length(length)),
        _ => Err(Malformed("its content-length is not one number")),
    }
}

fn values<'f>(fields: &'f [Header<'f>], name: &HeaderName) -> impl Iterator<Item = &'f [u8]> {
    fields.iter().filter(move |field| name == field.name).map(|field| field.value)
}

/// A number in digits alone; not even a sign.
fn number(text: &[u8]) -> Option<u64> {
    let text =
        std::str::from_utf8(text.trim_ascii()).ok().filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()))?;
    text.parse().ok()
}

fn malformed(error: Error) -> Malformed {
    Malformed(match error {
        Error::HeaderName => "the name of a header holds what none may",
        Error::HeaderValue => "the value of a header holds what none may",
        Error::NewLine => "a line of its head does not end as it should",
        Error::Status => "its status is not a number of three digits from 100 on",
        Error::Token => "a word of its head holds what none may",
        Error::TooManyHeaders => "it has more than 256 headers",
        Error::Version => "it does not begin with HTTP/1.0 or HTTP/1.1",
    })
}
