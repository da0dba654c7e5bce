//! Whom a request without a token is counted for: the address that OpenBao saw.
//!
//! An IPv6 address counts as its /64, which one host usually has to itself. Behind a relay all have the relay's address,
//! unless the listener takes the PROXY protocol from it.
//!
//! Trusted: OpenBao's listener.

use std::net::IpAddr;

/// A source of requests.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(crate) enum Source {
    /// An IPv4 address.
    V4([u8; 4]),
    /// The first half of an IPv6 address.
    V6([u8; 8]),
    /// OpenBao named none: calls that it makes itself.
    Unknown,
}

impl Source {
    /// The source with this address, in text.
    pub(crate) fn of(address: &str) -> Self {
        match address.parse::<IpAddr>().map(|address| address.to_canonical()) {
            Ok(IpAddr::V4(address)) => Self::V4(address.octets()),
            Ok(IpAddr::V6(address)) => {
                address.octets().first_chunk::<8>().map_or(Self::Unknown, |network| Self::V6(*network))
            }
            Err(_) => Self::Unknown,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_one_network_of_64_bits_are_one_source() {
        assert_eq!(Source::of("2001:db8:1:2::1"), Source::of("2001:db8:1:2:ffff:ffff:ffff:ffff"));
        assert_ne!(Source::of("2001:db8:1:2::1"), Source::of("2001:db8:1:3::1"));
        assert_eq!(Source::of("::ffff:192.0.2.1"), Source::of("192.0.2.1"));
        assert_ne!(Source::of("192.0.2.2"), Source::of("192.0.2.1"));
        assert_eq!([Source::of(""), Source::of("@"), Source::of("fe80::1%eth0")], [Source::Unknown; 3]);
    }
}
