"""Hands a YAML stream to `kubectl apply --dry-run=client` and compares what kubectl read with what PyYAML reads.

    apply.py KUBECTL <STREAM

kubectl asks an API server which kinds there are, dry run or not: one that knows just that stands here, on loopback.
"""
import http.server
import json
import subprocess
import sys
import tempfile
import threading

import yaml

KINDS = {
    "v1": {"configmaps": "ConfigMap", "pods": "Pod", "replicationcontrollers": "ReplicationController"},
    "apps/v1": {
        "daemonsets": "DaemonSet", "deployments": "Deployment", "replicasets": "ReplicaSet", "statefulsets": "StatefulSet"
    },
    "batch/v1": {"cronjobs": "CronJob", "jobs": "Job"},
}
LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"


class Discovery(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        path = self.path.split("?")[0]
        if path == "/api":
            answer = {"kind": "APIVersions", "versions": ["v1"]}
        elif path == "/apis":
            answer = {"kind": "APIGroupList", "apiVersion": "v1", "groups": [group(name) for name in KINDS if "/" in name]}
        elif (version := path.removeprefix("/apis/").removeprefix("/api/")) in KINDS:
            answer = {"kind": "APIResourceList", "groupVersion": version, "resources": resources(version)}
        else:
            answer = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "NotFound", "code": 404}
        body = json.dumps(answer).encode()
        self.send_response(answer.get("code", 200))
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


def group(version):
    served = {"groupVersion": version, "version": "v1"}
    return {"name": version.split("/")[0], "versions": [served], "preferredVersion": served}


def resources(version):
    verbs = ["create", "get", "patch"]
    return [{"name": name, "kind": kind, "namespaced": True, "verbs": verbs} for name, kind in KINDS[version].items()]


def objects(documents):
    for document in documents:
        if document and document.get("kind") == "List":
            yield from objects(document["items"])
        elif document:
            yield document


def identity(item):
    return item["kind"], item["metadata"].get("name", "")


def as_sent(item):
    """What an object is without what kubectl adds to it, and without what means nothing."""
    metadata = item["metadata"]
    annotations = {name: value for name, value in metadata.get("annotations", {}).items() if name != LAST_APPLIED}
    metadata = {**metadata, "annotations": annotations, "namespace": metadata.get("namespace", "default")}
    return without_nulls({**item, "metadata": metadata})


def without_nulls(value):
    if isinstance(value, dict):
        return {key: without_nulls(inner) for key, inner in value.items() if inner is not None}
    return [without_nulls(item) for item in value] if isinstance(value, list) else value


def main():
    kubectl, stream = sys.argv[1], sys.stdin.read()
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Discovery)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    with tempfile.TemporaryDirectory() as cache:
        command = [kubectl, f"--server=http://127.0.0.1:{server.server_port}", f"--cache-dir={cache}", "apply",
                   "--dry-run=client", "--validate=false", "--output=json", "--filename=-"]
        applied = subprocess.run(command, input=stream, capture_output=True, text=True)
    if applied.returncode:
        sys.exit(f"kubectl does not take it: {applied.stderr}")
    read = {identity(item): as_sent(item) for item in objects([json.loads(applied.stdout)])}
    meant = {identity(item): as_sent(item) for item in objects(yaml.safe_load_all(stream))}
    different = [identity(item) for item in meant.values() if read.get(identity(item)) != item]
    if different or len(read) != len(meant) or not meant:
        sys.exit(f"kubectl reads otherwise than PyYAML: {different or (list(read), list(meant))}")
    print(f"kubectl takes {len(read)} objects, and reads them as PyYAML does")


main()
