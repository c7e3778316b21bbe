//! Clouds that have a metadata server of their own at 169.254.169.254, which programs ask for identities of that cloud. An interception
//! takes the address from them. Of EC2 that is the purpose.
//!
//! Sources: Kubernetes, `Node.spec.providerID`, and the cloud providers' documentation of their instance metadata.

/// Whether a node is an EC2 instance, by its `providerID` and the UUID of its system, a line each. Of a node without AWS's cloud
/// provider only the UUID tells. Source: EC2 user guide, "Detect whether a host is an EC2 instance".
pub(crate) fn is_ec2(node: &str) -> bool {
    let mut lines = node.lines();
    let (id, uuid) = (lines.next().unwrap_or_default(), lines.next().unwrap_or_default());
    if let Some(path) = id.strip_prefix("aws://") {
        // Fargate's end in `fargate-ip-…`, and have no IMDS.
        return path.rsplit('/').next().is_some_and(|name| name.starts_with("i-"));
    }
    let uuid = uuid.to_ascii_lowercase();
    // Some systems write the bytes of the first group in the other order.
    let is_ec2 = uuid.starts_with("ec2") || uuid.get(6..8) == Some("ec") && uuid.get(4..5) == Some("2");
    is_ec2 && Cloud::of_provider_id(id).is_none()
}

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
    fn an_ec2_instance_is_known_by_its_id_or_its_uuid() {
        for (node, expected) in [
            ("aws:///eu-central-1a/i-0123456789abcdef0\nec2e1916-9099-7caf-fd21-012345abcdef", true),
            ("aws:///eu-central-1a/i-0123456789abcdef0", true),
            (
                "aws:///eu-central-1a/0123-abcd/fargate-ip-10-0-0-1.eu-central-1.compute.internal\nec2e1916-9099-7caf-fd21-012345abcdef",
                false,
            ),
            ("\nEC2E1916-9099-7CAF-FD21-012345ABCDEF", true),
            ("k3s://node\n45E12AEC-DCD1-B213-94ED-012345ABCDEF", true),
            ("\n4c4c4544-0042-3510-8052-b4c04f333132", false),
            ("gce://my-project/europe-west1-b/node\nec2e1916-9099-7caf-fd21-012345abcdef", false),
            (
                "eks-hybrid:///eu-central-1/my-cluster/mi-0123456789abcdef0\n4c4c4544-0042-3510-8052-b4c04f333132",
                false,
            ),
            ("\n", false),
            ("\n\u{e9}\u{e9}\u{e9}\u{e9}", false),
            ("", false),
        ] {
            assert_eq!(is_ec2(node), expected, "{node}");
        }
    }

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
