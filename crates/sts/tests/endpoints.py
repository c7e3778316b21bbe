#!/usr/bin/env python3
"""Writes endpoints.tsv: what botocore's own resolver says for every region of partitions.json.

    endpoints.py            writes the file anew
    endpoints.py --check    compares it, and fails where they differ

Needs botocore (pip install botocore); the first line of the file names the version that wrote it.
"""

import itertools
import pathlib
import sys

import botocore
import botocore.args
import botocore.loaders
from botocore.endpoint_provider import EndpointProvider

FILE = pathlib.Path(__file__).with_suffix(".tsv")
# Regions that no file knows yet: the partition comes from the form of the name.
NOT_YET_OPEN = ["ap-north-7", "cn-south-1", "eusc-de-west-1", "us-gov-north-1", "us-iso-north-1",
                "us-isob-north-1", "eu-isoe-north-1", "us-isof-north-1"]


def rows():
    loader = botocore.loaders.create_loader()
    partitions = loader.load_data("partitions")
    provider = EndpointProvider(loader.load_service_model("sts", "endpoint-rule-set-1"), partitions)
    regions = [(partition["id"], region) for partition in partitions["partitions"] for region in partition["regions"]]
    for region in NOT_YET_OPEN:
        regions.append((provider.ruleset.rule_lib.aws_partition(region)["name"], region))
    for (partition, region), fips, dual_stack in itertools.product(sorted(regions), (False, True), (False, True)):
        for mode in ("regional", "legacy"):
            endpoint = provider.resolve_endpoint(
                Region=region,
                UseFIPS=fips,
                UseDualStack=dual_stack,
                # As botocore's own client does it: the setting, and only for the regions of the list.
                UseGlobalEndpoint=mode == "legacy" and region in botocore.args.LEGACY_GLOBAL_STS_REGIONS,
            )
            switches = ("fips" if fips else "-", "dual-stack" if dual_stack else "-", mode)
            yield "\t".join((partition, region, *switches, endpoint.url))


def main():
    header = ("# partition", "region", "fips", "dual-stack", "AWS_STS_REGIONAL_ENDPOINTS", "endpoint")
    fresh = ["\t".join(header), *rows()]
    if sys.argv[1:] == ["--check"]:
        kept = FILE.read_text().splitlines()[1:]
        differing = sorted(set(kept) ^ set(fresh))
        if differing or kept != fresh:
            sys.exit("\n".join([f"{FILE.name} differs from botocore {botocore.__version__}:", *differing]))
        print(f"{FILE.name} is what botocore {botocore.__version__} says ({len(fresh) - 1} endpoints)")
    elif not sys.argv[1:]:
        FILE.write_text("\n".join([f"# botocore {botocore.__version__}", *fresh]) + "\n")
    else:
        sys.exit(__doc__)


main()
