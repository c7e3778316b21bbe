//! From a host's name to its addresses.
//!
//! kubelet writes search domains and `ndots:5` into a Pod's resolv.conf. libc then takes a name with fewer dots, as those of AWS's endpoints
//! are, for the beginning of one: it asks for `sts.eu-central-1.amazonaws.com.NAMESPACE.svc.cluster.local` first, and where one of the
//! domains has a wildcard record it gets another host. So a name with a dot is asked for as it is before that.

use std::fs;
use std::io;
use std::net::{IpAddr, SocketAddr};

use tokio::net::lookup_host;

use crate::endpoint::is_of_aws;

/// Who is named in there is looked up by no name server. It knows no trailing dots.
const HOSTS: &str = "/etc/hosts";

/// The addresses of a host, by name or by address. Errors are libc's.
pub(crate) async fn addresses(host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
    if has_dot(host) && !is_in(&fs::read_to_string(HOSTS).unwrap_or_default(), host) {
        // With a dot at its end, no name is searched for. RFC 1034, 3.1.
        let absolute = look_up(&format!("{host}."), port).await;
        if absolute.is_ok() || is_of_aws(host) {
            return absolute;
        }
    }
    look_up(host, port).await
}

async fn look_up(host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
    Ok(lookup_host((host, port)).await?.collect())
}

/// Whether it is a name of several labels, which may be whole.
fn has_dot(host: &str) -> bool {
    host.parse::<IpAddr>().is_err() && host.contains('.') && !host.ends_with('.')
}

/// Whether a file as of hosts(5) names this host.
fn is_in(hosts: &str, host: &str) -> bool {
    hosts
        .lines()
        .filter_map(|line| line.split('#').next())
        .flat_map(|line| line.split_ascii_whitespace().skip(1))
        .any(|name| name.eq_ignore_ascii_case(host))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_may_be_whole_an_address_or_one_label() {
        for whole in ["sts.amazonaws.com", "sts.shop", "1.2.3.x"] {
            assert!(has_dot(whole), "{whole}");
        }
        for other in ["sts", "sts.amazonaws.com.", "10.0.0.1", "fd00::1", "::ffff:10.0.0.1"] {
            assert!(!has_dot(other), "{other}");
        }
    }

    #[test]
    fn the_hosts_file_names_whole_names_in_any_case_and_after_the_address() {
        let hosts = "# sts.old.example\n10.0.0.1\tSTS.corp.example sts  # sts.comment.example\n\n10.0.0.2 other.example\n";
        for named in ["sts.corp.example", "sts", "other.EXAMPLE"] {
            assert!(is_in(hosts, named), "{named}");
        }
        for not in ["10.0.0.1", "sts.old.example", "sts.comment.example", "corp.example", "example"] {
            assert!(!is_in(hosts, not), "{not}");
        }
    }
}
