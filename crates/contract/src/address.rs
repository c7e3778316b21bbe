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

/// Whether the emulator serves IMDS on this address to its own Pod only: a loopback address, or IMDS's own.
pub fn is_pod_local(ip: IpAddr) -> bool {
    ip.is_loopback() || ip == IMDS_IPV4 || ip == IMDS_IPV6
}
