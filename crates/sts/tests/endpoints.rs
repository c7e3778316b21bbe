//! Every endpoint of the AWS SDKs is ours, too: `endpoints.tsv` is what botocore's own resolver says (`endpoints.py`
//! writes it).

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use imds_contract::Partition;
use imds_sts::{EndpointSettings, RegionalEndpoints};

/// A row of the file, and what we make of it.
struct Row {
    settings: EndpointSettings,
    botocore: &'static str,
}

fn rows() -> impl Iterator<Item = Row> {
    include_str!("endpoints.tsv").lines().filter(|line| !line.starts_with('#')).map(|line| {
        let fields: Vec<&'static str> = line.split('\t').collect();
        let [partition, region, fips, dual_stack, regional, botocore] = fields.try_into().unwrap();
        let settings = EndpointSettings {
            role_partition: Partition::from_id(partition).unwrap(),
            region: Some(region.parse().unwrap()),
            endpoint_url: None,
            fips: fips == "fips",
            dual_stack: dual_stack == "dual-stack",
            regional: regional.parse().unwrap(),
        };
        Row { settings, botocore }
    })
}

/// Where botocore puts a pseudo-region's name into a host that doesn't exist (`sts.aws-cn-global.amazonaws.com.cn`), we
/// ask the partition's implicit global region, as if no region were set.
fn exception(row: &Row) -> Option<String> {
    let EndpointSettings { role_partition, region, fips, dual_stack, .. } = &row.settings;
    let region = region.as_ref()?;
    let exists = *role_partition == Partition::Aws && !fips && !dual_stack;
    let implicit = match role_partition {
        Partition::Aws => "us-east-1",
        Partition::AwsCn => "cn-northwest-1",
        Partition::AwsUsGov => "us-gov-west-1",
        Partition::AwsEusc => "eusc-de-east-1",
        Partition::AwsIso => "us-iso-east-1",
        Partition::AwsIsoB => "us-isob-east-1",
        Partition::AwsIsoE => "eu-isoe-west-1",
        Partition::AwsIsoF => "us-isof-south-1",
    };
    (region.is_global() && !exists).then(|| row.botocore.replace(region.as_str(), implicit))
}

#[test]
fn every_endpoint_is_botocores() {
    for row in rows() {
        let expected = exception(&row).unwrap_or_else(|| row.botocore.to_owned());
        let ours = row.settings.resolve().unwrap().url();
        assert_eq!(ours, format!("{expected}/"), "{:?}", row.settings);
    }
}

#[test]
fn the_file_covers_every_partition_and_every_switch() {
    for partition in Partition::ALL {
        for fips in [false, true] {
            for dual_stack in [false, true] {
                for regional in [RegionalEndpoints::Regional, RegionalEndpoints::Legacy] {
                    assert!(rows().any(|Row { settings, .. }| settings.role_partition == *partition
                        && settings.fips == fips
                        && settings.dual_stack == dual_stack
                        && settings.regional == regional));
                }
            }
        }
    }
    let legacy = rows().filter(|row| {
        row.settings.regional == RegionalEndpoints::Legacy && row.botocore == "https://sts.amazonaws.com"
    });
    assert_eq!(legacy.count(), 16);
}
