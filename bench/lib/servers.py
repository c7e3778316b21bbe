"""What is measured: the emulator and the webhook, what somebody would take instead, and the limit."""
import contextlib
import dataclasses
import functools
import http.client
import json
import os
import pathlib
import shlex
import socket
import ssl
import subprocess
import tempfile
import time
import urllib.parse

import load
import ours
import roles_anywhere
from measuring import STUCK, Failed

FIXED = [ours.programs.FOLDER / name for name in ("bare-epoll", "bare-hyper", "bare-hyper-tls")]
# Its time is in the emulator's start.
RELEASED_STS = ours.programs.FOLDER / "local-sts"
VENVS, GO = ours.ROOT / ".venv" / "bench", ours.programs.TARGET_FOLDER / "bench"


def of_pip(name):
    return VENVS / name, f"need_python && need_venv .venv/bench/{name} bench/requirements/{name}.txt"


def of_go(program):
    module = "bench/servers/go"
    return GO / program, f"need_go {module} 'which builds servers of AWS' && GOTOOLCHAIN=local go -C {module} build -trimpath -ldflags '-s -w' -o '{GO}/' tool"


# Servers of others: where each is once it is installed, and the command that installs it (tests/setup.sh).
PEERS = {
    "moto": of_pip("moto"),
    "ectou-metadata": of_pip("ectou-metadata"),
    "amazon-ec2-metadata-mock": of_go("ec2-metadata-mock"),
    "rolesanywhere-credential-helper": of_go("rolesanywhere-credential-helper"),
}


@dataclasses.dataclass(frozen=True)
class Ask:
    """A request; the body is a file."""

    method: str
    path: str
    headers: dict = dataclasses.field(default_factory=dict)
    body: pathlib.Path | None = None

    def on(self, connection):
        return ours.exchange(connection, self.method, self.path, self.headers, self.body and self.body.read_bytes())


class Running:
    """A server and all the processes that it starts, from exec to its first good answer on."""

    def __init__(self, stack, name, command, port, ask, environment={}, scheme="http", trust=None):
        self.name, self.port, self.ask, self.scheme, self.trust = name, port, ask, scheme, trust
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        bare = {"PATH": os.environ["PATH"], "HOME": folder, "PYTHONDONTWRITEBYTECODE": "1"}
        log = stack.enter_context(open(pathlib.Path(folder) / "log", "w+"))
        begun = time.monotonic()
        self.process = subprocess.Popen(command, env=bare | environment, cwd=folder, stdout=log, stderr=log, start_new_session=True)
        stack.callback(self.end)
        while not self.answers():
            if self.process.poll() is not None or time.monotonic() > begun + STUCK:
                log.seek(0)
                ended = "ended" if self.process.poll() is not None else f"gave no good answer in {STUCK} s"
                raise Failed(f"{name} {ended}: {shlex.join(map(str, command))}\n{log.read()[-2000:]}")
            time.sleep(0.0005)
        self.first = time.monotonic() - begun

    def answers(self):
        """Whether a request is answered with 200. A plain socket: what looks must cost less than what is looked at."""
        if self.scheme == "https":
            with contextlib.suppress(OSError, http.client.HTTPException, Failed):
                return bool(self.ask_once())
            return False
        head = "".join(f"{name}: {value}\r\n" for name, value in self.ask.headers.items())
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=STUCK) as connection:
                connection.sendall(f"{self.ask.method} {self.ask.path} HTTP/1.1\r\nHost: 127.0.0.1\r\n{head}\r\n".encode())
                return connection.recv(4096)[8:13] == b" 200 "
        except OSError:
            return False

    def connection(self):
        if self.scheme == "https":
            return http.client.HTTPSConnection("127.0.0.1", self.port, timeout=STUCK, context=self.trust)
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=STUCK)

    def ask_once(self):
        with contextlib.closing(self.connection()) as connection:
            return self.ask.on(connection)

    def pids(self):
        """The process and those of its session that are left."""
        sessions = ((entry.name, session(entry.name)) for entry in pathlib.Path("/proc").iterdir() if entry.name.isdigit())
        return [int(pid) for pid, of in sessions if of == self.process.pid]

    def end(self):
        for pid in self.pids():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, 15)
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            pass
        for pid in self.pids():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, 9)
        self.process.wait()


def session(pid):
    try:
        return int(pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[3])
    except (OSError, IndexError):
        return None


@dataclasses.dataclass
class Server:
    """A server by its name, and how it is started: `start(stack, before, close)`.

    `before` comes before its command; `close` says that each request will have a connection of its own.
    """

    name: str
    what: str
    start: object
    # What is asked, by name, once it runs.
    asks: object
    # What has to be there for it to run, in bytes.
    size: object
    group: str = "imds"
    modes: tuple = tuple(load.MODES)
    # Requests of the two lives whose instructions are compared; None for one that callgrind can't run.
    lives: tuple | None = (100, 600)
    # Why there are no copies of it.
    single: str = ""
    # Others': it may fail.
    theirs: bool = False


