//! Interfaces, addresses and routes. Source: rtnetlink(7), linux/rtnetlink.h, `linux/if_addr.h`, `linux/if_link.h`.

use std::net::IpAddr;

use rustix::io::Errno;

use super::message::{Answer, Attribute, Message, attribute};
use super::{Subsystem, dump, flag, get};
use crate::family::Family;

/// `RTM_*`.
mod kind {
    pub(super) const NEW_LINK: u16 = 16;
    pub(super) const GET_LINK: u16 = 18;
    pub(super) const NEW_ADDRESS: u16 = 20;
    pub(super) const DELETE_ADDRESS: u16 = 21;
    pub(super) const GET_ADDRESS: u16 = 22;
    pub(super) const NEW_ROUTE: u16 = 24;
    pub(super) const DELETE_ROUTE: u16 = 25;
    pub(super) const GET_ROUTE: u16 = 26;
}

/// `lo` has this index in every network namespace (`LOOPBACK_IFINDEX` of the kernel's net/flow.h).
const LOOPBACK_INDEX: u32 = 1;
/// `AF_UNSPEC`: of every family.
const ANY_FAMILY: u8 = 0;
const IFF_UP: u32 = 1;
const IFLA_AF_SPEC: u16 = 26;
const IFLA_INET6_CONF: u16 = 2;
/// The index in `IFLA_INET6_CONF` of what `/proc/sys/net/ipv6/conf/lo/disable_ipv6` shows.
const DEVCONF_DISABLE_IPV6: usize = 26;
const IFA_ADDRESS: u16 = 1;
const IFA_LOCAL: u16 = 2;
/// No duplicate address detection: the address works at once.
const IFA_F_NODAD: u8 = 2;
const RTA_DST: u16 = 1;
const RTA_OIF: u16 = 4;
const RTA_PRIORITY: u16 = 6;
/// The table that is asked before all others.
const RT_TABLE_LOCAL: u8 = 255;
/// Put there by an administrator, not by the kernel: removing ours leaves the kernel's own route for an address alone.
const RTPROT_STATIC: u8 = 4;
/// Of use inside this host alone, so that it is never chosen as the source address of other traffic.
const RT_SCOPE_HOST: u8 = 254;
const RT_SCOPE_UNIVERSE: u8 = 0;
const RTN_LOCAL: u8 = 2;
const RTN_BLACKHOLE: u8 = 6;
const RTN_UNREACHABLE: u8 = 7;
const RTN_PROHIBIT: u8 = 8;
/// Worse than a local route's 1024, so that the local route wins once IPv6 is switched on.
const UNREACHABLE_METRIC: u32 = 2048;

/// Whether an object is put there or taken away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// `EEXIST` means that it is there.
    Add,
    /// `ESRCH` (routes) and `EADDRNOTAVAIL` (addresses) mean that it is not there.
    Remove,
}

/// The state of `lo`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Loopback {
    /// Whether it is up.
    pub up: bool,
    /// Whether it speaks IPv6.
    pub ipv6: Ipv6,
}

/// Whether `lo` speaks IPv6.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ipv6 {
    /// It does.
    On,
    /// IPv6 is disabled there, or there is none in this kernel. Another interface may speak it all the same.
    Off,
}

/// Where the kernel sends what is addressed to IMDS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Path {
    /// To this namespace itself.
    Local,
    /// Nowhere: the client gets an error.
    Refused,
    /// Out through an interface.
    Leaves,
}

/// Asks for the state of `lo`.
pub fn loopback() -> Result<Loopback, Errno> {
    let answer = get(Subsystem::Route, &loopback_message(kind::GET_LINK, 0))?;
    let (header, attributes) = answer.split::<16>().ok_or(Errno::BADMSG)?;
    let [_, _, _, _, _, _, _, _, f0, f1, f2, f3, ..] = *header;
    Ok(Loopback { up: u32::from_ne_bytes([f0, f1, f2, f3]) & IFF_UP != 0, ipv6: ipv6_in(attributes) })
}

/// Asks for the addresses assigned in this namespace, as interface index, address and prefix length.
pub fn assigned_addresses() -> Result<Vec<(u32, IpAddr, u8)>, Errno> {
    let message = Message {
        kind: kind::GET_ADDRESS,
        flags: 0,
        header: address_header(ANY_FAMILY, 0),
        attributes: vec![],
    };
    Ok(dump(Subsystem::Route, &message)?.iter().filter_map(assigned_address).collect())
}

