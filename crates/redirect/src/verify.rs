//! Reads the kernel's state back and compares it with the plan.

use rustix::io::Errno;

use crate::error::Error;
use crate::family::Family;
use crate::netlink::nftables;
use crate::netlink::route::{self, Path};
use crate::plan::{Object, Plan};

/// Succeeds where everything is as planned; otherwise tells every difference.
pub fn verify(plan: &Plan) -> Result<(), Error> {
    let mut differences = Vec::new();
    for object in &plan.present {
        differences.extend(missing(*object).map_err(|errno| unreadable(*object, errno))?);
    }
    for object in &plan.absent {
        if left(*object).map_err(|errno| unreadable(*object, errno))? {
            differences.push(format!("{object} is still there"));
        }
    }
    if differences.is_empty() { Ok(()) } else { Err(Error::Different(differences)) }
}

fn unreadable(object: Object, errno: Errno) -> Error {
    Error::Refused { attempt: format!("read back {object}"), errno }
}

/// What is wrong with an object that must be there.
fn missing(object: Object) -> Result<Option<String>, Errno> {
    let is_there = match object {
        Object::LoopbackUp => return Ok((!route::loopback()?.up).then(|| "lo is down".to_owned())),
        // The kernel's own decision counts, whatever other routes and rules there are.
        Object::LocalRoute(family) => route::path(family)? == Path::Local,
        Object::UnreachableRoute(family) => route::path(family)? == Path::Refused,
        Object::LoopbackAddress(family) => is_assigned(family)?,
        Object::Table { family, to_port } => {
            let difference = table_difference(family, to_port.get())?;
            return Ok(difference.map(|difference| format!("{object} {difference}")));
        }
    };
    Ok((!is_there).then(|| format!("{object} is missing")))
}

/// Whether an object that must not be there is.
fn left(object: Object) -> Result<bool, Errno> {
    match object {
        // Routes to the address may be another's: the kernel's acknowledgement says that ours are gone.
        Object::LoopbackUp | Object::LocalRoute(_) | Object::UnreachableRoute(_) => Ok(false),
        Object::LoopbackAddress(family) => is_assigned(family),
        Object::Table { family, to_port } => {
            let [table, ..] = nftables::definition(family, to_port.get());
            Ok(!nftables::ours_like(&table, family)?.is_empty())
        }
    }
}

fn is_assigned(family: Family) -> Result<bool, Errno> {
    let assigned = route::assigned_addresses()?;
    Ok(assigned.iter().any(|address| route::is_loopback_address(family, address)))
}

/// Our table holds one chain with one rule, each as defined.
fn table_difference(family: Family, to_port: u16) -> Result<Option<&'static str>, Errno> {
    let [table, chain, rule] = nftables::definition(family, to_port);
    let parts = [
        (table, "is missing", "has other flags than planned"),
        (chain, "has not one chain", "has another chain than planned"),
        (rule, "has not one rule", "has another rule than planned"),
    ];
    for (planned, not_one, changed) in parts {
        match nftables::ours_like(&planned, family)?.as_slice() {
            [found] if planned.attributes.iter().all(|attribute| attribute.is_in(found)) => {}
            [_] => return Ok(Some(changed)),
            _ => return Ok(Some(not_one)),
        }
    }
    Ok(None)
}
