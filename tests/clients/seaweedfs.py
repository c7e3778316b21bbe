"""The whole loop against SeaweedFS, an STS and S3 that others wrote, which verifies the token.

Run in a network namespace of its own: `unshare --net python tests/clients/seaweedfs.py DIRECTORY_OF_THE_PROGRAMS`.
`local-sts` is here the cluster alone: it signs the projected token and publishes the keys. token file -> imds-emulator ->
SeaweedFS's STS, which fetches the keys and checks signature, issuer, audience, expiry and the role's trust -> IMDS ->
clients -> SeaweedFS's S3, which lists an object.
"""
import contextlib
import json
import pathlib
import subprocess
import sys
import urllib.parse

from clients import VENVS
from processes import Processes, ask, emulator, local_sts

PROGRAMS = pathlib.Path(sys.argv[1]).resolve()
S3 = "http://127.0.0.1:8333"
ROLE = "arn:aws:iam::123456789012:role/my-example-role"
BUCKET, KEY = "my-bucket", "greeting"

# A Pod's program makes the object; then each lists it by its own means.
MAKE = f"""
import boto3
s3 = boto3.client("s3", endpoint_url="{S3}", region_name="us-east-1")
s3.create_bucket(Bucket="{BUCKET}")
s3.put_object(Bucket="{BUCKET}", Key="{KEY}", Body=b"hello")
"""
LIST = f"""
import boto3
s3 = boto3.client("s3", endpoint_url="{S3}", region_name="us-east-1")
print([found["Key"] for found in s3.list_objects_v2(Bucket="{BUCKET}")["Contents"]])
"""
HOST = S3.removeprefix("http://")
CLIENTS = {
    "boto3": [sys.executable, "-c", LIST],
    "AWS CLI v2": ["/usr/bin/aws", "--region", "us-east-1", "--endpoint-url", S3, "s3", "ls", f"s3://{BUCKET}/"],
    "s3cmd": ["/usr/bin/s3cmd", f"--host={HOST}", f"--host-bucket={HOST}", "--no-ssl", "ls", f"s3://{BUCKET}/"],
}


def configuration(issuer):
    """SeaweedFS's IAM: tokens of this issuer may take the role, and the role may all of S3."""
    trust = {"Effect": "Allow", "Principal": {"Federated": "cluster"}, "Action": ["sts:AssumeRoleWithWebIdentity"]}
    s3 = {"Effect": "Allow", "Action": ["s3:*"], "Resource": ["arn:aws:s3:::*", "arn:aws:s3:::*/*"]}
    version = "2012-10-17"
    return {
        "sts": {"tokenDuration": "1h", "maxSessionLength": "12h", "issuer": "seaweedfs",
                "signingKey": "dGVzdC1zaWduaW5nLWtleS0zMi1jaGFyYWN0ZXJzLWxvbmc="},
        "providers": [{"name": "cluster", "type": "oidc", "enabled": True, "config": {
            "issuer": issuer, "clientId": "sts.amazonaws.com", "jwksUri": f"{issuer}/openid/v1/jwks"}}],
        "policy": {"defaultEffect": "Deny", "storeType": "memory"},
        "roles": [{"roleName": ROLE.rpartition("/")[2], "roleArn": ROLE, "attachedPolicies": ["S3"],
                   "trustPolicy": {"Version": version, "Statement": [trust]}}],
        "policies": [{"name": "S3", "document": {"Version": version, "Statement": [s3]}}],
    }


def assume_role(token):
    """What SeaweedFS's STS says to this token."""
    form = {"Action": "AssumeRoleWithWebIdentity", "Version": "2011-06-15", "RoleArn": ROLE, "RoleSessionName": "default.nginx",
            "WebIdentityToken": token}
    return ask(8333, "POST", "/", urllib.parse.urlencode(form), {"Content-Type": "application/x-www-form-urlencoded"})


def run(processes, command):
    done = subprocess.run(command, env=processes.bare, capture_output=True, text=True, timeout=60)
    logs = "\n".join(processes.log(name).read_text()[-2000:] for name in ("imds-emulator", "weed"))
    assert done.returncode == 0, f"{command[0]} failed: {done.stderr[-1000:]}\n{logs}"
    return done.stdout


def main():
    subprocess.run([PROGRAMS / "imds-redirect"], check=True)
    with contextlib.ExitStack() as stack:
        processes = Processes(stack)
        issuer, token_file = local_sts(processes, PROGRAMS, f"{ROLE}=default:my-sa")
        iam = processes.folder / "iam.json"
        iam.write_text(json.dumps(configuration(issuer)))
        processes.start("weed", [
            VENVS / "seaweedfs" / "bin" / "weed", "server", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", f"-dir={processes.folder}",
            "-s3", "-s3.port=8333", f"-s3.iam.config={iam}", "-master.volumeSizeLimitMB=64", "-volume.max=4"])
        token = token_file.read_text().strip()
        processes.until("SeaweedFS's STS takes the token", lambda: assume_role(token)[0] == 200, "weed")

        head, claims, signature = token.split(".")
        other = "B" if signature[0] != "B" else "C"
        status, text = assume_role(f"{head}.{claims}.{other}{signature[1:]}")
        assert status == 400, f"a token with another signature was answered {status}: {text}"
        print("  ✔ SeaweedFS's STS takes the token, and refuses it with another signature")

        emulator(processes, PROGRAMS, AWS_ROLE_ARN=ROLE, AWS_WEB_IDENTITY_TOKEN_FILE=str(token_file), AWS_ENDPOINT_URL_STS=S3)
        run(processes, [sys.executable, "-c", MAKE])
        for name, command in CLIENTS.items():
            listed = run(processes, command)
            assert KEY in listed, f"{name} lists {listed!r}, not {KEY}"
            print(f"  ✔ {name} lists an object of SeaweedFS's S3 with credentials from IMDS")
    print(f"seaweedfs: {1 + len(CLIENTS)} passed, 0 failed")


main()
