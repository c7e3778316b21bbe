//! The version of the API server that a Pod is created on.

use std::fmt;
use std::str::FromStr;

use imds_contract::Invalid;

/// A Kubernetes version, as far as a decision needs it: `1.32`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ServerVersion {
    /// `1`.
    pub major: u32,
    /// `32`.
    pub minor: u32,
}

impl ServerVersion {
    /// A kubelet may be three minor versions older than its API server, and 1.29 is the first that runs an init container
    /// with `restartPolicy: Always` by default: from here on every supported kubelet does. Source: Kubernetes' version
    /// skew policy; KEP 753.
    pub const EVERY_KUBELET_HAS_NATIVE_SIDECARS: Self = Self { major: 1, minor: 32 };

    /// The first API server that keeps `restartPolicy` on an init container by default; older ones drop it. Source: KEP 753.
    pub const FIRST_WITH_NATIVE_SIDECARS: Self = Self { major: 1, minor: 29 };

    /// From `major` and `minor` of the API server's `/version`. Some providers write `32+`.
    pub fn from_parts(major: &str, minor: &str) -> Result<Self, Invalid> {
        let number = |text: &str| text.strip_suffix('+').unwrap_or(text).parse::<u16>().ok().map(u32::from);
        match (number(major), number(minor)) {
            (Some(major), Some(minor)) => Ok(Self { major, minor }),
            _ => Err(invalid(&format!("{major}.{minor}"))),
        }
    }
}

impl FromStr for ServerVersion {
    type Err = Invalid;

    /// Reads `1.32` and what `/version` has as `gitVersion`: `v1.32.4-gke.100`.
    fn from_str(text: &str) -> Result<Self, Invalid> {
        let mut parts = text.strip_prefix('v').unwrap_or(text).splitn(3, '.');
        match (parts.next(), parts.next()) {
            (Some(major), Some(minor)) => Self::from_parts(major, minor).map_err(|_| invalid(text)),
            _ => Err(invalid(text)),
        }
    }
}

impl fmt::Display for ServerVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

fn invalid(text: &str) -> Invalid {
    Invalid::new(text, "a Kubernetes version, for example 1.32")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_servers_and_people_write() {
        for text in ["1.32", "v1.32", "1.32.4", "v1.32.4-gke.1035000", "v1.32.0-alpha.1+7ac2f3b", "1.32+"] {
            assert_eq!(text.parse(), Ok(ServerVersion { major: 1, minor: 32 }), "{text}");
        }
        assert_eq!(ServerVersion::from_parts("1", "32+"), Ok(ServerVersion { major: 1, minor: 32 }));
    }

    #[test]
    fn refuses_what_is_no_version() {
        for wrong in ["", "1", "v", "one.two", "1.", ".32", "1.-2", "1.99999"] {
            assert!(wrong.parse::<ServerVersion>().is_err(), "{wrong:?}");
        }
        assert!(ServerVersion::from_parts("", "").is_err());
    }

    #[test]
    fn nine_is_before_ten() {
        let [nine, ten] = ["1.9", "1.10"].map(|text| text.parse::<ServerVersion>().unwrap());
        assert!(nine < ten);
    }
}
