"""Pods whose client asks for credentials and says what it got, and what it said."""
import json
import re

from images import CLIENT
from injection import EXAMPLE_ROLE, INTERCEPTION, LABEL, ROLE, START

# Asks as a program does that reads the endpoint from its environment (tests/pods/client has those that ask the address): once, and on
# and on.
ONCE_BY_ENDPOINT = 'busybox wget -q -O - "${AWS_EC2_METADATA_SERVICE_ENDPOINT}latest/meta-data/iam/security-credentials/my-example-role"'
BY_ENDPOINT = """
trap 'exit 0' TERM
while :; do
    answer=$(""" + ONCE_BY_ENDPOINT + """) &&
        echo "v1 uid=$(busybox id -u) $(echo "$answer" | busybox tr -d '\\n ')" || echo "v1 failed"
    busybox sleep 1
done
"""
# What the Restricted standard asks of a container.
CONFINED = {
    "allowPrivilegeEscalation": False, "runAsNonRoot": True, "runAsUser": 65534, "capabilities": {"drop": ["ALL"]},
    "seccompProfile": {"type": "RuntimeDefault"},
}


def container(script=None, **more):
    """A client; it runs a script where it is given one, else it asks on and on, by IMDSv1 and IMDSv2."""
    command = {"command": ["/bin/busybox", "sh", "-c", script]} if script else {}
    return {"name": "app", "image": CLIENT, "imagePullPolicy": "IfNotPresent", "securityContext": CONFINED, **command, **more}


def template(name, *containers, interception=None, start=None, **spec):
    """metadata and spec of a labelled Pod; the service account is one that the role trusts, unless the spec says otherwise."""
    annotations = {ROLE: EXAMPLE_ROLE, **({INTERCEPTION: interception} if interception else {}), **({START: start} if start else {})}
    return {
        "metadata": {"name": name, "labels": {"app": name, LABEL: "True"}, "annotations": annotations},
        "spec": {"serviceAccountName": "my-sa", "containers": list(containers) or [container()], **spec},
    }


def pod(name, *containers, **more):
    return {"apiVersion": "v1", "kind": "Pod", **template(name, *containers, **more)}


def workload(kind, name, of_pods, **spec):
    """A Deployment or a DaemonSet of this template."""
    return {"apiVersion": "apps/v1", "kind": kind, "metadata": {"name": name, "labels": {"app": name}},
            "spec": {"selector": {"matchLabels": {"app": name}}, "template": of_pods, **spec}}


def asking(name, interception, app=None, **spec):
    """A Pod whose client asks as this interception makes it ask; `app` is more of its container."""
    script = BY_ENDPOINT if interception == "endpoint" else None
    return pod(name, container(script, **(app or {})), interception=interception, **spec)


def credentials(log):
    """The credentials that a client has told of: IMDSv1 or v2, and the document."""
    told = re.findall(r"^(v\d) uid=\d+ (\{.*\})$", log, re.MULTILINE)
    return [(version, document) for version, document in ((version, json.loads(text)) for version, text in told)
            if document["Code"] == "Success"]


def versions(log):
    """By which versions of IMDS a client has had credentials."""
    return {version for version, _ in credentials(log)}
