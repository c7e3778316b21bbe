//! The metadata tree beside the credentials (`metadata: extended`): what is known and true for the Pod, and nothing else. A
//! path that is not known answers 404, so that no program takes the Pod for an instance that there is not.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::time::SystemTime;

use bytes::Bytes;
use imds_contract::{Metadata, Region, RoleArn};

/// The credential paths, which listings show too.
const CREDENTIALS: &str = "meta-data/iam/security-credentials/";

/// What is known of the Pod. What is not known is not served.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Facts {
    /// The region that the operator or the Pod named.
    pub region: Option<Region>,
    /// The availability zone of the Pod's node.
    pub zone: Option<String>,
    /// The Pod's uid, in the place of the instance's id: as unique, and never of an instance id's form (`i-…`).
    pub uid: Option<String>,
    /// The Pod's host name.
    pub hostname: Option<String>,
    /// The Pod's IPv4 address.
    pub ipv4: Option<Ipv4Addr>,
}

/// What is served, by path below the version.
#[derive(Debug, Default)]
pub struct Tree {
    leaves: Vec<(&'static str, Bytes)>,
}

impl Tree {
    /// What `metadata` asks for, of the Pod that these facts are about and of its role; `now` is the start of the process.
    pub fn new(metadata: Metadata, facts: &Facts, role: &RoleArn, now: SystemTime) -> Self {
        match metadata {
            Metadata::Credentials => Self::default(),
            Metadata::Extended => Self::of(facts, role, now),
        }
    }

    fn of(facts: &Facts, role: &RoleArn, now: SystemTime) -> Self {
        let Facts { region, zone, uid, hostname, ipv4 } = facts;
        let region = region.as_ref().filter(|region| !region.is_global()).map(Region::as_str);
        let zone = zone.as_deref().filter(|zone| region.is_some_and(|region| is_zone_of(region, zone)));
        let ipv4 = ipv4.map(|address| address.to_string());
        let known = [
            // On EC2 this is the private name too.
            ("meta-data/hostname", hostname.clone()),
            ("meta-data/iam/info", Some(iam_info(role, now))),
            ("meta-data/instance-id", uid.clone()),
            ("meta-data/local-hostname", hostname.clone()),
            ("meta-data/local-ipv4", ipv4.clone()),
            ("meta-data/placement/availability-zone", zone.map(str::to_owned)),
            ("meta-data/placement/region", region.map(str::to_owned)),
            (
                "dynamic/instance-identity/document",
                // Programs read it for its region.
                region.map(|region| identity_document(region, zone, uid.as_deref(), ipv4.as_deref(), role)),
            ),
        ];
        let leaves = known.into_iter().filter_map(|(path, body)| Some((path, Bytes::from(body?)))).collect();
        Self { leaves }
    }

    /// The body at a path, without slashes at its ends: a value, or the names below it.
    pub(super) fn read(&self, path: &str) -> Option<Bytes> {
        let leaf = self.leaves.iter().find(|(of, _)| *of == path).map(|(_, body)| body.clone());
        leaf.or_else(|| self.list(path))
    }

    /// A listing as the real service writes it: sorted, a line each, a slash behind what has more below; no slash right
    /// below the version.
    fn list(&self, path: &str) -> Option<Bytes> {
        if self.leaves.is_empty() {
            return None;
        }
        let below = |full: &'static str| {
            if path.is_empty() {
                return full.split('/').next();
            }
            full.strip_prefix(path)?.strip_prefix('/')?.split_inclusive('/').next()
        };
        let paths = self.leaves.iter().map(|(path, _)| *path).chain([CREDENTIALS]);
        let names: BTreeSet<_> = paths.filter_map(below).collect();
        (!names.is_empty()).then(|| names.into_iter().collect::<Vec<_>>().join("\n").into())
    }
}

/// `eu-central-1a` and `us-west-2-lax-1a` are zones of AWS's regions; the zone labels of other clouds are none.
fn is_zone_of(region: &str, zone: &str) -> bool {
    let legal = |rest: &str| rest.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    let in_region = |rest: &str| rest.starts_with(|first: char| first.is_ascii_lowercase() || first == '-');
    zone.strip_prefix(region).is_some_and(|rest| legal(rest) && in_region(rest))
}

/// `iam/info`. The real one has an `InstanceProfileId` too, which nobody here knows.
/// Source: EC2 user guide, "Instance metadata categories".
fn iam_info(role: &RoleArn, now: SystemTime) -> String {
    object(&[
        ("Code", "Success"),
        ("LastUpdated", &humantime::format_rfc3339_seconds(now).to_string()),
        ("InstanceProfileArn", &role.as_str().replacen(":role/", ":instance-profile/", 1)),
    ])
}

/// Source: EC2 user guide, "Instance identity documents". What is not known is left out; there is no signature.
fn identity_document(
    region: &str,
    zone: Option<&str>,
    uid: Option<&str>,
    ipv4: Option<&str>,
    role: &RoleArn,
) -> String {
    let architecture = match std::env::consts::ARCH {
        "aarch64" => "arm64",
        other => other,
    };
    let fields = [
        ("accountId", Some(role.account())),
        ("architecture", Some(architecture)),
        ("availabilityZone", zone),
        ("instanceId", uid),
        ("privateIp", ipv4),
        ("region", Some(region)),
        ("version", Some("2017-09-30")),
    ];
    let known: Vec<_> = fields.into_iter().filter_map(|(name, value)| Some((name, value?))).collect();
    object(&known)
}

