//! Where STS is: an endpoint, and (in `rules`) which one the settings mean. Pure.

mod rules;

pub(crate) use rules::is_of_aws;
pub use rules::{EndpointSettings, RegionalEndpoints};

use std::fmt;
use std::net::Ipv6Addr;
use std::str::FromStr;

use http::Uri;
use imds_contract::{Partition, Region};
use rustls_pki_types::ServerName;

/// The scheme of an endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scheme {
    /// Plain HTTP: for a local stand-in of STS.
    Http,
    /// HTTP over TLS.
    Https,
}

/// An STS endpoint: `scheme://host[:port][/path]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    scheme: Scheme,
    /// Without the brackets of an IPv6 address.
    host: String,
    port: u16,
    path: String,
}

/// Why there is no endpoint, and what would be accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EndpointError {
    /// Not an endpoint's URL. Holds the text, unless a password may be in it.
    Url(Option<String>),
    /// The region belongs to another partition than the role.
    OtherPartition {
        /// The region.
        region: Region,
        /// The role's partition.
        role: Partition,
    },
    /// A FIPS endpoint was asked for together with an endpoint URL, which rules decide nothing about.
    FipsWithUrl,
    /// A dual-stack endpoint was asked for together with an endpoint URL.
    DualStackWithUrl,
}

impl Endpoint {
    fn of_host(host: String) -> Self {
        Self { scheme: Scheme::Https, host, port: Scheme::Https.default_port(), path: "/".to_owned() }
    }

    /// Plain or over TLS.
    pub fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// A DNS name or an IP address; an IPv6 address without brackets.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The TCP port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The path that is posted to; begins with `/`.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// `host[:port]` as in a URL and in the `Host` header: the scheme's own port is left out.
    pub fn authority(&self) -> String {
        if self.port == self.scheme.default_port() { bracketed(&self.host) } else { self.host_and_port() }
    }

    /// `host:port`, as `CONNECT` wants it.
    pub fn host_and_port(&self) -> String {
        format!("{}:{}", bracketed(&self.host), self.port)
    }

    /// The whole URL.
    pub fn url(&self) -> String {
        format!("{}://{}{}", self.scheme.as_str(), self.authority(), self.path)
    }
}

impl FromStr for Endpoint {
    type Err = EndpointError;

    fn from_str(text: &str) -> Result<Self, EndpointError> {
        parse(text).ok_or_else(|| EndpointError::Url((!text.contains('@')).then(|| text.to_owned())))
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.url())
    }
}

impl Scheme {
    fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }

    fn default_port(self) -> u16 {
        match self {
            Self::Http => 80,
            Self::Https => 443,
        }
    }
}

impl fmt::Display for EndpointError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Url(text) => {
                match text {
                    Some(text) => write!(f, "{text:?} is not accepted")?,
                    None => f.write_str("a URL with a user or a password is not accepted")?,
                }
                f.write_str(
                    "; accepted: http:// or https://, a host, optionally a port and a path, \
                     for example https://sts.eu-central-1.amazonaws.com",
                )
            }
            Self::OtherPartition { region, role } => write!(
                f,
                "region {region} is in partition {}, but the role is in {role}; accepted: a region of {role}, \
                 for example {}",
                region.partition(),
                rules::global_region(*role)
            ),
            Self::FipsWithUrl => f.write_str(
                "a FIPS endpoint and an endpoint URL can't be asked for together; accepted: either, \
                 for example the URL of a FIPS endpoint alone",
            ),
            Self::DualStackWithUrl => f.write_str(
                "a dual-stack endpoint and an endpoint URL can't be asked for together; accepted: either, \
                 for example the URL of a dual-stack endpoint alone",
            ),
        }
    }
}

impl std::error::Error for EndpointError {}

fn parse(text: &str) -> Option<Endpoint> {
    // `Uri` would drop a fragment without a word; a query has no place before a form.
    if text.contains(['?', '#']) {
        return None;
    }
    let uri: Uri = text.parse().ok()?;
    let scheme = match uri.scheme_str()? {
        "http" => Scheme::Http,
        "https" => Scheme::Https,
        _ => return None,
    };
    let (host, port) = host_and_port(uri.authority()?.as_str())?;
    Some(Endpoint {
        scheme,
        host: host.to_owned(),
        port: port.unwrap_or(scheme.default_port()),
        path: uri.path().to_owned(),
    })
}

/// Takes `host[:port]` apart, brackets off; `None` for anything else, userinfo too.
pub(crate) fn host_and_port(authority: &str) -> Option<(&str, Option<u16>)> {
    let (host, rest) = match authority.strip_prefix('[') {
        Some(bracketed) => {
            let (host, rest) = bracketed.split_once(']')?;
            host.parse::<Ipv6Addr>().ok()?;
            (host, rest)
        }
        None => authority.split_at(authority.find(':').unwrap_or(authority.len())),
    };
    let port = match rest.strip_prefix(':') {
        Some(digits) if digits.bytes().all(|b| b.is_ascii_digit()) => {
            Some(digits.parse().ok().filter(|port| *port != 0)?)
        }
        None if rest.is_empty() => None,
        _ => return None,
    };
    // What TLS can't check a certificate against is no host.
    ServerName::try_from(host).ok()?;
    Some((host, port))
}

/// A host as it stands in a URL.
pub(crate) fn bracketed(host: &str) -> String {
    if host.contains(':') { format!("[{host}]") } else { host.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_a_url_apart() {
        for (text, host, port, path, url) in [
            ("https://sts.example.com", "sts.example.com", 443, "/", "https://sts.example.com/"),
            ("http://10.1.2.3:5000/", "10.1.2.3", 5000, "/", "http://10.1.2.3:5000/"),
            ("HTTPS://h:443/a/b", "h", 443, "/a/b", "https://h/a/b"),
            ("https://[fd00::1]:8443/sts", "fd00::1", 8443, "/sts", "https://[fd00::1]:8443/sts"),
            ("http://[::1]", "::1", 80, "/", "http://[::1]/"),
        ] {
            let endpoint: Endpoint = text.parse().unwrap();
            assert_eq!((endpoint.host(), endpoint.port(), endpoint.path()), (host, port, path), "{text}");
            assert_eq!(endpoint.url(), url);
        }
        assert_eq!("https://[::1]".parse::<Endpoint>().unwrap().host_and_port(), "[::1]:443");
    }

    #[test]
    fn refuses_what_is_no_endpoint_and_hides_a_password() {
        for wrong in [
            "",
            "sts.amazonaws.com",
            "ftp://sts.amazonaws.com",
            "https://",
            "https:///path",
            "https://:443",
            "https://h:0",
            "https://h:65536",
            "https://h:",
            "https://h:x",
            "https://h/?q",
            "https://h/#f",
            "https://a b",
            "https://[fe80::zz]",
            "https://fe80::1",
            "https://user:hunter2@h",
            "https://-_%$",
        ] {
            let error = wrong.parse::<Endpoint>().expect_err(wrong).to_string();
            assert!(error.contains("for example https://sts.eu-central-1.amazonaws.com"), "{error}");
            assert!(!error.contains("hunter2"), "{error}");
        }
    }
}
