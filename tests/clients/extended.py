"""What programs read besides credentials, with `metadata: extended`: where the zone is known and where it is not. docs/clients.md has it.

Run in a network namespace of its own: `unshare --net python tests/clients/extended.py DIRECTORY_OF_THE_PROGRAMS`.
"""
import contextlib
import pathlib
import subprocess
import sys

from clients import PROGRAMS, VENV, VENVS, node
from processes import Processes, emulator, local_sts

BUILT = pathlib.Path(sys.argv[1]).resolve()
ROLE = "arn:aws:iam::123456789012:role/my-example-role"
REGION, ZONE, UID = "eu-central-1", "eu-central-1a", "0b6d4d1e-8f3a-4a53-9d3c-2f1e5a7c9b10"
METADATA = VENVS / "metadata" / "bin" / "python"

OPENTELEMETRY = """
import sys
from opentelemetry.sdk.extension.aws.resource.ec2 import AwsEc2ResourceDetector
attributes = AwsEc2ResourceDetector(raise_on_error=len(sys.argv) > 1).detect().attributes
print(attributes.get("cloud.region"), attributes.get("host.id"))
"""
EC2_METADATA = """
from ec2_metadata import ec2_metadata as it
print(it.region, it.account_id, it.instance_id, it.availability_zone)
"""
BOTOCORE = """
import botocore.utils
print(botocore.utils.InstanceMetadataRegionFetcher().retrieve_region())
"""
# By program: what it says where the zone is known, and where it is not. Some ask for a zone and cut off its letter, others for what
# nobody here knows.
TOLD = {
    "google-auth for Python": (
        ["sh", "-c", f"echo now | {VENVS}/google-auth/bin/python {PROGRAMS}/google_auth.py"], "ASIAEXAMPLE", "none RefreshError: Unable to retrieve AWS region"),
    "google-auth-library for Node.js": (["sh", "-c", f"echo now | {' '.join(node('google-auth.mjs'))}"], "ASIAEXAMPLE", "none "),
    "OpenTelemetry for Node.js": (node("opentelemetry.mjs"), f"{REGION} {ZONE} {UID}", f"{REGION} undefined {UID}"),
    "OpenTelemetry for Python": ([METADATA, "-c", OPENTELEMETRY], "None None", "None None"),
    "OpenTelemetry for Python, raise_on_error": ([METADATA, "-c", OPENTELEMETRY, "raise"], "KeyError: 'instanceType'", "KeyError: 'availabilityZone'"),
    "ec2-metadata": ([METADATA, "-c", EC2_METADATA], f"{REGION} 123456789012 {UID} {ZONE}", "404"),
    "botocore's region": ([VENV / "bin" / "python", "-c", BOTOCORE], REGION, "None"),
}


def said(processes, command):
    done = subprocess.run([str(word) for word in command], env=processes.bare, capture_output=True, text=True, timeout=60)
    return done.stdout.strip() or (done.stderr.strip().splitlines() or [""])[-1]


def check(known):
    """The number of programs that say something else."""
    failed = 0
    with contextlib.ExitStack() as stack:
        processes = Processes(stack)
        sts, token = local_sts(processes, BUILT, f"{ROLE}=default:my-sa")
        emulator(processes, BUILT, AWS_ROLE_ARN=ROLE, AWS_WEB_IDENTITY_TOKEN_FILE=str(token), AWS_ENDPOINT_URL_STS=sts, AWS_REGION=REGION,
                 IMDS_METADATA="extended", IMDS_POD_UID=UID, HOSTNAME="web-0", **({"IMDS_AVAILABILITY_ZONE": ZONE} if known else {}))
        for name, (command, with_zone, without) in TOLD.items():
            expected, heard = with_zone if known else without, said(processes, command)
            holds = expected in heard
            failed += not holds
            print(f"  {'✔' if holds else '✘'} {name}, zone {'known' if known else 'unknown'}", flush=True)
            if not holds:
                print(f"      expected {expected!r}, it said {heard!r}", flush=True)
    return failed


def main():
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    subprocess.run([BUILT / "imds-redirect"], check=True)
    failed = check(known=True) + check(known=False)
    print(f"extended metadata: {2 * len(TOLD) - failed} passed, {failed} failed")
    sys.exit(failed > 0)


main()
