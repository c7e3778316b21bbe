"""A control plane without nodes: etcd, kube-apiserver and what a controller manager would have made of a namespace.

Everything listens on loopback of a network namespace of its own and keeps its files in one temporary folder. The flags are
those of envtest, except that service accounts are admitted as in a real cluster.
"""
import json
import os
import pathlib
import ssl
import subprocess
import time
import urllib.request

PORT = 6443
ETCD = "http://127.0.0.1:2379"
ETCD_PEER = "http://127.0.0.1:2380"
ADMIN_TOKEN = "administrator-of-the-test"


class Failed(Exception):
    """What was promised did not hold."""


def check(holds, what):
    if not holds:
        raise Failed(what)


def wait_for(what, condition, seconds=60, alive=None):
    """The first true value of `condition`, asked again and again; `alive` is a process without which waiting is in vain."""
    end = time.monotonic() + seconds
    while True:
        if value := condition():
            return value
        check(alive is None or alive.poll() is None, f"{what}: the program has ended")
        check(time.monotonic() < end, f"{what}: not within {seconds} s")
        time.sleep(0.2)


def fetch(url, certificate_authority=None, token=None):
    """The body of a page; None where there is none yet."""
    context = ssl.create_default_context(cafile=certificate_authority) if certificate_authority else None
    request = urllib.request.Request(url, headers={"Authorization": f"Bearer {token}"} if token else {})
    try:
        with urllib.request.urlopen(request, timeout=5, context=context) as answer:
            return answer.read().decode()
    except OSError:
        return None


class Authority:
    """A certificate authority in a folder, made with openssl."""

    def __init__(self, folder, name):
        self.folder = folder
        self.certificate = folder / f"{name}.crt"
        self.key = folder / f"{name}.key"
        self._openssl(self.certificate, self.key, name)

    def issue(self, name, address):
        """A serving certificate for this IP address: its file and its key's."""
        certificate, key = self.folder / f"{name}.crt", self.folder / f"{name}.key"
        self._openssl(certificate, key, name, "-CA", self.certificate, "-CAkey", self.key,
                      "-addext", "basicConstraints=critical,CA:FALSE", "-addext", f"subjectAltName=IP:{address}")
        return certificate, key

    @staticmethod
    def _openssl(certificate, key, name, *further):
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-noenc", "-days", "1",
             "-subj", f"/CN={name}", "-keyout", key, "-out", certificate, *further],
            check=True, capture_output=True)


class Programs:
    """Programs in the background, ended together; their output is in files."""

    def __init__(self, folder):
        self.folder = folder
        self.running = []

    def start(self, name, *command, **environment):
        with open(self.folder / f"{name}.log", "ab") as log:
            program = subprocess.Popen([str(word) for word in command], stdin=subprocess.DEVNULL, stdout=log,
                                       stderr=subprocess.STDOUT, env={**os.environ, **environment}, cwd=self.folder)
        self.running.append(program)
        return program

    def end(self, program, seconds=30):
        """Asks it to end, as kubelet would; the exit code."""
        program.terminate()
        try:
            return program.wait(seconds)
        except subprocess.TimeoutExpired:
            program.kill()
            program.wait()
            return None

    def end_all(self):
        for program in reversed(self.running):
            if program.poll() is None:
                self.end(program, seconds=10)

    def tails(self):
        """The last lines of each, for whoever has to find out what went wrong."""
        for log in sorted(self.folder.glob("*.log")):
            lines = log.read_text(errors="replace").splitlines()
            yield "\n".join([f"--- {log.name}, its last lines of {len(lines)}", *lines[-15:]])


