//! AWS regions and the partitions that they belong to.

use std::fmt;
use std::str::FromStr;

use super::{Invalid, is_blank_or_quote};

/// An AWS partition. Source: `partitions.json` of the AWS SDKs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Partition {
    /// `aws`, the commercial regions.
    Aws,
    /// `aws-cn`, China.
    AwsCn,
    /// `aws-us-gov`, GovCloud (US).
    AwsUsGov,
    /// `aws-eusc`, the European Sovereign Cloud.
    AwsEusc,
    /// `aws-iso`, US ISO.
    AwsIso,
    /// `aws-iso-b`, US ISOB.
    AwsIsoB,
    /// `aws-iso-e`, EU ISOE.
    AwsIsoE,
    /// `aws-iso-f`, US ISOF.
    AwsIsoF,
}

impl Partition {
    /// Every partition.
    pub const ALL: &'static [Self] = &[
        Self::Aws,
        Self::AwsCn,
        Self::AwsUsGov,
        Self::AwsEusc,
        Self::AwsIso,
        Self::AwsIsoB,
        Self::AwsIsoE,
        Self::AwsIsoF,
    ];

    /// The id as it stands in an ARN.
    pub fn id(self) -> &'static str {
        match self {
            Self::Aws => "aws",
            Self::AwsCn => "aws-cn",
            Self::AwsUsGov => "aws-us-gov",
            Self::AwsEusc => "aws-eusc",
            Self::AwsIso => "aws-iso",
            Self::AwsIsoB => "aws-iso-b",
            Self::AwsIsoE => "aws-iso-e",
            Self::AwsIsoF => "aws-iso-f",
        }
    }

    /// The partition with this id.
    pub fn from_id(id: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|partition| partition.id() == id)
    }

    /// What the names of its regions begin with; `None` for `aws`, which takes what no other partition claims.
    fn region_prefix(self) -> Option<&'static str> {
        match self {
            Self::Aws => None,
            Self::AwsCn => Some("cn-"),
            Self::AwsUsGov => Some("us-gov-"),
            Self::AwsEusc => Some("eusc-"),
            Self::AwsIso => Some("us-iso-"),
            Self::AwsIsoB => Some("us-isob-"),
            Self::AwsIsoE => Some("eu-isoe-"),
            Self::AwsIsoF => Some("us-isof-"),
        }
    }
}

impl fmt::Display for Partition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.id())
    }
}

/// An AWS region, for example `eu-central-1`, or a partition's pseudo-region, for example `aws-global`. Regions that AWS
/// opens later are accepted when they have a region's form; like the SDKs, what no other partition claims is `aws`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Region {
    name: String,
    partition: Partition,
}

impl Region {
    /// The region's name.
    pub fn as_str(&self) -> &str {
        &self.name
    }

    /// The partition that it belongs to.
    pub fn partition(&self) -> Partition {
        self.partition
    }

    /// Whether this is a pseudo-region such as `aws-global`.
    pub fn is_global(&self) -> bool {
        self.name.ends_with("-global")
    }
}

impl FromStr for Region {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        parse(text).ok_or_else(|| match meant(text) {
            Some(Region { name, .. }) => Invalid::new(text, format!("an AWS region, here {name}")),
            None => Invalid::new(
                text,
                "an AWS region, for example us-east-1, eu-central-1, cn-north-1 or us-gov-west-1",
            ),
        })
    }
}

fn parse(text: &str) -> Option<Region> {
    let partition = match text.strip_suffix("-global") {
        Some(id) => Partition::from_id(id),
        None => has_region_form(text).then(|| partition_of(text)),
    };
    partition.map(|partition| Region { name: text.to_owned(), partition })
}

/// The region that is probably meant by another spelling, or by one of its zones: `us-east-1a`, `us-west-2-lax-1`,
/// `us-east-1-wl1-bos-wlz-1`. Source: EC2 user guide, "Regions and Zones".
fn meant(text: &str) -> Option<Region> {
    let name = text.trim_matches(is_blank_or_quote).to_ascii_lowercase().replace('_', "-");
    // The number ends a region's name.
    let digits = name.find(|c: char| c.is_ascii_digit()).and_then(|start| name.get(start..));
    let rest = digits.map_or("", |digits| digits.trim_start_matches(|c: char| c.is_ascii_digit()));
    parse(name.strip_suffix(rest)?)
}

impl fmt::Display for Region {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

/// At least three words joined by `-`, the last a number, and no other: `us-gov-west-1`. The names of zones and of their groups go on
/// after it.
fn has_region_form(text: &str) -> bool {
    let words: Vec<&str> = text.split('-').collect();
    let [places @ .., number] = words.as_slice() else { return false };
    let is_place = |word: &&str| {
        word.starts_with(|c: char| c.is_ascii_lowercase())
            && word.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
    };
    words.len() >= 3
        && text.len() <= 63
        && places.iter().all(is_place)
        && !number.is_empty()
        && number.bytes().all(|b| b.is_ascii_digit())
}

fn partition_of(region: &str) -> Partition {
    let claims =
        |partition: &&Partition| partition.region_prefix().is_some_and(|prefix| region.starts_with(prefix));
    Partition::ALL.iter().find(claims).copied().unwrap_or(Partition::Aws)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knows_each_regions_partition() {
        for (name, partition) in [
            ("us-east-1", Partition::Aws),
            ("mx-central-1", Partition::Aws),
            ("xx-newplace-1", Partition::Aws),
            ("aws-global", Partition::Aws),
            ("cn-northwest-1", Partition::AwsCn),
            ("aws-cn-global", Partition::AwsCn),
            ("us-gov-east-1", Partition::AwsUsGov),
            ("eusc-de-east-1", Partition::AwsEusc),
            ("us-iso-west-1", Partition::AwsIso),
            ("us-isob-east-1", Partition::AwsIsoB),
            ("eu-isoe-west-1", Partition::AwsIsoE),
            ("us-isof-south-1", Partition::AwsIsoF),
        ] {
            assert_eq!(name.parse::<Region>().unwrap().partition(), partition, "{name}");
        }
    }

    #[test]
    fn names_the_region_of_a_zone_or_of_another_spelling() {
        for (wrong, region) in [
            ("us-east-1a", "us-east-1"),
            ("us-gov-west-1b", "us-gov-west-1"),
            ("us-west-2-lax-1", "us-west-2"),
            ("us-west-2-lax-1a", "us-west-2"),
            ("us-east-1-wl1-bos-wlz-1", "us-east-1"),
            ("us-east-1-wl1", "us-east-1"),
            ("US-EAST-1", "us-east-1"),
            ("EU_CENTRAL_1", "eu-central-1"),
            (" eu-central-1\n", "eu-central-1"),
            ("\"eu-central-1\"", "eu-central-1"),
            ("AWS-Global", "aws-global"),
        ] {
            let error = wrong.parse::<Region>().unwrap_err().to_string();
            assert_eq!(error, format!("{wrong:?} is not accepted; accepted: an AWS region, here {region}"));
        }
        for unknown in ["mars", "use1-az1", "us-east", "\u{e9}-\u{e9}-1", "-1", "", "\"", "nowhere-global"] {
            let error = unknown.parse::<Region>().unwrap_err().to_string();
            assert!(error.contains("for example us-east-1, "), "{error}");
        }
    }

    #[test]
    fn refuses_what_is_no_region() {
        for wrong in
            ["", "us-east", "us-east-1a", "US-EAST-1", "us_east_1", "us--1", "a.b-c-1", "nowhere-global"]
        {
            assert!(wrong.parse::<Region>().is_err(), "{wrong}");
        }
    }
}
