"""A control plane: etcd and kube-apiserver. What makes a whole cluster of it is in node.py.

Everything listens in a network namespace of its own and keeps its files in one temporary folder. The flags are those of envtest,
except that service accounts are admitted as in a real cluster.
"""
import json
import os
import pathlib
import ssl
import subprocess
import urllib.request

from kubernetes import Kubernetes
from promises import wait_for

PORT = 6443
ETCD = "http://127.0.0.1:2379"
ETCD_PEER = "http://127.0.0.1:2380"
ADMIN_TOKEN = "administrator-of-the-test"
NODE = "node"
NODE_TOKEN = "kubelet-of-the-test"


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

    def issue(self, name, *addresses):
        """A serving certificate for these IP addresses: its file and its key's."""
        certificate, key = self.folder / f"{name}.crt", self.folder / f"{name}.key"
        self._openssl(certificate, key, name, "-CA", self.certificate, "-CAkey", self.key,
                      "-addext", "basicConstraints=critical,CA:FALSE", "-addext", "subjectAltName=" + ",".join(f"IP:{address}" for address in addresses))
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


class Cluster(Kubernetes):
    """A running API server, as seen by its administrator. `address` is one more that it is asked at, `flags` are further ones."""

    def __init__(self, assets, kubectl, folder, programs, address="127.0.0.1", port=PORT, flags=()):
        self.server = f"https://127.0.0.1:{port}"
        authority = Authority(folder, "cluster-authority")
        self.certificate_authority = authority.certificate
        certificate, key = authority.issue("kube-apiserver", "127.0.0.1", address)
        self.accounts_key = folder / "service-accounts.key"
        subprocess.run(["openssl", "genrsa", "-out", self.accounts_key, "2048"], check=True, capture_output=True)
        tokens = folder / "tokens.csv"
        tokens.write_text(f'{ADMIN_TOKEN},administrator,1,"system:masters"\n{NODE_TOKEN},system:node:{NODE},2,"system:nodes"\n')

        etcd = programs.start(
            "etcd", assets / "etcd", f"--data-dir={folder / 'etcd'}",
            f"--listen-client-urls={ETCD}", f"--advertise-client-urls={ETCD}",
            f"--listen-peer-urls={ETCD_PEER}", f"--initial-advertise-peer-urls={ETCD_PEER}",
            f"--initial-cluster=default={ETCD_PEER}")
        wait_for("etcd", lambda: fetch(f"{ETCD}/health"), alive=etcd)
        server = programs.start(
            "kube-apiserver", assets / "kube-apiserver", f"--etcd-servers={ETCD}",
            "--bind-address=127.0.0.1", "--advertise-address=127.0.0.1", f"--secure-port={port}",
            # Nobody is to find this server by its Service.
            "--endpoint-reconciler-type=none", "--service-cluster-ip-range=10.0.0.0/24",
            f"--cert-dir={folder}", f"--tls-cert-file={certificate}", f"--tls-private-key-file={key}",
            f"--token-auth-file={tokens}", "--authorization-mode=Node,RBAC", "--allow-privileged=true",
            "--service-account-issuer=https://kubernetes.default.svc",
            # A private key has its public one in it.
            f"--service-account-key-file={self.accounts_key}", f"--service-account-signing-key-file={self.accounts_key}", *flags)
        # A start makes the cluster's own roles; before that, a Role may be refused.
        ready = f"{self.server}/readyz"
        wait_for("kube-apiserver", lambda: fetch(ready, authority.certificate, ADMIN_TOKEN), 120, alive=server)
        super().__init__(kubectl, self.make_kubeconfig("administrator", ADMIN_TOKEN, folder), folder)

    def make_kubeconfig(self, user, token, folder):
        file = folder / f"{user}.kubeconfig.json"
        file.write_text(json.dumps({
            "apiVersion": "v1", "kind": "Config", "current-context": "test",
            "clusters": [{"name": "test", "cluster": {
                "server": self.server, "certificate-authority": str(self.certificate_authority)}}],
            "users": [{"name": user, "user": {"token": token}}],
            "contexts": [{"name": "test", "context": {"cluster": "test", "user": user}}],
        }))
        return file

    def make_accounts(self, namespace, *accounts):
        """Service accounts, which a controller would make."""
        wait_for(f"the namespace {namespace}", lambda: self.exists("namespace", namespace))
        for account in accounts:
            self.kubectl("create", f"--namespace={namespace}", "--filename=-",
                         document={"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": account}})


def repository():
    return pathlib.Path(__file__).resolve().parent.parent.parent
