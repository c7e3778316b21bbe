"""Promises of deploy/policies/pod-security.yaml: what the Pod Security Standards forbid stays forbidden, but for the one init container
that the webhook injects.

Pod Security Admission itself is the oracle. Beside each namespace that the policy holds to a standard there is one that Pod Security
Admission holds to it, and a Pod without our container is admitted to both or to neither. Every Pod is created as a dry run.
"""
import copy
import json
import ssl
import urllib.error
import urllib.request

import yaml

from control_plane import ADMIN_TOKEN, repository
from injection import EXAMPLE_ROLE, INTERCEPTION, LABEL, REDIRECT, ROLE
from promises import check, wait_for

MANIFEST = repository() / "deploy/policies/pod-security.yaml"
PLACEHOLDER = "registry.example/imds-emulator@sha256:" + 64 * "0"
ENFORCE = "pod-security.imds-emulator.internal/enforce"
# From here on the server has the API, and from there on Pod Security Admission knows all that the policy does.
FIRST_VERSION, VERSION_OF_STANDARD = (1, 30), (1, 37)
STANDARDS = ("baseline", "restricted")
TWO = ("redirect", "address")


def held_by_policy(standard):
    return f"policy-{standard}"


def held_by_admission(standard):
    return f"admission-{standard}"


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


class Server:
    """The API server by HTTP: a dry run in a hundredth of the time that kubectl takes."""

    def __init__(self, cluster):
        self.url = cluster.server
        self.context = ssl.create_default_context(cafile=cluster.certificate_authority)

    def ask(self, method, path, body=None, content="application/json"):
        """The answer's code and document."""
        request = urllib.request.Request(self.url + path, method=method, data=None if body is None else json.dumps(body).encode(),
                                         headers={"Authorization": f"Bearer {ADMIN_TOKEN}", "Content-Type": content})
        try:
            with urllib.request.urlopen(request, timeout=30, context=self.context) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as error:
            return error.code, json.load(error)

    def create(self, pod, namespace, dry_run=True):
        """What was made of it, or None and why it was refused."""
        code, document = self.ask("POST", f"/api/v1/namespaces/{namespace}/pods" + ("?dryRun=All" if dry_run else ""), pod)
        return (document, "") if code < 300 else (None, document.get("message", ""))

    def patch(self, pod, namespace, change, subresource=""):
        """Why a strategic merge patch was refused; nothing where it was not."""
        code, document = self.ask("PATCH", f"/api/v1/namespaces/{namespace}/pods/{pod}{subresource}?dryRun=All", change,
                                  "application/strategic-merge-patch+json")
        return "" if code < 300 else document.get("message", str(code))


