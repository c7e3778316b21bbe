//! Guards against programs that can be made to ask for somebody else. Both are off unless the operator sets them.

use std::str::FromStr;

use super::Invalid;

/// The hosts that a request's `Host` may name: against web pages that have a name of their own lead to this address (DNS
/// rebinding). Clients write the address in many ways.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AllowedHosts(Vec<String>);

impl AllowedHosts {
    /// Whether this value of `Host` names one of them, with or without a port, in upper or lower case.
    pub fn allow(&self, value: &[u8]) -> bool {
        let Ok(value) = std::str::from_utf8(value) else { return false };
        let host = host_of(value.trim_ascii());
        self.0.iter().any(|allowed| allowed.eq_ignore_ascii_case(host))
    }
}

impl FromStr for AllowedHosts {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let hosts: Vec<_> = text.split(',').map(|host| unbracketed(host.trim()).to_owned()).collect();
        let legal = |host: &String| {
            !host.is_empty() && host.bytes().all(|b| b.is_ascii_alphanumeric() || b".-_:".contains(&b))
        };
        if hosts.iter().all(legal) {
            return Ok(Self(hosts));
        }
        let accepted = "names or addresses without a port, separated by commas, for example \
                        169.254.169.254,fd00:ec2::254,127.0.0.1,::1,localhost";
        Err(Invalid::new(text, accepted))
    }
}

/// `[::1]:80`, `[::1]`, `127.0.0.1:80`, and `::1`, which aws-c-auth writes without brackets.
fn host_of(value: &str) -> &str {
    if let Some(rest) = value.strip_prefix('[') {
        return rest.split_once(']').map_or(value, |(host, _port)| host);
    }
    match value.split_once(':') {
        Some((host, port)) if !port.contains(':') => host,
        _ => value,
    }
}

fn unbracketed(host: &str) -> &str {
    host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host)
}

/// How many routers an answer may pass: 1 to 64, as EC2's `HttpPutResponseHopLimit`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HopLimit(u8);

impl HopLimit {
    /// The number.
    pub fn get(self) -> u8 {
        self.0
    }
}

impl FromStr for HopLimit {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let digits = text.bytes().all(|b| b.is_ascii_digit());
        match text.parse() {
            Ok(limit @ 1..=64) if digits => Ok(Self(limit)),
            _ => Err(Invalid::new(text, "a whole number from 1 to 64")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_way_to_write_an_allowed_host_is_allowed() {
        let hosts: AllowedHosts = "169.254.169.254, [fd00:ec2::254],localhost".parse().unwrap();
        for host in [
            "169.254.169.254",
            "169.254.169.254:80",
            "localhost:1338",
            "LocalHost",
            "[fd00:ec2::254]",
            "[fd00:ec2::254]:80",
            "fd00:ec2::254",
        ] {
            assert!(hosts.allow(host.as_bytes()), "{host}");
        }
        for host in ["rebind.example", "169.254.169.254.example", "", "127.0.0.1", "[fd00:ec2::254", "\u{e4}"]
        {
            assert!(!hosts.allow(host.as_bytes()), "{host}");
        }
        assert!(!hosts.allow(b"\xff"));
    }

    #[test]
    fn a_list_that_is_none_is_refused() {
        for wrong in ["", "a,,b", "a b", "http://x", "x/y"] {
            assert!(wrong.parse::<AllowedHosts>().is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn a_hop_limit_keeps_ec2s_bounds() {
        assert_eq!("1".parse().map(HopLimit::get), Ok(1));
        assert_eq!("64".parse().map(HopLimit::get), Ok(64));
        for wrong in ["", "0", "65", "+1", "-1", "1.0", "256"] {
            assert!(wrong.parse::<HopLimit>().is_err(), "{wrong:?}");
        }
    }
}
