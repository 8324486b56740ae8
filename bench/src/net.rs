//! The addresses of a run, its own: runs beside each other must not meet.

use std::io::Read as _;
use std::net::{Ipv4Addr, TcpStream};
use std::time::Duration;

use crate::target::Kind;

/// So many addresses have targets.
pub(crate) const ADDRESSES: usize = 16;

/// A small part of 127.0.0.0/8.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Net([u8; 2]);

impl Net {
    /// This process' own.
    pub(crate) fn own() -> Self {
        let pid = std::process::id();
        // Between those that others use for something.
        Self([20 + (pid / 250 % 200) as u8, 1 + (pid % 250) as u8])
    }

    /// Reads what [`Display`](std::fmt::Display) wrote.
    pub(crate) fn read(text: &str) -> Option<Self> {
        let (first, second) = text.split_once('.')?;
        Some(Self([first.parse().ok()?, second.parse().ok()?]))
    }

    /// Where one of many checks finds its target.
    pub(crate) fn address(self, check: usize) -> Ipv4Addr {
        Ipv4Addr::new(127, self.0[0], self.0[1], 1 + (check % ADDRESSES) as u8)
    }

    /// Where everybody else listens: responders, exporters, and whoever tells what a target has counted.
    pub(crate) const fn server(self) -> Ipv4Addr {
        Ipv4Addr::new(127, self.0[0], self.0[1], 254)
    }

    /// How many connections the target of that kind has accepted so far.
    pub(crate) fn hits(self, kind: Kind) -> Result<u64, String> {
        self.told(kind).map(|(hits, _)| hits)
    }

    /// When the first connection came since this, or [`Net::hits`], was asked before; by [`clock`](crate::target::clock).
    pub(crate) fn first_hit(self, kind: Kind) -> Result<Option<Duration>, String> {
        self.told(kind).map(|(_, first)| (first > 0).then(|| Duration::from_nanos(first)))
    }

    fn told(self, kind: Kind) -> Result<(u64, u64), String> {
        let mut text = String::new();
        let read =
            TcpStream::connect((self.server(), kind.port())).and_then(|mut stream| stream.read_to_string(&mut text));
        read.map_err(|error| format!("the target does not tell its hits: {error}"))?;
        let numbers = text.split_once(' ').and_then(|(hits, first)| Some((hits.parse().ok()?, first.parse().ok()?)));
        numbers.ok_or_else(|| format!("expected two numbers of hits, found `{text}`"))
    }
}

impl std::fmt::Display for Net {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}", self.0[0], self.0[1])
    }
}
