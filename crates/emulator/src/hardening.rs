//! What the process asks of the kernel for itself before it holds a secret. What is refused is logged, and is no reason not
//! to serve.

use rustix::mm::{MlockAllFlags, mlockall};
use rustix::process::{DumpableBehavior, Resource, Rlimit, getrlimit, set_dumpable_behavior, setrlimit};

/// No core dump, and no other process of the same user may read the credentials from memory; nothing of it on a swap
/// device; and all the file descriptors that we may have, so that clients with many connections can't keep the token file
/// closed.
pub fn apply() {
    if let Err(error) = set_dumpable_behavior(DumpableBehavior::NotDumpable) {
        log::warn!(error:% = error; "can't switch core dumps off");
    }
    lock_memory();
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }) {
        log::debug!(error:% = error; "can't raise the limit of open files");
    }
}

/// Locks pages as they are touched: those that nobody touches cost nothing still. Only where there is no limit: the limit
/// counts what is mapped, and at the limit every later mapping would fail.
fn lock_memory() {
    if getrlimit(Resource::Memlock).current.is_some() {
        log::debug!("memory is not locked: there is a limit (RLIMIT_MEMLOCK)");
        return;
    }
    let as_touched = MlockAllFlags::CURRENT | MlockAllFlags::FUTURE | MlockAllFlags::ONFAULT;
    if let Err(error) = mlockall(as_touched) {
        log::debug!(error:% = error; "can't lock memory");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_core_dump_and_every_descriptor_that_is_allowed() {
        apply();
        assert_eq!(rustix::process::dumpable_behavior().unwrap(), DumpableBehavior::NotDumpable);
        let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
        assert_eq!(current, maximum);
    }
}
