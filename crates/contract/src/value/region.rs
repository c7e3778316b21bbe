//! AWS regions and the partitions that they belong to.

use std::fmt;
use std::str::FromStr;

use super::Invalid;

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
        let partition = match text.strip_suffix("-global") {
            Some(id) => Partition::from_id(id),
            None => has_region_form(text).then(|| partition_of(text)),
        };
        partition.map(|partition| Self { name: text.to_owned(), partition }).ok_or_else(|| {
            Invalid::new(
                text,
                "an AWS region, for example us-east-1, eu-central-1, cn-north-1 or us-gov-west-1",
            )
        })
    }
}

impl fmt::Display for Region {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

/// At least three words joined by `-`, the last a number: `us-gov-west-1`.
fn has_region_form(text: &str) -> bool {
    let words: Vec<&str> = text.split('-').collect();
    let [first, .., number] = words.as_slice() else { return false };
    let is_word =
        |word: &&str| !word.is_empty() && word.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
    words.len() >= 3
        && text.len() <= 63
        && words.iter().all(is_word)
        && first.bytes().all(|b| b.is_ascii_lowercase())
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
    fn refuses_what_is_no_region() {
        for wrong in
            ["", "us-east", "us-east-1a", "US-EAST-1", "us_east_1", "us--1", "a.b-c-1", "nowhere-global"]
        {
            assert!(wrong.parse::<Region>().is_err(), "{wrong}");
        }
    }
}
