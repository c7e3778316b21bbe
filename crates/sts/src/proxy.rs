//! The HTTP proxy on the way to STS, as the usual environment variables ask for it. Pure.
//!
//! * `https_proxy`, else `HTTPS_PROXY`, for an `https` endpoint; `http_proxy`, else `HTTP_PROXY`, for an `http` one. curl
//!   ignores the upper-case `HTTP_PROXY` because a CGI program's client can set it; no such program is here, and the AWS
//!   SDKs honour it.
//! * `no_proxy`, else `NO_PROXY`, as Go and curl read it: `*`; a host, which covers its subdomains, with or without a
//!   leading `.` or `*.`; an IP address; a CIDR range; each with an optional port. Names are never resolved for it.
//! * A loopback endpoint is never asked through a proxy: there, loopback would be the proxy's own.
//!
//! The proxy itself is spoken to in plain HTTP; what goes to an `https` endpoint is still end-to-end TLS (`CONNECT`).

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use imds_contract::{address, is_blank_or_quote};
use zeroize::Zeroizing;

use crate::endpoint::{bracketed, host_and_port};
use crate::{Endpoint, Scheme, Secret};

/// The variables that name the proxy for `https` endpoints; the first that is not empty counts.
pub const HTTPS_PROXY: [&str; 2] = ["https_proxy", "HTTPS_PROXY"];
/// The variables that name the proxy for `http` endpoints.
pub const HTTP_PROXY: [&str; 2] = ["http_proxy", "HTTP_PROXY"];
/// The variables that say which endpoints are asked directly.
pub const NO_PROXY: [&str; 2] = ["no_proxy", "NO_PROXY"];

/// An HTTP proxy: `http://[user:password@]host[:port]`. The scheme may be left out; the port is 80 by default.
#[derive(Debug)]
pub struct Proxy {
    host: String,
    port: u16,
    /// The value of the header `Proxy-Authorization`.
    authorization: Option<Secret>,
}

/// Which endpoints are asked directly.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NoProxy(Vec<Exception>);

/// Not a proxy that we can use. Doesn't hold the text: a password may be in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProxyError {
    /// Blanks or quotes around it, which neither curl nor Go accepts.
    Surrounded,
    /// A proxy of another kind: `https`, `socks5` …
    Scheme,
    /// Not the URL of a proxy.
    Url,
}

/// The variables that name the proxy for this endpoint, of which the first that is set counts; `None` where it is asked
/// directly: loopback always, and what `NO_PROXY` covers.
pub fn variables(endpoint: &Endpoint, none_for: &NoProxy) -> Option<&'static [&'static str; 2]> {
    let variables = match endpoint.scheme() {
        Scheme::Https => &HTTPS_PROXY,
        Scheme::Http => &HTTP_PROXY,
    };
    (!is_loopback(endpoint.host()) && !none_for.covers(endpoint)).then_some(variables)
}

impl Proxy {
    /// A DNS name or an IP address; an IPv6 address without brackets.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The TCP port.
    pub fn port(&self) -> u16 {
        self.port
    }

    pub(crate) fn authorization(&self) -> Option<&Secret> {
        self.authorization.as_ref()
    }
}

/// Without the user and the password.
impl fmt::Display for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "http://{}:{}", bracketed(&self.host), self.port)
    }
}

impl FromStr for Proxy {
    type Err = ProxyError;

    fn from_str(text: &str) -> Result<Self, ProxyError> {
        if text.starts_with(is_blank_or_quote) || text.ends_with(is_blank_or_quote) {
            return Err(ProxyError::Surrounded);
        }
        let rest = match text.split_once("://") {
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("http") => rest,
            Some(_) => return Err(ProxyError::Scheme),
            None => text,
        };
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        // The last `@`: a password may hold one.
        let (user, authority) = match rest.rsplit_once('@') {
            Some((user, authority)) => (Some(user), authority),
            None => (None, rest),
        };
        let (host, port) = host_and_port(authority).ok_or(ProxyError::Url)?;
        let authorization = user.map(basic).transpose()?;
        Ok(Self { host: host.to_owned(), port: port.unwrap_or(80), authorization })
    }
}

impl fmt::Display for ProxyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let why = match self {
            Self::Surrounded => "there are blanks or quotes around the URL",
            Self::Scheme => "the proxy is of another kind than HTTP",
            Self::Url => "this is not the URL of a proxy",
        };
        write!(
            f,
            "{why}; accepted: http://host:port or http://user:password@host:port, for example http://proxy.example.com:3128"
        )
    }
}

impl std::error::Error for ProxyError {}