/// JSON in the real service's form: two spaces, a space before the colon. No value here needs escaping but a role's path.
fn object(fields: &[(&str, &str)]) -> String {
    let escaped = |value: &str| value.replace('\\', "\\\\").replace('"', "\\\"");
    let lines: Vec<_> =
        fields.iter().map(|(name, value)| format!("  \"{name}\" : \"{}\"", escaped(value))).collect();
    format!("{{\n{}\n}}", lines.join(",\n"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn facts() -> Facts {
        Facts {
            region: Some("eu-central-1".parse().unwrap()),
            zone: Some("eu-central-1a".to_owned()),
            uid: Some("0b6d4d1e-8f3a-4a53-9d3c-2f1e5a7c9b10".to_owned()),
            hostname: Some("web-0".to_owned()),
            ipv4: Some(Ipv4Addr::new(10, 1, 2, 3)),
        }
    }

    fn tree(facts: &Facts) -> Tree {
        let role = "arn:aws:iam::123456789012:role/team/my-role".parse().unwrap();
        Tree::new(Metadata::Extended, facts, &role, SystemTime::UNIX_EPOCH + Duration::from_hours(500_000))
    }

    #[track_caller]
    fn expect(tree: &Tree, path: &str, body: &str) {
        let read = tree.read(path).map(|bytes| String::from_utf8(bytes.to_vec()).unwrap());
        assert_eq!(read.as_deref(), (!body.is_empty()).then_some(body), "{path}");
    }

    #[test]
    fn tells_what_is_known_of_the_pod() {
        let tree = tree(&facts());
        for (path, body) in [
            ("meta-data/instance-id", "0b6d4d1e-8f3a-4a53-9d3c-2f1e5a7c9b10"),
            ("meta-data/hostname", "web-0"),
            ("meta-data/local-hostname", "web-0"),
            ("meta-data/local-ipv4", "10.1.2.3"),
            ("meta-data/placement/region", "eu-central-1"),
            ("meta-data/placement/availability-zone", "eu-central-1a"),
            ("meta-data/placement/host-id", ""),
            ("meta-data/ami-id", ""),
            ("user-data", ""),
            ("dynamic/instance-identity/signature", ""),
        ] {
            expect(&tree, path, body);
        }
        expect(
            &tree,
            "meta-data/iam/info",
            r#"{
  "Code" : "Success",
  "LastUpdated" : "2027-01-15T08:00:00Z",
  "InstanceProfileArn" : "arn:aws:iam::123456789012:instance-profile/team/my-role"
}"#,
        );
        let architecture = if cfg!(target_arch = "aarch64") { "arm64" } else { "x86_64" };
        let document = format!(
            r#"{{
  "accountId" : "123456789012",
  "architecture" : "{architecture}",
  "availabilityZone" : "eu-central-1a",
  "instanceId" : "0b6d4d1e-8f3a-4a53-9d3c-2f1e5a7c9b10",
  "privateIp" : "10.1.2.3",
  "region" : "eu-central-1",
  "version" : "2017-09-30"
}}"#
        );
        expect(&tree, "dynamic/instance-identity/document", &document);
    }

    #[test]
    fn listings_are_the_real_services() {
        let tree = tree(&facts());
        for (path, body) in [
            ("", "dynamic\nmeta-data"),
            ("dynamic", "instance-identity/"),
            ("dynamic/instance-identity", "document"),
            ("meta-data", "hostname\niam/\ninstance-id\nlocal-hostname\nlocal-ipv4\nplacement/"),
            ("meta-data/iam", "info\nsecurity-credentials/"),
            ("meta-data/placement", "availability-zone\nregion"),
            ("meta-data/instance-id/more", ""),
            ("nothing", ""),
        ] {
            expect(&tree, path, body);
        }
    }

    #[test]
    fn what_is_not_known_is_not_there() {
        let tree = tree(&Facts::default());
        for path in [
            "meta-data/instance-id",
            "meta-data/placement/region",
            "meta-data/placement",
            "dynamic/instance-identity/document",
            "dynamic",
        ] {
            expect(&tree, path, "");
        }
        expect(&tree, "meta-data", "iam/");
    }

    #[test]
    fn another_clouds_zone_and_a_pseudo_region_are_not_told() {
        for (region, zone, told) in [
            ("us-west-2", "us-west-2-lax-1a", true),
            ("eu-central-1", "eu-central-1a", true),
            ("eu-central-1", "eu-central-1", false),
            ("eu-central-1", "eu-central-11a", false),
            ("eu-central-1", "europe-west3-b", false),
            ("eu-central-1", "eu-central-1a\n", false),
            ("aws-global", "aws-globala", false),
        ] {
            let facts =
                Facts { region: Some(region.parse().unwrap()), zone: Some(zone.to_owned()), ..facts() };
            expect(&tree(&facts), "meta-data/placement/availability-zone", if told { zone } else { "" });
        }
        let facts = Facts { region: Some("aws-global".parse().unwrap()), ..facts() };
        expect(&tree(&facts), "meta-data/placement/region", "");
    }

    #[test]
    fn by_default_there_is_nothing() {
        let role = "arn:aws:iam::123456789012:role/r".parse().unwrap();
        let tree = Tree::new(Metadata::Credentials, &facts(), &role, SystemTime::UNIX_EPOCH);
        for path in ["", "meta-data", "meta-data/iam", "meta-data/iam/info", "meta-data/placement/region"] {
            expect(&tree, path, "");
        }
    }

    #[test]
    fn the_path_of_a_role_is_escaped() {
        let role = r#"arn:aws:iam::123456789012:role/a"b\c/r"#.parse().unwrap();
        assert!(iam_info(&role, SystemTime::UNIX_EPOCH).contains(r#"instance-profile/a\"b\\c/r""#));
    }
}
