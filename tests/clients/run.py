"""Real AWS clients, unmodified, in injected Pods: every client in every interception and every state of its credentials.

Each client has six Pods to itself: namespaces in which `imds-redirect` and `imds-emulator` run with the settings that
`kubectl-imds inject` gave the Pod, and `local-sts` is STS. pod.py plays it through, judge.py knows what should come out,
and docs/clients.md tells it; the run fails where that page says something else. `--write` writes it.
"""
import argparse
import concurrent.futures
import json
import os
import subprocess
import sys
import time

import yaml

import judge
import table

from clients import BUILT, CLIENTS, HERE, ROOT, version

INTERCEPTIONS = ("redirect", "address", "endpoint")
HTTP_TOKENS = ("optional", "required")
ANNOTATION = "gkemulticloud.googleapis.com/aws-imds-emulator-"
ROLE = "my-example-role"
ARN = f"arn:aws:iam::123456789012:role/{ROLE}"
# Pods at once, for 2 cores: of each Pod's 30 seconds nearly all is waiting.
AT_ONCE = 20


def injected(interception, http_tokens):
    """What pod.py needs to know of the injected Pod."""
    manifest = yaml.safe_load((ROOT / "examples" / "pod.yaml").read_text())
    manifest["metadata"]["annotations"] |= {
        f"{ANNOTATION}role-arn": ARN,
        f"{ANNOTATION}interception": interception,
        f"{ANNOTATION}http-tokens": http_tokens,
    }
    command = [BUILT / "kubectl-imds", "inject", "-f", "-"]
    done = subprocess.run(command, input=yaml.safe_dump(manifest), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    pod = yaml.safe_load(done.stdout)
    spec, inits = pod["spec"], {container["name"]: container for container in pod["spec"]["initContainers"]}
    redirect = inits.get("aws-imds-emulator-redirect")
    return {
        "programs": str(BUILT),
        "role": ROLE,
        "trust": f"{ARN}=default:{spec['serviceAccountName']}",
        "redirect": redirect and redirect["args"],
        "emulator": environment(inits["aws-imds-emulator"]) | {"AWS_ROLE_SESSION_NAME": "default.nginx"},
        "app": environment(spec["containers"][0]),
        "folders": [mount["mountPath"] for mount in spec["containers"][0].get("volumeMounts", [])],
        "sysctls": {one["name"]: one["value"] for one in spec.get("securityContext", {}).get("sysctls", [])},
        "imds": ("127.0.0.1", 1338) if interception == "endpoint" else ("169.254.169.254", 80),
    }


def environment(container):
    return {one["name"]: one["value"] for one in container.get("env", []) if "value" in one}


def play(client, pod):
    """What was seen, or why nothing was."""
    # All of a Pod's processes and mounts end with its first process.
    command = ["unshare", "--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", sys.executable, HERE / "pod.py"]
    task = {"pod": pod, "client": {"command": client.command, "kind": client.kind, "late": client.late}}
    done = subprocess.run(command, input=json.dumps(task), capture_output=True, text=True)
    if done.returncode != 0:
        return None, f"exit {done.returncode}: {done.stderr[-3000:]}"
    return json.loads(done.stdout), None


def missing(client):
    """Why this client can't run here."""
    if client.name == "s3fs":
        try:
            os.close(os.open("/dev/fuse", os.O_RDWR))
        except OSError as error:
            return f"no FUSE here: {error}"
    return None


def skip(client, reason):
    print(f"!! SKIPPED {client.name}: {reason}", file=sys.stderr, flush=True)
    if "SKIPPED_FILE" in os.environ:
        with open(os.environ["SKIPPED_FILE"], "a") as skipped:
            print(f"clients: {client.name}: {reason}", file=skipped)


def run(clients, at_once):
    """Plays all; what was seen by client and Pod, and the number of Pods where it was not as expected."""
    pods = {(mode, tokens): injected(mode, tokens) for mode in INTERCEPTIONS for tokens in HTTP_TOKENS}
    seen, failed = {client: {} for client in clients}, 0
    with concurrent.futures.ThreadPoolExecutor(at_once) as pool:
        # The longest first.
        in_order = sorted(clients, key=lambda client: -client.late)
        plays = {pool.submit(play, client, pods[key]): (client, key) for key in pods for client in in_order}
        for done in concurrent.futures.as_completed(plays):
            client, key = plays[done]
            seen[client][key], problem = done.result()
            found = [problem] if problem else list(judge.problems(client, *key, seen[client][key]))
            failed += bool(found)
            print(f"  {'✘' if found else '✔'} {client.name}: {key[0]}, http-tokens {key[1]}", flush=True)
            for line in found:
                print(f"      {line}", flush=True)
    return seen, failed


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--write", action="store_true", help="write docs/clients.md from the run")
    parser.add_argument("--only", metavar="TEXT", default="", help="only clients with this in their names")
    parser.add_argument("--at-once", metavar="PODS", type=int, default=AT_ONCE, help="fewer on a machine that has other work")
    parser.add_argument("--seen", metavar="FILE", help="write all that was seen, as JSON")
    arguments = parser.parse_args()
    begun, clients = time.monotonic(), []
    for client in CLIENTS:
        if arguments.only in client.name:
            reason = missing(client)
            skip(client, reason) if reason else clients.append(client)
    seen, failed = run(clients, arguments.at_once)
    if arguments.seen:
        everything = {client.name: {" ".join(key): pod for key, pod in pods.items()} for client, pods in seen.items()}
        with open(arguments.seen, "w") as file:
            json.dump(everything, file, indent=1)
    if failed:
        print("the table is neither compared nor written: the clients did something else than expected")
    else:
        ran = {client: table.rows(client, version(client), seen[client]) for client in clients}
        failed += not table.compare(ran, arguments.write)
    pods = sum(len(pods) for pods in seen.values())
    print(f"clients: {pods - failed} passed, {failed} failed  ({time.monotonic() - begun:.0f} s)")
    sys.exit(failed > 0)


main()
