"""The webhook under test, run as its Deployment says, and another one that adds a container to every Pod."""
import base64
import contextlib
import http.server
import json
import pathlib
import ssl
import subprocess
import threading
import time

from control_plane import PORT, fetch
from injection import LABEL
from installed import NAME, NAMESPACE, Installed, sum_of_samples
from promises import check, wait_for

ADMIN = "http://127.0.0.1:8080"
# Where every Pod finds its service account.
SERVICE_ACCOUNT = pathlib.Path("/var/run/secrets/kubernetes.io/serviceaccount")
SETTINGS = "/etc/imds-webhook/settings.yaml"


class Webhook(Installed):
    """`imds-webhook` as the manifests have it: the Deployment's arguments, its service account, its Service's address.

    There is no node to run it on and no kube-proxy: it is started here, on the cluster IP of its Service, which the API
    server connects to. It injects `image`.
    """

    def __init__(self, cluster, programs, program, image):
        super().__init__(cluster)
        self.programs, self.program = programs, program
        self.running = None
        service = cluster.get("service", NAME, NAMESPACE)
        address, port = service["spec"]["clusterIP"], service["spec"]["ports"][0]["port"]
        subprocess.run(["ip", "address", "add", f"{address}/32", "dev", "lo"], check=True)
        container = cluster.get("deployment", NAME, NAMESPACE)["spec"]["template"]["spec"]["containers"][0]
        settings = cluster.folder / "settings.yaml"
        text = cluster.get("configmap", NAME, NAMESPACE)["data"][settings.name]
        check(text.count("image: localhost/imds-emulator:dev\n") == 1, f"one image is injected: {text}")
        settings.write_text(text.replace("localhost/imds-emulator:dev", image))
        check(f"--config={SETTINGS}" in container["args"], f"the Deployment reads its settings from {SETTINGS}")
        self.arguments = [word.replace(SETTINGS, str(settings)) for word in container["args"]]
        self.arguments += [f"--listen={address}:{port}", f"--admin-listen={ADMIN.removeprefix('http://')}"]

    def start(self):
        """Starts it and waits until it is ready, which is when it has a certificate and knows the server's version."""
        token = self.cluster.kubectl("create", "token", NAME, f"--namespace={NAMESPACE}").stdout
        SERVICE_ACCOUNT.mkdir(parents=True, exist_ok=True)
        (SERVICE_ACCOUNT / "token").write_text(token)
        (SERVICE_ACCOUNT / "ca.crt").write_text(self.cluster.certificate_authority.read_text())
        self.running = self.programs.start(
            NAME, self.program, *self.arguments, KUBERNETES_SERVICE_HOST="127.0.0.1", KUBERNETES_SERVICE_PORT=str(PORT),
            IMDS_POD_NAMESPACE=NAMESPACE)
        wait_for("imds-webhook", lambda: fetch(f"{ADMIN}/readyz"), 30, alive=self.running)
        # The API server watches the configuration: it takes a moment until it trusts a new authority.
        wait_for("the API server trusts the webhook", self._is_reached, 30, alive=self.running)

    def stop(self):
        # Twice: the second signal ends the grace period. Sent at once they would be one.
        self.running.terminate()
        time.sleep(0.5)
        check(self.programs.end(self.running) == 0, "the webhook ends well when it is told to")

    def restart(self):
        self.stop()
        self.start()

    def metric(self, *words):
        """The sum of the samples that have all these words."""
        return sum_of_samples(fetch(f"{ADMIN}/metrics"), *words)

    def _is_reached(self):
        before = self.metric("imds_webhook_reviews_total")
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "probe", "labels": {LABEL: "True"}},
               "spec": {"containers": [{"name": "app", "image": "nginx"}]}}
        # Labelled and without a role: refused by the webhook, whoever it is that is reached.
        self.cluster.kubectl("create", "--namespace=default", "--dry-run=server", "--filename=-", document=pod, fails=True)
        return self.metric("imds_webhook_reviews_total") > before


@contextlib.contextmanager
def adding_container(cluster, authority, name, namespace):
    """While this lasts, another webhook adds the container `name` to every Pod of a namespace. It is asked after ours: by name."""
    certificate, key = authority.issue("adds-container", "127.0.0.1")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self):
            request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["request"]
            response = {"uid": request["uid"], "allowed": True}
            if not any(container["name"] == name for container in request["object"]["spec"]["containers"]):
                patch = [{"op": "add", "path": "/spec/containers/-", "value": {"name": name, "image": "nginx"}}]
                response |= {"patchType": "JSONPatch", "patch": base64.b64encode(json.dumps(patch).encode()).decode()}
            body = json.dumps({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "response": response}).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    configuration = {
        "apiVersion": "admissionregistration.k8s.io/v1", "kind": "MutatingWebhookConfiguration",
        "metadata": {"name": f"{NAME}-then-another"},
        "webhooks": [{
            "name": "adds-container.test.internal", "admissionReviewVersions": ["v1"], "sideEffects": "None",
            "failurePolicy": "Fail",
            "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}},
            "clientConfig": {"url": f"https://127.0.0.1:{server.server_port}/",
                             "caBundle": base64.b64encode(authority.certificate.read_bytes()).decode()},
            "rules": [{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]}],
        }],
    }

    def adds():
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "probe"},
               "spec": {"containers": [{"name": "app", "image": "nginx"}]}}
        ran = cluster.kubectl("create", f"--namespace={namespace}", "--dry-run=server", "--filename=-", "--output=json", document=pod)
        return name in [container["name"] for container in json.loads(ran.stdout)["spec"]["containers"]]

    # The API server hears of a changed configuration by a watch: here it is waited for, both ways.
    cluster.kubectl("create", "--filename=-", document=configuration)
    try:
        wait_for("the other webhook is asked", adds, 20)
        yield
    finally:
        cluster.kubectl("delete", "mutatingwebhookconfiguration", configuration["metadata"]["name"])
        wait_for("the other webhook is asked no longer", lambda: not adds(), 20)
        server.shutdown()
