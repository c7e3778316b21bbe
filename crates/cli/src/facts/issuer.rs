//! The issuer of a cluster's tokens.

use std::net::IpAddr;

/// Whether AWS surely can't read its documents: a name or an address that means something inside alone, or no HTTPS.
pub(crate) fn is_private(issuer: &str) -> bool {
    let Some(rest) = issuer.strip_prefix("https://") else { return true };
    let authority = rest.split('/').next().unwrap_or_default();
    let host = match authority.strip_prefix('[') {
        Some(address) => address.split(']').next().unwrap_or_default(),
        None => authority.split(':').next().unwrap_or_default(),
    };
    if let Ok(address) = host.parse::<IpAddr>() {
        return match address {
            IpAddr::V4(v4) => v4.is_private() || v4.is_loopback() || v4.is_link_local(),
            IpAddr::V6(v6) => v6.is_loopback() || v6.is_unique_local() || v6.is_unicast_link_local(),
        };
    }
    let inside = [".svc", ".local", ".internal", ".localhost"].iter().any(|end| host.ends_with(end));
    host.is_empty() || !host.contains('.') || host.starts_with("kubernetes.default") || inside
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_aws_can_never_read_is_told_from_what_it_may() {
        for inside in [
            "https://kubernetes.default.svc",
            "https://kubernetes.default.svc.cluster.local",
            "kubernetes/serviceaccount",
            "http://oidc.example",
            "https://localhost:6443",
            "https://10.0.0.1:6443",
            "https://127.0.0.1",
            "https://[fd00::1]:443/x",
            "https://cluster",
            "https://",
            "",
        ] {
            assert!(is_private(inside), "{inside}");
        }
        for outside in [
            "https://oidc.eks.eu-central-1.amazonaws.com/id/EXAMPLE",
            "https://my-bucket.s3.eu-central-1.amazonaws.com/my-cluster",
            "https://container.googleapis.com/v1/projects/p",
            "https://203.0.113.7:8443",
        ] {
            assert!(!is_private(outside), "{outside}");
        }
    }
}
