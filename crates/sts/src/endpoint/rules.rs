//! Which endpoint the settings mean, in every partition. Pure.
//!
//! Source: the STS endpoint rule set and `partitions.json` of the AWS SDKs; `tests/endpoints.tsv` holds botocore's own
//! answers. Two differences, both where the rule set would name a host that doesn't exist: without a region we ask the
//! role's partition, and a pseudo-region such as `aws-cn-global` stands for the partition's implicit global region.

use std::str::FromStr;

use imds_contract::{Invalid, Partition, Region};

use super::{Endpoint, EndpointError};

/// The regions that `AWS_STS_REGIONAL_ENDPOINTS=legacy` sends to the global endpoint, `aws-global` apart.
/// Source: botocore, `LEGACY_GLOBAL_STS_REGIONS`; the list is closed.
const LEGACY_GLOBAL_REGIONS: [&str; 15] = [
    "ap-northeast-1",
    "ap-south-1",
    "ap-southeast-1",
    "ap-southeast-2",
    "ca-central-1",
    "eu-central-1",
    "eu-north-1",
    "eu-west-1",
    "eu-west-2",
    "eu-west-3",
    "sa-east-1",
    "us-east-1",
    "us-east-2",
    "us-west-1",
    "us-west-2",
];

/// What an endpoint is chosen by.
#[derive(Debug, Clone)]
pub struct EndpointSettings {
    /// The partition of the role: no other partition's STS knows it.
    pub role_partition: Partition,
    /// The region whose STS is asked; `None` for the partition's global endpoint.
    pub region: Option<Region>,
    /// An endpoint of the user's own, before all rules.
    pub endpoint_url: Option<Endpoint>,
    /// Ask the FIPS 140 validated endpoint.
    pub fips: bool,
    /// Ask the endpoint that is reachable over IPv4 and IPv6.
    pub dual_stack: bool,
    /// What a region means.
    pub regional: RegionalEndpoints,
}

/// `AWS_STS_REGIONAL_ENDPOINTS`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum RegionalEndpoints {
    /// A region means its own STS.
    #[default]
    Regional,
    /// The regions of before 2019 mean the global endpoint.
    Legacy,
}

impl EndpointSettings {
    /// The endpoint that these settings mean.
    pub fn resolve(&self) -> Result<Endpoint, EndpointError> {
        let Self { role_partition, region, endpoint_url, fips, dual_stack, regional } = self;
        match (endpoint_url, region) {
            (Some(_), _) if *fips => Err(EndpointError::FipsWithUrl),
            (Some(_), _) if *dual_stack => Err(EndpointError::DualStackWithUrl),
            (Some(url), _) => Ok(url.clone()),
            (None, Some(region)) if region.partition() != *role_partition => {
                Err(EndpointError::OtherPartition { region: region.clone(), role: *role_partition })
            }
            (None, region) => {
                let region = region.as_ref().filter(|region| !region.is_global()).map(Region::as_str);
                Ok(Endpoint::of_host(host(*role_partition, region, *fips, *dual_stack, *regional)))
            }
        }
    }
}

impl EndpointSettings {
    /// The region that a signed request to this endpoint is for: the region's own, or the one that stands for the partition
    /// where the endpoint is global. Source: `credentialScope` in the STS endpoint rule set.
    pub fn signing_region(&self) -> String {
        let Self { role_partition, region, endpoint_url, fips, dual_stack, regional } = self;
        let region = region.as_ref().filter(|region| !region.is_global()).map(Region::as_str);
        let by_rules = endpoint_url.is_none() && !fips && !dual_stack;
        let global = by_rules && region.is_some_and(|region| is_legacy(*regional, region));
        region.filter(|_| !global).unwrap_or(global_region(*role_partition)).to_owned()
    }
}

fn is_legacy(regional: RegionalEndpoints, region: &str) -> bool {
    regional == RegionalEndpoints::Legacy && LEGACY_GLOBAL_REGIONS.contains(&region)
}

/// The rule set. No region is the partition's global endpoint.
fn host(
    partition: Partition,
    region: Option<&str>,
    fips: bool,
    dual_stack: bool,
    regional: RegionalEndpoints,
) -> String {
    let legacy = |region| is_legacy(regional, region);
    if partition == Partition::Aws && region.is_none_or(legacy) && !fips && !dual_stack {
        return "sts.amazonaws.com".to_owned();
    }
    let names = Names::of(partition);
    // GovCloud's ordinary IPv4 endpoints are FIPS validated and have no other name.
    let service = match (fips, partition) {
        (true, Partition::AwsUsGov) if !dual_stack => "sts",
        (true, _) => "sts-fips",
        (false, _) => "sts",
    };
    let suffix = if dual_stack { names.dual_stack_suffix } else { names.suffix };
    format!("{service}.{}.{suffix}", region.unwrap_or(names.global_region))
}

/// The region that stands for a partition where none is named.
pub(super) const fn global_region(partition: Partition) -> &'static str {
    Names::of(partition).global_region
}

/// Whether a host's name is in a domain of AWS's endpoints, of whatever partition.
pub(crate) fn is_of_aws(host: &str) -> bool {
    let is_below = |suffix| host.strip_suffix(suffix).is_some_and(|rest| rest.ends_with('.'));
    Partition::ALL
        .iter()
        .map(|&partition| Names::of(partition))
        .any(|names| is_below(names.suffix) || is_below(names.dual_stack_suffix))
}

