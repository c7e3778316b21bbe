"""The node that the Pods run on, as far as they notice: its own IMDS, a local STS, podman, and kubectl-imds in the webhook's place."""
import contextlib
import http.server
import json
import os
import pathlib
import subprocess
import tempfile
import threading

import kubelet
from podman import HOST, Podman, wait_until

ROLE = "arn:aws:iam::123456789012:role/my-example-role"
IMDS = "169.254.169.254"
NODE_ROLE = "the-nodes-own-role"


class NodesImds(http.server.BaseHTTPRequestHandler):
    """The node's IMDS, which no injected Pod may reach: whoever asks the address outside gets this role's name for an answer."""

    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        with contextlib.suppress(BrokenPipeError):  # of who asked only whether it connects
            self.wfile.write(NODE_ROLE.encode())

    do_PUT = do_GET

    def log_message(self, *_):
        pass


class Node:
    def __init__(self, stack, image, programs):
        self.folder = pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory(ignore_cleanup_errors=True)))
        self.programs = programs
        for command in ("link set lo up", f"address add {IMDS}/32 dev lo"):
            subprocess.run(["ip", *command.split()], check=True)
        imds = http.server.ThreadingHTTPServer((IMDS, 80), NodesImds)
        threading.Thread(target=imds.serve_forever, daemon=True).start()
        self.emulator_env = self.start_sts(stack)
        self.podman = Podman(self.folder)
        self.podman.run("load", "--input", image)
        self.podman.import_client()

    def start_sts(self, stack):
        """The emulator's environment that leads to a local STS with its own CA."""
        state = self.folder / "sts"
        command = [self.programs / "local-sts", "--listen", "0.0.0.0:0", "--name", HOST, "--state", state, "--role", f"{ROLE}=default:my-sa"]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=open(self.folder / "sts.log", "w"))
        stack.callback(process.wait)
        stack.callback(process.terminate)
        wait_until("local-sts", lambda: (state / "url").exists() and (state / "token" / "token").exists())
        port = int((state / "url").read_text().strip().rstrip("/").rpartition(":")[2])
        self.token_folder = self.folder / "token"
        self.token_folder.mkdir()
        token = self.token_folder / "token"
        token.write_bytes((state / "token" / "token").read_bytes())
        token.chmod(0o400)
        os.chown(token, kubelet.EMULATOR_UID, kubelet.EMULATOR_UID)
        (self.token_folder / "ca.pem").write_bytes((state / "ca.pem").read_bytes())
        return {
            "AWS_ENDPOINT_URL_STS": f"https://{HOST}:{port}",
            "AWS_CA_BUNDLE": "/var/run/secrets/aws-imds-emulator/ca.pem",
        }

    def inject(self, manifest, form):
        settings = self.folder / "settings.yaml"
        settings.write_text(json.dumps({"image": "localhost/imds-emulator:dev", "sidecar": form, "emulatorEnv": self.emulator_env}))
        command = [self.programs / "kubectl-imds", "inject", "--settings", settings, "-f", "-"]
        return subprocess.run(command, input=manifest, capture_output=True, text=True, check=True).stdout

    @contextlib.contextmanager
    def injected(self, manifest, form):
        """A Pod that is injected, and started in kubelet's order; with the injected manifest."""
        injected = self.inject(manifest, form)
        with self.podman.pod(kubelet.prepared(injected, self.token_folder, HOST)) as pod:
            kubelet.start(pod, injected)
            yield pod, injected

    @contextlib.contextmanager
    def uninjected(self, manifest):
        """A Pod as it is."""
        with self.podman.pod(manifest) as pod:
            kubelet.start(pod, manifest)
            yield pod
