"""google-auth with AWS as the source of identity (workload identity federation). What it would send to Google is a request to STS that it
has signed.
"""
import json
import re
import urllib.parse

import google.auth.aws
import google.auth.transport.requests

import answers

IMDS = "http://169.254.169.254/latest"
credentials = google.auth.aws.Credentials(
    audience="//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/pool/providers/aws",
    subject_token_type="urn:ietf:params:aws:token-type:aws4_request",
    token_url="https://sts.googleapis.com/v1/token",
    credential_source={
        "environment_id": "aws1",
        "region_url": f"{IMDS}/meta-data/placement/availability-zone",
        "url": f"{IMDS}/meta-data/iam/security-credentials",
        "imdsv2_session_token_url": f"{IMDS}/api/token",
        "regional_cred_verification_url": "https://sts.{region}.amazonaws.com?Action=GetCallerIdentity&Version=2011-06-15",
    })


def read(_):
    signed = json.loads(urllib.parse.unquote(credentials.retrieve_subject_token(google.auth.transport.requests.Request())))
    [authorization] = [header["value"] for header in signed["headers"] if header["key"].lower() == "authorization"]
    return re.search(r"Credential=(\w+)/", authorization)[1], None


answers.answer(read)