def prepare(suite, image):
    """The policy, for this image, and the namespaces; where the server has the API."""
    cluster = suite.cluster
    text = MANIFEST.read_text()
    check(text.count(PLACEHOLDER) == 1, "there is one image to put ours in the place of")
    cluster.kubectl("apply", "--filename=-", document=text.replace(PLACEHOLDER, image))
    for standard in STANDARDS:
        for name, labels in ((held_by_policy(standard), {ENFORCE: standard, "pod-security.kubernetes.io/enforce": "privileged"}),
                             (held_by_admission(standard), {"pod-security.kubernetes.io/enforce": standard})):
            cluster.kubectl("create", "--filename=-", document={"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}})
            cluster.make_accounts(name, "default", "my-sa")
    server = Server(cluster)
    privileged = plain()
    in_spec("containers", 0, "securityContext", {"privileged": True})(privileged)
    beyond_baseline = plain()
    in_spec("securityContext", "runAsNonRoot", False)(beyond_baseline)
    for standard, pod in (("baseline", privileged), ("restricted", privileged), ("restricted", beyond_baseline)):
        wait_for("the policy is enforced", lambda: server.create(pod, held_by_policy(standard))[0] is None, 30)
    return server


def changed(pod, change):
    pod = copy.deepcopy(pod)
    change(pod)
    return pod


def check_agreement(server, pod, what, expected, oracle):
    """`expected` are the standards that admit it. Pod Security Admission knows what it knows, so `oracle` may be false."""
    for standard in STANDARDS:
        admitted, why = server.create(pod, held_by_policy(standard))
        check((admitted is not None) == (standard in expected), f"{what}, {standard}: {'admitted' if admitted else why}: {json.dumps(pod['spec'])}")
        check(admitted or "imds-pod-security-" in why, f"{what}, {standard}: it is the policy that refuses it: {why}")
        if oracle:
            admitted, why = server.create(pod, held_by_admission(standard))
            check((admitted is not None) == (standard in expected), f"{what}, {standard}: Pod Security Admission says otherwise: {why}")


def policy_and_pod_security_admission_agree(suite):
    server, oracle = suite.pods_api, suite.cluster.version >= VERSION_OF_STANDARD
    for table, expected in ((BASELINE, ()), (RESTRICTED, ("baseline",)), (ADMITTED, STANDARDS)):
        for what, changes in table.items():
            for number, change in enumerate(changes):
                check_agreement(server, changed(plain(), change), f"{what} {number}", expected, oracle)


def fixtures(suite):
    """The Pods that Pod Security Admission itself is tested with, by standard; none where this version's are not there."""
    folder = suite.assets / "pod-security"
    return {standard: folder / standard for standard in STANDARDS} if folder.is_dir() else {}


def policy_agrees_on_the_pods_that_pod_security_admission_is_tested_with(suite):
    server, invalid = suite.pods_api, []
    for standard, folder in fixtures(suite).items():
        for file in sorted(folder.glob("*/*.yaml")):
            what, pod = f"{standard}/{file.parent.name}/{file.name}", yaml.safe_load(file.read_text())
            pod["metadata"]["name"] = "app"
            if server.create(pod, "demo")[0] is None:
                invalid.append(what)
                continue
            for other in STANDARDS:
                by_policy, why = server.create(pod, held_by_policy(other))
                by_admission, _ = server.create(pod, held_by_admission(other))
                check((by_policy is None) == (by_admission is None), f"{what}, {other}: {why or 'the policy admits it'}")
                check(by_policy or "imds-pod-security-" in why, f"{what}, {other}: it is the policy that refuses it: {why}")
                check(other != standard or (by_policy is None) == (file.parent.name == "fail"), f"{what} is in its place")
    # Such as a volume type that is no more.
    check(len(invalid) < 10, f"the API server takes most of them for Pods: {invalid}")


def labelled(interception):
    """What a user writes; the webhook injects it."""
    pod = plain()
    pod["metadata"] |= {"labels": {LABEL: "True"}, "annotations": {ROLE: EXAMPLE_ROLE, INTERCEPTION: interception}}
    return pod


def injected(server, interception, change=together()):
    """What the webhook makes of a Pod, as a manifest without the label: the webhook is not asked about it again."""
    document, why = server.create(changed(labelled(interception), change), held_by_policy("restricted"))
    check(document, f"{interception}: it is admitted: {why}")
    check(document["spec"]["initContainers"][0]["name"] == REDIRECT, f"{interception}: it is injected")
    spec = document["spec"]
    spec["volumes"] = [one for one in spec["volumes"] if not one["name"].startswith("kube-api-access")]
    for one in (*spec["initContainers"], *spec["containers"]):
        if mounts := [mount for mount in one.get("volumeMounts", []) if not mount["name"].startswith("kube-api-access")]:
            one["volumeMounts"] = mounts
        else:
            one.pop("volumeMounts", None)
    spec.pop("serviceAccount", None)
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "app"}, "spec": spec}


def the_webhooks_own_pods_are_admitted(suite):
    server = suite.pods_api
    for interception in TWO:
        for standard in STANDARDS:
            admitted, why = server.create(labelled(interception), held_by_policy(standard))
            check(admitted, f"{interception}, {standard}: {why}")
            refused, why = server.create(labelled(interception), held_by_admission(standard))
            check(refused is None and "NET_ADMIN" in why, f"{interception}, {standard}: Pod Security Admission refuses it: {why}")
    for what, change in {
        "AppArmor": in_spec("securityContext", "appArmorProfile", {"type": "RuntimeDefault"}),
        "a user of its own": in_spec("securityContext", "runAsUser", 1000),
        "a user namespace": in_spec("hostUsers", False),
    }.items():
        check(injected(server, "redirect", change), what)
    # The example of the documentation keeps Baseline.
    example = yaml.safe_load((repository() / "examples/pod.yaml").read_text())
    admitted, why = server.create(example, held_by_policy("baseline"))
    check(admitted and admitted["spec"]["initContainers"][0]["name"] == REDIRECT, f"examples/pod.yaml: {why}")


def what_only_resembles_an_injected_pod_stays_out(suite):
    server = suite.pods_api
    for interception in TWO:
        genuine = injected(server, interception)
        for standard in STANDARDS:
            admitted, why = server.create(genuine, held_by_policy(standard))
            check(admitted, f"{interception}, {standard}: the same without a label: {why}")
        for what, change in FORGED.items():
            forged = changed(genuine, change)
            # The API server itself takes it for a Pod.
            admitted, why = server.create(forged, "demo")
            check(admitted, f"{what}: where nothing is enforced it is admitted: {why}")
            for standard in STANDARDS:
                admitted, why = server.create(forged, held_by_policy(standard))
                check(admitted is None and "imds-pod-security-" in why, f"{interception}, {standard}, {what}: it stays out: {why or 'admitted'}")


