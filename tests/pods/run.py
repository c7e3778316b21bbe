"""The injected containers as real containers: the image that deploy/image/build makes, Pods that kubectl-imds injected, podman and runc.

    tests/pods/run.py IMAGE-ARCHIVE PROGRAMS

Runs in network, mount and process namespaces of its own (tests/pods.sh makes them), so "the host" here is such a namespace and nothing
outlives the run. podman knows no native sidecars: what runs is the classic form. What kubelet does and podman does not:
kubelet.py.
"""
import contextlib
import http.server
import json
import os
import pathlib
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request

sys.dont_write_bytecode = True
import kubelet
from podman import HOST, Podman, wait_until

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
ROLE = "arn:aws:iam::123456789012:role/my-example-role"
IMDS = "169.254.169.254"
CREDENTIALS = "/latest/meta-data/iam/security-credentials/my-example-role"
EMULATOR, REDIRECT = "aws-imds-emulator", "aws-imds-emulator-redirect"
ADMIN_PORT = 1339
NODE_ROLE = "the-nodes-own-role"

passed, failed = 0, 0


def check(promise, holds, seen=""):
    global passed, failed
    if holds:
        passed += 1
        print(f"  ✔ {promise}", flush=True)
    else:
        failed += 1
        print(f"  ✘ {promise}\n{str(seen)[-1500:]}", flush=True)


class NodesImds(http.server.BaseHTTPRequestHandler):
    """The node's IMDS, which no injected Pod may reach: whoever asks the address outside gets this role's name for an answer."""

    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(NODE_ROLE.encode())

    do_PUT = do_GET

    def log_message(self, *_):
        pass


class Node:
    """What is outside of the Pods: the node's own IMDS, a local STS, podman, and kubectl-imds."""

    def __init__(self, stack, image, programs):
        self.folder = pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory(ignore_cleanup_errors=True)))
        self.programs = programs
        for command in ("link set lo up", f"address add {IMDS}/32 dev lo"):
            subprocess.run(["ip", *command.split()], check=True)
        imds = http.server.ThreadingHTTPServer((IMDS, 80), NodesImds)
        threading.Thread(target=imds.serve_forever, daemon=True).start()
        self.settings = self.start_sts(stack)
        self.podman = Podman(self.folder)
        self.podman.run("load", "--input", image)
        self.podman.import_client()

    def start_sts(self, stack):
        """The settings of injection that lead to a local STS with its own CA."""
        state = self.folder / "sts"
        command = [self.programs / "local-sts", "--listen", "0.0.0.0:0", "--name", HOST, "--state", state, "--role", f"{ROLE}=default:my-sa"]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=open(self.folder / "sts.log", "w"))
        stack.callback(process.wait)
        stack.callback(process.terminate)
        wait_until("local-sts", lambda: (state / "url").exists() and (state / "token" / "token").exists())
        self.sts_port = int((state / "url").read_text().strip().rstrip("/").rpartition(":")[2])
        self.token_folder = self.folder / "token"
        self.token_folder.mkdir()
        token = self.token_folder / "token"
        token.write_bytes((state / "token" / "token").read_bytes())
        token.chmod(0o400)
        os.chown(token, kubelet.EMULATOR_UID, kubelet.EMULATOR_UID)
        (self.token_folder / "ca.pem").write_bytes((state / "ca.pem").read_bytes())
        settings = self.folder / "settings.yaml"
        settings.write_text(json.dumps({
            "image": "localhost/imds-emulator:dev",
            "sidecar": "classic",
            "emulatorEnv": {
                "AWS_ENDPOINT_URL_STS": f"https://{HOST}:{self.sts_port}",
                "AWS_CA_BUNDLE": "/var/run/secrets/aws-imds-emulator/ca.pem",
            },
        }))
        return settings

    def inject(self, manifest):
        command = [self.programs / "kubectl-imds", "inject", "--strict", "--settings", self.settings, "-f", "-"]
        return subprocess.run(command, input=manifest, capture_output=True, text=True, check=True).stdout

    def injected(self, manifest):
        """A Pod that is injected and played; with the injected manifest."""
        injected = self.inject(manifest)
        return self.podman.pod(kubelet.prepared(injected, self.token_folder, HOST)), injected


