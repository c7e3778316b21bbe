//! The one capability that the program needs. Source: capabilities(7).
//!
//! The program's file carries it as permitted only (`cap_net_admin+p`): with `+ep`, the kernel would refuse to run the
//! file where it is not granted, with a bare "operation not permitted" and no word from us.

use rustix::thread::{CapabilitySet, capabilities, capability_is_in_bounding_set, set_capabilities};

use crate::error::Error;

/// Makes `CAP_NET_ADMIN` effective for this thread.
pub fn raise_net_admin() -> Result<(), Error> {
    let refused = |attempt: &str| {
        let attempt = attempt.to_owned();
        move |errno| Error::Refused { attempt, errno }
    };
    let mut sets = capabilities(None).map_err(refused("read this process's capabilities"))?;
    if sets.effective.contains(CapabilitySet::NET_ADMIN) {
        return Ok(());
    }
    if !sets.permitted.contains(CapabilitySet::NET_ADMIN) {
        let granted = capability_is_in_bounding_set(CapabilitySet::NET_ADMIN)
            .map_err(refused("read this process's capability bounding set"))?;
        return Err(Error::NoNetAdmin { granted });
    }
    sets.effective |= CapabilitySet::NET_ADMIN;
    set_capabilities(None, sets).map_err(refused("raise CAP_NET_ADMIN"))
}
