"""A cluster in small, on loopback: emulators, a webhook, clients of both, an STS that has an outage, and a real Prometheus."""
import contextlib
import http.client
import http.server
import json
import pathlib
import socket
import ssl
import subprocess
import sys
import threading
import time

from prometheus import Prometheus

ROOT = pathlib.Path(__file__).parent.parent.parent
sys.path.append(str(ROOT / "tests/clients"))
from processes import Processes, ask, local_sts  # noqa: E402

PROGRAMS = ROOT / "target/debug"
RULES = ROOT / "deploy/chart/monitoring/alerts.yaml"
LABEL = "gkemulticloud.googleapis.com/aws-imds-emulator-enabled"
ROLE_ARN = "gkemulticloud.googleapis.com/aws-imds-emulator-role-arn"
ROLE = "arn:aws:iam::123456789012:role/my-example-role"
UNKNOWN_ROLE = "arn:aws:iam::123456789012:role/somebody-elses-role"
CREDENTIALS = "/latest/meta-data/iam/security-credentials/"

# Injected Pods: their role, and the User-Agent of a client that still uses IMDSv1.
PODS = {
    ("batch", "report"): (ROLE, "curl/7.88.1"),
    ("payments", "audit"): (UNKNOWN_ROLE, None),
    ("payments", "ledger"): (ROLE, None),
    ("shop", "cart"): (ROLE, "Boto/2.49.0"),
    ("shop", "web-0"): (ROLE, None),
    ("shop", "web-1"): (ROLE, None),
}
# It has the label, and was not injected.
FORGOTTEN = ("batch", "forgotten")


