//! Whose error a text tells of. An SDK tells of STS, of IMDS, of other services and of its own settings in the same breath, and what
//! mends one of them does not mend another. Pure.

use super::cause::{Cause, Reason};
use super::others;

/// Why, where it is not STS's; `None` where it is, or where nothing is known of it.
pub(super) fn elsewhere(text: &str) -> Option<Cause> {
    let lower = text.to_ascii_lowercase();
    if is_of_sts(&lower) {
        return None;
    }
    let is_foreign =
        || others::has_any(&lower, &FOREIGN) || others::kind(&lower).is_some() && names_foreign_host(&lower);
    of_request(&lower).or_else(|| named(&lower)).or_else(|| is_foreign().then_some(Cause::Elsewhere))
}

/// By words that have but one meaning.
fn named(lower: &str) -> Option<Cause> {
    let mut elsewhere = Cause::ALL.iter().filter(|cause| cause.reason() == Reason::Elsewhere);
    elsewhere.find(|cause| others::has_any(lower, cause.said())).copied()
}

fn is_of_sts(lower: &str) -> bool {
    const WORDS: [&str; 8] = [
        "assumerole",
        "webidentityerr",
        "openidconnect",
        "identity provider",
        "sts answered",
        "operation error sts",
        "perform: sts:",
        "perform sts:",
    ];
    WORDS.iter().any(|part| lower.contains(part)) || hosts(lower).any(is_sts)
}

/// Of a request that the app made with its credentials: `s3:PutObject`, or an SDK's name of the operation.
fn of_request(lower: &str) -> Option<Cause> {
    let after = |lead: &str| lower.split_once(lead).map(|(_, rest)| rest);
    let action =
        after("perform: ").or_else(|| after("perform ")).and_then(|rest| rest.split([' ', ',']).next());
    let service = action.and_then(|action| action.split_once(':')).map(|(service, _)| service);
    let operation = after("when calling the ").or_else(|| after("operation error "));
    if service.is_none() && operation.is_none_or(|operation| operation.starts_with("ec2imds")) {
        return None;
    }
    if others::has_any(lower, Cause::StaleCredentials.said()) || others::has_any(lower, &SIGNED) {
        return Some(Cause::StaleCredentials);
    }
    if service.is_some() || others::has_any(lower, &DENIED) {
        return Some(Cause::RolePermissions);
    }
    // What went before the request, such as a look for credentials, is told with it.
    named(lower).or(Some(Cause::Elsewhere))
}

/// Of credentials that AWS does not take. STS says this of a role of a chain, too.
const SIGNED: [&str; 4] = [
    "token included in the request is invalid",
    "invalidclienttokenid",
    "requestexpired",
    "signaturedoesnotmatch",
];

const DENIED: [&str; 6] =
    ["accessdenied", "unauthorizedoperation", "not authorized", "statuscode: 403", "(403)", "forbidden"];

/// Words of programs that never ask STS, and ports that it never has: of the API server, etcd and data bases.
const FOREIGN: [&str; 17] = [
    "error from server", // kubectl
    "unable to connect to the server",
    "the connection to the server",
    "timed out waiting for the condition",
    "failed to pull", // kubelet, containerd
    "errimagepull",
    "imagepullbackoff",
    "pulling image",
    "npm err",
    "could not connect to server", // libpq
    ":2379",
    ":3306",
    ":5432",
    ":6379",
    ":6443",
    ":9092",
    ":27017",
];

/// Whether a host is named, and none that may be STS: a name of AWS's without `sts`, or one of somebody else. What has no dot, and
/// addresses, may be anything; behind a proxy the host is the proxy's.
fn names_foreign_host(lower: &str) -> bool {
    // Where programs tell of their documentation.
    const PAGES: [&str; 4] = ["curl.se", "curl.haxx.se", "docs.aws.amazon.com", "aws.amazon.com"];
    !lower.contains("proxy") && hosts(lower).any(|host| host.contains('.') && !PAGES.contains(&host))
}

fn is_sts(host: &str) -> bool {
    host.split('.').any(|label| label == "sts" || label.starts_with("sts-") || label.ends_with("-sts"))
}

/// The hosts that a text names: in a URL, with a port, or where programs tell of a name that they looked up.
fn hosts(lower: &str) -> impl Iterator<Item = &str> {
    const LEADS: [&str; 8] =
        ["lookup", "enotfound", "eai_again", "unknownhostexception:", "host:", "host", "resolve", "to"];
    let is_edge = |c: char| c.is_whitespace() || "\"'`(),;<>{}=".contains(c);
    let words = lower.split(is_edge).filter(|word| !word.is_empty());
    let mut before = "";
    words.filter_map(move |word| {
        let lead = std::mem::replace(&mut before, word);
        let url = word.split_once("://").map(|(_, rest)| rest);
        let authority = url.unwrap_or(word).split(['/', '?']).next().unwrap_or_default();
        let (host, port) = authority.trim_end_matches([':', '.']).split_once(':').unwrap_or((authority, ""));
        let has_port = !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit());
        let is_name = |host: &str| {
            host.bytes().any(|b| b.is_ascii_alphabetic())
                && host.bytes().all(|b| b.is_ascii_alphanumeric() || b"-.".contains(&b))
        };
        let host = host.trim_end_matches([':', '.']);
        (is_name(host)
            && (url.is_some()
                || has_port
                || host.contains('.') && LEADS.iter().any(|end| lead.ends_with(end))))
        .then_some(host)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_found_where_programs_name_them() {
        let found = |text: &str| hosts(&text.to_ascii_lowercase()).map(str::to_owned).collect::<Vec<_>>();
        for (text, expected) in [
            ("Post \"https://sts.amazonaws.com/\": EOF", &["sts.amazonaws.com"][..]),
            (
                "dial tcp: lookup sts.eu-west-9.amazonaws.com on 10.0.0.2:53: no such host",
                &["sts.eu-west-9.amazonaws.com"],
            ),
            ("getaddrinfo ENOTFOUND registry.npmjs.org", &["registry.npmjs.org"]),
            ("java.net.UnknownHostException: sts.moon-1.amazonaws.com", &["sts.moon-1.amazonaws.com"]),
            ("Could not resolve host: s3.amazonaws.com", &["s3.amazonaws.com"]),
            ("HTTPSConnectionPool(host='pypi.org', port=443): Max retries exceeded", &["pypi.org"]),
            ("connect to db.internal:5432 failed", &["db.internal"]),
            ("software.amazon.awssdk.core.exception.SdkClientException: Connect timed out", &[]),
            ("dial tcp 203.0.113.7:443: i/o timeout", &[]),
        ] {
            assert_eq!(found(text), expected, "{text}");
        }
    }
}
