"""What is promised of Pods by where they come from: with a generated name, from a DaemonSet for nodes that keep others away, and from a
file on the node.
"""
import json

from clients import pod, template, workload
from control_plane import NODE
from demo import NAMESPACE
from injection import STATUS
from promises import Promises, check, wait_for

TAINT = {"key": "imds-test.internal/taken", "value": "yes", "effect": "NoSchedule"}
promise = Promises()


@promise
def pods_with_a_generated_name_and_of_a_daemon_set_on_a_tainted_node_have_credentials(demo):
    generated = pod("generated")
    generated["metadata"]["generateName"] = f"{generated['metadata'].pop('name')}-"
    name = demo.create(generated).stdout.split()[0].removeprefix("pod/")
    node = demo.cluster.kubectl("get", "nodes", "--output=name").stdout.split()[0].removeprefix("node/")
    taint = f"{TAINT['key']}={TAINT['value']}:{TAINT['effect']}"
    demo.cluster.kubectl("taint", "node", node, taint)
    try:
        demo.create(workload("DaemonSet", "tolerant", template("tolerant", tolerations=[TAINT])))
        demo.kubectl("rollout", "status", "daemonset/tolerant", "--timeout=120s")
    finally:
        demo.cluster.kubectl("taint", "node", node, f"{taint}-")
    there = (f"--field-selector=spec.nodeName={node}", "--output=name")
    tolerant = demo.kubectl("get", "pods", "--selector=app=tolerant", *there).stdout.strip().removeprefix("pod/")
    check(name.startswith("generated-"), f"the name is generated: {name}")
    for one in (name, tolerant):
        demo.check_has_credentials(one)
    check(TAINT in demo.cluster.get("pod", tolerant, NAMESPACE)["spec"]["tolerations"], "it tolerates what it did")
    demo.kubectl("delete", "daemonset/tolerant", f"pod/{name}", "--wait=false")


@promise.where(lambda demo: demo.cluster.has_own_node)
def a_static_pod_is_mirrored_as_it_is_and_kubelet_logs_that_it_has_no_emulator(demo):
    static = pod("static")
    static["metadata"]["namespace"] = NAMESPACE
    # kubelet refuses a static Pod that names one.
    del static["spec"]["serviceAccountName"]
    file = demo.cluster.folder / "static-pods" / "static.json"
    file.write_text(json.dumps(static))
    mirror = f"static-{NODE}"
    try:
        wait_for("kubelet creates the mirror", lambda: demo.cluster.exists("pod", mirror, NAMESPACE),
                 seen=lambda: (demo.cluster.folder / "kubelet.log").read_text()[-2000:])
        document = demo.cluster.wait_ready(mirror, NAMESPACE)
    finally:
        file.unlink()
    check(STATUS not in document["metadata"]["annotations"], f"it is no injected Pod: {document['metadata']}")
    names = [container["name"] for key in ("initContainers", "containers") for container in document["spec"].get(key, [])]
    check(names == ["app"], f"nothing is added to it: {names}")
    log = (demo.cluster.folder / "kubelet.log").read_text()
    check("aws-imds-emulator: this is the mirror of a static Pod" in log, "kubelet's log has the webhook's warning")
    wait_for("without its file the Pod is gone", lambda: not demo.cluster.exists("pod", mirror, NAMESPACE))
