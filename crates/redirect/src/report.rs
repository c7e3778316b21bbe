//! The one line that the program prints when it succeeded.

use std::fmt;
use std::net::SocketAddr;

use imds_contract::address::IMDS_PORT;

use crate::config::Action;
use crate::family::Family;
use crate::plan::{Object, Plan};

/// What was done, and the plan that is now known to hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// What was asked for.
    pub action: Action,
    /// What holds.
    pub plan: Plan,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.action {
            Action::Remove => {
                return f.write_str("removed: nothing of ours is left in this network namespace");
            }
            Action::Apply => f.write_str("put in place and verified: ")?,
            Action::Check => f.write_str("in place: ")?,
        }
        let served: Vec<String> = self.plan.present.iter().copied().filter_map(served).collect();
        f.write_str(&served.join(", "))?;

        let ipv6 = Family::V6.imds_address();
        let has = |wanted: fn(&Object) -> bool| self.plan.present.iter().any(wanted);
        if has(|object| *object == Object::UnreachableRoute(Family::V6)) {
            write!(f, "; IPv6 skipped: it is off on lo, and {ipv6} is unreachable")?;
        } else if has(|object| *object == Object::LocalRoute(Family::V6))
            && !has(|object| matches!(object, Object::Table { family: Family::V6, .. }))
        {
            write!(f, "; IPv6 skipped: the kernel has no ip6 nf_tables, and {ipv6} refuses connections")?;
        }
        Ok(())
    }
}

/// What a client reaches where, by one object of the plan.
fn served(object: Object) -> Option<String> {
    match object {
        Object::Table { family, to_port } => {
            let from = SocketAddr::new(family.imds_address(), IMDS_PORT);
            let to = SocketAddr::new(family.loopback(), to_port.get());
            Some(format!("{from} to {to}"))
        }
        Object::LoopbackAddress(family) => Some(format!("{} on lo", family.imds_address())),
        Object::LoopbackUp | Object::LocalRoute(_) | Object::UnreachableRoute(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU16;

    use super::*;
    use crate::config::Mode;
    use crate::netlink::route::Ipv6;

    fn line(mode: Mode, ipv6: Ipv6) -> String {
        let plan = Plan::interception(mode, NonZeroU16::new(1338).unwrap(), ipv6);
        Report { action: Action::Check, plan }.to_string()
    }

    #[test]
    fn the_line_says_what_is_reached_where() {
        assert_eq!(
            line(Mode::Redirect, Ipv6::On),
            "in place: 169.254.169.254:80 to 127.0.0.1:1338, [fd00:ec2::254]:80 to [::1]:1338"
        );
        assert_eq!(line(Mode::Address, Ipv6::On), "in place: 169.254.169.254 on lo, fd00:ec2::254 on lo");
    }

    #[test]
    fn ipv6_that_was_skipped_is_said() {
        assert_eq!(
            line(Mode::Redirect, Ipv6::Off),
            "in place: 169.254.169.254:80 to 127.0.0.1:1338; \
             IPv6 skipped: it is off on lo, and fd00:ec2::254 is unreachable"
        );
        let plan =
            Plan::interception(Mode::Redirect, NonZeroU16::new(1338).unwrap(), Ipv6::On).without_ipv6_table();
        assert_eq!(
            Report { action: Action::Apply, plan }.to_string(),
            "put in place and verified: 169.254.169.254:80 to 127.0.0.1:1338; \
             IPv6 skipped: the kernel has no ip6 nf_tables, and fd00:ec2::254 refuses connections"
        );
    }
}
