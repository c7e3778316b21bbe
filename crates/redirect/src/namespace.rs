//! Whether this is the node's own network namespace, where the interception would change the node for every Pod on it.

use std::fmt;
use std::net::IpAddr;
use std::path::Path;

use imds_contract::environment::{HOST_IP, POD_IPS};
use rustix::io::Errno;

use crate::config::Config;
use crate::netlink::route::assigned_addresses;

/// A sysctl that the kernel shows in the initial network namespace alone (`net_core_table` of `net/core/sysctl_net_core.c`;
/// seen on 6.18).
const INITIAL_NAMESPACE_ONLY: &str = "/proc/sys/net/core/netdev_max_backlog";

/// What can be seen of this network namespace from inside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// The addresses assigned to its interfaces.
    pub assigned: Vec<IpAddr>,
    /// Whether it is the kernel's initial network namespace.
    pub initial: bool,
}

/// Why we believe that this is the node's network namespace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NodeSign {
    /// The node's address is assigned here.
    HostIpAssigned(IpAddr),
    /// The Pod has the node's address.
    PodHasHostIp(IpAddr),
    /// It is the kernel's initial network namespace, and nothing proves that it belongs to a Pod.
    Initial,
}

impl Facts {
    /// Looks at the network namespace that this thread is in.
    pub fn read() -> Result<Self, Errno> {
        let assigned = assigned_addresses()?.into_iter().map(|(_, address, _)| address).collect();
        Ok(Self { assigned, initial: Path::new(INITIAL_NAMESPACE_ONLY).exists() })
    }
}

/// A sign that this is the node's network namespace, if there is one.
///
/// A runtime that gives each Pod a virtual machine runs its containers in that machine's initial network namespace. There
/// the Pod's address is assigned and the node's, though told, is not.
pub fn node_sign(config: &Config, facts: &Facts) -> Option<NodeSign> {
    let assigned = |address: &IpAddr| facts.assigned.contains(address);
    match config.host_ip {
        Some(host) if assigned(&host) => Some(NodeSign::HostIpAssigned(host)),
        Some(host) if config.pod_ips.contains(&host) => Some(NodeSign::PodHasHostIp(host)),
        Some(_) if config.pod_ips.iter().any(assigned) => None,
        _ if facts.initial => Some(NodeSign::Initial),
        _ => None,
    }
}

impl fmt::Display for NodeSign {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::HostIpAssigned(host) => write!(f, "{HOST_IP} {host} is assigned here"),
            Self::PodHasHostIp(host) => write!(f, "{HOST_IP} {host} is among {POD_IPS}"),
            Self::Initial => write!(f, "it is the kernel's initial one"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NODE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 5));
    const POD: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 1, 0, 7));

    fn sign(
        host_ip: Option<IpAddr>,
        pod_ips: &[IpAddr],
        assigned: &[IpAddr],
        initial: bool,
    ) -> Option<NodeSign> {
        let config = Config { host_ip, pod_ips: pod_ips.to_vec(), ..Config::default() };
        node_sign(&config, &Facts { assigned: assigned.to_vec(), initial })
    }

    #[test]
    fn a_pod_of_its_own_is_no_node() {
        assert_eq!(sign(Some(NODE), &[POD], &[POD], false), None);
        assert_eq!(sign(None, &[], &[], false), None);
    }

    #[test]
    fn the_nodes_address_gives_the_node_away() {
        assert_eq!(sign(Some(NODE), &[], &[NODE], false), Some(NodeSign::HostIpAssigned(NODE)));
        assert_eq!(sign(Some(NODE), &[NODE], &[], false), Some(NodeSign::PodHasHostIp(NODE)));
    }

    #[test]
    fn the_initial_namespace_is_the_nodes_unless_the_pods_address_proves_otherwise() {
        assert_eq!(sign(None, &[], &[], true), Some(NodeSign::Initial));
        assert_eq!(sign(Some(NODE), &[POD], &[], true), Some(NodeSign::Initial));
        assert_eq!(
            sign(None, &[POD], &[POD], true),
            Some(NodeSign::Initial),
            "the node's address is unknown"
        );
        assert_eq!(sign(Some(NODE), &[POD], &[POD], true), None, "a Pod in a virtual machine of its own");
    }
}
