//! What in a user's container is found before IMDS, or keeps it from being found. Sources: the credential provider chains of the
//! AWS SDKs ("Standardized credential providers"), docs/clients.md.

use imds_contract::environment::{CONTAINER_CREDENTIALS_FULL_URI, EC2_METADATA_SERVICE_ENDPOINT};
use imds_contract::{Interception, address, pod};
use serde_json::Value;

use super::finding::PodFinding;
use super::{Judge, container_name};
use crate::facts::environment::{value, variable};
use crate::facts::injected;
use crate::facts::object::{list, text};
use crate::words::names as listed;

/// Variables whose credentials every chain takes before those of IMDS.
const SOURCES: [&str; 7] = [
    "AWS_ACCESS_KEY_ID",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    CONTAINER_CREDENTIALS_FULL_URI,
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_PROFILE",
    "AWS_SHARED_CREDENTIALS_FILE",
    "AWS_CONFIG_FILE",
];

const PROXIES: [&str; 4] = ["HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"];

/// A folder of a home in which SDKs look for files.
const FOLDER: &str = "/.aws";

pub(super) fn judge(judge: &mut Judge<'_>) {
    let before = judge.findings.number();
    let interception = injected::interception(judge.pod);
    let mut unread = Vec::new();
    for container in judge.users() {
        for finding in of_container(container, interception) {
            judge.found(finding);
        }
        if !list(container, "/envFrom").is_empty() {
            unread.push(container_name(container));
        }
    }
    if interception == Interception::Endpoint {
        let untold =
            judge.users().filter(|container| variable(container, EC2_METADATA_SERVICE_ENDPOINT).is_none());
        let untold: Vec<&str> = untold.map(container_name).collect();
        if !untold.is_empty() {
            judge.found(PodFinding::EndpointMissing { containers: listed(&untold) });
        }
    }
    if judge.findings.number() == before {
        let further = format!(" (envFrom of {} was not looked into)", listed(&unread));
        let further = if unread.is_empty() { String::new() } else { further };
        judge.found(PodFinding::NoOtherSource { further });
    }
}

fn of_container(container: &Value, interception: Interception) -> Vec<PodFinding> {
    let name = || container_name(container).to_owned();
    let mut found = Vec::new();
    for source in SOURCES.into_iter().filter(|source| variable(container, source).is_some()) {
        // Ours, of interception endpoint.
        let ours = format!("http://127.0.0.1:{}{}", address::EMULATOR_PORT, pod::CONTAINER_CREDENTIALS_PATH);
        if source == CONTAINER_CREDENTIALS_FULL_URI && value(container, source) == Some(ours.as_str()) {
            continue;
        }
        found.push(PodFinding::OtherSource { container: name(), what: format!("the variable {source}") });
    }
    for path in list(container, "/volumeMounts").iter().filter_map(|mount| text(mount, "/mountPath")) {
        if path.trim_end_matches('/').ends_with(FOLDER) || path.contains(&format!("{FOLDER}/")) {
            found.push(PodFinding::OtherSource {
                container: name(),
                what: format!("what is mounted at {path}"),
            });
        }
    }
    if value(container, "AWS_EC2_METADATA_DISABLED").is_some_and(|value| value.eq_ignore_ascii_case("true")) {
        found.push(PodFinding::ImdsDisabled { container: name() });
    }
    let endpoint = format!("http://127.0.0.1:{}/", address::EMULATOR_PORT);
    let asks = value(container, EC2_METADATA_SERVICE_ENDPOINT);
    let own = ["http://169.254.169.254", "http://[fd00:ec2::254]", endpoint.trim_end_matches('/')];
    if let Some(asks) = asks.filter(|asks| !own.contains(&asks.trim_end_matches('/'))) {
        found.push(PodFinding::OtherEndpoint { container: name(), value: asks.to_owned() });
    }
    found.extend(proxied(container, interception));
    found
}

/// A proxy for plain HTTP, and nothing that keeps IMDS off it.
fn proxied(container: &Value, interception: Interception) -> Option<PodFinding> {
    let set = |name: &&str| variable(container, name).is_some() && value(container, name) != Some("");
    let proxy = PROXIES.into_iter().find(set)?;
    let host = match interception {
        Interception::Redirect | Interception::Address => "169.254.169.254",
        Interception::Endpoint => "127.0.0.1",
    };
    let exceptions = ["NO_PROXY", "no_proxy"].map(|name| value(container, name).unwrap_or_default());
    let covers = |entry: &str| {
        let entry = entry.trim();
        entry == "*"
            || entry == host
            || entry.starts_with("169.254.") && entry.contains('/') && host.starts_with("169.254.")
    };
    let is_excepted = exceptions.iter().any(|list| list.split(',').any(covers));
    // A value from elsewhere may name it.
    let is_unknown = ["NO_PROXY", "no_proxy"]
        .iter()
        .any(|name| variable(container, name).is_some_and(|v| v.get("valueFrom").is_some()));
    (!is_excepted && !is_unknown).then(|| PodFinding::Proxied {
        container: container_name(container).to_owned(),
        variable: proxy.to_owned(),
        host,
    })
}