def documents(log):
    """The credentials that a client has told of, as (version, uid, document)."""
    return [(version, int(uid), json.loads(text)) for version, uid, text in re.findall(r"^(v\d) uid=(\d+) (\{.*\})$", log, re.MULTILINE)]


def got_credentials(log, uid):
    return {version for version, of, document in documents(log) if of == uid and document["Code"] == "Success"} == {"v1", "v2"}


def get(url):
    """Status and body."""
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def gets_credentials(pod, name):
    """A client in the container by v1 and by v2, now."""
    done = [pod.exec(name, "/imds", version) for version in ("v1", "v2")]
    return all(documents(one.stdout) for one in done), "".join(one.stdout + one.stderr for one in done)


def the_seed(node):
    """The manifest of GKE on AWS's page, with our client in nginx's place."""
    manifest = (ROOT / "examples" / "pod.yaml").read_text()
    assert manifest.count("image: nginx") == 1
    playing, injected = node.injected(manifest.replace("image: nginx", "image: localhost/imds-client:test"))
    with playing as pod:
        probes, gate = kubelet.probes(injected, EMULATOR)
        started = pod.exec(EMULATOR, *gate)
        check("seed: the start gate opens", started.returncode == 0, started.stderr)
        ok, seen = gets_credentials(pod, "nginx")
        check("seed: whoever starts after it has credentials at once", ok, seen + pod.log(EMULATOR))
        wait_until("the seed's credentials", lambda: got_credentials(pod.log("nginx"), 0), seen=lambda: pod.log("nginx")[-600:] + pod.log(EMULATOR))
        check("seed: the app, as uid 0, has credentials by IMDSv1 and IMDSv2", True)
        answers = {path: get(f"http://{pod.address}:{port}{path}") for port, path in probes}
        check("seed: the probes' paths say yes", all(status == 200 for status, _ in answers.values()), answers)
        redirect_is_confined(pod)
        emulator_is_confined(pod)
        token_is_the_emulators_own(node, pod)
        nothing_leaves(node, pod)
        recovers(pod, gate)


def redirect_is_confined(pod):
    process = pod.bundle(REDIRECT)["process"]
    capabilities = {capability for names in process["capabilities"].values() for capability in names}
    check("redirect: has done its work", "put in place and verified" in pod.log(REDIRECT), pod.log(REDIRECT))
    check("redirect: not root", process["user"]["uid"] == 65534, process["user"])
    check("redirect: NET_ADMIN and nothing else", capabilities == {"CAP_NET_ADMIN"}, capabilities)
    check("redirect: no new privileges", process["noNewPrivileges"] is True)
    check("redirect: read-only root", pod.bundle(REDIRECT)["root"]["readonly"] is True)
    check("redirect: seccomp", "seccomp" in pod.bundle(REDIRECT)["linux"])
    check("redirect: has ended well", pod.podman.inspect(pod.container(REDIRECT))["State"]["ExitCode"] == 0)


