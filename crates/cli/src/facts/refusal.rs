//! What Kubernetes says where it keeps a Pod from being created. It names our containers rarely. Sources: `plugin/pkg/admission`
//! (`limitranger`, `resourcequota`), k8s.io/pod-security-admission.

/// Parts of what a `LimitRange` says.
pub(crate) const LIMIT_RANGE: [&str; 4] =
    ["usage per Container", "usage per Pod", "ratio per Container", "ratio per Pod"];

/// Parts of what a `ResourceQuota` says.
pub(crate) const QUOTA: [&str; 2] = ["exceeded quota", "failed quota"];

/// A part of what Pod Security Admission says.
pub(crate) const POD_SECURITY: [&str; 1] = ["violates PodSecurity"];