def a_policy_that_names_no_digest_admits_no_redirect(suite):
    """As it is shipped, and with a tag in place of a digest."""
    cluster, server, genuine = suite.cluster, suite.pods_api, injected(suite.pods_api, "redirect")
    tagged = "registry.example/imds-emulator:1"
    for image, pod in ((PLACEHOLDER, genuine), (tagged, changed(genuine, in_redirect("image", tagged)))):
        cluster.kubectl("apply", "--filename=-", document=MANIFEST.read_text().replace(PLACEHOLDER, image))
        # The genuine one is out as soon as the change is known.
        wait_for(f"{image} is what counts", lambda: server.create(genuine, held_by_policy("restricted"))[0] is None, 30)
        check(server.create(pod, held_by_policy("restricted"))[0] is None, f"{image}: no redirect is admitted")
    cluster.kubectl("apply", "--filename=-", document=MANIFEST.read_text().replace(PLACEHOLDER, suite.image))
    wait_for("the image is known again", lambda: server.create(genuine, held_by_policy("restricted"))[0], 30)


def can_resize(suite):
    return suite.cluster.version >= (1, 33)


def an_injected_pod_can_be_resized(suite):
    server, namespace = suite.pods_api, held_by_policy("restricted")
    pod, why = server.create(changed(labelled("redirect"), at(("metadata", "name"), "resized")), namespace, dry_run=False)
    check(pod, why)
    more = {"requests": {"cpu": "50m"}, "limits": {"cpu": "200m"}}
    for kind, name in (("containers", "app"), ("initContainers", "aws-imds-emulator")):
        why = server.patch("resized", namespace, {"spec": {kind: [{"name": name, "resources": more}]}}, "/resize")
        check(not why, f"{name}: {why}")


def a_pod_that_is_there_is_held_to_the_standard_too(suite):
    """By updates: of an image, by ephemeral containers. What changes nothing of the spec passes."""
    server, namespace = suite.pods_api, held_by_policy("restricted")
    pod, why = server.create(changed(labelled("redirect"), at(("metadata", "name"), "there")), namespace, dry_run=False)
    check(pod, why)
    image = {"spec": {"initContainers": [{"name": REDIRECT, "image": "registry.example/evil:1"}]}}
    refused = server.patch("there", namespace, image)
    check("imds-pod-security-baseline" in refused, f"another image for the redirect: {refused or 'admitted'}")
    check(not (why := server.patch("there", namespace, {"spec": {"containers": [{"name": "app", "image": "registry.example/app:2"}]}})), f"an image: {why}")
    check(not (why := server.patch("there", namespace, {"metadata": {"annotations": {"a": "b"}}})), f"an annotation: {why}")
    debugger = container("debugger")
    for what, change, admitted in (("plain", together(), True),
                                   ("NET_ADMIN", at(("securityContext", "capabilities", "add"), ["NET_ADMIN"]), False),
                                   ("privileged", at(("securityContext", "privileged"), True), False),
                                   ("without a context", at(("securityContext",), None), False)):
        one = changed(debugger, change)
        if what == "privileged":
            one["securityContext"] = {"privileged": True}
        why = server.patch("there", namespace, {"spec": {"ephemeralContainers": [one]}}, "/ephemeralcontainers")
        check(bool(why) != admitted and (admitted or "imds-pod-security-" in why), f"an ephemeral container, {what}: {why or 'admitted'}")
    # Of a Pod that is older than the policy, what is not its spec can be changed.
    older = held_by_policy("older")
    suite.cluster.kubectl("create", "--filename=-", document={"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": older}})
    suite.cluster.make_accounts(older, "default")
    privileged = changed(plain(), in_spec("containers", 0, "securityContext", {"privileged": True}))
    check(server.create(privileged, older, dry_run=False)[0], "a privileged Pod is there before")
    suite.cluster.kubectl("label", "namespace", older, f"{ENFORCE}=restricted")
    wait_for("the policy is enforced", lambda: server.create(privileged | {"metadata": {"name": "other"}}, older)[0] is None, 30)
    check(not (why := server.patch("app", older, {"metadata": {"finalizers": ["example.com/x"]}})), f"a finalizer: {why}")
    refused = server.patch("app", older, {"spec": {"containers": [{"name": "app", "image": "registry.example/app:2"}]}})
    check("imds-pod-security-" in refused, f"an image: {refused or 'admitted'}")
