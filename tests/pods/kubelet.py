"""What kubelet does for a Pod and `podman kube play` 4.3 does not, in either form of the sidecar.

To the manifest (nothing else of it is touched):

* the projected service-account token becomes a folder of the host: its file with the owner and mode that kubelet gives (a Pod whose
  containers do not all run as one user and without fsGroup: readable by all who mount it, so here it is made stricter, the
  emulator's own). The local STS's CA lies beside it: in a cluster, `AWS_CA_BUNDLE` is a file of a ConfigMap or not needed;
* init containers become ordinary ones, which `start` starts in their turn: podman knows no native sidecars and no hooks;
* `restartPolicy` is OnFailure: podman would restart init containers too that have ended well. Who is killed is still restarted;
* fields of the Pod in environment variables (`fieldRef`) become their values, and `$(NAME)` is expanded.

To the Pod: `start` sets its sysctls and keeps kubelet's order. Init containers one after the other, each to its end; one with `restartPolicy: Always` until
its `postStart` hook has returned and its startup probe says yes. Then the others, each once the hook of the one before has returned.
"""
import re
import urllib.error
import urllib.request

import yaml

from podman import wait_until

TOKEN_VOLUME = "aws-imds-emulator-token"
EMULATOR_UID = 1338


def prepared(text, token_folder, node_address):
    """An injected Pod as podman can play it."""
    pod = yaml.safe_load(text)
    spec = pod["spec"]
    fields = {
        "metadata.name": pod["metadata"]["name"],
        "metadata.namespace": "default",
        "spec.serviceAccountName": spec.get("serviceAccountName", "default"),
        # Of the init container's check that it is not in the node's namespace; no address is known before the Pod runs.
        "status.podIPs": "",
        "status.hostIP": node_address,
    }
    spec["restartPolicy"] = "OnFailure"
    for volume in spec.get("volumes", []):
        if volume["name"] == TOKEN_VOLUME:
            del volume["projected"]
            volume["hostPath"] = {"path": str(token_folder), "type": "Directory"}
    spec["containers"] = [*spec.pop("initContainers", []), *spec["containers"]]
    for container in spec["containers"]:
        expand(container.get("env", []), fields)
        for ignored in ("startupProbe", "livenessProbe", "lifecycle", "restartPolicy"):
            container.pop(ignored, None)
    return yaml.safe_dump(pod, sort_keys=False)


def expand(environment, fields):
    known = {}
    for variable in environment:
        if "valueFrom" in variable:
            variable["value"] = fields[variable.pop("valueFrom")["fieldRef"]["fieldPath"]]
        variable["value"] = re.sub(r"\$\((\w+)\)", lambda match: known.get(match[1], match[0]), variable["value"])
        known[variable["name"]] = variable["value"]


def start(pod, text):
    """Starts the containers of a Pod that `podman kube play` has created."""
    spec = yaml.safe_load(text)["spec"]
    for sysctl in spec.get("securityContext", {}).get("sysctls", []):
        set_sysctl(pod, sysctl["name"], sysctl["value"])
    for container in spec.get("initContainers", []):
        name = container["name"]
        start_with_hook(pod, container)
        if container.get("restartPolicy") == "Always":
            if probe := container.get("startupProbe"):
                wait_until(f"{name} has started", lambda: is_well(pod, name, probe), seen=lambda: pod.log(name))
        elif code := pod.wait(name):
            raise RuntimeError(f"{name} ended with {code}:\n{pod.log(name)}")
    for container in spec["containers"]:
        start_with_hook(pod, container)


def start_with_hook(pod, container):
    name = container["name"]
    pod.start(name)
    if hook := container.get("lifecycle", {}).get("postStart"):
        ran = pod.exec(name, *hook["exec"]["command"])
        if ran.returncode != 0:
            raise RuntimeError(f"the hook of {name} ended with {ran.returncode}: {ran.stderr}\n{pod.log(name)}")


def set_sysctl(pod, name, value):
    done = pod.inside_network("sh", "-c", f"echo {value} >/proc/sys/{name.replace('.', '/')}")
    if done.returncode != 0:
        raise RuntimeError(f"sysctl {name}: {done.stderr}")


def is_well(pod, name, handler):
    """Whether a container's probe or hook, which is a command in it, succeeds."""
    return pod.exec(name, *handler["exec"]["command"]).returncode == 0


def get(url):
    """Status and body."""
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def container_of(text, name):
    """A container of a manifest, whichever list it is in."""
    spec = yaml.safe_load(text)["spec"]
    return next(container for container in (*spec.get("initContainers", []), *spec["containers"]) if container["name"] == name)
