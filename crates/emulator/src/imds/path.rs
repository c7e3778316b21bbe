//! Which resource a request's path names. Clients write paths in many ways: doubled slashes anywhere, a slash too many
//! or too few at the end, percent-encoded bytes. All of these name the same resource here, as in the real service.

use std::borrow::Cow;

use imds_contract::pod::CONTAINER_CREDENTIALS_PATH;

const ROLES: &str = "meta-data/iam/security-credentials";

/// What a path names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Resource<'a> {
    /// `/`: the list of versions.
    Root,
    /// `/{version}/api/token`.
    Token,
    /// `/{version}/api/token/`: the real service forbids the slash here, and only here.
    TokenWithSlash,
    /// `/{version}/meta-data/iam/security-credentials`: the role's name.
    Roles,
    /// `/{version}/meta-data/iam/security-credentials/{role}`: the document.
    Role(&'a str),
    /// `/v1/credentials`: the document, as ECS and EKS serve it.
    ContainerCredentials,
    /// Anything else below a version: what follows the version, without slashes at its ends.
    Metadata(&'a str),
    /// Anything else.
    Unknown,
    /// A path that no client has an honest use for: broken or hidden characters, dot segments.
    Malformed,
}

impl<'a> Resource<'a> {
    /// Reads a path as [`normalised`] gives it.
    pub(super) fn of(path: Option<&'a str>) -> Self {
        let Some(path) = path else { return Self::Malformed };
        let path = path.strip_prefix('/').unwrap_or(path);
        let (path, slash) = path.strip_suffix('/').map_or((path, false), |path| (path, true));
        if CONTAINER_CREDENTIALS_PATH.strip_prefix('/') == Some(path) {
            return Self::ContainerCredentials;
        }
        match path.split_once('/').unwrap_or((path, "")) {
            ("", _) => Self::Root,
            (version, _) if !is_version(version) => Self::Unknown,
            (_, "api/token") if slash => Self::TokenWithSlash,
            (_, "api/token") => Self::Token,
            (_, ROLES) => Self::Roles,
            (_, other) => match other.strip_prefix(ROLES).and_then(|rest| rest.strip_prefix('/')) {
                Some(role) if !role.contains('/') => Self::Role(role),
                _ => Self::Metadata(other),
            },
        }
    }
}

/// `latest`, `1.0` or a date. The real service knows some thirty dates; a client may ask with any of them.
fn is_version(segment: &str) -> bool {
    let is_date = |bytes: &[u8]| {
        bytes.len() == 10
            && bytes.iter().enumerate().all(|(index, byte)| match index {
                4 | 7 => *byte == b'-',
                _ => byte.is_ascii_digit(),
            })
    };
    segment == "latest" || segment == "1.0" || is_date(segment.as_bytes())
}

/// A path in its one spelling: its percent-encoding decoded, once, and no slash doubled. `None`: broken encoding, a control
/// character, a hidden slash, a dot segment or bytes that are not UTF-8.
pub(super) fn normalised(path: &str) -> Option<Cow<'_, str>> {
    // (A control character that is not encoded never comes as far as here.)
    let plain = path.is_ascii() && !["%", "//", "/."].iter().any(|odd| path.contains(odd));
    if plain {
        return Some(path.into());
    }
    let mut text = String::with_capacity(path.len());
    for segment in path.split('/').filter(|segment| !segment.is_empty()) {
        text.push('/');
        text.push_str(&decoded(segment)?);
    }
    if path.ends_with('/') {
        text.push('/');
    }
    Some(text.into())
}

fn decoded(segment: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(segment.len());
    let mut rest = segment.as_bytes();
    while let Some((byte, tail)) = rest.split_first() {
        let (byte, tail) = match (byte, tail) {
            (b'%', [high, low, tail @ ..]) => (hex(*high)? << 4 | hex(*low)?, tail),
            (b'%', _) => return None,
            (byte, tail) => (*byte, tail),
        };
        bytes.push(byte);
        rest = tail;
    }
    let decoded = String::from_utf8(bytes).ok()?;
    let hidden = decoded.chars().any(|character| character == '/' || character.is_control());
    (!hidden && decoded != "." && decoded != "..").then_some(decoded)
}

