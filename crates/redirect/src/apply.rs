//! Brings the namespace to the plan.

use rustix::io::Errno;

use crate::error::Error;
use crate::family::Family;
use crate::netlink::route::{self, Change};
use crate::netlink::{Refusal, Subsystem, change, nftables, transaction};
use crate::plan::{Object, Plan};

/// Puts there what must be present, then takes away what must be absent. Safe to repeat. Gives back the plan as far as
/// the kernel knows all of it: without the IPv6 table where there can be none.
pub fn apply(plan: Plan) -> Result<Plan, Error> {
    for object in &plan.present {
        add(*object)?;
    }
    let plan = replace_tables(plan)?;
    for object in &plan.absent {
        remove(*object)?;
    }
    Ok(plan)
}

/// Adds what is not a table.
fn add(object: Object) -> Result<(), Error> {
    let message = match object {
        Object::LoopbackUp => route::loopback_up(),
        Object::LocalRoute(family) => route::local_route(Change::Add, family),
        Object::UnreachableRoute(family) => route::unreachable_route(Change::Add, family),
        Object::LoopbackAddress(family) => route::loopback_address(Change::Add, family),
        Object::Table { .. } => return Ok(()),
    };
    match change(Subsystem::Route, &message) {
        Ok(()) | Err(Errno::EXIST) => Ok(()),
        // A kernel without IPv6 needs no such route; verification asks whether requests could leave after all.
        Err(Errno::OPNOTSUPP | Errno::AFNOSUPPORT | Errno::ACCESS)
            if matches!(object, Object::UnreachableRoute(_)) =>
        {
            Ok(())
        }
        Err(errno) => Err(Error::Refused { attempt: format!("set up {object}"), errno }),
    }
}

/// Replaces all tables of the plan in one transaction.
fn replace_tables(plan: Plan) -> Result<Plan, Error> {
    let mut messages = Vec::new();
    let mut owners = Vec::new();
    for object in &plan.present {
        if let Object::Table { family, to_port } = *object {
            let replacement = nftables::replacement(family, to_port.get());
            owners.resize(owners.len() + replacement.len(), family);
            messages.extend(replacement);
        }
    }
    if messages.is_empty() {
        return Ok(plan);
    }
    match transaction(&messages) {
        Ok(()) => Ok(plan),
        Err(refusal) => match fatal(refusal, &owners) {
            None => replace_tables(plan.without_ipv6_table()),
            Some(error) => Err(error),
        },
    }
}

/// The error that a refused transaction is; `None` where the kernel lacks nothing but address translation for IPv6.
/// `owners` are the families that its messages serve, IPv4 first: a kernel that can do neither refuses an IPv4 message.
fn fatal(refusal: Refusal, owners: &[Family]) -> Option<Error> {
    let Refusal { message, errno } = refusal;
    match (is_unsupported(errno), message.and_then(|index| owners.get(index))) {
        (true, Some(Family::V6)) => None,
        (true, _) => Some(Error::NoNftables(errno)),
        (false, _) => {
            let attempt = format!("replace the nf_tables table {}", nftables::TABLE_NAME);
            Some(Error::Refused { attempt, errno })
        }
    }
}

fn remove(object: Object) -> Result<(), Error> {
    let removed = match object {
        // An interface that is up is nobody's to take down.
        Object::LoopbackUp => Ok(()),
        Object::LocalRoute(family) => change(Subsystem::Route, &route::local_route(Change::Remove, family)),
        Object::UnreachableRoute(family) => {
            change(Subsystem::Route, &route::unreachable_route(Change::Remove, family))
        }
        Object::LoopbackAddress(family) => {
            change(Subsystem::Route, &route::loopback_address(Change::Remove, family))
        }
        Object::Table { family, .. } => {
            transaction(&[nftables::deletion(family)]).map_err(|refusal| refusal.errno)
        }
    };
    match removed {
        // Routes, addresses.
        Ok(()) | Err(Errno::SRCH | Errno::ADDRNOTAVAIL) => Ok(()),
        // Tables; a kernel that knows no such thing has none either.
        Err(errno) if is_unsupported(errno) => Ok(()),
        Err(errno) => Err(Error::Refused { attempt: format!("remove {object}"), errno }),
    }
}

/// How a kernel says that it has no IPv6, no `nf_tables`, or no address translation in it (`ENOENT` for a chain type or an
/// expression that it does not know, and for a table that is not there).
fn is_unsupported(errno: Errno) -> bool {
    matches!(errno, Errno::NOENT | Errno::OPNOTSUPP | Errno::AFNOSUPPORT | Errno::PROTONOSUPPORT)
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWNERS: &[Family] = &[Family::V4, Family::V6];

    #[test]
    fn a_kernel_without_ip6_nat_is_served_ipv4_alone() {
        assert!(fatal(Refusal { message: Some(1), errno: Errno::NOENT }, OWNERS).is_none());
    }

    #[test]
    fn a_kernel_without_nf_tables_is_told_from_a_refusal() {
        for (message, errno) in
            [(None, Errno::OPNOTSUPP), (None, Errno::PROTONOSUPPORT), (Some(0), Errno::NOENT)]
        {
            let error = fatal(Refusal { message, errno }, OWNERS);
            assert!(matches!(error, Some(Error::NoNftables(_))), "{message:?} {errno:?}");
        }
        for message in [None, Some(0), Some(1)] {
            let error = fatal(Refusal { message, errno: Errno::PERM }, OWNERS);
            assert!(matches!(error, Some(Error::Refused { .. })), "{message:?}");
        }
    }

    #[test]
    fn a_kernel_without_nf_tables_is_told_what_else_there_is() {
        let message = Error::NoNftables(Errno::OPNOTSUPP).to_string();
        for way_out in ["--mode address", "aws-imds-emulator-interception: address", "interception: endpoint"]
        {
            assert!(message.contains(way_out), "{message}");
        }
    }
}
