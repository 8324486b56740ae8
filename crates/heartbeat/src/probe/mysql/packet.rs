//! The packets of the protocol (MySQL's documentation, "Client/Server Protocol"), taken apart. Numbers are little-endian.

use crate::probe::database::Refusal;

/// What a client or server can do. Those that heartbeat uses or looks for.
pub(super) mod capability {
    /// A server that is MySQL, a client of today.
    pub(crate) const LONG_PASSWORD: u32 = 1;
    pub(crate) const CONNECT_WITH_DB: u32 = 1 << 3;
    pub(crate) const PROTOCOL_41: u32 = 1 << 9;
    pub(crate) const SSL: u32 = 1 << 11;
    pub(crate) const TRANSACTIONS: u32 = 1 << 13;
    pub(crate) const SECURE_CONNECTION: u32 = 1 << 15;
    /// A procedure may return several results.
    pub(crate) const MULTI_RESULTS: u32 = 1 << 17;
    pub(crate) const PLUGIN_AUTH: u32 = 1 << 19;
}

/// In the status of a server: another result follows.
const MORE_RESULTS: u16 = 8;

/// A packet, read from its start. Every step is `None` beyond its end.
pub(super) struct Reader<'a>(pub(super) &'a [u8]);

impl<'a> Reader<'a> {
    /// So many bytes.
    pub(super) fn bytes(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    /// Up to a NUL, which is passed.
    pub(super) fn text(&mut self) -> Option<&'a [u8]> {
        let end = self.0.iter().position(|byte| *byte == 0)?;
        let text = self.bytes(end)?;
        self.bytes(1)?;
        Some(text)
    }

    pub(super) fn u8(&mut self) -> Option<u8> {
        self.bytes(1).map(|bytes| bytes[0])
    }

    pub(super) fn u16(&mut self) -> Option<u16> {
        self.number(2).and_then(|number| u16::try_from(number).ok())
    }

    fn number(&mut self, count: usize) -> Option<u64> {
        self.bytes(count).map(|bytes| bytes.iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte)))
    }

    /// An integer that says itself how long it is.
    pub(super) fn length(&mut self) -> Option<u64> {
        match self.u8()? {
            small @ ..=0xfa => Some(small.into()),
            0xfc => self.number(2),
            0xfd => self.number(3),
            0xfe => self.number(8),
            _ => None,
        }
    }

    /// Text with its length before it.
    fn counted(&mut self) -> Option<&'a [u8]> {
        let length = self.length()?;
        self.bytes(usize::try_from(length).ok()?)
    }
}

/// What a server says first.
#[derive(Debug)]
pub(super) struct Greeting {
    pub(super) capabilities: u32,
    pub(super) scramble: Vec<u8>,
    pub(super) plugin: String,
}

impl Greeting {
    /// Version 10 of the handshake; there is no other since MySQL 3.21.
    pub(super) fn parse(packet: &[u8]) -> Option<Self> {
        let mut reader = Reader(packet);
        if reader.u8()? != 10 {
            return None;
        }
        let _version = reader.text()?;
        let _thread = reader.bytes(4)?;
        let mut scramble = reader.bytes(8)?.to_vec();
        reader.bytes(1)?;
        let lower = reader.u16()?;
        let _collation_and_status = reader.bytes(3)?;
        let upper = reader.u16()?;
        let length = usize::from(reader.u8()?);
        reader.bytes(10)?;
        let rest = reader.bytes(length.saturating_sub(8).max(13))?;
        scramble.extend_from_slice(rest.strip_suffix(&[0]).unwrap_or(rest));
        let plugin = String::from_utf8_lossy(reader.text().unwrap_or(reader.0)).into_owned();
        Some(Self { capabilities: u32::from(upper) << 16 | u32::from(lower), scramble, plugin })
    }
}

/// The refusal in a packet that begins with 0xff. Before the login it has no SQLSTATE.
pub(super) fn refusal(packet: &[u8]) -> Option<Refusal> {
    let mut reader = Reader(packet.strip_prefix(&[0xff])?);
    let code = reader.u16()?.to_string();
    let message = match reader.0 {
        [b'#', rest @ ..] => rest.get(5..)?,
        message => message,
    };
    Some(Refusal { code, message: String::from_utf8_lossy(message).into_owned() })
}

/// Whether a packet ends a list of columns or rows. A row that begins so is longer.
pub(super) fn is_end(packet: &[u8]) -> bool {
    packet.first() == Some(&0xfe) && packet.len() < 9
}

/// Whether another result follows the one that this packet ends: `0xfe` and the rows, or `0x00` and nothing.
pub(super) fn announces_more(packet: &[u8]) -> Option<bool> {
    let mut reader = Reader(packet);
    match reader.u8()? {
        0 => {
            let _rows = reader.length()?;
            let _inserted = reader.length()?;
        }
        _ => drop(reader.u16()?),
    }
    Some(reader.u16()? & MORE_RESULTS != 0)
}

/// The first column of a row; the inner `None` is NULL.
pub(super) fn first_column(row: &[u8]) -> Option<Option<&[u8]>> {
    match row.first()? {
        0xfb => Some(None),
        _ => Reader(row).counted().map(Some),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The greeting of a MariaDB 10.11 server, its scramble replaced by letters.
    const MARIADB: &[u8] = b"\x0a5.5.5-10.11.6-MariaDB-0+deb12u1\0\x1e\0\0\0abcdefgh\0\xfe\xf7\x2d\x02\0\xff\x81\x15\
        \0\0\0\0\0\0\x1d\0\0\0ijklmnopqrst\0mysql_native_password\0";

    #[test]
    fn a_greeting_is_taken_apart() {
        let greeting = Greeting::parse(MARIADB).expect("right");
        assert_eq!(greeting.scramble, b"abcdefghijklmnopqrst");
        assert_eq!(greeting.plugin, "mysql_native_password");
        assert_eq!(greeting.capabilities, 0x81ff_f7fe);
    }

    #[test]
    fn lengths_have_four_sizes() {
        let length = |bytes: &[u8]| Reader(bytes).length();
        assert_eq!(length(&[0xfa]), Some(250));
        assert_eq!(length(&[0xfc, 1, 2]), Some(0x0201));
        assert_eq!(length(&[0xfd, 1, 2, 3]), Some(0x03_0201));
        assert_eq!(length(&[0xfe, 1, 0, 0, 0, 0, 0, 0, 0x80]), Some(0x8000_0000_0000_0001));
        assert_eq!((length(&[0xfb]), length(&[0xff]), length(&[0xfc, 1]), length(&[])), (None, None, None, None));
    }

    proptest! {
        #[test]
        fn no_packet_makes_us_panic(packet in proptest::collection::vec(any::<u8>(), 0..80)) {
            let _ = Greeting::parse(&packet);
            let _ = Greeting::parse(&[&MARIADB[..packet.len().min(MARIADB.len())], &packet].concat());
            let _ = refusal(&packet);
            let _ = refusal(&[&[0xff], &packet[..]].concat());
            let _ = announces_more(&packet);
            let _ = first_column(&packet);
        }
    }
}