fn hex(digit: u8) -> Option<u8> {
    u8::try_from(char::from(digit).to_digit(16)?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const LIST: &str = "/latest/meta-data/iam/security-credentials/";

    #[track_caller]
    fn expect(path: &str, resource: Resource<'_>) {
        assert_eq!(Resource::of(normalised(path).as_deref()), resource, "{path}");
    }

    #[test]
    fn every_way_to_write_a_path_names_the_same_resource() {
        for (path, resource) in [
            ("/", Resource::Root),
            ("//", Resource::Root),
            ("", Resource::Root),
            ("/latest/api/token", Resource::Token),
            ("//latest/api/token", Resource::Token),
            ("/latest//api//token", Resource::Token),
            ("/2021-07-15/api/token", Resource::Token),
            ("/latest/api/token/", Resource::TokenWithSlash),
            (LIST, Resource::Roles),
            ("/latest/meta-data/iam/security-credentials", Resource::Roles),
            ("/latest/meta-data/iam/security-credentials//", Resource::Roles),
            ("/1.0/meta-data/iam/security-credentials/", Resource::Roles),
            ("/2009-04-04/meta-data/iam/security-credentials/", Resource::Roles),
            ("/latest/meta-data/iam/security-credentials/my-role", Resource::Role("my-role")),
            ("/latest/meta-data/iam/security-credentials/my-role/", Resource::Role("my-role")),
            ("/latest/meta-data/iam/security-credentials//my-role", Resource::Role("my-role")),
            ("/latest/meta-data/iam/security-credentials/my%2Drole", Resource::Role("my-role")),
            ("/latest/meta-data/iam/security-credentials/a%40b%2Bc", Resource::Role("a@b+c")),
            ("/latest/meta-data/iam/security-credentials/.hidden", Resource::Role(".hidden")),
        ] {
            expect(path, resource);
        }
    }

    #[test]
    fn other_paths_of_a_version_are_metadata() {
        for (path, below) in [
            ("/latest", ""),
            ("/latest/meta-data/", "meta-data"),
            ("/latest/meta-data//iam/", "meta-data/iam"),
            ("/2018-09-24/meta-data/iam/info", "meta-data/iam/info"),
            ("/latest/meta-data/placement/availability-zone/", "meta-data/placement/availability-zone"),
            ("/latest/meta-data/%70lacement/.x", "meta-data/placement/.x"),
            ("/latest/dynamic/instance-identity/document", "dynamic/instance-identity/document"),
            (
                "/latest/meta-data/iam/security-credentials-extended/",
                "meta-data/iam/security-credentials-extended",
            ),
            ("/latest/meta-data/iam/security-credentials/a/b", "meta-data/iam/security-credentials/a/b"),
            ("/latest/META-DATA/iam/security-credentials/", "META-DATA/iam/security-credentials"),
            ("/latest/api/token/x", "api/token/x"),
        ] {
            expect(path, Resource::Metadata(below));
        }
    }

    #[test]
    fn the_container_credentials_endpoint_is_at_its_path_alone() {
        for path in [CONTAINER_CREDENTIALS_PATH, "/v1/credentials/", "//v1//credentials"] {
            expect(path, Resource::ContainerCredentials);
        }
        for path in ["/v1", "/v1/credentials/x", "/v2/credentials", "/v1/Credentials"] {
            expect(path, Resource::Unknown);
        }
    }

    #[test]
    fn other_paths_are_unknown() {
        for path in [
            "/Latest/meta-data/iam/security-credentials/",
            "/newest/meta-data/iam/security-credentials/",
            "/2.0/meta-data/iam/security-credentials/",
            "/2021-7-15/meta-data/iam/security-credentials/",
            "*",
        ] {
            expect(path, Resource::Unknown);
        }
    }

    #[test]
    fn tricks_are_malformed() {
        for path in [
            "/latest/meta-data/iam/security-credentials/../security-credentials/",
            "/latest/./api/token",
            "/latest/meta-data/iam/security-credentials/%2e%2e",
            "/latest/meta-data/iam/security-credentials/a%00",
            "/latest/meta-data/iam/security-credentials/a%2Fb",
            "/latest/meta-data/iam%2Fsecurity-credentials",
            "/latest/meta-data/iam/security-credentials/a%",
            "/latest/meta-data/iam/security-credentials/a%4",
            "/latest/meta-data/iam/security-credentials/a%zz",
            "/latest/meta-data/iam/security-credentials/%ff",
            "/a/b/c/d/e/f/../g",
        ] {
            expect(path, Resource::Malformed);
        }
    }

    #[test]
    fn a_path_is_decoded_only_once() {
        expect("/latest/meta-data/iam/security-credentials/a%2540", Resource::Role("a%40"));
    }

    proptest! {
        #[test]
        fn any_role_name_reads_back_in_either_spelling(role in "[A-Za-z0-9_+=,@-]{1,64}") {
            let encoded = role.bytes().fold(String::new(), |text, byte| format!("{text}%{byte:02x}"));
            for spelling in [&role, &encoded] {
                let path = format!("{LIST}{spelling}");
                expect(&path, Resource::Role(&role));
            }
        }

        #[test]
        fn no_path_panics(path in "[/%.a-z0-9\\x00-\\xff-]{0,80}") {
            let _ = Resource::of(normalised(&path).as_deref());
        }
    }
}
