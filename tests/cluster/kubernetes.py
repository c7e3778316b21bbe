"""A cluster, as its administrator sees it through kubectl."""
import contextlib
import functools
import json
import subprocess

from promises import check, wait_for

# From here on every kubelet that the server supports runs native sidecars.
FIRST_NATIVE = (1, 32)
# From here on the server has ValidatingAdmissionPolicies.
FIRST_WITH_POLICIES = (1, 30)


class Kubernetes:
    # Whether a test may kill what runs on its node.
    has_own_node = False

    def __init__(self, kubectl, kubeconfig, folder):
        self.kubectl_program, self.kubeconfig, self.folder = kubectl, kubeconfig, folder

    @functools.cached_property
    def _version(self):
        return json.loads(self.kubectl("version", "--output=json").stdout)["serverVersion"]

    @property
    def version(self):
        """Of the server: major and minor."""
        return int(self._version["major"]), int(self._version["minor"].rstrip("+"))

    @property
    def git_version(self):
        """The whole of it: v1.37.2."""
        return self._version["gitVersion"]

    @property
    def is_native(self):
        """Whether the sidecar is native on this server, where the settings do not say."""
        return self.version >= FIRST_NATIVE

    @property
    def has_policies(self):
        return self.version >= FIRST_WITH_POLICIES

    def kubectl(self, *words, document=None, fails=False):
        """Runs kubectl, with a document (or text) on its stdin; `fails` is whether it has to."""
        ran = self.try_kubectl(*words, document=document)
        said = f"kubectl {' '.join(words)}: {ran.stdout}{ran.stderr}"
        check((ran.returncode != 0) == fails, f"{'this should have failed' if fails else 'this failed'}: {said}")
        return ran

    def try_kubectl(self, *words, document=None):
        """Runs kubectl, whatever becomes of it."""
        return subprocess.run(
            self._command(*words), input=document if document is None or isinstance(document, str) else json.dumps(document),
            capture_output=True, text=True, timeout=180)

    def _command(self, *words):
        return [self.kubectl_program, f"--kubeconfig={self.kubeconfig}", f"--cache-dir={self.folder / 'cache'}", *words]

    @contextlib.contextmanager
    def proxy(self):
        """While this lasts, the API is here without TLS, for requests by the thousand; its URL."""
        with subprocess.Popen(self._command("proxy", "--port=0"), stdout=subprocess.PIPE, text=True) as proxy:
            try:
                yield f"http://{proxy.stdout.readline().split()[-1]}"
            finally:
                proxy.terminate()

    def get(self, kind, name, namespace=None):
        where = [f"--namespace={namespace}"] if namespace else []
        return json.loads(self.kubectl("get", kind, name, *where, "--output=json").stdout)

    def exists(self, kind, name, namespace=None):
        where = [f"--namespace={namespace}"] if namespace else []
        return bool(self.kubectl("get", kind, name, *where, "--ignore-not-found", "--output=name").stdout)

    def container_statuses(self, pod, namespace):
        """What kubelet says of each container of a Pod, by its name; of none before it has come to it."""
        status = self.get("pod", pod, namespace)["status"]
        return {one["name"]: one for one in (*status.get("initContainerStatuses", []), *status.get("containerStatuses", []))}

    def wait_ready(self, pod, namespace, seconds=120):
        """Waits until a Pod runs with all its containers ready; the Pod."""
        def ready():
            conditions = self.get("pod", pod, namespace)["status"].get("conditions", [])
            return any(condition["type"] == "Ready" and condition["status"] == "True" for condition in conditions)

        wait_for(f"the Pod {namespace}/{pod} is ready", ready, seconds, seen=lambda: self.story(pod, namespace))
        return self.get("pod", pod, namespace)

    def log(self, pod, namespace, container=None):
        """What a container of a Pod has said, nothing where it has not started; by default what kubectl takes for the Pod's own."""
        which = [f"--container={container}"] if container else []
        return self.try_kubectl("logs", pod, f"--namespace={namespace}", *which).stdout

    def follow_log(self, pod, namespace, container):
        """A kubectl that ends when the container does, and then has said all that the container has."""
        return subprocess.Popen(self._command("logs", pod, f"--namespace={namespace}", f"--container={container}", "--follow"),
                                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    def story(self, pod, namespace):
        """All that there is to know of a Pod, for whoever has to find out what went wrong with it."""
        where = f"--namespace={namespace}"
        tried = [self.try_kubectl("describe", "pod", pod, where),
                 self.try_kubectl("logs", pod, where, "--all-containers", "--prefix", "--tail=10")]
        return "\n".join(f"{ran.stdout}{ran.stderr}" for ran in tried)

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
