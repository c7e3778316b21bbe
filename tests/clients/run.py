"""Real AWS clients, unmodified, inside an injected Pod's network: `kubectl-imds run -- python tests/clients/run.py`.

Each client prints the access key that it found. It must be the key that the emulator serves, and the emulator must have
been asked in the version of the protocol that this client is known to speak (read from its /metrics).
"""
import http.client
import json
import os
import pathlib
import re
import subprocess
import sys

HERE = pathlib.Path(__file__).parent
ROLES = "/latest/meta-data/iam/security-credentials/"
PYTHON = sys.executable
NODE = str(pathlib.Path(PYTHON).with_name("node"))
AWS_CONFIG = os.environ["CLIENT_AWS_CONFIG"]

# name, version of the protocol, command
CLIENTS = [
    ("boto3", "v2", [PYTHON, HERE / "boto3_default.py"]),
    ("boto3 falling back", "v1", [PYTHON, HERE / "boto3_v1.py"]),
    ("boto 2.49", "v1", [PYTHON, "-W", "ignore", HERE / "boto2.py"]),
    ("AWS SDK for JavaScript v3", "v2", [NODE, HERE / "js" / "sdk-v3.mjs"]),
    ("aws-config (Rust)", "v2", [AWS_CONFIG]),
    ("curl", "v2", ["sh", HERE / "curl.sh"]),
    ("wget", "v1", ["sh", HERE / "wget.sh"]),
]


def get(host, port, path):
    connection = http.client.HTTPConnection(host, port, timeout=5)
    connection.request("GET", path)
    answer = connection.getresponse()
    body = answer.read().decode()
    assert answer.status == 200, f"{path}: {answer.status} {body}"
    return body


def served_key():
    role = get("169.254.169.254", 80, ROLES)
    return json.loads(get("169.254.169.254", 80, ROLES + role))["AccessKeyId"]


def documents_served(version):
    metrics = get("127.0.0.1", 1339, "/metrics")
    pattern = rf'^imds_emulator_requests_total{{path="document",version="{version}",code="200"}} (\d+)$'
    return sum(int(count) for count in re.findall(pattern, metrics, re.MULTILINE))


def try_client(version, command):
    """None when all is well, else what went wrong."""
    expected = served_key()
    before = documents_served(version)
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, timeout=60)
    if done.returncode != 0:
        return f"exit {done.returncode}: {done.stderr[-600:]}"
    if done.stdout.strip() != expected:
        return f"printed {done.stdout.strip()!r}, the emulator serves {expected!r}"
    if documents_served(version) == before:
        return f"read no document by IMDS{version}"
    return None


def main():
    failed = 0
    for name, version, command in CLIENTS:
        problem = try_client(version, command)
        failed += problem is not None
        print(f"  {'✘' if problem else '✔'} {name}, IMDS{version}" + (f": {problem}" if problem else ""), flush=True)
    print(f"clients: {len(CLIENTS) - failed} passed, {failed} failed")
    sys.exit(failed > 0)


main()