impl NoProxy {
    /// Reads the list. What is no entry covers nothing, as everywhere.
    pub fn parse(list: &str) -> Self {
        let entries = list.split(|c: char| c == ',' || c.is_whitespace());
        Self(entries.filter_map(Exception::parse).collect())
    }

    /// Whether this endpoint is asked directly.
    pub fn covers(&self, endpoint: &Endpoint) -> bool {
        let host = endpoint.host().trim_end_matches('.');
        self.0.iter().any(|exception| {
            exception.port.is_none_or(|port| port == endpoint.port()) && exception.hosts.hold(host)
        })
    }
}

/// An entry of the list.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Exception {
    hosts: Hosts,
    port: Option<u16>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Hosts {
    All,
    /// Lower case, without dots at either end.
    Domain(String),
    Range {
        network: IpAddr,
        prefix: u8,
    },
}

impl Exception {
    fn parse(entry: &str) -> Option<Self> {
        if entry == "*" {
            return Some(Self { hosts: Hosts::All, port: None });
        }
        if let Some((network, prefix)) = entry.split_once('/') {
            let (network, prefix) = (network.parse().ok()?, prefix.parse().ok()?);
            let hosts = (prefix <= bits(network)).then_some(Hosts::Range { network, prefix })?;
            return Some(Self { hosts, port: None });
        }
        // A bare IPv6 address is full of colons that begin no port.
        if let Ok(address) = entry.parse() {
            return Some(Self { hosts: Hosts::only(address), port: None });
        }
        let domain = entry.strip_prefix('*').filter(|rest| rest.starts_with('.')).unwrap_or(entry);
        let (host, port) = host_and_port(domain.trim_start_matches('.'))?;
        let hosts = match host.parse() {
            Ok(address) => Hosts::only(address),
            Err(_) => Hosts::Domain(host.trim_end_matches('.').to_ascii_lowercase()),
        };
        Some(Self { hosts, port })
    }
}

impl Hosts {
    fn only(address: IpAddr) -> Self {
        Self::Range { network: address, prefix: bits(address) }
    }

    fn hold(&self, host: &str) -> bool {
        match self {
            Self::All => true,
            Self::Domain(domain) => {
                let host = host.to_ascii_lowercase();
                host.strip_suffix(domain.as_str()).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
            }
            Self::Range { network, prefix } => {
                host.parse().is_ok_and(|ip| address::is_in_range(ip, *network, *prefix))
            }
        }
    }
}

fn bits(address: IpAddr) -> u8 {
    if address.is_ipv4() { 32 } else { 128 }
}

fn is_loopback(host: &str) -> bool {
    let host = host.trim_end_matches('.');
    host.eq_ignore_ascii_case("localhost") || host.parse().is_ok_and(|address: IpAddr| address.is_loopback())
}

/// `user:password`, percent-encoded as in a URL, as a value of `Proxy-Authorization`. Source: RFC 7617.
fn basic(user: &str) -> Result<Secret, ProxyError> {
    let plain = percent_decoded(user).ok_or(ProxyError::Url)?;
    // The password may be left out; its colon may not.
    let colon: &[u8] = if plain.contains(&b':') { b"" } else { b":" };
    let plain = Zeroizing::new([plain.as_slice(), colon].concat());
    Ok(Secret::from(format!("Basic {}", STANDARD.encode(plain.as_slice()))))
}

