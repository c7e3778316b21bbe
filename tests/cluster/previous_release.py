"""What is promised of Pods that earlier releases injected, as people keep them in Git: this webhook admits them as they are, and they
run with this image (crates/inject/tests/released.rs keeps them).
"""
import json

from clients import BY_ENDPOINT
from control_plane import repository
from demo import INTERCEPTIONS
from images import CLIENT
from promises import Promises, check

RELEASED = repository() / "crates/inject/tests/released"
# What stands in the files.
STS = "http://sts.example"
promise = Promises()


@promise
def pods_that_earlier_releases_injected_are_admitted_as_they_are_and_have_credentials(demo):
    forms = ("native", "classic") if demo.is_native else ("classic",)
    pods = {}
    for number, release in enumerate(sorted(RELEASED.iterdir())):
        for form in forms:
            for interception in INTERCEPTIONS:
                pods[f"{form}-{interception}-{number}"] = (form, interception, release / f"{form}-{interception}.yaml")
    admitted = already_injected(demo)
    documents = [manifest(name, interception, file.read_text(), demo.sts.url) for name, (_, interception, file) in pods.items()]
    warnings = demo.kubectl("create", "--filename=-", document="\n---\n".join(documents)).stderr
    check("aws-imds-emulator" not in warnings, f"without a warning, where the image is the same: {warnings}")
    added = already_injected(demo) - admitted
    check(added == len(pods), f"nothing is added to any of {len(pods)} Pods: {added}")
    for name, (form, interception, _) in pods.items():
        demo.check_has_credentials(name, by=INTERCEPTIONS[interception], native=form == "native")
    demo.kubectl("delete", "pod", *pods, "--wait=false")


def already_injected(demo):
    """How many reviews have found nothing to add."""
    return sum(demo.release.metric(replica, 'reason="already_injected"') for replica in demo.release.pods())


def manifest(name, interception, text, sts):
    """A kept Pod under this name, as it is applied here: with this cluster's STS, this image, and a client that finds the endpoint."""
    for old, new in ((f"name: {name.rpartition('-')[0]}\n", f"name: {name}\n"), (STS, sts)):
        check(text.count(old) == 1, f"{old!r} is there once: {text}")
        text = text.replace(old, new)
    if interception == "endpoint":
        image = f"image: {CLIENT}\n"
        check(text.count(image) == 1, f"{image!r} is there once: {text}")
        text = text.replace(image, f"{image}    command: {json.dumps(['/bin/busybox', 'sh', '-c', BY_ENDPOINT])}\n")
    return text
