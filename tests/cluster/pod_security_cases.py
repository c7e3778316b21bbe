"""Pods that the Pod Security Standards forbid or admit, and Pods that resemble an injected one: a change of a Pod each."""
import copy

from injection import REDIRECT

STANDARDS = ("baseline", "restricted")
# Older servers drop the field, and what is left is another Pod.
SINCE = {
    "procMount_restricted": (1, 33), "user namespace": (1, 33), "securityContext: procMount": (1, 33), "resources: a claim": (1, 34),
}


def plain():
    """A Pod that Restricted admits."""
    return {
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "app"},
        "spec": {
            "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
            "initContainers": [container("first")],
            "containers": [container("app")],
        },
    }


def container(name):
    return {"name": name, "image": "registry.example/app:1",
            "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}}


def changed(pod, change):
    pod = copy.deepcopy(pod)
    change(pod)
    return pod


def at(path, value):
    """A change of a Pod: this value at a path of keys and indexes; None removes it."""
    def change(pod):
        *parents, last = path
        for key in parents:
            pod = pod[key] if isinstance(key, int) else pod.setdefault(key, {})
        if value is None:
            pod.pop(last)
        else:
            pod[last] = value
    return change


def in_spec(*path):
    *path, value = path
    return at(("spec", *path), value)


def in_each_container(*path):
    """The same change in the container, and in the init container: two changes."""
    return [in_spec(kind, 0, *path) for kind in ("containers", "initContainers")]


def in_each_context(*path):
    return [in_spec("securityContext", *path), *in_each_container("securityContext", *path)]


def together(*changes):
    def change(pod):
        for one in changes:
            one(pod)
    return change


def volume(**source):
    return in_spec("volumes", [{"name": "data", **source}])


# By the check of Pod Security Admission. Baseline forbids these, and so Restricted does.
BASELINE = {
    "privileged": in_each_container("securityContext", {"privileged": True, "capabilities": {"drop": ["ALL"]}}),
    "hostNamespaces": [in_spec(name, True) for name in ("hostNetwork", "hostPID", "hostIPC")],
    "hostPathVolumes": [volume(hostPath={"path": "/"})],
    "hostPorts": in_each_container("ports", [{"containerPort": 80}, {"containerPort": 81, "hostPort": 81}]),
    "capabilities_baseline": [
        *in_each_container("securityContext", "capabilities", "add", ["NET_ADMIN"]),
        *in_each_container("securityContext", "capabilities", "add", ["NET_BIND_SERVICE", "SYS_ADMIN"]),
        *in_each_container("securityContext", "capabilities", "add", ["NET_RAW"]),
        # Not capabilities that Kubernetes knows by these names; a runtime may.
        *in_each_container("securityContext", "capabilities", "add", ["CAP_NET_ADMIN", "net_admin", "ALL"]),
    ],
    "appArmorProfile": [
        *in_each_context("appArmorProfile", {"type": "Unconfined"}),
        at(("metadata", "annotations"), {"container.apparmor.security.beta.kubernetes.io/app": "unconfined"}),
    ],
    "seLinuxOptions": [
        *in_each_context("seLinuxOptions", {"type": "spc_t"}), *in_each_context("seLinuxOptions", {"user": "root"}),
        *in_each_context("seLinuxOptions", {"role": "sysadm_r"}),
    ],
    "seccompProfile_baseline": in_each_context("seccompProfile", {"type": "Unconfined"}),
    "sysctls": [in_spec("securityContext", "sysctls", [{"name": "net.ipv4.tcp_syncookies", "value": "1"}, {"name": name, "value": "1"}])
                for name in ("kernel.msgmax", "net.core.somaxconn", "net.ipv4.ip_forward")],
    "windowsHostProcess": [
        together(in_spec("securityContext", {"windowsOptions": {"hostProcess": True}}), in_spec("hostNetwork", True)),
        together(in_spec("containers", 0, "securityContext", {"windowsOptions": {"hostProcess": True}}),
                 in_spec("initContainers", 0, "securityContext", {"windowsOptions": {"hostProcess": True}}), in_spec("hostNetwork", True)),
    ],
    "hostProbesAndHostLifecycle": [
        *(in_spec("containers", 0, probe, {handler: {"host": "10.0.0.1", "port": 80}})
          for probe in ("livenessProbe", "readinessProbe", "startupProbe") for handler in ("httpGet", "tcpSocket")),
        *(in_spec("containers", 0, "lifecycle", hook, {"httpGet": {"host": "10.0.0.1", "port": 80}}) for hook in ("postStart", "preStop")),
        together(in_spec("initContainers", 0, "restartPolicy", "Always"),
                 in_spec("initContainers", 0, "startupProbe", {"httpGet": {"host": "10.0.0.1", "port": 80}})),
    ],
}
# Baseline admits these, Restricted does not.
RESTRICTED = {
    "restrictedVolumes": [
        volume(nfs={"server": "10.0.0.1", "path": "/"}), volume(iscsi={"targetPortal": "10.0.0.1", "iqn": "iqn.2001-04.com.example:x", "lun": 0}),
        volume(fc={"targetWWNs": ["50060e801049cfd1"], "lun": 0}), volume(awsElasticBlockStore={"volumeID": "vol-1"}),
        volume(rbd={"monitors": ["10.0.0.1"], "image": "x"}), volume(flexVolume={"driver": "example/x"}),
        volume(azureFile={"secretName": "x", "shareName": "x"}), volume(cephfs={"monitors": ["10.0.0.1"]}),
    ],
    "allowPrivilegeEscalation": [*in_each_container("securityContext", "allowPrivilegeEscalation", True),
                                 *in_each_container("securityContext", "allowPrivilegeEscalation", None)],
    "runAsNonRoot": [in_spec("securityContext", "runAsNonRoot", None), *in_each_context("runAsNonRoot", False),
                     together(in_spec("securityContext", "runAsNonRoot", False),
                              *in_each_container("securityContext", "runAsNonRoot", True))],
    "runAsUser": in_each_context("runAsUser", 0),
    "seccompProfile_restricted": [in_spec("securityContext", "seccompProfile", None),
                                  together(in_spec("securityContext", "seccompProfile", None),
                                           in_spec("containers", 0, "securityContext", "seccompProfile", {"type": "RuntimeDefault"}))],
    "capabilities_restricted": [
        *in_each_container("securityContext", "capabilities", None), *in_each_container("securityContext", "capabilities", "drop", ["KILL"]),
        *in_each_container("securityContext", "capabilities", "add", ["NET_BIND_SERVICE", "CHOWN"]),
        in_spec("containers", 0, "securityContext", None),
    ],
    # In a user namespace Baseline admits it.
    "procMount_restricted": [
        together(in_spec("hostUsers", False), in_spec("containers", 0, "securityContext", "procMount", "Unmasked"))],
}
# Both admit these.
ADMITTED = {
    "plain": [together()],
    "no init container": [in_spec("initContainers", None)],
    "NET_BIND_SERVICE": in_each_container("securityContext", "capabilities", "add", ["NET_BIND_SERVICE"]),
    "Localhost": [*in_each_context("seccompProfile", {"type": "Localhost", "localhostProfile": "x.json"}),
                  *in_each_context("appArmorProfile", {"type": "Localhost", "localhostProfile": "x"})],
    "of each container": [together(in_spec("securityContext", None), *in_each_container("securityContext", "runAsNonRoot", True),
                                   *in_each_container("securityContext", "seccompProfile", {"type": "RuntimeDefault"}))],
    "volumes": [volume(emptyDir={}), volume(configMap={"name": "x"}), volume(secret={"secretName": "x"}), volume(csi={"driver": "x"}),
                volume(persistentVolumeClaim={"claimName": "x"}), volume(projected={"sources": []}), volume(downwardAPI={}),
                volume(ephemeral={"volumeClaimTemplate": {"spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}}}),
                volume(image={"reference": "registry.example/data:1"})],
    "sysctls": [in_spec("securityContext", "sysctls", [{"name": "net.ipv4.ip_unprivileged_port_start", "value": "0"}])],
    "seLinuxOptions": in_each_context("seLinuxOptions", {"type": "container_t", "level": "s0:c1,c2"}),
    "probes": [in_spec("containers", 0, "livenessProbe", {"httpGet": {"port": 80}}),
               in_spec("containers", 0, "lifecycle", {"preStop": {"exec": {"command": ["true"]}}})],
    "ports": in_each_container("ports", [{"containerPort": 80}]),
    "user namespace": [together(in_spec("hostUsers", False), *in_each_context("runAsUser", 0), in_spec("securityContext", "runAsNonRoot", False))],
    "shareProcessNamespace": [in_spec("shareProcessNamespace", True)],
    # The cost of an expression has a limit.
    "many containers": [lambda pod: pod["spec"].update(containers=[{**container(f"app-{number}"), "livenessProbe": {"httpGet": {"port": 80}}}
                                                                   for number in range(100)])],
    "windows": [together(in_spec("os", {"name": "windows"}), in_spec("securityContext", {"runAsNonRoot": True}),
                         *in_each_container("securityContext", None))],
}

_REDIRECT = ("initContainers", 0)
_CONTEXT = (*_REDIRECT, "securityContext")


def in_redirect(*path):
    return in_spec(*_REDIRECT, *path)


def with_tools(*changes):
    """An emptyDir that another init container has copied a program into."""
    return together(lambda pod: pod["spec"]["volumes"].append({"name": "tools", "emptyDir": {}}), *changes)


def move(kind):
    """The redirect among other containers."""
    def change(pod):
        pod["spec"][kind].append(pod["spec"]["initContainers"].pop(0))
    return change


def another_name(pod):
    second = copy.deepcopy(pod["spec"]["initContainers"][0])
    pod["spec"]["initContainers"].append({**second, "name": "another"})


def in_env(index, variable):
    return in_redirect("env", index, variable)


def on_the_nodes_network(pod):
    """Where the API server takes no sysctl of the network (`address` sets one)."""
    pod["spec"]["hostNetwork"] = True
    pod["spec"].get("securityContext", {}).pop("sysctls", None)


MOUNT = [{"name": "tools", "mountPath": "/tools"}]
LITERAL = {"name": "IMDS_HOST_IP", "value": "10.0.0.1"}
# Of a Pod that was injected: what makes more of it than the webhook did. All has to stay out.
FORGED = {
    "image: a tag": in_redirect("image", "registry.example/imds-emulator:1"),
    "image: another digest": in_redirect("image", "registry.example/imds-emulator@sha256:" + 64 * "b"),
    "image: another repository": in_redirect("image", "registry.example/evil@sha256:" + 64 * "a"),
    "command: a shell": in_redirect("command", ["/bin/sh"]),
    "command: another program of the image": in_redirect("command", ["/imds-emulator"]),
    "command: the image's own": in_redirect("command", None),
    "command: one more word": in_redirect("command", ["/imds-redirect", "--remove"]),
    "command: a program in an emptyDir": with_tools(in_redirect("command", ["/tools/program"]), in_redirect("volumeMounts", MOUNT)),
    "the same on the node's network": with_tools(in_redirect("command", ["/tools/program"]), in_redirect("volumeMounts", MOUNT),
                                                 on_the_nodes_network),
    "args: none": in_redirect("args", None),
    "args: another port": in_redirect("args", ["--mode", "redirect", "--to-port", "8080"]),
    "args: one more": in_redirect("args", ["--mode", "redirect", "--to-port", "1338", "--remove"]),
    "env: none": in_redirect("env", None),
    "env: a text in place of a field": in_env(1, LITERAL),
    "env: another field": in_env(1, {"name": "IMDS_HOST_IP", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}),
    "env: the two interchanged": lambda pod: pod["spec"]["initContainers"][0]["env"].reverse(),
    "env: one more": lambda pod: pod["spec"]["initContainers"][0]["env"].append({"name": "LD_PRELOAD", "value": "/tools/x.so"}),
    "envFrom": in_redirect("envFrom", [{"configMapRef": {"name": "x"}}]),
    "volumeMounts": with_tools(in_redirect("volumeMounts", MOUNT)),
    "volumeMounts: in the place of the service account's token": with_tools(in_redirect(
        "volumeMounts", [{"name": "tools", "mountPath": "/var/run/secrets/kubernetes.io/serviceaccount", "readOnly": True}])),
    "volumeMounts: beside the service account's token": with_tools(in_redirect(
        "volumeMounts", [{"name": "tools", "mountPath": "/var/run/secrets/kubernetes.io/serviceaccount/x", "readOnly": True}])),
    "volumeDevices": together(with_tools(), lambda pod: pod["spec"]["volumes"].append({"name": "disk", "persistentVolumeClaim": {"claimName": "x"}}),
                              in_redirect("volumeDevices", [{"name": "disk", "devicePath": "/dev/x"}])),
    "ports": in_redirect("ports", [{"containerPort": 80}]),
    "restartPolicy": in_redirect("restartPolicy", "Always"),
    "lifecycle": together(in_redirect("restartPolicy", "Always"), in_redirect("lifecycle", {"preStop": {"exec": {"command": ["/x"]}}})),
    "startupProbe": together(in_redirect("restartPolicy", "Always"), in_redirect("startupProbe", {"exec": {"command": ["/x"]}})),
    "livenessProbe": together(in_redirect("restartPolicy", "Always"), in_redirect("livenessProbe", {"exec": {"command": ["/x"]}})),
    "readinessProbe": together(in_redirect("restartPolicy", "Always"), in_redirect("readinessProbe", {"exec": {"command": ["/x"]}})),
    "stdin": in_redirect("stdin", True),
    "tty": in_redirect("tty", True),
    "workingDir": in_redirect("workingDir", "/tmp"),
    "terminationMessagePath": in_redirect("terminationMessagePath", "/imds-redirect"),
    "resources: a device": in_redirect("resources", {"limits": {"example.com/device": "1"}, "requests": {"example.com/device": "1"}}),
    "resources: a claim": together(in_spec("resourceClaims", [{"name": "x", "resourceClaimName": "x"}]),
                                   in_redirect("resources", {"claims": [{"name": "x"}]})),
    "capabilities: one more": in_spec(*_CONTEXT, "capabilities", "add", ["NET_ADMIN", "SYS_ADMIN"]),
    "capabilities: NET_RAW beside it": in_spec(*_CONTEXT, "capabilities", "add", ["NET_ADMIN", "NET_RAW"]),
    "capabilities: NET_BIND_SERVICE beside it": in_spec(*_CONTEXT, "capabilities", "add", ["NET_ADMIN", "NET_BIND_SERVICE"]),
    "capabilities: not all dropped": in_spec(*_CONTEXT, "capabilities", "drop", ["KILL"]),
    "securityContext: privileged": together(in_spec(*_CONTEXT, "privileged", True), in_spec(*_CONTEXT, "allowPrivilegeEscalation", True)),
    "securityContext: allowPrivilegeEscalation": in_spec(*_CONTEXT, "allowPrivilegeEscalation", True),
    "securityContext: allowPrivilegeEscalation by default": in_spec(*_CONTEXT, "allowPrivilegeEscalation", None),
    "securityContext: root": together(in_spec(*_CONTEXT, "runAsUser", 0), in_spec(*_CONTEXT, "runAsNonRoot", False)),
    "securityContext: another user": in_spec(*_CONTEXT, "runAsUser", 1000),
    "securityContext: the image's user": in_spec(*_CONTEXT, "runAsUser", None),
    "securityContext: the group root": in_spec(*_CONTEXT, "runAsGroup", 0),
    "securityContext: a writable root": in_spec(*_CONTEXT, "readOnlyRootFilesystem", False),
    "securityContext: Unconfined": in_spec(*_CONTEXT, "seccompProfile", {"type": "Unconfined"}),
    "securityContext: a seccomp profile of the node": in_spec(*_CONTEXT, "seccompProfile", {"type": "Localhost", "localhostProfile": "x"}),
    "securityContext: AppArmor Unconfined": in_spec(*_CONTEXT, "appArmorProfile", {"type": "Unconfined"}),
    "securityContext: an AppArmor profile of the node": in_spec(*_CONTEXT, "appArmorProfile", {"type": "Localhost", "localhostProfile": "x"}),
    "securityContext: procMount": together(in_spec("hostUsers", False), in_spec(*_CONTEXT, "procMount", "Unmasked")),
    "securityContext: seLinuxOptions": in_spec(*_CONTEXT, "seLinuxOptions", {"level": "s0"}),
    "name: another": in_redirect("name", "another"),
    "name: a second container with the capability": another_name,
    "place: a container": move("containers"),
    "Pod: privileged": in_spec("containers", 0, "securityContext", {"privileged": True}),
    "Pod: NET_ADMIN in the app": in_spec("containers", 0, "securityContext", {"capabilities": {"add": ["NET_ADMIN"]}}),
    "Pod: hostPID": in_spec("hostPID", True),
    "Pod: hostIPC": in_spec("hostIPC", True),
    "Pod: hostNetwork": on_the_nodes_network,
    "Pod: hostPath": lambda pod: pod["spec"]["volumes"].append({"name": "root", "hostPath": {"path": "/"}}),
    "Pod: hostPort": in_spec("containers", 0, "ports", [{"containerPort": 80, "hostPort": 80}]),
    "Pod: an unsafe sysctl": in_spec("securityContext", "sysctls", [{"name": "net.ipv4.ip_forward", "value": "1"}]),
    "Pod: AppArmor unconfined by annotation": at(("metadata", "annotations"), {f"container.apparmor.security.beta.kubernetes.io/{REDIRECT}": "unconfined"}),
}
