//! The values that several kinds share.

use std::net::IpAddr;

use crate::config::values::words;
use crate::config::{Context, Node, Shape, Value};

/// A version of the Internet Protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IpVersion {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

impl IpVersion {
    fn is(self, address: IpAddr) -> bool {
        address.is_ipv4() == (self == Self::V4)
    }
}

/// Which addresses of a name are used, and which come first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Family {
    /// Both, IPv6 first (RFC 6724).
    #[default]
    Auto,
    /// Both, IPv4 first.
    Prefer4,
    /// IPv4 alone.
    Only4,
    /// IPv6 alone.
    Only6,
}

impl Family {
    /// The one version that is used, if it is one.
    pub fn only(self) -> Option<IpVersion> {
        match self {
            Self::Auto | Self::Prefer4 => None,
            Self::Only4 => Some(IpVersion::V4),
            Self::Only6 => Some(IpVersion::V6),
        }
    }

    /// Whether an address is one that is used.
    pub fn allows(self, address: IpAddr) -> bool {
        self.only().is_none_or(|version| version.is(address))
    }

    /// The addresses that are used, in the order in which they are tried: versions take turns (RFC 8305, section 4).
    pub fn order(self, mut found: Vec<IpAddr>) -> Vec<IpAddr> {
        found.retain(|address| self.allows(*address));
        if self.only().is_some() {
            return found;
        }
        let first = if self == Self::Auto { IpVersion::V6 } else { IpVersion::V4 };
        let (firsts, seconds): (Vec<_>, Vec<_>) = found.into_iter().partition(|address| first.is(*address));
        let mut ordered = Vec::with_capacity(firsts.len() + seconds.len());
        let (mut firsts, mut seconds) = (firsts.into_iter(), seconds.into_iter());
        loop {
            let pair = (firsts.next(), seconds.next());
            if pair == (None, None) {
                return ordered;
            }
            ordered.extend(pair.0);
            ordered.extend(pair.1);
        }
    }
}

words!(Family { "auto" => Auto, "prefer4" => Prefer4, "4" => Only4, "6" => Only6 });

/// A range of addresses: `169.254.0.0/16`, `::1`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    prefix: u8,
}

impl Network {
    /// Whether an address lies in it. An IPv4 address that is mapped into IPv6 is the IPv4 address.
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self.address, address.to_canonical()) {
            (IpAddr::V4(network), IpAddr::V4(address)) => {
                let mask = u32::MAX.checked_shl(32 - u32::from(self.prefix)).unwrap_or(0);
                network.to_bits() & mask == address.to_bits() & mask
            }
            (IpAddr::V6(network), IpAddr::V6(address)) => {
                let mask = u128::MAX.checked_shl(128 - u32::from(self.prefix)).unwrap_or(0);
                network.to_bits() & mask == address.to_bits() & mask
            }
            _ => false,
        }
    }

    fn parse(text: &str) -> Option<Self> {
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix.parse::<u8>().ok()?)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().ok()?;
        let longest = if address.is_ipv4() { 32 } else { 128 };
        let prefix = prefix.unwrap_or(longest);
        (prefix <= longest).then_some(Self { address, prefix })
    }
}

impl Value for Network {
    fn shape() -> Shape {
        Shape::Text { noun: "a network", pattern: Some("^[0-9a-fA-F.:]+(/[0-9]{1,3})?$") }
    }

    fn decode(node: &Node, context: &mut Context<'_>) -> Option<Self> {
        let noun = "a network such as `169.254.0.0/16`";
        let text = context.text(noun, node)?;
        match Self::parse(&text) {
            Some(network) => Some(network),
            None => context.expected(noun, node),
        }
    }

    fn show(&self) -> Node {
        Node::text(format!("{}/{}", self.address, self.prefix))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addresses(texts: &[&str]) -> Vec<IpAddr> {
        texts.iter().map(|text| text.parse().expect("an address")).collect()
    }

    #[test]
    fn versions_take_turns() {
        let found = addresses(&["10.0.0.1", "10.0.0.2", "::1", "::2", "::3"]);
        let ordered = |family: Family| family.order(found.clone());
        assert_eq!(ordered(Family::Auto), addresses(&["::1", "10.0.0.1", "::2", "10.0.0.2", "::3"]));
        assert_eq!(ordered(Family::Prefer4), addresses(&["10.0.0.1", "::1", "10.0.0.2", "::2", "::3"]));
        assert_eq!(ordered(Family::Only4), addresses(&["10.0.0.1", "10.0.0.2"]));
        assert_eq!(ordered(Family::Only6), addresses(&["::1", "::2", "::3"]));
    }

    #[test]
    fn a_network_holds_its_addresses() {
        for (network, address, held) in [
            ("169.254.0.0/16", "169.254.169.254", true),
            ("169.254.0.0/16", "169.253.255.255", false),
            ("169.254.0.0/16", "::ffff:169.254.169.254", true),
            ("10.0.0.1", "10.0.0.1", true),
            ("10.0.0.1", "10.0.0.2", false),
            ("0.0.0.0/0", "8.8.8.8", true),
            ("0.0.0.0/0", "::1", false),
            ("fe80::/10", "febf::1", true),
            ("::/0", "::1", true),
        ] {
            let parsed = Network::parse(network).expect("a network");
            assert_eq!(parsed.contains(address.parse().expect("an address")), held, "{address} in {network}");
        }
        for wrong in ["", "10.0.0.0/33", "::/129", "10.0.0/8", "10.0.0.0/", "10.0.0.0/-1"] {
            assert_eq!(Network::parse(wrong), None, "{wrong}");
        }
    }
}
