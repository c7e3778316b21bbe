//! Why a Pod is not injected.

use std::fmt;

use imds_contract::{Invalid, annotation, pod};

/// Why a Pod is left alone or refused; one sentence each, for the denial, the report and the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reason {
    /// The label is not there.
    NotLabelled,
    /// The label has another value than `True`.
    Disabled {
        /// The label's value.
        value: String,
    },
    /// A kubelet's mirror of a static Pod: what runs is on the node already.
    MirrorPod,
    /// All of ours is there already.
    AlreadyInjected,
    /// The document has something where no Pod has it.
    Malformed {
        /// A JSON pointer to it.
        path: String,
    },
    /// Something of the user's bears one of our names.
    NameTaken {
        /// `container`, `volume` or `annotation`.
        what: &'static str,
        /// The name.
        name: &'static str,
    },
    /// `hostNetwork: true`.
    HostNetwork,
    /// A Windows Pod.
    Windows,
    /// The Pod keeps the emulator from listening on the IMDS port (interception `address`).
    PrivilegedPort {
        /// The value of the Pod's sysctl.
        value: String,
    },
    /// No annotation names the role.
    NoRole,
    /// Annotations, or settings of the operator, hold what is not accepted.
    InvalidAnnotations(Vec<InvalidAnnotation>),
}

/// An annotation whose value is not accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvalidAnnotation {
    /// The annotation's whole name.
    pub annotation: &'static str,
    /// The value, and the accepted form.
    pub invalid: Invalid,
}

impl Reason {
    /// Whether the Pod is refused for it; else it is left alone.
    pub fn is_refusal(&self) -> bool {
        match self {
            Self::NotLabelled | Self::Disabled { .. } | Self::MirrorPod | Self::AlreadyInjected => false,
            Self::Malformed { .. }
            | Self::NameTaken { .. }
            | Self::HostNetwork
            | Self::Windows
            | Self::PrivilegedPort { .. }
            | Self::NoRole
            | Self::InvalidAnnotations(_) => true,
        }
    }

    /// One word, for a metric's label.
    pub fn word(&self) -> &'static str {
        match self {
            Self::NotLabelled => "not_labelled",
            Self::Disabled { .. } => "disabled",
            Self::MirrorPod => "mirror_pod",
            Self::AlreadyInjected => "already_injected",
            Self::Malformed { .. } => "malformed",
            Self::NameTaken { .. } => "name_taken",
            Self::HostNetwork => "host_network",
            Self::Windows => "windows",
            Self::PrivilegedPort { .. } => "privileged_port",
            Self::NoRole => "no_role",
            Self::InvalidAnnotations(_) => "invalid_annotations",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let label = annotation::ENABLED_LABEL;
        match self {
            Self::NotLabelled => write!(f, "the label {label} is not set"),
            Self::Disabled { value } => {
                write!(f, "the label {label} is {value:?}; only {:?} enables the emulator", annotation::ENABLED_VALUE)
            }
            Self::MirrorPod => f.write_str(
                "this is the mirror of a static Pod, which runs on its node as it is; put the injected containers into the static Pod's file",
            ),
            Self::AlreadyInjected => f.write_str("the emulator is injected already"),
            Self::Malformed { path } => write!(f, "this is no Pod: it has something else at {path:?} than a Pod has there"),
            Self::NameTaken { what, name } => write!(
                f,
                "the {what} {name} belongs to the injection, but is in the Pod without the rest of it: rename or remove it"
            ),
            Self::HostNetwork => write!(
                f,
                "with hostNetwork: true the emulator would serve the whole node: remove hostNetwork, or remove the label {label}"
            ),
            Self::Windows => write!(f, "Windows Pods are not supported: remove the label {label}"),
            Self::PrivilegedPort { value } => write!(
                f,
                "the Pod's sysctl net.ipv4.ip_unprivileged_port_start is {value:?}, so the emulator cannot listen on port 80: \
                 set it to 80 or less, or use another value for {}",
                annotation::INTERCEPTION
            ),
            Self::NoRole => write!(
                f,
                "the annotation {} is missing: set it to the ARN of the role that the Pod is to get, for example \
                 arn:aws:iam::123456789012:role/my-example-role",
                annotation::ROLE_ARN
            ),
            Self::InvalidAnnotations(all) => {
                for (index, InvalidAnnotation { annotation, invalid }) in all.iter().enumerate() {
                    let separator = if index == 0 { "" } else { "; " };
                    write!(f, "{separator}the annotation {annotation}: {invalid}")?;
                }
                Ok(())
            }
        }
    }
}

impl Reason {
    pub(crate) fn container_taken(name: &'static str) -> Self {
        Self::NameTaken { what: "container", name }
    }

    pub(crate) fn token_volume_taken() -> Self {
        Self::NameTaken { what: "volume", name: pod::TOKEN_VOLUME }
    }

    pub(crate) fn status_taken() -> Self {
        Self::NameTaken { what: "annotation", name: annotation::STATUS }
    }
}
