//! Addresses and ports.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Where IMDS is asked over IPv4. Source: EC2 user guide, "Use the Instance Metadata Service".
pub const IMDS_IPV4: Ipv4Addr = Ipv4Addr::new(169, 254, 169, 254);

/// Where IMDS is asked over IPv6. Source: EC2 user guide, "Use the Instance Metadata Service".
pub const IMDS_IPV6: Ipv6Addr = Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254);

/// The TCP port that IMDS is asked on.
pub const IMDS_PORT: u16 = 80;

/// The loopback port on which the emulator serves IMDS to this Pod alone.
pub const EMULATOR_PORT: u16 = 1338;

/// The port, on every address of the Pod, on which the emulator serves health and metrics: never a credential.
pub const ADMIN_PORT: u16 = 1339;

/// Whether an address is in `network/prefix`. None is where the prefix is longer than the network's addresses.
pub fn is_in_range(address: IpAddr, network: IpAddr, prefix: u8) -> bool {
    let common = match (address, network) {
        (IpAddr::V4(address), IpAddr::V4(network)) => (address.to_bits() ^ network.to_bits()).leading_zeros(),
        (IpAddr::V6(address), IpAddr::V6(network)) => (address.to_bits() ^ network.to_bits()).leading_zeros(),
        _ => return false,
    };
    common >= prefix.into()
}

/// Whether the emulator serves IMDS on this address to its own Pod only: a loopback address, or IMDS's own.
pub fn is_pod_local(ip: IpAddr) -> bool {
    ip.is_loopback() || ip == IMDS_IPV4 || ip == IMDS_IPV6
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_is_of_one_family_and_no_longer_than_its_addresses() {
        for (address, network, prefix, expected) in [
            ("169.254.169.254", "169.254.0.0", 16, true),
            ("169.254.169.254", "0.0.0.0", 0, true),
            ("169.254.169.254", "169.254.169.254", 32, true),
            ("169.254.169.254", "169.254.169.255", 32, false),
            ("169.254.169.254", "169.254.169.254", 33, false),
            ("169.254.169.254", "::", 0, false),
            ("fd00:ec2::254", "fd00:ec2::", 32, true),
            ("fd00:ec2::254", "fd00:ec3::", 32, false),
            ("fd00:ec2::254", "::", 0, true),
        ] {
            let is_in = is_in_range(address.parse().unwrap(), network.parse().unwrap(), prefix);
            assert_eq!(is_in, expected, "{address} in {network}/{prefix}");
        }
    }
}
