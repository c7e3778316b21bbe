//! What has to be in the network namespace, and what must not. Pure: the same mode, port and state of IPv6 always give
//! the same plan.
//!
//! What is to be present is applied in order, before anything is taken away, so that there is no moment in which a
//! request to the address could leave through an interface.

use std::fmt;
use std::num::NonZeroU16;

use crate::config::Mode;
use crate::family::Family;
use crate::netlink::nftables::TABLE_NAME;
use crate::netlink::route::Ipv6;

/// Something that we put into a network namespace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Object {
    /// `lo` is up.
    LoopbackUp,
    /// The address is this namespace's own: nothing that is sent to it leaves.
    LocalRoute(Family),
    /// Nothing can be sent to the address.
    UnreachableRoute(Family),
    /// The address is assigned to `lo`, which makes it this namespace's own, too.
    LoopbackAddress(Family),
    /// Our `nf_tables` table, which maps the address's port 80 to the emulator's.
    Table {
        /// The family of the table and of the address.
        family: Family,
        /// The emulator's port on loopback.
        to_port: NonZeroU16,
    },
}

/// The desired state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// What must be there.
    pub present: Vec<Object>,
    /// What of ours must not be there.
    pub absent: Vec<Object>,
}

impl Plan {
    /// The interception by `mode`. With IPv6 off on `lo` the IPv6 address can't be served; it is made unreachable, lest
    /// it be asked through another interface.
    pub fn interception(mode: Mode, to_port: NonZeroU16, ipv6: Ipv6) -> Self {
        let entry = match mode {
            Mode::Redirect => Object::LocalRoute,
            Mode::Address => Object::LoopbackAddress,
        };
        let ipv6_entry = match ipv6 {
            Ipv6::On => entry(Family::V6),
            Ipv6::Off => Object::UnreachableRoute(Family::V6),
        };
        let mut plan =
            Self { present: vec![Object::LoopbackUp, entry(Family::V4), ipv6_entry], absent: vec![] };
        for family in [Family::V4, Family::V6] {
            let is_served = family == Family::V4 || ipv6 == Ipv6::On;
            let tables =
                if mode == Mode::Redirect && is_served { &mut plan.present } else { &mut plan.absent };
            tables.push(Object::Table { family, to_port });
        }
        plan
    }

    /// Everything of ours away, whatever put it there.
    pub fn removal() -> Self {
        let mut absent = Vec::new();
        for family in [Family::V4, Family::V6] {
            absent.extend([
                // The port plays no part in taking a table away.
                Object::Table { family, to_port: NonZeroU16::MIN },
                Object::LoopbackAddress(family),
                Object::LocalRoute(family),
                Object::UnreachableRoute(family),
            ]);
        }
        Self { present: vec![], absent }
    }

    /// The same without the IPv6 table, for a kernel that has IPv6 but can't translate its addresses. The local route
    /// stays: requests to the IPv6 address are refused.
    #[must_use]
    pub fn without_ipv6_table(mut self) -> Self {
        self.present.retain(|object| !matches!(object, Object::Table { family: Family::V6, .. }));
        self
    }
}

/// As a person would look for it with `ip` and `nft`.
impl fmt::Display for Object {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::LoopbackUp => f.write_str("lo"),
            Self::LocalRoute(family) => write!(f, "route local {} dev lo table local", family.imds_address()),
            Self::UnreachableRoute(family) => {
                write!(f, "route unreachable {} table local", family.imds_address())
            }
            Self::LoopbackAddress(family) => {
                write!(f, "address {}/{} dev lo", family.imds_address(), family.host_prefix())
            }
            Self::Table { family, .. } => write!(f, "nf_tables table {family} {TABLE_NAME}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PORT: NonZeroU16 = NonZeroU16::new(1338).unwrap();

    fn shown(objects: &[Object]) -> Vec<String> {
        objects.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn the_route_comes_before_the_table() {
        assert_eq!(
            shown(&Plan::interception(Mode::Redirect, PORT, Ipv6::On).present),
            [
                "lo",
                "route local 169.254.169.254 dev lo table local",
                "route local fd00:ec2::254 dev lo table local",
                "nf_tables table ip imds-emulator",
                "nf_tables table ip6 imds-emulator",
            ]
        );
    }

    #[test]
    fn address_mode_uses_no_netfilter_and_takes_our_tables_away() {
        let plan = Plan::interception(Mode::Address, PORT, Ipv6::On);
        assert_eq!(
            shown(&plan.present),
            ["lo", "address 169.254.169.254/32 dev lo", "address fd00:ec2::254/128 dev lo"]
        );
        assert_eq!(
            shown(&plan.absent),
            ["nf_tables table ip imds-emulator", "nf_tables table ip6 imds-emulator"]
        );
    }

    #[test]
    fn ipv6_off_on_lo_leaves_no_way_out_for_its_address() {
        for mode in [Mode::Redirect, Mode::Address] {
            let plan = Plan::interception(mode, PORT, Ipv6::Off);
            assert!(plan.present.contains(&Object::UnreachableRoute(Family::V6)));
            assert!(!plan.present.contains(&Object::LocalRoute(Family::V6)));
        }
    }

    #[test]
    fn removal_takes_away_whatever_either_mode_puts_there() {
        let removed = Plan::removal().absent;
        for mode in [Mode::Redirect, Mode::Address] {
            for ipv6 in [Ipv6::On, Ipv6::Off] {
                let put = shown(&Plan::interception(mode, NonZeroU16::MIN, ipv6).present);
                // lo stays up: others rely on it by now.
                assert!(put.iter().skip(1).all(|object| shown(&removed).contains(object)), "{put:?}");
            }
        }
    }
}
