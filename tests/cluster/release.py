"""The chart in a cluster, as a person installs it: with Helm."""
import json
import os
import subprocess

from control_plane import repository
from installed import NAME, NAMESPACE, SECRET, Installed, sum_of_samples
from promises import check

CHART = repository() / "deploy" / "chart"
RELEASE = "imds-emulator"


class Release(Installed):
    _WAITING = ("--wait", "--timeout=4m")

    def __init__(self, cluster, helm, values):
        super().__init__(cluster)
        self.helm_program = helm
        self.values = cluster.folder / "values.json"
        self.values.write_text(json.dumps(values))

    def install(self):
        self._helm("install", RELEASE, CHART, "--create-namespace", f"--values={self.values}", *self._WAITING)

    def start_upgrade(self, *settings):
        """Begins one with these settings (`NAME=VALUE`); the running Helm."""
        changes = [f"--set={setting}" for setting in settings]
        return subprocess.Popen(self._command("upgrade", RELEASE, CHART, "--reuse-values", *changes, *self._WAITING),
                                env=self._environment(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    def test(self):
        """`helm test`, and what it said."""
        return self._helm("test", RELEASE, "--timeout=4m")

    def uninstall(self):
        """Where it is still there."""
        self._helm("uninstall", RELEASE, "--ignore-not-found", *self._WAITING)

    def secret(self):
        """All that is in the Secret of the certificates."""
        return self.cluster.get("secret", SECRET, NAMESPACE).get("data", {})

    def available(self):
        """How many replicas are."""
        return self.cluster.get("deployment", NAME, NAMESPACE)["status"].get("availableReplicas", 0)

    def pods(self):
        """The names of its Pods, also of those that are ending."""
        return self.cluster.kubectl("get", "pods", f"--namespace={NAMESPACE}", "--output=name").stdout.split()

    def metric(self, pod, *words):
        """The sum of the samples of a Pod's metrics page that have all these words."""
        page = f"/api/v1/namespaces/{NAMESPACE}/pods/{pod.removeprefix('pod/')}:8080/proxy/metrics"
        return sum_of_samples(self.cluster.kubectl("get", "--raw", page).stdout, *words)

    def _helm(self, *words):
        ran = subprocess.run(self._command(*words), env=self._environment(), capture_output=True, text=True)
        check(ran.returncode == 0, f"helm {' '.join(map(str, words))}: {ran.stdout}{ran.stderr}{self._story()}")
        return ran.stdout

    def _command(self, *words):
        return [self.helm_program, f"--kubeconfig={self.cluster.kubeconfig}", f"--namespace={NAMESPACE}", *map(str, words)]

    def _environment(self):
        """Nothing of the person's own is read or written."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith("HELM_")}
        homes = {f"HELM_{kind}_HOME": str(self.cluster.folder / "helm" / kind.lower()) for kind in ("CACHE", "CONFIG", "DATA")}
        return kept | homes

    def _story(self):
        """What became of its Pods, for whoever has to find out what went wrong."""
        where = f"--namespace={NAMESPACE}"
        tried = [self.cluster.try_kubectl("describe", "pods", where),
                 self.cluster.try_kubectl("logs", f"deployment/{NAME}", where, "--tail=20")]
        return "".join(f"\n{ran.stdout}{ran.stderr}" for ran in tried)
