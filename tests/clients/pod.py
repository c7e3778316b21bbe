"""One client in one injected Pod, through every state of its credentials. Runs in namespaces of its own (see run.py).

Reads what the injection said of the Pod and what the client is (JSON, standard input), does it, and prints what was seen
(JSON). It judges nothing; judge.py does.

The order of things: STS fails, so there are no credentials yet; STS gives the first ones, which end soon; STS fails, also
at the emulator's refresh; STS gives the second ones, for an hour.
"""
import contextlib
import datetime
import json
import os
import pathlib
import re
import select
import subprocess
import sys
import time

import s3
import wire
from processes import STUCK, Processes, ask, local_sts

ROLES = "/latest/meta-data/iam/security-credentials/"
# Refreshed at 40 to 50 % of it. With under 15 seconds left the SDK for JavaScript v2 hangs.
FIRST_LIFE = "40s"
DOWN = "status=503"


class Pod(Processes):
    """The programs, with the settings of the injected Pod."""

    def __init__(self, settings, stack):
        super().__init__(stack)
        self.settings, programs = settings, pathlib.Path(settings["programs"])
        subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
        for name, value in settings["sysctls"].items():
            pathlib.Path("/proc/sys", name.replace(".", "/")).write_text(value)
        # Volumes of the Pod, in this mount namespace alone.
        subprocess.run(["mount", "-t", "tmpfs", "none", os.path.realpath("/var/run")], check=True)
        for folder in settings["folders"]:
            pathlib.Path(folder).mkdir(parents=True)
        self.wire, self.s3 = wire.Wire(), s3.S3()
        sts, token = local_sts(self, programs, settings["trust"], "--fault", DOWN)
        self.sts_port = int(sts.rpartition(":")[2])
        if settings["redirect"] is not None:
            subprocess.run([programs / "imds-redirect", *settings["redirect"]], check=True, stdout=sys.stderr)
        self.start("imds-emulator", [programs / "imds-emulator"], settings["emulator"] | {
            "AWS_ENDPOINT_URL_STS": sts,
            "AWS_WEB_IDENTITY_TOKEN_FILE": str(token),
        })
        self.until_answers("imds-emulator", 1339, "/livez")

    def set_sts(self, fault):
        status, text = ask(self.sts_port, "POST", "/_local/fault", fault)
        assert status == 200, text

    def exchanges(self, successful):
        _, text = ask(1339, "GET", "/metrics")
        counted = re.findall(r'^imds_emulator_sts_exchanges_total\{outcome="(\w+)"\} (\d+)$', text, re.MULTILINE)
        return sum(int(count) for outcome, count in counted if (outcome == "success") == successful)

    def after(self, fault, successful):
        """Sets this, and waits until the emulator has been to STS again and seen it."""
        before = self.exchanges(successful)
        self.set_sts(fault)
        exchanged = lambda: self.exchanges(successful) > before
        self.until(f"an exchange under {fault}", exchanged, "imds-emulator", meanwhile=self.wire.drain)

    def served(self):
        """The document as it is served now, asked for where the clients ask."""
        host, port = self.settings["imds"]
        ttl = {"X-aws-ec2-metadata-token-ttl-seconds": "60"}
        _, token = ask(port, "PUT", "/latest/api/token", headers=ttl, host=host)
        headers = {"X-aws-ec2-metadata-token": token}
        status, document = ask(port, "GET", ROLES + self.settings["role"], headers=headers, host=host)
        assert status == 200, f"the emulator serves nothing: {status} {document}"
        # What the clients ask for is counted, not this.
        self.wire.requests()
        document = json.loads(document)
        return {"key": document["AccessKeyId"], "expiry": document["Expiration"]}


class Client:
    """A process of the client."""

    def __init__(self, pod, client):
        self.pod, self.client, self.begun = pod, client, time.monotonic()
        self.errors = open(pod.folder / "client.err", "w+")
        settings = {"S3_ENDPOINT": pod.s3.url, "AWS_REGION": "us-east-1", "AWS_DEFAULT_REGION": "us-east-1"}
        self.process = subprocess.Popen(
            client["command"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.errors,
            env=pod.bare | settings | pod.settings["app"], cwd=pod.folder, text=True)

    def ask(self, clock="now"):
        """What a program answers to a line."""
        begun = self.begun or time.monotonic()
        self.begun = None
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.write(clock + "\n")
            self.process.stdin.flush()
        answered, _, _ = select.select([self.process.stdout], [], [], STUCK)
        return self.seen(self.process.stdout.readline() if answered else "", begun, hung=not answered)

    def end(self):
        """What it says until its end."""
        begun, hung, said = self.begun or time.monotonic(), False, ""
        try:
            said, _ = self.process.communicate(timeout=STUCK)
        except subprocess.TimeoutExpired:
            hung = True
            self.process.kill()
            self.process.wait()
        return self.seen(said, begun, hung)

    def seen(self, said, begun, hung):
        self.errors.seek(0)
        keys = self.pod.s3.take()
        key, expiry = (",".join(keys) or None, None) if self.client["kind"] == "s3" else read(said)
        return {
            "key": key, "expiry": expiry, "hung": hung, "code": self.process.poll(),
            "seconds": round(time.monotonic() - begun, 1), "requests": self.pod.wire.requests(),
            "said": (said.strip()[-300:] + " " + self.errors.read().strip()[-300:]).strip(),
        }


def read(said):
    found = re.fullmatch(r"(\w+) (\d+|-)", (said.strip().splitlines() or [""])[-1])
    if not found or found[1] == "none":
        return None, None
    return found[1], None if found[2] == "-" else int(found[2])


def fresh(pod, client):
    """What a new process sees, from its start to its end."""
    process = Client(pod, client)
    if client["kind"] != "program":
        return process.end()
    seen, end = process.ask(), process.end()
    return seen | {"code": end["code"], "hung": seen["hung"] or end["hung"]}


def states(pod, client):
    """What the client sees in each state, and what is served in it."""
    lives_on = Client(pod, client) if client["kind"] == "program" else None
    again = lives_on.ask if lives_on else lambda: fresh(pod, client)
    seen = {"not ready": again()}
    pod.after(f"near-expiry={FIRST_LIFE}", successful=True)
    first = pod.served()
    seen["tried again"] = again() | {"served": first}
    pod.after(DOWN, successful=False)
    assert pod.served() == first, "the emulator has let go of valid credentials"
    seen["STS down"] = fresh(pod, client) | {"served": first}
    pod.after("none", successful=True)
    second = pod.served()
    assert second["key"] != first["key"], "the refresh brought the same key"
    seen["refreshed"] = (renewed(lives_on, first, second) if lives_on else again()) | {"served": second}
    seen["there"] = fresh(pod, client) | {"served": second}
    return seen


def renewed(process, first, second):
    """What a process sees that had the first credentials, at the latest when it should have let go of them."""
    end = datetime.datetime.fromisoformat(first["expiry"].replace("Z", "+00:00")).timestamp() + process.client["late"] + 2
    while True:
        seen = process.ask("later")
        if seen["key"] != first["key"] or time.time() > end:
            return seen | {"code": process.end()["code"]}
        process.pod.wire.drain()
        time.sleep(0.5)


def main():
    task = json.load(sys.stdin)
    with contextlib.ExitStack() as stack:
        print(json.dumps(states(Pod(task["pod"], stack), task["client"])))


main()