class Cluster:
    """A running API server, as seen by its administrator."""

    def __init__(self, assets, kubectl, folder, programs):
        self.kubectl_program = kubectl
        self.folder = folder
        authority = Authority(folder, "cluster-authority")
        self.certificate_authority = authority.certificate
        certificate, key = authority.issue("kube-apiserver", "127.0.0.1")
        accounts = folder / "service-accounts.key"
        subprocess.run(["openssl", "genrsa", "-out", accounts, "2048"], check=True, capture_output=True)
        tokens = folder / "tokens.csv"
        tokens.write_text(f'{ADMIN_TOKEN},administrator,1,"system:masters"\n')

        etcd = programs.start(
            "etcd", assets / "etcd", f"--data-dir={folder / 'etcd'}",
            f"--listen-client-urls={ETCD}", f"--advertise-client-urls={ETCD}",
            f"--listen-peer-urls={ETCD_PEER}", f"--initial-advertise-peer-urls={ETCD_PEER}",
            f"--initial-cluster=default={ETCD_PEER}")
        wait_for("etcd", lambda: fetch(f"{ETCD}/health"), alive=etcd)
        server = programs.start(
            "kube-apiserver", assets / "kube-apiserver", f"--etcd-servers={ETCD}",
            "--bind-address=127.0.0.1", "--advertise-address=127.0.0.1", f"--secure-port={PORT}",
            # Nobody is to find this server by its Service.
            "--endpoint-reconciler-type=none", "--service-cluster-ip-range=10.0.0.0/24",
            f"--cert-dir={folder}", f"--tls-cert-file={certificate}", f"--tls-private-key-file={key}",
            f"--token-auth-file={tokens}", "--authorization-mode=RBAC", "--allow-privileged=true",
            "--service-account-issuer=https://kubernetes.default.svc",
            # A private key has its public one in it.
            f"--service-account-key-file={accounts}", f"--service-account-signing-key-file={accounts}")
        # A start makes the cluster's own roles; before that, a Role may be refused.
        ready = f"https://127.0.0.1:{PORT}/readyz"
        wait_for("kube-apiserver", lambda: fetch(ready, authority.certificate, ADMIN_TOKEN), 120, alive=server)

        self.kubeconfig = folder / "kubeconfig.json"
        self.kubeconfig.write_text(json.dumps({
            "apiVersion": "v1", "kind": "Config", "current-context": "test",
            "clusters": [{"name": "test", "cluster": {
                "server": f"https://127.0.0.1:{PORT}", "certificate-authority": str(authority.certificate)}}],
            "users": [{"name": "administrator", "user": {"token": ADMIN_TOKEN}}],
            "contexts": [{"name": "test", "context": {"cluster": "test", "user": "administrator"}}],
        }))
        version = json.loads(self.kubectl("version", "--output=json").stdout)["serverVersion"]
        self.version = int(version["major"]), int(version["minor"].rstrip("+"))

    def kubectl(self, *words, document=None, fails=False):
        """Runs kubectl, with a document on its stdin; `fails` is whether it has to."""
        ran = self.try_kubectl(*words, document=document)
        said = f"kubectl {' '.join(words)}: {ran.stdout}{ran.stderr}"
        check((ran.returncode != 0) == fails, f"{'this should have failed' if fails else 'this failed'}: {said}")
        return ran

    def try_kubectl(self, *words, document=None):
        """Runs kubectl, whatever becomes of it."""
        return subprocess.run(
            [self.kubectl_program, f"--kubeconfig={self.kubeconfig}", f"--cache-dir={self.folder / 'cache'}", *words],
            input=json.dumps(document) if document is not None else None, capture_output=True, text=True, timeout=60)

    def get(self, kind, name, namespace=None):
        where = [f"--namespace={namespace}"] if namespace else []
        return json.loads(self.kubectl("get", kind, name, *where, "--output=json").stdout)

    def exists(self, kind, name, namespace=None):
        where = [f"--namespace={namespace}"] if namespace else []
        return bool(self.kubectl("get", kind, name, *where, "--ignore-not-found", "--output=name").stdout)

    def make_accounts(self, namespace, *accounts):
        """Service accounts, which a controller would make."""
        wait_for(f"the namespace {namespace}", lambda: self.exists("namespace", namespace))
        for account in accounts:
            self.kubectl("create", f"--namespace={namespace}", "--filename=-",
                         document={"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": account}})

    def may(self, account, namespace, verb, resource, name="", at=""):
        """Whether RBAC lets a service account do this to RESOURCE[.GROUP], of this name, `at` a namespace."""
        resource, _, group = resource.partition(".")
        review = {
            "apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview",
            "spec": {
                "user": f"system:serviceaccount:{namespace}:{account}",
                "groups": ["system:serviceaccounts", f"system:serviceaccounts:{namespace}", "system:authenticated"],
                "resourceAttributes": {"verb": verb, "group": group, "resource": resource, "name": name, "namespace": at},
            },
        }
        ran = self.kubectl("create", "--filename=-", "--output=json", document=review)
        return json.loads(ran.stdout)["status"]["allowed"]


def repository():
    return pathlib.Path(__file__).resolve().parent.parent.parent
