//! Why the program ends with exit code 1, each with what a person can do about it.

use std::fmt;

use imds_contract::annotation::{ENABLED_LABEL, INTERCEPTION};
use rustix::io::Errno;

use crate::namespace::NodeSign;

/// What went wrong.
#[derive(Debug)]
pub enum Error {
    /// This is the node's own network namespace.
    NodeNamespace(NodeSign),
    /// The process may not raise `CAP_NET_ADMIN`.
    NoNetAdmin {
        /// Whether the container was granted the capability, so that the file or the uid is at fault.
        granted: bool,
    },
    /// The kernel has no `nf_tables`, or none that can translate addresses.
    NoNftables(Errno),
    /// The kernel refused what we tried.
    Refused {
        /// Completes "cannot …".
        attempt: String,
        /// The kernel's reason.
        errno: Errno,
    },
    /// The kernel's state is not as planned: one phrase for each difference.
    Different(Vec<String>),
}

impl Error {
    /// Whether the same may succeed in a moment: the kernel is short of something, or somebody else changes the namespace.
    pub fn may_pass(&self) -> bool {
        match self {
            Self::Refused { errno, .. } => {
                matches!(
                    *errno,
                    Errno::AGAIN | Errno::BUSY | Errno::INTR | Errno::NOBUFS | Errno::NOMEM | Errno::TIMEDOUT
                )
            }
            Self::Different(_) => true,
            Self::NodeNamespace(_) | Self::NoNetAdmin { .. } | Self::NoNftables(_) => false,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NodeNamespace(sign) => write!(
                f,
                "this is the node's own network namespace ({sign}), where the interception would change the node: \
                 remove hostNetwork: true from the Pod, or its label {ENABLED_LABEL}; --allow-host overrides this"
            ),
            Self::NoNetAdmin { granted: false } => write!(
                f,
                "CAP_NET_ADMIN is missing: allow the init container \
                 securityContext.capabilities: {{drop: [ALL], add: [NET_ADMIN]}}, \
                 or set the Pod annotation {INTERCEPTION}: endpoint, which needs no capability"
            ),
            Self::NoNetAdmin { granted: true } => write!(
                f,
                "CAP_NET_ADMIN is granted to the container, but this process can't use it: the program's file has lost \
                 its attribute (setcap cap_net_admin+p) or is on a nosuid file system; restore it, or run the init \
                 container as uid 0 with this capability alone, or set the Pod annotation {INTERCEPTION}: endpoint"
            ),
            Self::NoNftables(_) => write!(
                f,
                "the kernel offers no nf_tables with address translation, which --mode redirect needs: set the Pod \
                 annotation {INTERCEPTION}: address (--mode address), or {INTERCEPTION}: endpoint"
            ),
            Self::Refused { attempt, .. } => write!(f, "cannot {attempt}"),
            Self::Different(differences) => write!(f, "not in place: {}", differences.join("; ")),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::NoNftables(errno) | Self::Refused { errno, .. } => Some(errno),
            Self::NodeNamespace(_) | Self::NoNetAdmin { .. } | Self::Different(_) => None,
        }
    }
}