/// `None` for a `%` without two hexadecimal digits.
fn percent_decoded(text: &str) -> Option<Zeroizing<Vec<u8>>> {
    let mut decoded = Zeroizing::new(Vec::with_capacity(text.len()));
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        rest = tail;
        if *first == b'%' {
            let (digits, tail) = rest.split_at_checked(2)?;
            let digit = |byte: &u8| char::from(*byte).to_digit(16);
            let [high, low] = digits else { return None };
            decoded.push(u8::try_from(digit(high)? * 16 + digit(low)?).ok()?);
            rest = tail;
        } else {
            decoded.push(*first);
        }
    }
    Some(decoded)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoint(text: &str) -> Endpoint {
        text.parse().unwrap()
    }

    #[test]
    fn reads_a_proxy() {
        for (text, shown, authorization) in [
            ("http://proxy.example.com:3128", "http://proxy.example.com:3128", None),
            ("http://proxy.example.com:3128/", "http://proxy.example.com:3128", None),
            ("HTTP://proxy", "http://proxy:80", None),
            ("proxy:8080", "http://proxy:8080", None),
            ("http://[fd00::1]:3128", "http://[fd00::1]:3128", None),
            ("http://user:pass@10.0.0.1:3128", "http://10.0.0.1:3128", Some("Basic dXNlcjpwYXNz")),
            ("http://user@p", "http://p:80", Some("Basic dXNlcjo=")),
            ("http://us%65r:p%40s%3as@p", "http://p:80", Some("Basic dXNlcjpwQHM6cw==")),
            ("http://user:p@ss@p", "http://p:80", Some("Basic dXNlcjpwQHNz")),
        ] {
            let proxy: Proxy = text.parse().unwrap();
            assert_eq!(proxy.to_string(), shown);
            assert_eq!(proxy.authorization().map(Secret::expose), authorization, "{text}");
            assert!(!format!("{proxy:?}").contains("Basic"), "{proxy:?}");
        }
    }

    #[test]
    fn refuses_another_kind_of_proxy_without_showing_its_password() {
        for (wrong, error) in [
            ("https://user:hunter2@proxy:3128", ProxyError::Scheme),
            ("socks5://proxy:1080", ProxyError::Scheme),
            (" http://proxy:3128 ", ProxyError::Surrounded),
            ("http://proxy:3128\n", ProxyError::Surrounded),
            ("\"http://proxy:3128\"", ProxyError::Surrounded),
            ("'http://user:hunter2@proxy:3128'", ProxyError::Surrounded),
            ("http://", ProxyError::Url),
            ("", ProxyError::Url),
            ("http://proxy:99999", ProxyError::Url),
            ("http://proxy:3128/path", ProxyError::Url),
            ("http://user:hunter2%zz@proxy", ProxyError::Url),
            ("http://user:hunter2%4@proxy", ProxyError::Url),
        ] {
            assert_eq!(wrong.parse::<Proxy>().err(), Some(error), "{wrong}");
        }
        assert!(ProxyError::Scheme.to_string().contains("http://proxy.example.com:3128"));
    }

    #[test]
    fn an_endpoint_takes_the_proxy_of_its_scheme_unless_it_is_loopback() {
        let of = |url, none_for| variables(&endpoint(url), &NoProxy::parse(none_for));
        assert_eq!(of("https://sts.amazonaws.com", ""), Some(&HTTPS_PROXY));
        assert_eq!(of("http://moto.test:5000", ""), Some(&HTTP_PROXY));
        assert_eq!(of("https://sts.amazonaws.com", "amazonaws.com"), None);
        for url in
            ["https://localhost:8443", "http://127.0.0.2:5000", "https://[::1]:8443", "http://LOCALHOST."]
        {
            assert_eq!(of(url, ""), None, "{url}");
        }
    }

    #[test]
    fn no_proxy_covers_what_it_names() {
        for (list, url, covered) in [
            ("*", "https://sts.amazonaws.com", true),
            ("", "https://sts.amazonaws.com", false),
            ("amazonaws.com", "https://sts.amazonaws.com", true),
            (".amazonaws.com", "https://sts.amazonaws.com", true),
            ("*.AmazonAWS.com", "https://STS.amazonaws.com.", true),
            (".amazonaws.com", "https://amazonaws.com", true),
            ("amazonaws.com", "https://notamazonaws.com", false),
            ("ts.amazonaws.com", "https://sts.amazonaws.com", false),
            ("foo, sts.amazonaws.com:443 ,bar", "https://sts.amazonaws.com", true),
            ("sts.amazonaws.com:8443", "https://sts.amazonaws.com", false),
            ("10.1.2.3", "http://10.1.2.3:5000", true),
            ("10.1.2.3:5000", "http://10.1.2.3:5000", true),
            ("10.1.2.3:5001", "http://10.1.2.3:5000", false),
            ("10.1.0.0/16", "http://10.1.2.3", true),
            ("10.1.0.0/16", "http://10.2.0.1", false),
            ("0.0.0.0/0", "http://10.2.0.1", true),
            ("0.0.0.0/0", "http://[fd00::1]", false),
            ("::/0", "http://[fd00::1]", true),
            ("::/0", "http://10.2.0.1", false),
            ("fd00::/8", "http://[fd12::1]", true),
            ("fd00::1", "https://[fd00:0::1]", true),
            ("[fd00::1]:443", "https://[fd00::1]", true),
            ("[fd00::1]:444", "https://[fd00::1]", false),
            ("10.1.0.0/33", "http://10.1.0.0", false),
            ("10.1.0.0/x,%%%,:,[", "http://10.1.0.0", false),
            ("0.0.0.0/0", "https://sts.amazonaws.com", false),
        ] {
            assert_eq!(NoProxy::parse(list).covers(&endpoint(url)), covered, "{list} {url}");
        }
    }
}
