"""The whole loop against moto, an STS and S3 that others wrote, with authentication enforced.

Run in a network namespace of its own: `unshare --net python tests/clients/moto.py DIRECTORY_OF_THE_PROGRAMS`.
token file -> imds-emulator -> moto's STS -> IMDS -> boto3 -> moto's S3, which checks the signature, the session token
and the role's policy.
"""
import contextlib
import json
import pathlib
import subprocess
import sys

from processes import Processes, ask, emulator

PROGRAMS = pathlib.Path(sys.argv[1]).resolve()
MOTO = "http://127.0.0.1:5000"
ACCOUNT = "123456789012"
ROLE = "my-example-role"
ALLOWED, FORBIDDEN = "my-bucket", "not-my-bucket"

# What a Pod's program does: it knows a bucket and nothing else.
PROGRAM = f"""
import boto3, botocore.exceptions, json, sys
s3 = boto3.client("s3", endpoint_url="{MOTO}", region_name="us-east-1")
s3.put_object(Bucket="{ALLOWED}", Key="greeting", Body=b"hello")
body = s3.get_object(Bucket="{ALLOWED}", Key="greeting")["Body"].read().decode()
try:
    s3.put_object(Bucket="{FORBIDDEN}", Key="greeting", Body=b"hello")
    refused = None
except botocore.exceptions.ClientError as error:
    refused = error.response["Error"]["Code"]
arn = boto3.client("sts", endpoint_url="{MOTO}", region_name="us-east-1").get_caller_identity()["Arn"]
credentials = boto3.Session().get_credentials()
tampered = boto3.client(
    "s3", endpoint_url="{MOTO}", region_name="us-east-1", aws_access_key_id=credentials.access_key,
    aws_secret_access_key="wrong" + credentials.secret_key[5:], aws_session_token=credentials.token,
)
try:
    tampered.get_object(Bucket="{ALLOWED}", Key="greeting")
    wrong_secret = None
except botocore.exceptions.ClientError as error:
    wrong_secret = error.response["Error"]["Code"]
print(json.dumps(dict(body=body, refused=refused, arn=arn, wrong_secret=wrong_secret)))
"""


def enforce_authentication(on):
    status, text = ask(5000, "POST", "/moto-api/reset-auth", "0" if on else "inf", {"Content-Type": "text/plain"})
    assert status == 200, text


def seed():
    import boto3

    root = dict(endpoint_url=MOTO, region_name="us-east-1", aws_access_key_id="root", aws_secret_access_key="root")
    iam, s3 = boto3.client("iam", **root), boto3.client("s3", **root)
    s3.create_bucket(Bucket=ALLOWED)
    s3.create_bucket(Bucket=FORBIDDEN)
    iam.create_role(RoleName=ROLE, AssumeRolePolicyDocument="{}")
    statement = {"Effect": "Allow", "Action": "s3:*", "Resource": f"arn:aws:s3:::{ALLOWED}/*"}
    policy = {"Version": "2012-10-17", "Statement": [statement]}
    iam.put_role_policy(RoleName=ROLE, PolicyName="bucket", PolicyDocument=json.dumps(policy))


def main():
    subprocess.run([PROGRAMS / "imds-redirect"], check=True)
    with contextlib.ExitStack() as stack:
        processes = Processes(stack)
        moto = pathlib.Path(sys.executable).with_name("moto_server")
        processes.start("moto", [moto, "-H", "127.0.0.1", "-p", "5000"])
        processes.until_answers("moto", 5000, "/moto-api/")
        seed()
        token = processes.folder / "token"
        token.write_text("a.projected.token\n")
        emulator(processes, PROGRAMS, AWS_ROLE_ARN=f"arn:aws:iam::{ACCOUNT}:role/{ROLE}",
                 AWS_WEB_IDENTITY_TOKEN_FILE=str(token), AWS_ENDPOINT_URL_STS=MOTO)
        enforce_authentication(True)
        done = subprocess.run([sys.executable, "-c", PROGRAM], env=processes.bare, capture_output=True, text=True)
        if done.returncode != 0:
            sys.exit(f"moto.py: the program failed: {done.stderr}\n{processes.log('imds-emulator').read_text()}")
        found = json.loads(done.stdout)
        expected = {
            "body": "hello",
            "refused": "AccessDenied",
            "arn": f"arn:aws:sts::{ACCOUNT}:assumed-role/{ROLE}/default.nginx",
            "wrong_secret": "SignatureDoesNotMatch",
        }
        if found != expected:
            sys.exit(f"moto.py: found {found}, expected {expected}")
        print("  ✔ credentials from IMDS write and read an S3 object; another bucket and a wrong secret are refused")
        print("moto: 1 passed, 0 failed")


main()