# A Python server that ends a connection with its answer, and is slow under callgrind.
CLOSES = {"modes": ("close", "alone"), "lives": (5, 25), "theirs": True}

# valgrind aborts in Go's runtime.
IN_GO = {"lives": None, "theirs": True}


def document(path=ours.DOCUMENT):
    return Ask("GET", path)


def record(stack):
    """What the emulator and the webhook answer, in files, for those that answer the same whatever they are asked."""
    folder = pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory()))
    with contextlib.ExitStack() as meanwhile:
        sts = ours.Sts(meanwhile, program=RELEASED_STS)
        emulator = ours.Emulator(meanwhile, sts)
        for name, more in (("keep", ""), ("close", "Connection: close\r\n")):
            with socket.create_connection(("127.0.0.1", emulator.port)) as connection:
                (folder / name).write_bytes(spoken(connection, f"GET {ours.DOCUMENT} HTTP/1.1\r\nHost: 127.0.0.1\r\n{more}\r\n".encode()))
        webhook = ours.Webhook(meanwhile)
        trust = ssl.create_default_context(cafile=str(webhook.certificate))
        body = ours.review_body()
        head = f"POST {ours.MUTATE} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        with socket.create_connection(("127.0.0.1", webhook.port)) as connection:
            with trust.wrap_socket(connection, server_hostname="127.0.0.1") as connection:
                (folder / "review").write_bytes(spoken(connection, head.encode() + body))
        (folder / "body").write_bytes(body)
    return folder


