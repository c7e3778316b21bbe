//! Whether the spec's users can be had here: root has them, unless it is only called so in a user namespace.

use std::fs;

use imds_contract::pod;
use nix::unistd::geteuid;
use rustix::thread::{CapabilitySet, capabilities};

/// As whom the programs run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Users {
    /// The spec's users.
    AsInSpec,
    /// The caller alone.
    Unchanged,
}

impl Users {
    /// What this process, in the user namespace that it is in, can have.
    pub(crate) fn available() -> Self {
        let needed = CapabilitySet::SETUID | CapabilitySet::SETGID | CapabilitySet::CHOWN;
        let may = capabilities(None).is_ok_and(|sets| sets.effective.contains(needed));
        let exist = ["uid_map", "gid_map"].iter().all(|file| {
            let map = fs::read_to_string(format!("/proc/self/{file}")).unwrap_or_default();
            [pod::REDIRECT_UID, pod::EMULATOR_UID].iter().all(|id| maps(&map, *id))
        });
        if geteuid().is_root() && may && exist { Self::AsInSpec } else { Self::Unchanged }
    }
}

/// Whether the id exists in the namespace. Source: `user_namespaces(7)`: a line is "first id here, first id there, count".
fn maps(map: &str, id: u32) -> bool {
    map.lines().any(|line| {
        let mut numbers = line.split_whitespace().map(str::parse::<u64>);
        let (Some(Ok(first)), Some(_), Some(Ok(count))) = (numbers.next(), numbers.next(), numbers.next())
        else {
            return false;
        };
        (first..first.saturating_add(count)).contains(&id.into())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_exists_where_a_line_of_the_map_covers_it() {
        assert!(maps("         0          0 4294967295\n", 65_534), "the machine's own namespace");
        assert!(maps("0 1000 1\n1 100000 65535\n", 1338), "a rootless container");
        assert!(!maps("0 1000 1\n", 1338), "unshare --map-root-user");
        assert!(!maps("", 0));
    }
}
