"""What kubelet does for a Pod and `podman kube play` 4.3 does not, done to the manifest. Nothing else of it is touched:

* the projected service-account token becomes a folder of the host: its file with the owner and mode that kubelet gives (a Pod whose
  containers do not all run as one user and without fsGroup: readable by all who mount it, so here it is made stricter, the
  emulator's own). The local STS's CA lies beside it: in a cluster, `AWS_CA_BUNDLE` is a file of a ConfigMap or not needed;
* init containers are kept when they have ended, for their logs (podman's `once` would remove them);
* `restartPolicy` is OnFailure: podman would restart init containers too that have ended well. Who is killed is still restarted;
* fields of the Pod in environment variables (`fieldRef`) become their values, and `$(NAME)` is expanded.

The hook `postStart` and the probes, which podman ignores or would run with a shell, are taken by the test itself: it runs
the hook's command and asks the probes' paths.
"""
import re

import yaml

TOKEN_VOLUME = "aws-imds-emulator-token"
EMULATOR_UID = 1338


def prepared(text, token_folder, node_address):
    """An injected Pod as podman can play it."""
    pod = yaml.safe_load(text)
    fields = {
        "metadata.name": pod["metadata"]["name"],
        "metadata.namespace": "default",
        "spec.serviceAccountName": pod["spec"].get("serviceAccountName", "default"),
        # Of the init container's check that it is not in the node's namespace; no address is known before the Pod runs.
        "status.podIPs": "",
        "status.hostIP": node_address,
    }
    pod["metadata"].setdefault("annotations", {})["io.podman.annotations.init.container.type"] = "always"
    pod["spec"]["restartPolicy"] = "OnFailure"
    for volume in pod["spec"].get("volumes", []):
        if volume["name"] == TOKEN_VOLUME:
            del volume["projected"]
            volume["hostPath"] = {"path": str(token_folder), "type": "Directory"}
    for container in [*pod["spec"].get("initContainers", []), *pod["spec"]["containers"]]:
        expand(container.get("env", []), fields)
        for ignored in ("startupProbe", "livenessProbe", "lifecycle"):
            container.pop(ignored, None)
    return yaml.safe_dump(pod, sort_keys=False)


def expand(environment, fields):
    known = {}
    for variable in environment:
        if "valueFrom" in variable:
            variable["value"] = fields[variable.pop("valueFrom")["fieldRef"]["fieldPath"]]
        variable["value"] = re.sub(r"\$\((\w+)\)", lambda match: known.get(match[1], match[0]), variable["value"])
        known[variable["name"]] = variable["value"]


def probes(text, name):
    """Port and path of the start and the liveness probe, and the command of the start gate, of a container."""
    pod = yaml.safe_load(text)
    container = next(container for container in pod["spec"]["containers"] if container["name"] == name)
    gets = [container[probe]["httpGet"] for probe in ("startupProbe", "livenessProbe")]
    return [(get["port"], get["path"]) for get in gets], container["lifecycle"]["postStart"]["exec"]["command"]
