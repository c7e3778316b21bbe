//! What goes into a command that a person may paste into a shell. A text of the cluster, of a Pod's log or of STS goes in only
//! where it has the form of what is meant; else the placeholder stays, in capitals. What the person gave is quoted.

use imds_contract::is_object_name;

/// The most that IAM takes. Source: IAM API, `CreateOpenIDConnectProvider`, `Url` and `ClientIDList`.
const LONGEST: usize = 255;

/// Characters that mean nothing to a shell.
fn is_plain(character: char) -> bool {
    character.is_ascii_alphanumeric() || "_@%+=:,./-".contains(character)
}

/// The name of an object of Kubernetes, of a release of Helm, or of a role of IAM.
pub(crate) fn name<'a>(name: &'a str, placeholder: &'a str) -> &'a str {
    let is_end = |end: Option<char>| end.is_some_and(|end| end.is_ascii_alphanumeric());
    let legal = is_object_name(name) && is_end(name.chars().next()) && is_end(name.chars().last());
    if legal { name } else { placeholder }
}

/// The URL of an issuer: `https://HOST[:PORT][/PATH]`, as IAM takes one; nothing that a shell or a policy reads as something else.
pub(crate) fn is_issuer(issuer: &str) -> bool {
    let Some(rest) = issuer.strip_prefix("https://") else { return false };
    let host = rest.split('/').next().unwrap_or_default();
    issuer.len() <= LONGEST
        && host.starts_with(|first: char| first.is_ascii_alphanumeric())
        // No IPv6 address: its brackets mean something to shells and to curl.
        && host.chars().all(|c| c.is_ascii_alphanumeric() || ".-:".contains(c))
        && rest.chars().skip(host.chars().count()).all(|c| is_plain(c) || c == '~')
}

/// A claim of a token that a condition of a policy compares: no wildcard, no policy variable (`${…}`), no flag.
pub(crate) fn claim<'a>(claim: &'a str, placeholder: &'a str) -> &'a str {
    let legal = (1..=LONGEST).contains(&claim.len())
        && claim.starts_with(|first: char| first.is_ascii_alphanumeric())
        && claim.chars().all(|c| is_plain(c) || c == '~');
    if legal { claim } else { placeholder }
}

/// A word that the person gave, such as a file's name, for a POSIX shell.
pub(crate) fn quoted(word: &str) -> String {
    if !word.is_empty() && word.chars().all(is_plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a shell, a command's parser or a policy would read as something else.
    const HOSTILE: [&str; 18] = [
        "",
        "-x",
        "--all",
        "a b",
        "a;touch PWNED;#",
        "$(id)",
        "`id`",
        "a|b",
        "a&b",
        "a>b",
        "a'b",
        "a\"b",
        "a\\b",
        "a\nkubectl delete ns x",
        "a\u{1b}[2J",
        "${aws:username}",
        "a*",
        "ä",
    ];

    #[test]
    fn a_text_that_is_no_name_leaves_the_placeholder() {
        for legal in ["web", "web-7d4b9c-x2x9p", "a.b", "0"] {
            assert_eq!(name(legal, "POD"), legal);
        }
        for wrong in HOSTILE.iter().chain(&["Web", "-", ".", "a-", "a/b", "a_b"]) {
            assert_eq!(name(wrong, "POD"), "POD", "{wrong:?}");
        }
    }

    #[test]
    fn an_issuer_is_a_url_that_iam_takes() {
        for legal in [
            "https://oidc.example.com/my-cluster",
            "https://oidc.eks.eu-central-1.amazonaws.com/id/EXAMPLE0123456789",
            "https://203.0.113.7:8443",
            "https://oidc.example.com/",
            "https://container.googleapis.com/v1/projects/p/locations/l/clusters/c~1",
        ] {
            assert!(is_issuer(legal), "{legal}");
        }
        for wrong in HOSTILE {
            for issuer in [
                wrong.to_owned(),
                format!("https://oidc.example.com/id/{wrong} "),
                format!("https://{wrong} "),
            ] {
                assert!(!is_issuer(&issuer), "{issuer:?}");
            }
        }
        for wrong in [
            "http://oidc.example.com",
            "https://",
            "https://[1-9]x.example",
            "https://[2001:db8::1]/x",
            "https:///x",
            "https://oidc.example.com/id/1;touch ./PWNED;#",
            "https://oidc.example.com/?a=b",
            "https://oidc.example.com/#a",
            "https://user@oidc.example.com/",
            "https://oidc.example.com/*",
            "https://oidc.example.com/${x}",
            &format!("https://oidc.example.com/{}", "a".repeat(LONGEST)),
        ] {
            assert!(!is_issuer(wrong), "{wrong}");
        }
    }

    #[test]
    fn a_claim_is_what_a_condition_can_compare() {
        for legal in [
            "system:serviceaccount:shop:web",
            "sts.amazonaws.com",
            "api://x",
            "https://kubernetes.default.svc",
            "jane@example.com",
        ] {
            assert_eq!(claim(legal, "SUBJECT"), legal);
        }
        for wrong in HOSTILE.iter().chain(&["system:serviceaccount:*:*", "a?b"]) {
            assert_eq!(claim(wrong, "SUBJECT"), "SUBJECT", "{wrong:?}");
        }
    }

    /// Read back by the shell that is everywhere.
    #[test]
    fn a_shell_reads_a_quoted_word_as_it_was() {
        for word in HOSTILE.iter().chain(&["plain", "~", "''", "'"]) {
            let line = format!("printf %s {}", quoted(word));
            let output = std::process::Command::new("sh").args(["-c", &line]).output().unwrap();
            assert_eq!(String::from_utf8(output.stdout).unwrap(), **word, "{line}");
        }
        assert_eq!(quoted("/home/jane/.kube/config"), "/home/jane/.kube/config");
    }
}
