"""`kubectl apply` of a newer deploy/install.yaml keeps what the webhook has written: its keys, and caBundle.

    upgrade.py KUBECTL

kubectl computes its patch from three things: what was applied last, what is there, what is to be. An API server that knows the two
objects concerned stands here, on loopback: there they are of an older version, and filled in. The patch may not name what was filled in.
"""
import copy
import http.server
import json
import pathlib
import subprocess
import sys
import tempfile
import threading

import yaml

INSTALL = pathlib.Path(__file__).parent.parent.parent / "deploy/install.yaml"
LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
GROUP = "admissionregistration.k8s.io"
VERSION = {"groupVersion": f"{GROUP}/v1", "version": "v1"}
KINDS = {"Secret": "secrets", "MutatingWebhookConfiguration": "mutatingwebhookconfigurations"}


def main():
    wanted = {d["kind"]: d for d in yaml.safe_load_all(INSTALL.read_text()) if d["kind"] in KINDS}
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), ApiServer)
    server.live, server.patches = {kind: in_use(document) for kind, document in wanted.items()}, {}
    threading.Thread(target=server.serve_forever, daemon=True).start()
    with tempfile.TemporaryDirectory() as home:
        command = [sys.argv[1], "apply", "--server", f"http://127.0.0.1:{server.server_port}", "--validate=false", "--filename", "-"]
        done = subprocess.run(command, input=yaml.safe_dump_all(wanted.values()), capture_output=True, text=True, env={"HOME": home})
    if done.returncode or server.patches.keys() != KINDS.keys():
        sys.exit(f"patched: {sorted(server.patches)}; {done.stderr.strip()}")
    for kind, patch in server.patches.items():
        # What was applied last stands in it as text.
        patch["metadata"]["annotations"].pop(LAST_APPLIED)
        if any(word in json.dumps(patch) for word in ('"data"', "caBundle", "$patch", "$retainKeys")):
            sys.exit(f"{kind}: {patch}")
    if server.patches["MutatingWebhookConfiguration"]["webhooks"][0]["timeoutSeconds"] != 5:
        sys.exit("the patch does not upgrade")


def in_use(document):
    """The object as an older version applied it, and as the webhook has filled it in."""
    older = copy.deepcopy(document)
    older["metadata"]["labels"]["app.kubernetes.io/version"] = "older"
    for webhook in older.get("webhooks", []):
        webhook["timeoutSeconds"] = 9
    live = copy.deepcopy(older)
    live["metadata"] |= {"annotations": {LAST_APPLIED: json.dumps(older)}, "resourceVersion": "7", "uid": "any"}
    if document["kind"] == "Secret":
        live["data"] = {"ca.key": "c2VjcmV0"}
    for webhook in live.get("webhooks", []):
        webhook["clientConfig"]["caBundle"] = "Q0E="
    return live


class ApiServer(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        path = self.path.split("?")[0]
        discovery = {
            "/api": {"kind": "APIVersions", "versions": ["v1"]},
            "/apis": {"kind": "APIGroupList", "groups": [{"name": GROUP, "versions": [VERSION], "preferredVersion": VERSION}]},
            "/api/v1": resources("v1", "Secret", True),
            f"/apis/{GROUP}/v1": resources(f"{GROUP}/v1", "MutatingWebhookConfiguration", False),
        }
        absent = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "NotFound", "code": 404}
        self.answer(discovery.get(path) or self.server.live.get(self.kind()) or absent)

    def do_PATCH(self):
        self.server.patches[self.kind()] = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.answer(self.server.live[self.kind()])

    def kind(self):
        return next((kind for kind, plural in KINDS.items() if f"/{plural}/" in self.path), None)

    def answer(self, document):
        body = json.dumps(document).encode()
        self.send_response(document.get("code", 200))
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


def resources(version, kind, namespaced):
    of_kind = {"name": KINDS[kind], "kind": kind, "namespaced": namespaced, "verbs": ["create", "get", "patch"]}
    return {"kind": "APIResourceList", "groupVersion": version, "resources": [of_kind]}


main()
