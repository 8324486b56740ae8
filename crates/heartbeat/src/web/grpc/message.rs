//! The three messages of `grpc.health.v1` in the wire format of protocol buffers, and the frames that gRPC puts them into.
//!
//! By hand: two of them have one field, and the third is a map of the second.

use bytes::{BufMut as _, Bytes, BytesMut};

/// The longest message that is read, in bytes. It holds the name of a view.
pub(super) const LONGEST: usize = 4096;

/// The frame around a message: a flag, and the length in four bytes (gRPC over HTTP/2, "Length-Prefixed-Message").
pub(super) const FRAME: usize = 5;

/// A framed `HealthCheckResponse` has at most so many bytes.
pub(super) const LONGEST_STATUS: usize = FRAME + 2;

/// What a service is said to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ServingStatus {
    /// It is not known yet.
    Unknown = 0,
    /// Send requests.
    Serving = 1,
    /// Send none.
    NotServing = 2,
    /// There is no such service; only a watcher is told so.
    ServiceUnknown = 3,
}

/// Why bytes are not the message that was expected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Malformed(pub(super) &'static str);

/// Reads a `HealthCheckRequest`: the name of the service. Fields that we do not know are skipped.
///
/// # Errors
/// If the bytes are no message, or the name is no text.
pub(super) fn service(message: &[u8]) -> Result<&str, Malformed> {
    const SERVICE: u64 = 1;
    let mut service = "";
    let mut groups = Vec::new();
    let mut rest = message;
    while !rest.is_empty() {
        let tag = varint(&mut rest)?;
        let (field, wire_type) = (tag >> 3, tag & 7);
        if field == 0 || field >= 1 << 29 {
            return Err(Malformed("a field has a number that there is not"));
        }
        match wire_type {
            0 => {
                varint(&mut rest)?;
            }
            1 => {
                take(&mut rest, 8)?;
            }
            2 => {
                let length = varint(&mut rest)?;
                let bytes = take(&mut rest, usize::try_from(length).unwrap_or(usize::MAX))?;
                if field == SERVICE && groups.is_empty() {
                    service = std::str::from_utf8(bytes).map_err(|_| Malformed("the service's name is not UTF-8"))?;
                }
            }
            3 => groups.push(field),
            4 if groups.pop() == Some(field) => {}
            5 => {
                take(&mut rest, 4)?;
            }
            _ => return Err(Malformed("a field has a type that there is not")),
        }
    }
    if groups.is_empty() { Ok(service) } else { Err(Malformed("the message ends within a group")) }
}

fn varint(rest: &mut &[u8]) -> Result<u64, Malformed> {
    let mut value = 0;
    for place in 0..10 {
        let byte = take(rest, 1)?[0];
        // The tenth byte has room for one bit.
        if place == 9 && byte > 1 {
            break;
        }
        value |= u64::from(byte & 0x7f) << (7 * place);
        if byte & 0x80 == 0 {
            return Ok(value);
        }
    }
    Err(Malformed("a number is longer than ten bytes"))
}

fn take<'a>(rest: &mut &'a [u8], length: usize) -> Result<&'a [u8], Malformed> {
    let (taken, left) = rest.split_at_checked(length).ok_or(Malformed("the message ends too early"))?;
    *rest = left;
    Ok(taken)
}

/// A `HealthCheckResponse` in its frame.
pub(super) fn check_response(status: ServingStatus) -> Bytes {
    framed(&health_check_response(status))
}

/// A `HealthListResponse` in its frame.
pub(super) fn list_response(statuses: &[(impl AsRef<str>, ServingStatus)]) -> Bytes {
    let mut message = BytesMut::new();
    for (name, status) in statuses {
        let mut entry = BytesMut::new();
        put(&mut entry, 1, name.as_ref().as_bytes());
        put(&mut entry, 2, &health_check_response(*status));
        put(&mut message, 1, &entry);
    }
    framed(&message)
}

/// A field that has its default is left out.
fn health_check_response(status: ServingStatus) -> Vec<u8> {
    const STATUS: u8 = 1 << 3;
    if status == ServingStatus::Unknown { Vec::new() } else { vec![STATUS, status as u8] }
}

fn put(message: &mut BytesMut, field: u8, bytes: &[u8]) {
    message.put_u8(field << 3 | 2);
    let mut length = bytes.len();
    while length >= 0x80 {
        message.put_u8(length as u8 | 0x80);
        length >>= 7;
    }
    message.put_u8(length as u8);
    message.put_slice(bytes);
}

fn framed(message: &[u8]) -> Bytes {
    let length = u32::try_from(message.len()).expect("a list of a hundred names is shorter than 4 GiB");
    let mut frame = BytesMut::with_capacity(FRAME + message.len());
    frame.put_u8(0);
    frame.put_u32(length);
    frame.put_slice(message);
    frame.freeze()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_service_is_read_and_what_is_unknown_is_skipped() {
        assert_eq!(service(b""), Ok(""));
        assert_eq!(service(b"\x0a\x05ready"), Ok("ready"));
        assert_eq!(service(b"\x0a\x01a\x0a\x01b"), Ok("b"), "the last one counts");
        assert_eq!(service(b"\x10\x96\x01\x0a\x01a\x19\0\0\0\0\0\0\0\0\x25\0\0\0\0"), Ok("a"));
        assert_eq!(service(b"\x0b\x0a\x01x\x0c\x0a\x01a"), Ok("a"), "a group's fields are not ours");
        assert_eq!(service(b"\x08\x01"), Ok(""), "a number cannot be a name");
        assert_eq!(service("\x0a\x03\u{1F}é".as_bytes()), Ok("\u{1F}é"));
    }

    #[test]
    fn what_is_no_message_is_told() {
        for (bytes, why) in [
            (&b"\x0a"[..], "the message ends too early"),
            (b"\x0a\x05read", "the message ends too early"),
            (b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", "the message ends too early"),
            (b"\x80", "the message ends too early"),
            (b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02", "a number is longer than ten bytes"),
            (b"\x00", "a field has a number that there is not"),
            (b"\x0e", "a field has a type that there is not"),
            (b"\x0c", "a field has a type that there is not"),
            (b"\x0b\x14", "a field has a type that there is not"),
            (b"\x0b", "the message ends within a group"),
            (b"\x0a\x01\xff", "the service's name is not UTF-8"),
        ] {
            assert_eq!(service(bytes), Err(Malformed(why)), "{bytes:x?}");
        }
    }

    #[test]
    fn responses_are_as_protoc_writes_them() {
        assert_eq!(&check_response(ServingStatus::Unknown)[..], b"\0\0\0\0\0");
        assert_eq!(&check_response(ServingStatus::Serving)[..], b"\0\0\0\0\x02\x08\x01");
        assert_eq!(&check_response(ServingStatus::ServiceUnknown)[..], b"\0\0\0\0\x02\x08\x03");
        let list = list_response(&[("", ServingStatus::Unknown), ("ready", ServingStatus::NotServing)]);
        assert_eq!(&list[..], b"\0\0\0\0\x13\x0a\x04\x0a\0\x12\0\x0a\x0b\x0a\x05ready\x12\x02\x08\x02");
        let long = "x".repeat(200);
        let list = list_response(&[(long.as_str(), ServingStatus::Serving)]);
        let begin = b"\0\0\0\0\xd2\x0a\xcf\x01\x0a\xc8\x01xxx";
        assert_eq!(&list[..begin.len()], begin);
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_are_too_strange(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..64)) {
            let _ = service(&bytes);
        }
    }
}
