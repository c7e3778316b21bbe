"""The whole loop against moto, an STS and S3 that others wrote, with authentication enforced.

Run in a network namespace of its own: `unshare --net python tests/clients/moto.py DIRECTORY_OF_THE_PROGRAMS`.
token file -> imds-emulator -> moto's STS -> IMDS -> boto3 -> moto's S3, which checks the signature, the session token
and the role's policy.
"""
import contextlib
import http.client
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time

PROGRAMS = pathlib.Path(sys.argv[1])
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


def ask(port, method, path, body=None, headers={}):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    connection.request(method, path, body, headers)
    answer = connection.getresponse()
    return answer.status, answer.read().decode()


def wait_for(port, path):
    end = time.monotonic() + 30
    last = None
    while time.monotonic() < end:
        with contextlib.suppress(OSError):
            last = ask(port, "GET", path)
            if last[0] == 200:
                return
        time.sleep(0.05)
    sys.exit(f"moto.py: port {port} {path} is not ready: {last}")


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
        folder = pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory()))

        def start(name, command, environment):
            log = stack.enter_context(open(folder / name, "w"))
            process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
            stack.callback(lambda: (process.terminate(), process.wait()))

        bare = {"PATH": os.environ["PATH"], "HOME": str(folder)}
        moto = pathlib.Path(sys.executable).with_name("moto_server")
        start("moto", [moto, "-H", "127.0.0.1", "-p", "5000"], bare)
        wait_for(5000, "/moto-api/")
        seed()
        (folder / "token").write_text("a.projected.token\n")
        start("emulator", [PROGRAMS / "imds-emulator"], bare | {
            "AWS_ROLE_ARN": f"arn:aws:iam::{ACCOUNT}:role/{ROLE}",
            "AWS_WEB_IDENTITY_TOKEN_FILE": str(folder / "token"),
            "AWS_ROLE_SESSION_NAME": "default.nginx",
            "AWS_ENDPOINT_URL_STS": MOTO,
            "IMDS_GRACE_PERIOD": "0",
        })
        try:
            wait_for(1339, "/readyz")
        except SystemExit:
            print((folder / "emulator").read_text(), file=sys.stderr)
            raise
        enforce_authentication(True)
        done = subprocess.run([sys.executable, "-c", PROGRAM], env=bare, capture_output=True, text=True)
        if done.returncode != 0:
            sys.exit(f"moto.py: the program failed: {done.stderr}\n{(folder / 'emulator').read_text()}")
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