/// Asks where the kernel sends what is addressed to IMDS. Routes and rules of others are in the answer too.
pub fn path(family: Family) -> Result<Path, Errno> {
    let message = Message {
        kind: kind::GET_ROUTE,
        flags: 0,
        header: vec![family.number(), family.host_prefix(), 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
        attributes: vec![Attribute::bytes(RTA_DST, family.imds_octets())],
    };
    match get(Subsystem::Route, &message) {
        Ok(answer) => {
            let (header, _) = answer.split::<12>().ok_or(Errno::BADMSG)?;
            let [_, _, _, _, _, _, _, route_type, ..] = *header;
            Ok(match route_type {
                RTN_LOCAL => Path::Local,
                RTN_BLACKHOLE | RTN_UNREACHABLE | RTN_PROHIBIT => Path::Refused,
                _ => Path::Leaves,
            })
        }
        // What a client's connect() would get from an unreachable, prohibit or blackhole route, with no route at all, or
        // in a kernel without the family.
        Err(
            Errno::HOSTUNREACH
            | Errno::ACCESS
            | Errno::INVAL
            | Errno::NETUNREACH
            | Errno::OPNOTSUPP
            | Errno::AFNOSUPPORT,
        ) => Ok(Path::Refused),
        Err(errno) => Err(errno),
    }
}

/// `ip link set lo up`.
pub fn loopback_up() -> Message {
    loopback_message(kind::NEW_LINK, IFF_UP)
}

/// `ip route prepend local ADDRESS dev lo table local`: before any other route to the address.
pub fn local_route(change: Change, family: Family) -> Message {
    let scope = match family {
        Family::V4 => RT_SCOPE_HOST,
        Family::V6 => RT_SCOPE_UNIVERSE,
    };
    route(change, family, scope, RTN_LOCAL, Attribute::native32(RTA_OIF, LOOPBACK_INDEX))
}

/// `ip route add unreachable ADDRESS table local metric 2048`: possible while IPv6 is off.
pub fn unreachable_route(change: Change, family: Family) -> Message {
    let metric = Attribute::native32(RTA_PRIORITY, UNREACHABLE_METRIC);
    route(change, family, RT_SCOPE_UNIVERSE, RTN_UNREACHABLE, metric)
}

/// `ip address add ADDRESS dev lo scope host nodad`.
pub fn loopback_address(change: Change, family: Family) -> Message {
    let (kind, flags) = match change {
        Change::Add => (kind::NEW_ADDRESS, flag::CREATE),
        Change::Remove => (kind::DELETE_ADDRESS, 0),
    };
    Message {
        kind,
        flags,
        header: address_header(family.number(), family.host_prefix()),
        attributes: vec![
            Attribute::bytes(IFA_LOCAL, family.imds_octets()),
            Attribute::bytes(IFA_ADDRESS, family.imds_octets()),
        ],
    }
}

/// Whether `assigned` is what [`loopback_address`] adds.
pub fn is_loopback_address(family: Family, assigned: &(u32, IpAddr, u8)) -> bool {
    *assigned == (LOOPBACK_INDEX, family.imds_address(), family.host_prefix())
}

/// `struct ifinfomsg` of `lo`, with the flags to set.
fn loopback_message(kind: u16, flags: u32) -> Message {
    let mut header = vec![ANY_FAMILY, 0, 0, 0];
    header.extend(LOOPBACK_INDEX.to_ne_bytes());
    header.extend(flags.to_ne_bytes());
    header.extend(flags.to_ne_bytes());
    Message { kind, flags: 0, header, attributes: vec![] }
}

/// `struct ifaddrmsg` on `lo`.
fn address_header(family: u8, prefix: u8) -> Vec<u8> {
    let mut header = vec![family, prefix, IFA_F_NODAD, RT_SCOPE_HOST];
    header.extend(LOOPBACK_INDEX.to_ne_bytes());
    header
}

/// `struct rtmsg` in table local.
fn route(change: Change, family: Family, scope: u8, route_type: u8, attribute: Attribute) -> Message {
    let (kind, flags) = match change {
        // Neither EXCL nor APPEND: before the others of its kind.
        Change::Add => (kind::NEW_ROUTE, flag::CREATE),
        Change::Remove => (kind::DELETE_ROUTE, 0),
    };
    let to = [family.number(), family.host_prefix(), 0, 0];
    let how = [RT_TABLE_LOCAL, RTPROT_STATIC, scope, route_type];
    Message {
        kind,
        flags,
        header: [to, how, [0; 4]].concat(),
        attributes: vec![Attribute::bytes(RTA_DST, family.imds_octets()), attribute],
    }
}

fn ipv6_in(attributes: &[u8]) -> Ipv6 {
    let settings = attribute(attributes, IFLA_AF_SPEC)
        .and_then(|families| attribute(families, Family::V6.number().into()))
        .and_then(|ipv6| attribute(ipv6, IFLA_INET6_CONF));
    // An array of 32-bit numbers; without it there is no IPv6.
    match settings.and_then(|array| array.chunks_exact(4).nth(DEVCONF_DISABLE_IPV6)) {
        Some([0, 0, 0, 0]) => Ipv6::On,
        _ => Ipv6::Off,
    }
}

fn assigned_address(answer: &Answer) -> Option<(u32, IpAddr, u8)> {
    let (header, attributes) = answer.split::<8>()?;
    let [_, prefix, _, _, i0, i1, i2, i3] = *header;
    // On a point-to-point link IFA_ADDRESS is the other end's; IPv6 has IFA_LOCAL only there.
    let octets = attribute(attributes, IFA_LOCAL).or_else(|| attribute(attributes, IFA_ADDRESS))?;
    let address = <[u8; 4]>::try_from(octets)
        .map(IpAddr::from)
        .or_else(|_| <[u8; 16]>::try_from(octets).map(IpAddr::from))
        .ok()?;
    Some((u32::from_ne_bytes([i0, i1, i2, i3]), address, prefix))
}
