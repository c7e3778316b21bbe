"""The programs of this repository as processes: the emulator beside a local STS over TLS, and the webhook."""
import contextlib
import datetime
import http.client
import json
import os
import pathlib
import socket
import ssl
import subprocess
import sys
import tempfile

from measuring import Failed, end, wait_until

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
sys.path.append(str(ROOT / "deploy" / "image"))
import programs

EMULATOR, REDIRECT, WEBHOOK = (programs.FOLDER / name for name in ("imds-emulator", "imds-redirect", "imds-webhook"))
REVIEW = ROOT / "crates" / "inject" / "tests" / "fixtures" / "pod-bare.json"
# Its debug build will do: nothing of it is measured.
LOCAL_STS = programs.TARGET_FOLDER / "debug" / "local-sts"
ROLE = "arn:aws:iam::123456789012:role/my-example-role"
DOCUMENT = "/latest/meta-data/iam/security-credentials/my-example-role"
TOKEN = "/latest/api/token"
TTL = {"X-aws-ec2-metadata-token-ttl-seconds": "21600"}
MUTATE = "/mutate?timeout=10s"


def build():
    programs.build()
    subprocess.run(["cargo", "build", "--quiet", "--locked", "--package", "imds-local-sts"], cwd=ROOT, check=True)


def review_body():
    """A review as the API server sends it: the fixture is indented to be read."""
    return json.dumps(json.loads(REVIEW.read_bytes()), separators=(",", ":")).encode() + b"\n"


def certificate(stack):
    """The files of a certificate for 127.0.0.1, and of its key."""
    folder = pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory()))
    files = folder / "tls.crt", folder / "tls.key"
    make = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "1"]
    subject = ["-subj", "/CN=webhook", "-addext", "subjectAltName=IP:127.0.0.1"]
    subprocess.run([*make, *subject, "-out", files[0], "-keyout", files[1]], check=True, capture_output=True)
    return files


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Sts:
    """A local STS with its files in a folder."""

    def __init__(self, stack, before=(), program=LOCAL_STS):
        self.folder = pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory()))
        role = f"{ROLE}=default:default"
        command = [*before, program, "--listen", "127.0.0.1:0", "--state", self.folder, "--role", role]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        stack.callback(end, process)
        wait_until(lambda: (self.folder / "url").exists() and (self.folder / "token" / "token").exists(), "local-sts")

    def environment(self, port=0):
        return {
            "AWS_ENDPOINT_URL_STS": (self.folder / "url").read_text().strip(),
            "AWS_CA_BUNDLE": str(self.folder / "ca.pem"),
            "AWS_WEB_IDENTITY_TOKEN_FILE": str(self.folder / "token" / "token"),
            "AWS_ROLE_ARN": ROLE,
            "IMDS_LISTEN": f"127.0.0.1:{port}",
            "IMDS_ADMIN_LISTEN": "127.0.0.1:0",
            "IMDS_GRACE_PERIOD": "0",
        }


class Program:
    """A program of ours as a process, with its log."""

    def __init__(self, stack, command, environment):
        self.log = pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory())) / "log"
        with open(self.log, "w") as stderr:
            self.process = subprocess.Popen(command, env=environment, stderr=stderr, stdout=subprocess.DEVNULL)
        stack.callback(end, self.process)

    def pids(self):
        return [self.process.pid]

    def line(self, message):
        """The log line with this message, once it is there."""

        def found():
            lines = (json.loads(text) for text in self.log.read_text().splitlines() if text.startswith("{"))
            return next((entry for entry in lines if entry["message"] == message), None)

        wait_until(found, f"{message!r} in a log")
        return found()


class Emulator(Program):
    """The emulator with its first credentials."""

    def __init__(self, stack, sts, before=(), program=EMULATOR):
        super().__init__(stack, [*before, program], {"PATH": os.environ["PATH"]} | sts.environment())
        got = self.line("got credentials from STS")["time"]
        self.got_credentials = datetime.datetime.fromisoformat(got.replace("Z", "+00:00")).timestamp()
        self.port = int(self.line("serving IMDS")["imds"].rpartition(":")[2])

    def connection(self):
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)

    def ask_once(self):
        with contextlib.closing(self.connection()) as connection:
            get(connection)


class Webhook(Program):
    """The webhook with a certificate from files."""

    def __init__(self, stack, before=(), program=WEBHOOK):
        self.certificate, key = certificate(stack)
        super().__init__(stack, [*before, program, *webhook_flags(0, self.certificate, key)], {"PATH": os.environ["PATH"]})
        self.port = int(self.line("answering reviews")["reviews"].rpartition(":")[2])

    def connection(self):
        trust = ssl.create_default_context(cafile=str(self.certificate))
        return http.client.HTTPSConnection("127.0.0.1", self.port, timeout=60, context=trust)

    def ask_once(self):
        with contextlib.closing(self.connection()) as connection:
            review(connection, review_body())


def webhook_flags(port, certificate, key):
    listen = ["--listen", f"127.0.0.1:{port}", "--admin-listen", "127.0.0.1:0", "--grace-period", "0"]
    return [*listen, "--image", "image:1", "--tls-cert", certificate, "--tls-key", key]


def exchange(connection, method, path, headers={}, body=None):
    """The body of an answer of 200."""
    connection.request(method, path, body, headers)
    answer = connection.getresponse()
    content = answer.read()
    if answer.status != 200:
        raise Failed(f"{method} {path}: {answer.status} {content[:200]}")
    return content


def get(connection):
    return exchange(connection, "GET", DOCUMENT)


def review(connection, body):
    answer = json.loads(exchange(connection, "POST", MUTATE, {"Content-Type": "application/json"}, body))
    assert answer["response"]["patchType"] == "JSONPatch"