def emulator_is_confined(pod):
    status = pod.status(EMULATOR)
    capabilities = {name: int(status[name], 16) for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")}
    check("emulator: no capability, not even to gain", not any(capabilities.values()), capabilities)
    check("emulator: uid and gid 1338", {*status["Uid"].split(), *status["Gid"].split()} == {"1338"}, status)
    check("emulator: no new privileges", status["NoNewPrivs"] == "1")
    check("emulator: seccomp filter", status["Seccomp"] == "2", status["Seccomp"])
    mounts = [line.split() for line in pathlib.Path(f"/proc/{pod.pid(EMULATOR)}/mounts").read_text().splitlines()]
    options = [mount[3].split(",") for mount in mounts if mount[1] == "/"]
    check("emulator: read-only root", options and "ro" in options[-1], options)


def token_is_the_emulators_own(node, pod):
    mounting = [name for name in ("nginx", EMULATOR, REDIRECT) if any("secrets/aws-imds" in mount["destination"] for mount in pod.bundle(name)["mounts"])]
    check("token: mounted by the emulator alone", mounting == [EMULATOR], mounting)
    token = (node.token_folder / "token").read_text()
    look = "busybox cat /var/run/secrets/aws-imds-emulator/token /proc/*/root/var/run/secrets/aws-imds-emulator/token"
    seen = pod.exec("nginx", "/bin/busybox", "sh", "-c", look)
    check("token: root in another container of the Pod can't read it", token not in seen.stdout and "No such file" in seen.stderr, seen.stdout + seen.stderr)
    environments = "".join(pod.exec("nginx", "/bin/busybox", "sh", "-c", "busybox cat /proc/[0-9]*/environ").stdout)
    check("token: nor does it see the emulator's process", "AWS_WEB_IDENTITY_TOKEN_FILE" not in environments)
    check("token: in no log", token not in pod.log(EMULATOR))


def nothing_leaves(node, pod):
    """From the host and from another Pod: by address, by every port, and with a route for 169.254.169.254 that leads into the Pod."""
    secrets = {document[key] for _, _, document in documents(pod.log("nginx")) for key in ("AccessKeyId", "SecretAccessKey", "Token")}
    check("the secrets to look for are known", len(secrets) >= 3)
    check("log: no credential", not any(secret in pod.log(EMULATOR) for secret in secrets))
    with node.podman.pod((HERE / "neighbour.yaml").read_text()) as neighbour:
        scan = [sys.executable, HERE / "scan.py", pod.address]
        from_host = subprocess.run(scan, capture_output=True, text=True, timeout=300)
        from_pod = neighbour.inside_network(*scan)
        for where, done in (("the host", from_host), ("another Pod", from_pod)):
            check(f"from {where}: of 65535 ports only {ADMIN_PORT} is open", done.stdout.strip() == f"[{ADMIN_PORT}]", done.stdout + done.stderr)
        itself = json.loads(pod.inside_network(sys.executable, HERE / "scan.py", "127.0.0.1").stdout)
        check("the scan sees what is open (on the Pod's own loopback)", {1338, 1339} <= set(itself), itself)
        paths = ("/livez", "/readyz", "/startupz", "/metrics", "/", CREDENTIALS, "/latest/api/token")
        bodies = {path: get(f"http://{pod.address}:{ADMIN_PORT}{path}") for path in paths}
        told = [path for path, (_, body) in bodies.items() if any(secret in body for secret in secrets)]
        check("the open port tells no credential", not told and bodies[CREDENTIALS][0] == 404, bodies)
        outside = neighbour.exec("app", "/ask", "GET", CREDENTIALS)
        check("a Pod that is not injected reaches the node's IMDS (so the next ones can fail)", outside.stdout == NODE_ROLE, outside.stdout + outside.stderr)
        for address, port in ((IMDS, 80), ("127.0.0.1", 1338), (IMDS, 1338)):
            answer = routed_through(neighbour, pod, address, port)
            sent = f"{address} via {pod.address}" in answer
            check(f"another Pod that routes {address}:{port} into ours gets nothing", sent and "connected" not in answer, answer)
    seen = pod.log("nginx") + pod.log(EMULATOR)
    check("the injected Pod has never seen the node's IMDS", NODE_ROLE not in seen)


def routed_through(neighbour, pod, address, port):
    """What a connection gets that the neighbour (with all rights over its own network) sends to the Pod's network card."""
    connect = f"import socket; socket.create_connection(({address!r}, {port}), 2); print('connected')"
    steps = f"""
        ip link show lo >/dev/null && ip address del 127.0.0.1/8 dev lo 2>/dev/null
        echo 1 >/proc/sys/net/ipv4/conf/all/route_localnet
        ip route del local 127.0.0.0/8 dev lo table local 2>/dev/null; ip route del local 127.0.0.1 dev lo table local 2>/dev/null
        ip route replace {address}/32 via {pod.address} && ip route get {address}
        {sys.executable} -c "{connect}"
    """
    done = neighbour.inside_network("sh", "-c", steps)
    return done.stdout + done.stderr


def recovers(pod, gate):
    before = pod.pid(EMULATOR)
    os.kill(before, signal.SIGKILL)
    wait_until("the emulator is started anew", lambda: pod.pid(EMULATOR) not in (0, before))
    check("killed: it is started anew", True)
    # podman says "running" a moment before one can go in.
    wait_until("the start gate", lambda: pod.exec(EMULATOR, *gate).returncode == 0, seen=lambda: pod.log(EMULATOR))
    ok, seen = gets_credentials(pod, "nginx")
    check("killed: the app gets credentials again", ok, seen + pod.log(EMULATOR))


def two_users(node):
    manifest = (HERE / "two-users.yaml").read_text()
    playing, injected = node.injected(manifest)
    with playing as pod:
        setup = pod.log("setup")
        # The classic form starts no sidecar before the user's init containers (docs/annotations.md): refused, not the node's.
        check("classic: a user's init container finds no emulator yet", pod.told("setup") == ["no credentials"] * 2 and "refused" in setup, setup)
        check("classic: and is cut off from the node's IMDS", NODE_ROLE not in setup, setup)
        for name, uid in (("root", 0), ("nobody", 65534)):
            wait_until(f"credentials for {name}", lambda: got_credentials(pod.log(name), uid), seen=lambda: pod.log(name))
            check(f"a container as uid {uid} has credentials by IMDSv1 and IMDSv2", True)
        keys = {document["AccessKeyId"] for name in ("root", "nobody") for _, _, document in documents(pod.log(name))}
        check("both have the same credentials: one exchange served all", len(keys) == 1, keys)
        stops_cleanly(pod, injected)


def stops_cleanly(pod, injected):
    """All containers are told to stop at once, as kubelet does, and the app asks on for 4 seconds."""
    emulator = pod.pid(EMULATOR)
    apps = [pod.pid(name) for name in ("root", "nobody")]
    asked = {name: len(pod.told(name)) for name in ("root", "nobody")}
    period = int(re.search(r"terminationGracePeriodSeconds: (\d+)", injected)[1])
    begun = time.monotonic()
    # One signal each: to the emulator, a second one means "at once". (`podman pod stop` tells one container after the other.)
    for pid in (emulator, *apps):
        os.kill(pid, signal.SIGTERM)
    wait_until("all have ended", lambda: not any(pathlib.Path(f"/proc/{pid}").exists() for pid in (emulator, *apps)), seconds=period)
    took = time.monotonic() - begun
    for name in ("root", "nobody"):
        after = pod.told(name)[asked[name]:]
        answers = [line for line in after if line.startswith("v")]
        whole = "ended" in after and "asked to stop" in after and len(answers) > 10
        check(f"stop: {name} asks on, {len(answers)} times, and each time gets credentials", whole and not any("failed" in line for line in answers), "\n".join(after[-12:]) + "\n" + pod.log(EMULATOR))
    codes = {name: pod.podman.inspect(pod.container(name))["State"]["ExitCode"] for name in (EMULATOR, "root", "nobody")}
    check("stop: nobody had to be killed", set(codes.values()) == {0}, codes)
    check(f"stop: within the grace period of {period} s ({took:.1f} s)", took < period, took)


def main():
    image, programs = (pathlib.Path(argument).resolve() for argument in sys.argv[1:])
    with contextlib.ExitStack() as stack:
        node = Node(stack, image, programs)
        the_seed(node)
        two_users(node)
    print(f"pods: {passed} passed, {failed} failed")
    sys.exit(bool(failed))


main()
