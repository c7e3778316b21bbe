//! Why a Pod is not injected.

use std::fmt;

use imds_contract::{Invalid, annotation, excerpt, visible};

use crate::server_version::ServerVersion;

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
    /// Injected, and the annotation has been changed since.
    InjectedOtherwise {
        /// The annotation's whole name.
        annotation: &'static str,
        /// What the Pod was injected with; empty where without.
        injected: String,
        /// What the annotation says now.
        asked: String,
    },
    /// Injected, and what bears our names is not what the injection writes.
    InjectionChanged {
        /// Each difference, in words.
        what: Vec<String>,
    },
    /// The document has something where no Pod has it.
    Malformed {
        /// A JSON pointer to it.
        path: String,
    },
    /// The Pod would take too much memory to inspect ([`PodError::TooLarge`](crate::PodError::TooLarge)).
    TooLarge,
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
    /// The operator asks for native sidecars on a server that does not know them.
    NativeUnsupported {
        /// The server's version.
        server: ServerVersion,
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
            Self::InjectedOtherwise { .. }
            | Self::InjectionChanged { .. }
            | Self::Malformed { .. }
            | Self::TooLarge
            | Self::NameTaken { .. }
            | Self::HostNetwork
            | Self::Windows
            | Self::PrivilegedPort { .. }
            | Self::NativeUnsupported { .. }
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
            Self::InjectedOtherwise { .. } => "injected_otherwise",
            Self::InjectionChanged { .. } => "injection_changed",
            Self::Malformed { .. } => "malformed",
            Self::TooLarge => "too_large",
            Self::NameTaken { .. } => "name_taken",
            Self::HostNetwork => "host_network",
            Self::Windows => "windows",
            Self::PrivilegedPort { .. } => "privileged_port",
            Self::NativeUnsupported { .. } => "native_unsupported",
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
                write!(f, "the label {label} is {:?}; only {:?} enables the emulator", excerpt(value), annotation::ENABLED_VALUE)
            }
            Self::MirrorPod => f.write_str(
                "this is the mirror of a static Pod, which runs on its node without the emulator: kubelet gives no static Pod a service \
                 account's token. Create the Pod in the cluster, for example by a DaemonSet, or remove the label",
            ),
            Self::AlreadyInjected => f.write_str("the emulator is injected already"),
            Self::InjectedOtherwise { annotation, injected, asked } => {
                let kind = annotation.strip_prefix(annotation::PREFIX).unwrap_or(annotation);
                let injected = if injected.is_empty() { "none" } else { injected };
                write!(
                    f,
                    "the Pod was injected for {kind} {}, and the annotation {annotation} says {}: remove the injected parts and \
                     inject again",
                    visible(&excerpt(injected)),
                    visible(&excerpt(asked))
                )
            }
            Self::InjectionChanged { what } => write!(
                f,
                "the injected parts of the Pod were changed: {}. If another webhook changed them, have it leave out the containers \
                 {} and {}; else remove the injected containers, their volumes and the annotation {}, so that the Pod is injected \
                 again",
                some(what, "; "),
                imds_contract::pod::REDIRECT_CONTAINER,
                imds_contract::pod::EMULATOR_CONTAINER,
                annotation::STATUS,
            ),
            Self::Malformed { path } => write!(f, "this is no Pod: it has something else at {path:?} than a Pod has there"),
            Self::TooLarge => f.write_str(
                "the Pod is too large to be inspected: its labels, annotations, containers and volumes have more entries than the \
                 webhook has memory for. Remove some; a ConfigMap can hold what is in environment variables or arguments",
            ),
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
                "the Pod's sysctl net.ipv4.ip_unprivileged_port_start is {:?}, so the emulator cannot listen on port 80: \
                 set it to 80 or less, or use another value for {}",
                excerpt(value),
                annotation::INTERCEPTION
            ),
            Self::NativeUnsupported { server } => write!(
                f,
                "the setting `sidecar: native` needs Kubernetes {}, and the server is {server}: set sidecar to auto or classic",
                ServerVersion::FIRST_WITH_NATIVE_SIDECARS
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

/// The first few of a list, with nothing that a terminal obeys: the rest of a Pod may be long.
pub(crate) fn some(all: &[String], separator: &str) -> String {
    const SHOWN: usize = 5;
    let mut shown: Vec<String> = all.iter().take(SHOWN).map(|one| visible(one).into_owned()).collect();
    if let Some(further) = all.len().checked_sub(SHOWN).filter(|further| *further > 0) {
        shown.push(format!("and {further} more"));
    }
    shown.join(separator)
}

impl Reason {
    pub(crate) fn container_taken(name: &'static str) -> Self {
        Self::NameTaken { what: "container", name }
    }

    pub(crate) fn volume_taken(name: &'static str) -> Self {
        Self::NameTaken { what: "volume", name }
    }

    pub(crate) fn status_taken() -> Self {
        Self::NameTaken { what: "annotation", name: annotation::STATUS }
    }
}
