//! How a call ends: a code and a word (gRPC over HTTP/2, "Status"), and how long it may take ("Timeout").

use std::time::Duration;

use http::{HeaderMap, HeaderValue};
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};

use super::message::Malformed;

/// The codes that we end with (gRPC, "Status codes and their use in gRPC").
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Code {
    Ok = 0,
    DeadlineExceeded = 4,
    NotFound = 5,
    ResourceExhausted = 8,
    Unimplemented = 12,
    Internal = 13,
    Unavailable = 14,
}

/// The end of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Status {
    pub(super) code: Code,
    pub(super) message: String,
}

/// What a message in a header may not hold as it is: all but the ASCII that can be seen, and the percent sign.
const ESCAPED: &AsciiSet = &CONTROLS.add(b'%');

impl Status {
    pub(super) const OK: Self = Self { code: Code::Ok, message: String::new() };

    pub(super) fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }

    pub(super) fn deadline() -> Self {
        Self::new(Code::DeadlineExceeded, "the time for this call is over")
    }

    /// The headers that say it.
    pub(super) fn headers(&self) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert("grpc-status", HeaderValue::from(self.code as u16));
        if !self.message.is_empty() {
            let escaped = utf8_percent_encode(&self.message, ESCAPED).to_string();
            headers.insert("grpc-message", HeaderValue::try_from(escaped).expect("escaped text can be a header"));
        }
        if self.code == Code::Unimplemented {
            headers.insert("grpc-accept-encoding", HeaderValue::from_static("identity"));
        }
        headers
    }
}

impl From<Malformed> for Status {
    fn from(Malformed(why): Malformed) -> Self {
        Self::new(Code::Internal, why)
    }
}

/// The header `grpc-timeout`: at most eight digits and a unit.
pub(super) fn timeout(headers: &HeaderMap) -> Result<Option<Duration>, Status> {
    let Some(value) = headers.get("grpc-timeout") else { return Ok(None) };
    let parsed = value.to_str().ok().and_then(|text| {
        let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
        let is_number = (1..=8).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit());
        let number: u64 = if is_number { digits.parse().ok()? } else { return None };
        Some(match unit {
            "H" => Duration::from_secs(number * 3600),
            "M" => Duration::from_secs(number * 60),
            "S" => Duration::from_secs(number),
            "m" => Duration::from_millis(number),
            "u" => Duration::from_micros(number),
            "n" => Duration::from_nanos(number),
            _ => return None,
        })
    });
    match parsed {
        Some(timeout) => Ok(Some(timeout)),
        None => Err(Status::new(Code::Internal, "malformed grpc-timeout")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Option<Duration> {
        let mut headers = HeaderMap::new();
        headers.insert("grpc-timeout", HeaderValue::from_str(text).unwrap());
        timeout(&headers).ok().map(|timeout| timeout.expect("the header is there"))
    }

    #[test]
    fn a_timeout_has_a_number_and_a_unit() {
        assert_eq!(timeout(&HeaderMap::new()), Ok(None));
        assert_eq!(parsed("2H"), Some(Duration::from_secs(7200)));
        assert_eq!(parsed("3M"), Some(Duration::from_secs(180)));
        assert_eq!(parsed("1S"), Some(Duration::from_secs(1)));
        assert_eq!(parsed("0m"), Some(Duration::ZERO));
        assert_eq!(parsed("5u"), Some(Duration::from_micros(5)));
        assert_eq!(parsed("99999999n"), Some(Duration::from_nanos(99_999_999)));
        for nonsense in ["", "S", "1", "1s", "100000000S", "-1S", "+1S", "1 S", "é"] {
            assert_eq!(parsed(nonsense), None, "{nonsense:?}");
        }
    }

    #[test]
    fn a_message_is_escaped() {
        let headers = Status::new(Code::NotFound, "no `é` at 100%\n").headers();
        assert_eq!(headers["grpc-status"], "5");
        assert_eq!(headers["grpc-message"], "no `%C3%A9` at 100%25%0A");
        assert_eq!(Status::OK.headers().len(), 1);
        assert_eq!(Status::new(Code::Unimplemented, "").headers()["grpc-accept-encoding"], "identity");
    }
}
