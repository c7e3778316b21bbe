//! References to images: the check that kubelet makes before it pulls one. A Pod with a reference that kubelet refuses is created
//! and never starts (`InvalidImageName`).
//!
//! Source: the grammar of `github.com/distribution/reference` and its `ParseNormalizedNamed`, which kubelet calls.

use imds_contract::Invalid;

const ACCEPTED: &str = "a reference to an image, [DOMAIN[:PORT]/]PATH[:TAG][@DIGEST] with the path in lower case, for example \
                        registry.example/imds-emulator:1.2.3";

/// Source: `RepositoryNameTotalLengthMax`.
const LONGEST_NAME: usize = 255;

/// Source: the tag's regular expression.
const LONGEST_TAG: usize = 128;

/// The digests that a runtime verifies, with the number of their hexadecimal digits. Source: `github.com/opencontainers/go-digest`.
const DIGESTS: [(&str, usize); 3] = [("sha256", 64), ("sha384", 96), ("sha512", 128)];

/// Checks a reference to an image; the reference as it was given. Every place that takes one calls this: the settings file,
/// `imds-webhook --image` and `kubectl-imds inject --image`.
pub fn image_reference(text: &str) -> Result<String, Invalid> {
    if is_reference(text) { Ok(text.to_owned()) } else { Err(Invalid::new(text, ACCEPTED)) }
}

fn is_reference(text: &str) -> bool {
    let (text, digest) = match text.split_once('@') {
        Some((text, digest)) => (text, Some(digest)),
        None => (text, None),
    };
    let (domain, rest) = match text.split_once('/') {
        Some((first, rest)) if is_meant_as_domain(first) => (Some(first), rest),
        _ => (None, text),
    };
    let (path, tag) = match rest.split_once(':') {
        Some((path, tag)) => (path, Some(tag)),
        None => (rest, None),
    };
    let name_length = domain.map_or(0, |domain| domain.len() + 1) + path.len();
    name_length <= LONGEST_NAME
        && domain.is_none_or(is_domain)
        && path.split('/').all(is_path_component)
        && tag.is_none_or(is_tag)
        && digest.is_none_or(is_digest)
        // Refused by the library: it would look like an image's ID.
        && !(domain.is_none() && is_hex(path, 64))
}

/// What stands before the first slash is a domain, or the first part of a path on the default registry.
fn is_meant_as_domain(first: &str) -> bool {
    first == "localhost" || first.contains(['.', ':']) || first.bytes().any(|b| b.is_ascii_uppercase())
}

fn is_domain(domain: &str) -> bool {
    let (host, port) = match domain.strip_prefix('[') {
        Some(rest) => {
            let Some((address, port)) = rest.split_once(']') else { return false };
            let is_address =
                !address.is_empty() && address.bytes().all(|b| b.is_ascii_hexdigit() || b == b':');
            return is_address && (port.is_empty() || port.strip_prefix(':').is_some_and(is_port));
        }
        None => match domain.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (domain, None),
        },
    };
    host.split('.').all(is_domain_component) && port.is_none_or(is_port)
}

fn is_port(port: &str) -> bool {
    !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit())
}

fn is_domain_component(component: &str) -> bool {
    !component.is_empty()
        && component.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
        && !component.starts_with('-')
        && !component.ends_with('-')
}

/// Lower-case letters and digits, with `.`, `_`, `__` or any number of `-` between them.
fn is_path_component(component: &str) -> bool {
    let is_alphanumeric = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let is_separator =
        |between: &str| matches!(between, "" | "." | "_" | "__") || between.bytes().all(|b| b == b'-');
    component.starts_with(is_alphanumeric)
        && component.ends_with(is_alphanumeric)
        && component.split(is_alphanumeric).all(is_separator)
}

fn is_tag(tag: &str) -> bool {
    let is_word = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    (1..=LONGEST_TAG).contains(&tag.len())
        && tag.bytes().next().is_some_and(is_word)
        && tag.bytes().all(|b| is_word(b) || b == b'.' || b == b'-')
}

fn is_digest(digest: &str) -> bool {
    let Some((algorithm, hex)) = digest.split_once(':') else { return false };
    DIGESTS.iter().any(|(known, length)| algorithm == *known && is_hex(hex, *length))
}

fn is_hex(text: &str, length: usize) -> bool {
    text.len() == length && text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHA256: &str = "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

    #[test]
    fn takes_what_kubelet_takes() {
        for reference in [
            "nginx",
            "i",
            "nginx:1.27",
            "library/nginx",
            "localhost/imds-emulator:dev",
            "localhost:5000/imds-emulator",
            "registry.example/imds-emulator:1.2.3",
            "registry.example:5000/team/imds_emulator:v1.2.3-rc.1_x",
            "registry.example/a/b/c/d",
            "registry.example/a__b/c---d.e",
            "REGISTRY.Example/imds",
            "[2001:db8::1]/imds",
            "[2001:db8::1]:5000/imds:1",
            "192.0.2.1:5000/imds",
            "team/imds:UPPER_tag.is-fine",
            "123456789012.dkr.ecr.eu-central-1.amazonaws.com/imds-emulator:1",
        ] {
            for digest in [String::new(), format!("@{SHA256}"), format!("@sha512:{}", "0".repeat(128))] {
                let reference = format!("{reference}{digest}");
                assert_eq!(image_reference(&reference).as_deref(), Ok(reference.as_str()));
            }
        }
        let longest = format!("r.example/{}", "a".repeat(LONGEST_NAME - 10));
        assert!(image_reference(&format!("{longest}:{}", "t".repeat(LONGEST_TAG))).is_ok());
    }

    #[test]
    fn refuses_what_kubelet_refuses_and_names_the_accepted_form() {
        let (long_name, long_tag) =
            ("a".repeat(LONGEST_NAME + 1), format!("a:{}", "t".repeat(LONGEST_TAG + 1)));
        for wrong in [
            "",
            " ",
            "UPPER CASE",
            "Upper",
            "registry.example/Upper",
            "registry.example/imds:",
            "registry.example/imds:a b",
            "registry.example/imds:-a",
            "registry.example/imds:a:b",
            "registry.example/imds@",
            "registry.example/imds@sha256:abc",
            "registry.example/imds@sha256:0123456789ABCDEF0123456789abcdef0123456789abcdef0123456789abcdef",
            "registry.example/imds@md5:0123456789abcdef0123456789abcdef",
            "registry.example/imds:1@2@3",
            "registry.example/",
            "registry.example//imds",
            "/imds",
            "imds/",
            "https://registry.example/imds",
            "registry.example:port/imds",
            "registry.example:/imds",
            "-registry.example/imds",
            "registry-.example/imds",
            "registry..example/imds",
            "[::1/imds",
            "[]/imds",
            "[::1]x/imds",
            "a/-b",
            "a/b-",
            "a/b___c",
            "a/b..c",
            "a/b._c",
            "imds\n",
            "imds\u{1b}[31m",
            "ímds",
            "$(id)",
            "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
            &long_name,
            &long_tag,
        ] {
            let error = image_reference(wrong).unwrap_err().to_string();
            assert!(error.contains("accepted: a reference to an image, [DOMAIN"), "{wrong}: {error}");
        }
    }
}
