//! Clouds that have a metadata server of their own at 169.254.169.254, which programs ask for identities of that cloud. An interception
//! takes the address from them. Of EC2 that is the purpose.
//!
//! Sources: Kubernetes, `Node.spec.providerID`, and the cloud providers' documentation of their instance metadata.

/// See the module.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Cloud {
    Google,
    Azure,
    Oracle,
    Ibm,
}

impl Cloud {
    /// By a node's `providerID`, `SCHEME://…`; Oracle's is the bare id of an instance.
    pub(crate) fn of_provider_id(id: &str) -> Option<Self> {
        if id.starts_with("ocid1.") {
            return Some(Self::Oracle);
        }
        match id.split_once("://")?.0 {
            "gce" => Some(Self::Google),
            "azure" => Some(Self::Azure),
            "oci" => Some(Self::Oracle),
            "ibm" => Some(Self::Ibm),
            _ => None,
        }
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Google => "Google Cloud",
            Self::Azure => "Azure",
            Self::Oracle => "Oracle Cloud",
            Self::Ibm => "IBM Cloud",
        }
    }

    /// What asks that server, and finds the emulator.
    pub(crate) fn users(self) -> &'static str {
        match self {
            Self::Google => "Workload Identity Federation for GKE, and Google's client libraries",
            Self::Azure => {
                "managed identities, and Azure's SDKs that use them; Azure Workload Identity reads a file and works on"
            }
            Self::Oracle => "instance principals, and Oracle's SDKs that use them",
            Self::Ibm => "trusted profiles of instances, and IBM's SDKs that use them",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cloud_is_known_by_its_nodes() {
        for (id, cloud) in [
            ("gce://my-project/europe-west1-b/gke-node-1", Some(Cloud::Google)),
            ("azure:///subscriptions/0/resourceGroups/x/providers/Microsoft.Compute/y", Some(Cloud::Azure)),
            ("ocid1.instance.oc1.eu-frankfurt-1.abc", Some(Cloud::Oracle)),
            ("oci://ocid1.instance.oc1.eu-frankfurt-1.abc", Some(Cloud::Oracle)),
            ("ibm://account///cluster/worker", Some(Cloud::Ibm)),
            ("aws:///eu-central-1a/i-0123456789abcdef0", None),
            ("kind://docker/kind/kind-control-plane", None),
            ("gce", None),
            ("", None),
        ] {
            assert_eq!(Cloud::of_provider_id(id), cloud, "{id}");
        }
    }
}
