//! Which resource a request's path names. Clients write paths in many ways: doubled slashes anywhere, a slash too many
//! or too few at the end, percent-encoded bytes. All of these name the same resource here, as in the real service.

use std::borrow::Cow;

/// [`CONTAINER_CREDENTIALS_PATH`](imds_contract::pod::CONTAINER_CREDENTIALS_PATH), taken apart.
const CONTAINER_VERSION: &str = "v1";
const CONTAINER_NAME: &str = "credentials";

/// The most names below a version that any path has.
pub(super) const DEPTH: usize = 4;

/// What a path names.
#[derive(Debug, Clone, PartialEq, Eq)]
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
    Role(Cow<'a, str>),
    /// `/v1/credentials`: the document, as ECS and EKS serve it.
    ContainerCredentials,
    /// Anything else below a version: at most four names.
    Metadata([Option<Cow<'a, str>>; DEPTH]),
    /// Anything else.
    Unknown,
    /// A path that no client has an honest use for: broken or hidden characters, dot segments.
    Malformed,
}

impl<'a> Resource<'a> {
    /// Reads a path, without its query.
    pub(super) fn of(path: &'a str) -> Self {
        let mut segments = path.split('/').filter(|segment| !segment.is_empty()).map(decode);
        let mut next = || match segments.next() {
            None => Ok(None),
            Some(Some(segment)) => Ok(Some(segment)),
            Some(None) => Err(Self::Malformed),
        };
        let mut read = || -> Result<Self, Self> {
            let Some(version) = next()? else { return Ok(Self::Root) };
            let tail: [_; DEPTH] = [next()?, next()?, next()?, next()?];
            // What follows is read only to refuse what is malformed.
            let mut too_long = false;
            while next()?.is_some() {
                too_long = true;
            }
            if too_long {
                return Ok(Self::Unknown);
            }
            Ok(match (&*version, tail.each_ref().map(Option::as_deref)) {
                (CONTAINER_VERSION, [Some(CONTAINER_NAME), None, ..]) => Self::ContainerCredentials,
                (other, _) if !is_version(other) => Self::Unknown,
                (_, [Some("api"), Some("token"), None, _]) if path.ends_with('/') => Self::TokenWithSlash,
                (_, [Some("api"), Some("token"), None, _]) => Self::Token,
                (_, [Some("meta-data"), Some("iam"), Some("security-credentials"), None]) => Self::Roles,
                (_, [Some("meta-data"), Some("iam"), Some("security-credentials"), Some(_)]) => {
                    let [.., role] = tail;
                    role.map_or(Self::Unknown, Self::Role)
                }
                _ => Self::Metadata(tail),
            })
        };
        read().unwrap_or_else(|malformed| malformed)
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

/// Decodes the percent-encoding of one segment, once. `None`: broken encoding, a control character, a hidden slash, a
/// dot segment or bytes that are not UTF-8.
fn decode(segment: &str) -> Option<Cow<'_, str>> {
    let decoded = if segment.contains('%') {
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
        Cow::Owned(String::from_utf8(bytes).ok()?)
    } else {
        Cow::Borrowed(segment)
    };
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
            ("/latest/meta-data/iam/security-credentials/my-role", Resource::Role("my-role".into())),
            ("/latest/meta-data/iam/security-credentials/my-role/", Resource::Role("my-role".into())),
            ("/latest/meta-data/iam/security-credentials//my-role", Resource::Role("my-role".into())),
            ("/latest/meta-data/iam/security-credentials/my%2Drole", Resource::Role("my-role".into())),
            ("/latest/meta-data/iam/security-credentials/a%40b%2Bc", Resource::Role("a@b+c".into())),
        ] {
            assert_eq!(Resource::of(path), resource, "{path}");
        }
    }

    #[test]
    fn other_paths_of_a_version_are_metadata() {
        for (path, names) in [
            ("/latest", &[][..]),
            ("/latest/meta-data/", &["meta-data"]),
            ("/latest/meta-data//iam/", &["meta-data", "iam"]),
            ("/2018-09-24/meta-data/iam/info", &["meta-data", "iam", "info"]),
            (
                "/latest/meta-data/placement/availability-zone/",
                &["meta-data", "placement", "availability-zone"],
            ),
            ("/latest/dynamic/instance-identity/document", &["dynamic", "instance-identity", "document"]),
            (
                "/latest/meta-data/iam/security-credentials-extended/",
                &["meta-data", "iam", "security-credentials-extended"],
            ),
            ("/latest/META-DATA/iam/security-credentials/", &["META-DATA", "iam", "security-credentials"]),
            ("/latest/api/token/x", &["api", "token", "x"]),
        ] {
            let Resource::Metadata(found) = Resource::of(path) else { panic!("{path}") };
            assert_eq!(found.iter().flatten().collect::<Vec<_>>(), names, "{path}");
        }
    }

    #[test]
    fn the_container_credentials_endpoint_is_at_its_path_alone() {
        for path in [imds_contract::pod::CONTAINER_CREDENTIALS_PATH, "/v1/credentials/", "//v1//credentials"]
        {
            assert_eq!(Resource::of(path), Resource::ContainerCredentials, "{path}");
        }
        for path in ["/v1", "/v1/credentials/x", "/v2/credentials", "/v1/Credentials"] {
            assert_eq!(Resource::of(path), Resource::Unknown, "{path}");
        }
    }

    #[test]
    fn other_paths_are_unknown() {
        for path in [
            "/latest/meta-data/iam/security-credentials/role/more",
            "/Latest/meta-data/iam/security-credentials/",
            "/newest/meta-data/iam/security-credentials/",
            "/2.0/meta-data/iam/security-credentials/",
            "/2021-7-15/meta-data/iam/security-credentials/",
            "*",
        ] {
            assert_eq!(Resource::of(path), Resource::Unknown, "{path}");
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
            assert_eq!(Resource::of(path), Resource::Malformed, "{path}");
        }
    }

    #[test]
    fn a_path_is_decoded_only_once() {
        let resource = Resource::of("/latest/meta-data/iam/security-credentials/a%2540");
        assert_eq!(resource, Resource::Role("a%40".into()));
    }

    proptest! {
        #[test]
        fn any_role_name_reads_back_in_either_spelling(role in "[A-Za-z0-9_+=,@-]{1,64}") {
            let encoded = role.bytes().fold(String::new(), |text, byte| format!("{text}%{byte:02x}"));
            for spelling in [&role, &encoded] {
                let path = format!("{LIST}{spelling}");
                prop_assert_eq!(Resource::of(&path), Resource::Role(role.as_str().into()));
            }
        }

        #[test]
        fn no_path_panics(path in "[/%.a-z0-9\\x00-\\xff-]{0,80}") {
            let _ = Resource::of(&path);
        }
    }
}