class LocalRun:
    """STS is down in the middle third of the run. A session lives for a quarter of it."""

    def __init__(self, stack, prometheus, seconds, scrape_interval):
        self.seconds, self.scrape_interval = seconds, scrape_interval
        self.processes = Processes(stack)
        self.folder = self.processes.folder
        self.sts_fault = f"latency=30ms+near-expiry={seconds // 4}s"
        self.start_sts()
        self.emulators = {pod: self.start_emulator(pod) for pod in PODS}
        self.reviews, self.webhook = self.start_webhook()
        self.stand_in = StandIn(stack)
        self.prometheus = Prometheus(prometheus, self.processes, RULES, self.scrape_configs(), f"{scrape_interval}s")
        self.start = self.end = None

    def play(self):
        """Clients ask, Pods are created, until the time is over and Prometheus has seen the last of it."""
        self.processes.until("everything is scraped", self.all_are_scraped, "prometheus")
        self.start = time.time()
        turn, fault = 0, None
        while (share := (time.time() - self.start) / self.seconds) < 1:
            down = 1 / 3 < share < 2 / 3
            if (wanted := "status=503" if down else self.sts_fault) != fault:
                self.set_sts(fault := wanted)
            for pod, (imds, _) in self.emulators.items():
                self.use_imds(imds, PODS[pod][1])
            self.create_pods(turn)
            self.stand_in.unreachable += down
            turn += 1
            time.sleep(self.scrape_interval / 2)
        time.sleep(2 * self.scrape_interval)
        self.end = time.time()

    def variables(self):
        """Of the dashboard, as Grafana would set them."""
        return {"namespace": ".*", "__range": f"{self.seconds}s", "__rate_interval": f"{4 * self.scrape_interval}s"}

    def start_sts(self):
        self.sts, self.token = local_sts(self.processes, PROGRAMS, f"{ROLE}=shop:web", "--fault", self.sts_fault)

    def set_sts(self, fault):
        status, text = ask(port_of(self.sts), "POST", "/_local/fault", fault)
        assert status < 300, text

    def start_emulator(self, pod):
        name, (imds, admin) = ".".join(pod), free_ports(2)
        self.processes.start(name, [
            PROGRAMS / "imds-emulator", f"--listen=127.0.0.1:{imds}", f"--admin-listen=127.0.0.1:{admin}", f"--role-arn={PODS[pod][0]}",
            f"--token-file={self.token}", f"--session-name={name}"], {"AWS_ENDPOINT_URL_STS": self.sts})
        self.processes.until_answers(name, admin, "/livez")
        return imds, admin

    def start_webhook(self):
        certificate, key = self.folder / "tls.crt", self.folder / "tls.key"
        subprocess.run([
            "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-noenc", "-days", "90",
            "-subj", "/CN=imds-webhook", "-keyout", key, "-out", certificate], check=True, capture_output=True)
        reviews, admin = free_ports(2)
        self.processes.start("imds-webhook", [
            PROGRAMS / "imds-webhook", f"--listen=127.0.0.1:{reviews}", f"--admin-listen=127.0.0.1:{admin}", "--image=image",
            f"--tls-cert={certificate}", f"--tls-key={key}"])
        self.processes.until_answers("imds-webhook", admin, "/livez")
        return reviews, admin

    def scrape_configs(self):
        targets = {(*pod, "imds-emulator"): admin for pod, (_, admin) in self.emulators.items()}
        targets["imds-system", "imds-webhook-0", "imds-webhook"] = self.webhook
        static = [
            {"targets": [f"127.0.0.1:{port}"], "labels": {"namespace": namespace, "pod": pod, "job": job}}
            for (namespace, pod, job), port in targets.items()
        ]
        return [
            {"job_name": "programs", "static_configs": static},
            {"job_name": "stand-in", "static_configs": [{"targets": [f"127.0.0.1:{self.stand_in.port}"]}]},
        ]

    def all_are_scraped(self):
        targets = self.prometheus.targets()
        return len(targets) == len(PODS) + 2 and all(target["health"] == "up" for target in targets)

    def use_imds(self, port, agent):
        """What a program does: with the session token of IMDSv2, or without where it is too old for it."""
        headers = {"User-Agent": agent}
        if agent is None:
            _, token = ask(port, "PUT", "/latest/api/token", headers={"X-aws-ec2-metadata-token-ttl-seconds": "60"})
            headers = {"X-aws-ec2-metadata-token": token}
        status, role = ask(port, "GET", CREDENTIALS, headers=headers)
        if status == 200:
            ask(port, "GET", CREDENTIALS + role, headers=headers)
        ask(port, "GET", "/latest/meta-data/instance-id", headers=headers)

    def create_pods(self, turn):
        """Some as they should be, now and then one with a mistake."""
        self.review("/mutate", {LABEL: "True"}, {ROLE_ARN: ROLE})
        if turn % 5 == 0:
            self.review("/mutate", {LABEL: "True"}, {})
            self.review("/lint", {LABEL: "true"}, {ROLE_ARN: ROLE})
        if turn % 10 == 0:
            self.post("/mutate", "no AdmissionReview")

    def review(self, path, labels, annotations):
        pod = {"metadata": {"name": "new", "labels": labels, "annotations": annotations}, "spec": {"containers": [{"name": "app"}]}}
        request = {
            "uid": "u", "operation": "CREATE", "namespace": "shop", "object": pod,
            "resource": {"group": "", "version": "v1", "resource": "pods"},
        }
        self.post(path, json.dumps({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": request}))

    def post(self, path, body):
        unverified = ssl._create_unverified_context()
        with contextlib.closing(http.client.HTTPSConnection("127.0.0.1", self.reviews, timeout=5, context=unverified)) as connection:
            connection.request("POST", path, body, {"Content-Type": "application/json"})
            connection.getresponse().read()


class StandIn:
    """What kube-state-metrics would show of the Pods, and the API server of its calls of the webhook."""

    def __init__(self, stack):
        self.unreachable = 0
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), self.handler())
        self.port = server.server_port
        threading.Thread(target=server.serve_forever, daemon=True).start()
        stack.callback(server.shutdown)

    def handler(stand_in):
        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                self.send_response(200)
                self.end_headers()
                self.wfile.write(stand_in.page().encode())

            def log_message(self, *_):
                pass

        return Handler

    def page(self):
        lines = []
        for namespace, pod in [*PODS, FORGOTTEN]:
            labels = f'namespace="{namespace}",pod="{pod}"'
            lines += [
                f'kube_pod_labels{{{labels},label_gkemulticloud_googleapis_com_aws_imds_emulator_enabled="True"}} 1',
                f'kube_pod_status_phase{{{labels},phase="Running"}} 1',
                f'kube_pod_container_info{{{labels},container="app"}} 1',
            ]
            if (namespace, pod) != FORGOTTEN:
                lines.append(f'kube_pod_init_container_info{{{labels},container="aws-imds-emulator"}} 1')
        inject, warn = ('name="inject.imds-emulator.internal"', 'name="warn.imds-emulator.internal"')
        lines += [
            f'apiserver_admission_webhook_rejection_count{{{inject},error_type="calling_webhook_error"}} {self.unreachable}',
            f"apiserver_admission_webhook_fail_open_count{{{warn}}} {self.unreachable // 2}",
        ]
        return "\n".join(lines) + "\n"


def port_of(url):
    return int(url.rpartition(":")[2])


def free_ports(count):
    with contextlib.ExitStack() as stack:
        listeners = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]
        return [listener.getsockname()[1] for listener in listeners]
