//! The two address families, and what the kernel and people call them.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use imds_contract::address::{IMDS_IPV4, IMDS_IPV6};

/// An address family in which IMDS has an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

impl Family {
    /// The address on which IMDS is asked in this family.
    pub fn imds_address(self) -> IpAddr {
        match self {
            Self::V4 => IMDS_IPV4.into(),
            Self::V6 => IMDS_IPV6.into(),
        }
    }

    /// [`imds_address`](Self::imds_address) in network order.
    pub fn imds_octets(self) -> Vec<u8> {
        match self {
            Self::V4 => IMDS_IPV4.octets().to_vec(),
            Self::V6 => IMDS_IPV6.octets().to_vec(),
        }
    }

    /// Where the emulator listens.
    pub fn loopback(self) -> IpAddr {
        match self {
            Self::V4 => Ipv4Addr::LOCALHOST.into(),
            Self::V6 => Ipv6Addr::LOCALHOST.into(),
        }
    }

    /// `AF_INET` and `AF_INET6` of sys/socket.h, which linux/netfilter.h reuses as `NFPROTO_IPV4` and `NFPROTO_IPV6`.
    pub fn number(self) -> u8 {
        match self {
            Self::V4 => 2,
            Self::V6 => 10,
        }
    }

    /// The prefix length, in bits, of a single address.
    pub fn host_prefix(self) -> u8 {
        match self {
            Self::V4 => 32,
            Self::V6 => 128,
        }
    }
}

/// As `nft` names the family: `ip` or `ip6`.
impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::V4 => "ip",
            Self::V6 => "ip6",
        })
    }
}