def spoken(connection, request):
    """The bytes of an answer."""
    connection.sendall(request)
    got = b""
    while True:
        got += connection.recv(65536)
        head, found, body = got.partition(b"\r\n\r\n")
        lengths = [int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")]
        if found and len(body) >= lengths[0]:
            return got


def imds(stack, recorded):
    """The servers of credentials."""
    elsewhere = load.pinned(load.cores()[1])
    sts = ours.Sts(stack, elsewhere, RELEASED_STS)

    def epoll(stack, before=(), close=False):
        port, kind = ours.free_port(), "close" if close else "keep"
        return Running(stack, "bare-epoll", [*before, FIXED[0], str(port), recorded / kind, kind], port, document())

    def hyper(stack, before=(), close=False):
        port = ours.free_port()
        return Running(stack, "bare-hyper", [*before, FIXED[1], str(port), recorded / "keep"], port, document())

    def emulator(stack, before=(), close=False):
        port = ours.free_port()
        return Running(stack, "imds-emulator", [*before, ours.EMULATOR], port, document(), sts.environment(port))

    def emulator_asks(running):
        token = Ask("PUT", ours.TOKEN, ours.TTL)
        value = token.on(running.connection()).decode()
        return {"document, IMDSv1": document(), "document, IMDSv2": Ask("GET", ours.DOCUMENT, {"X-aws-ec2-metadata-token": value}), "session token": token}

    fixed = only("fixed answer")
    return [
        Server("bare-epoll", "reads to the end of a head and writes the emulator's answer as it was recorded: the limit", epoll, fixed, lambda: FIXED[0].stat().st_size),
        Server("bare-hyper", "the emulator's HTTP library and runtime, the same answer, nothing decided", hyper, fixed, lambda: FIXED[1].stat().st_size),
        Server("imds-emulator", "this repository's, with credentials from a local STS over TLS", emulator, emulator_asks, lambda: ours.EMULATOR.stat().st_size),
        moto(),
        ectou_metadata(stack),
        ec2_metadata_mock(),
        credential_helper(stack),
    ]


def moto():
    """moto's server: any session token is good, the document is fixed and lacks `Code`, `Type` and `LastUpdated`."""
    path = "/latest/meta-data/iam/security-credentials/default-role"

    def start(stack, before=(), close=False):
        port = ours.free_port()
        command = [*before, VENVS / "moto" / "bin" / "python", VENVS / "moto" / "bin" / "moto_server", "-H", "127.0.0.1", "-p", str(port)]
        return Running(stack, "moto", command, port, document(path))

    asks = lambda running: {"document": running.ask, "session token": Ask("PUT", ours.TOKEN, ours.TTL)}
    return Server("moto", "`moto_server`: a fixed document, any session token is good", start, asks, lambda: installed("moto"), **CLOSES)


def ectou_metadata(stack):
    """ectou-metadata: IMDSv1 alone, credentials by boto3's AssumeRole, here of moto's STS over plain HTTP."""
    role = "/latest/meta-data/iam/security-credentials/role-name"
    # Started when the first needs it, for as long as the program runs.
    sts = functools.cache(lambda: moto().start(stack, load.pinned(load.cores()[1])))

    def start(stack, before=(), close=False):
        port = ours.free_port()
        python = VENVS / "ectou-metadata" / "bin" / "python"
        command = [*before, python, "-m", "ectou_metadata.service", "--host", "127.0.0.1", "--port", str(port), "--role-arn", ours.ROLE]
        environment = {
            "AWS_ENDPOINT_URL_STS": f"http://127.0.0.1:{sts().port}", "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret",
        }
        return Running(stack, "ectou-metadata", command, port, document(role), environment)

    return Server("ectou-metadata", "of PyPI, last release 2016: IMDSv1 alone, one request at a time", start, only("document"), lambda: installed("ectou-metadata"), **CLOSES)


def ec2_metadata_mock():
    """AWS's mock of IMDS: a fixed document, and a session token is not looked at unless IMDSv1 is switched off. It is asked for none: requests
    for session tokens at the same time end it ("concurrent map writes")."""
    program, path = PEERS["amazon-ec2-metadata-mock"][0], "/latest/meta-data/iam/security-credentials/baskinc-role"

    def start(stack, before=(), close=False):
        port = ours.free_port()
        return Running(stack, "amazon-ec2-metadata-mock", [*before, program, "--hostname", "127.0.0.1", "--port", str(port)], port, document(path))

    return Server("amazon-ec2-metadata-mock", "AWS's, in Go: a fixed document, any session token is good", start, only("document"), lambda: program.stat().st_size, **IN_GO)


def credential_helper(stack):
    """AWS's server of IAM Roles Anywhere's credentials: IMDSv2 alone. It listens once it has them."""
    program = PEERS["rolesanywhere-credential-helper"][0]
    # Started when the first needs it, for as long as the program runs.
    source = functools.cache(lambda: roles_anywhere.RolesAnywhere(stack))

    def start(stack, before=(), close=False):
        port = ours.free_port()
        command = [*before, program, "serve", "--port", str(port), *source().flags()]
        # It keeps 256 session tokens and evicts the one that ends first: this one ends before the one that the document is asked with.
        token = Ask("PUT", ours.TOKEN, {"X-aws-ec2-metadata-token-ttl-seconds": "21000"})
        return Running(stack, "rolesanywhere-credential-helper", command, port, token, source().environment())

    def asks(running):
        value = Ask("PUT", ours.TOKEN, ours.TTL).on(running.connection()).decode()
        ask = Ask("GET", ours.DOCUMENT, {"X-aws-ec2-metadata-token": value})
        # Where it got none it serves a document with empty fields.
        if not json.loads(ask.on(running.connection()))["AccessKeyId"]:
            raise Failed("rolesanywhere-credential-helper serves no credentials")
        return {"document, IMDSv2": ask, "session token": running.ask}

    return Server("rolesanywhere-credential-helper", "AWS's `serve`, in Go: credentials of IAM Roles Anywhere by IMDSv2", start, asks, lambda: program.stat().st_size, **IN_GO)


def extra(name, command, url):
    """A server of the caller's. `{port}` in command and URL is a free port; without it there is one copy only."""
    parts = urllib.parse.urlsplit(url.replace("{port}", "1"))
    path = parts.path + ("?" + parts.query if parts.query else "")

    def start(stack, before=(), close=False):
        port = ours.free_port() if "{port}" in url else parts.port or 80
        return Running(stack, name, [*before, *shlex.split(command.replace("{port}", str(port)))], port, document(path))

    single = "" if "{port}" in url else "its port is fixed: `{port}` in command and URL would be a free one"
    return Server(name, f"`{command}`", start, only("document"), lambda: None, lives=(5, 25), single=single, theirs=True)


def webhooks(stack, recorded):
    """The webhook, and the same without a decision."""
    certificate, key = ours.certificate(stack)
    trust = ssl.create_default_context(cafile=str(certificate))
    ask = Ask("POST", ours.MUTATE, {"Content-Type": "application/json"}, recorded / "body")

    def webhook(stack, before=(), close=False):
        port = ours.free_port()
        command = [*before, ours.WEBHOOK, *ours.webhook_flags(port, certificate, key)]
        return Running(stack, "imds-webhook", command, port, ask, scheme="https", trust=trust)

    def bare(stack, before=(), close=False):
        port = ours.free_port()
        command = [*before, FIXED[2], str(port), recorded / "review", certificate, key]
        return Running(stack, "bare-hyper-tls", command, port, ask, scheme="https", trust=trust)

    # An API server keeps its connections.
    kept = {"group": "webhook", "modes": ("keep", "alone"), "lives": (20, 120)}
    return [
        Server("bare-hyper-tls", "the webhook's libraries, the same answer, nothing read", bare, only("review"), lambda: FIXED[2].stat().st_size, **kept),
        Server("imds-webhook", "this repository's", webhook, only("review"), lambda: ours.WEBHOOK.stat().st_size, **kept),
    ]


def only(name):
    """The one thing that is asked: what the server is waited for with."""
    return lambda running: {name: running.ask}


def installed(venv):
    """Bytes of the packages that pip installs for it, without the interpreter."""
    return sum(path.stat().st_size for path in (VENVS / venv / "lib").rglob("*") if path.is_file() and "__pycache__" not in path.parts)