/// A partition's row of `partitions.json`. Every partition there has FIPS and dual-stack endpoints.
struct Names {
    suffix: &'static str,
    dual_stack_suffix: &'static str,
    /// `implicitGlobalRegion`.
    global_region: &'static str,
}

impl Names {
    const fn of(partition: Partition) -> Self {
        let (suffix, dual_stack_suffix, global_region) = match partition {
            Partition::Aws => ("amazonaws.com", "api.aws", "us-east-1"),
            Partition::AwsCn => ("amazonaws.com.cn", "api.amazonwebservices.com.cn", "cn-northwest-1"),
            Partition::AwsUsGov => ("amazonaws.com", "api.aws", "us-gov-west-1"),
            Partition::AwsEusc => ("amazonaws.eu", "api.amazonwebservices.eu", "eusc-de-east-1"),
            Partition::AwsIso => ("c2s.ic.gov", "api.aws.ic.gov", "us-iso-east-1"),
            Partition::AwsIsoB => ("sc2s.sgov.gov", "api.aws.scloud", "us-isob-east-1"),
            Partition::AwsIsoE => ("cloud.adc-e.uk", "api.cloud-aws.adc-e.uk", "eu-isoe-west-1"),
            Partition::AwsIsoF => ("csp.hci.ic.gov", "api.aws.hci.ic.gov", "us-isof-south-1"),
        };
        Self { suffix, dual_stack_suffix, global_region }
    }
}

impl FromStr for RegionalEndpoints {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        match text {
            _ if text.eq_ignore_ascii_case("regional") => Ok(Self::Regional),
            _ if text.eq_ignore_ascii_case("legacy") => Ok(Self::Legacy),
            _ => Err(Invalid::new(text, "regional or legacy")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(role_partition: Partition, region: Option<&str>) -> EndpointSettings {
        EndpointSettings {
            role_partition,
            region: region.map(|region| region.parse().unwrap()),
            endpoint_url: None,
            fips: false,
            dual_stack: false,
            regional: RegionalEndpoints::Regional,
        }
    }

    fn url(settings: &EndpointSettings) -> String {
        settings.resolve().unwrap().url()
    }

    #[test]
    fn without_a_region_each_partition_has_an_endpoint() {
        let hosts: Vec<_> = Partition::ALL.iter().map(|partition| url(&settings(*partition, None))).collect();
        assert_eq!(
            hosts,
            [
                "https://sts.amazonaws.com/",
                "https://sts.cn-northwest-1.amazonaws.com.cn/",
                "https://sts.us-gov-west-1.amazonaws.com/",
                "https://sts.eusc-de-east-1.amazonaws.eu/",
                "https://sts.us-iso-east-1.c2s.ic.gov/",
                "https://sts.us-isob-east-1.sc2s.sgov.gov/",
                "https://sts.eu-isoe-west-1.cloud.adc-e.uk/",
                "https://sts.us-isof-south-1.csp.hci.ic.gov/",
            ]
        );
        let fips = EndpointSettings { fips: true, ..settings(Partition::Aws, None) };
        assert_eq!(url(&fips), "https://sts-fips.us-east-1.amazonaws.com/");
    }

    #[test]
    fn a_region_of_another_partition_is_refused_with_one_that_fits() {
        let error = settings(Partition::AwsCn, Some("eu-central-1")).resolve().unwrap_err();
        assert_eq!(
            error.to_string(),
            "region eu-central-1 is in partition aws, but the role is in aws-cn; accepted: a region of aws-cn, \
             for example cn-northwest-1"
        );
    }

    #[test]
    fn an_endpoint_url_comes_before_every_rule() {
        let mut settings = settings(Partition::AwsCn, Some("eu-central-1"));
        settings.endpoint_url = Some("http://localhost:5000".parse().unwrap());
        assert_eq!(url(&settings), "http://localhost:5000/");
        settings.fips = true;
        assert_eq!(settings.resolve(), Err(EndpointError::FipsWithUrl));
        settings.fips = false;
        settings.dual_stack = true;
        assert_eq!(settings.resolve(), Err(EndpointError::DualStackWithUrl));
    }

    #[test]
    fn a_signature_is_for_the_region_that_answers() {
        let legacy = |region| EndpointSettings {
            regional: RegionalEndpoints::Legacy,
            ..settings(Partition::Aws, Some(region))
        };
        for (settings, region) in [
            (settings(Partition::Aws, None), "us-east-1"),
            (settings(Partition::Aws, Some("aws-global")), "us-east-1"),
            (settings(Partition::Aws, Some("eu-central-1")), "eu-central-1"),
            (settings(Partition::AwsCn, None), "cn-northwest-1"),
            (legacy("eu-central-1"), "us-east-1"),
            (legacy("af-south-1"), "af-south-1"),
            (EndpointSettings { fips: true, ..legacy("us-west-2") }, "us-west-2"),
            (
                EndpointSettings { endpoint_url: "http://localhost".parse().ok(), ..legacy("eu-west-1") },
                "eu-west-1",
            ),
        ] {
            assert_eq!(settings.signing_region(), region, "{settings:?}");
        }
    }

    #[test]
    fn reads_the_regional_endpoints_word() {
        assert_eq!("legacy".parse(), Ok(RegionalEndpoints::Legacy));
        assert_eq!("Regional".parse(), Ok(RegionalEndpoints::Regional));
        assert!("".parse::<RegionalEndpoints>().is_err());
    }
}
