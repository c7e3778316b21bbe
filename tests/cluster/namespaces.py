"""What is promised in a namespace as companies furnish theirs: quotas, limits, priorities, pull secrets, accounts without a token, and
Pods whose own fields reach our containers too.
"""
import json

from clients import CONFINED, asking, container, pod
from demo import FURNISHED, INTERCEPTIONS
from injection import LABEL, PREFIX
from promises import Promises, check, wait_for

# What a container says that has to live with a quota on each of these.
AMOUNTS = {"cpu": "100m", "memory": "64Mi", "ephemeral-storage": "64Mi"}
EACH = {"resources": {"requests": AMOUNTS, "limits": AMOUNTS}}
# One that every cluster has. A quota on its Pods needs no object of the cluster's own.
PRIORITY = "system-cluster-critical"
PULL_SECRET = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "registry"}, "type": "kubernetes.io/dockerconfigjson",
               "stringData": {".dockerconfigjson": json.dumps({"auths": {"registry.example": {"auth": "dTpw"}}})}}
# Its Pods pull with that Secret, mount no Secret that is not the account's, and no token of the API server's.
ACCOUNT = {"apiVersion": "v1", "kind": "ServiceAccount", "automountServiceAccountToken": False, "imagePullSecrets": [{"name": "registry"}],
           "secrets": [{"name": "registry"}],
           "metadata": {"name": "my-sa", "annotations": {"kubernetes.io/enforce-mountable-secrets": "true"}}}
# What a LimitRange asks, what it says of our containers as they are by default beside one of these amounts, and the annotations that mend it.
BURSTABLE = {"resources": {"requests": {"cpu": "50m", "memory": "24Mi"}, "limits": {"cpu": "60m", "memory": "24Mi"}}}
LIMIT_RANGES = (
    ({"type": "Container", "min": {"cpu": "50m"}}, "minimum cpu usage per Container is 50m", {"cpu-request": "50m"}),
    ({"type": "Container", "max": {"cpu": "60m"}}, "maximum cpu usage per Container is 60m", {"cpu-limit": "60m"}),
    ({"type": "Container", "min": {"memory": "24Mi"}}, "minimum memory usage per Container is 24Mi", {"memory-request": "24Mi"}),
    ({"type": "Container", "max": {"memory": "24Mi"}}, "maximum memory usage per Container is 24Mi", {"memory-limit": "24Mi"}),
    ({"type": "Container", "maxLimitRequestRatio": {"memory": "1"}}, "memory max limit to request ratio per Container is 1",
     {"memory-request": "32Mi"}),
    ({"type": "Container", "maxLimitRequestRatio": {"cpu": "2"}}, "cpu max limit to request ratio per Container is 2",
     {"cpu-request": "50m"}),
    ({"type": "Pod", "max": {"cpu": "85m"}}, "maximum cpu usage per Pod is 85m", {"cpu-limit": "25m"}),
)
# crates/contract/src/pod.rs
EMULATORS_USER = 1338
promise = Promises()


def quota(name, hard, **spec):
    return {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": name}, "spec": {"hard": hard, **spec}}


@promise
def under_quotas_on_all_that_containers_ask_for_pods_have_credentials(demo):
    demo.kubectl("apply", "--filename=-", namespace=FURNISHED, document=PULL_SECRET)
    demo.kubectl("apply", "--filename=-", namespace=FURNISHED, document=ACCOUNT)
    demands = {f"{list}.{name}": "64Gi" for list in ("requests", "limits") for name in AMOUNTS}
    demo.create(quota("everything", {"pods": "50", **demands}), FURNISHED)
    demo.create(quota("important", {"pods": "50"}, scopeSelector={"matchExpressions": [
        {"scopeName": "PriorityClass", "operator": "In", "values": [PRIORITY]}]}), FURNISHED)
    for name in ("everything", "important"):
        wait_for("the quota is enforced", lambda: demo.cluster.get("resourcequota", name, FURNISHED).get("status", {}).get("used"))
    refused = demo.create(pod("asks-for-nothing", container()), FURNISHED, fails=True).stderr
    check("must specify" in refused, f"the quota wants it said: {refused}")
    for interception in INTERCEPTIONS:
        demo.create(asking(interception, interception, EACH, priorityClassName=PRIORITY), FURNISHED)
    for interception, by in INTERCEPTIONS.items():
        demo.check_has_credentials(interception, FURNISHED, by=by)
        document = demo.cluster.get("pod", interception, FURNISHED)
        check(document["spec"]["imagePullSecrets"] == [{"name": "registry"}], f"the account's pull secret: {document['spec']}")
        tokens = [one["name"] for one in document["spec"]["volumes"] if one["name"].startswith("kube-api-access")]
        check(not tokens, f"no token of the cluster's: {tokens}")
        check(document["status"]["qosClass"] == "Guaranteed", f"it stays Guaranteed: {document['status']['qosClass']}")
    used = demo.cluster.get("resourcequota", "important", FURNISHED)["status"]["used"]
    check(int(used["pods"]) == len(INTERCEPTIONS), f"their priority is theirs: {used}")
    demo.kubectl("delete", "pods", *INTERCEPTIONS, "--wait=false", namespace=FURNISHED)
    demo.kubectl("delete", "resourcequotas", "everything", "important", namespace=FURNISHED)


@promise
def a_pod_that_asks_for_nothing_is_burstable_once_it_is_injected(demo):
    def create(document):
        return demo.dry_run(document, FURNISHED).stderr

    plain = pod("plain")
    del plain["metadata"]["labels"][LABEL]
    demo.create(quota("no-best-effort", {"pods": "0"}, scopes=["BestEffort"]), FURNISHED)
    wait_for("it is enforced", lambda: "exceeded quota" in create(plain), seen=lambda: create(plain))
    check(not create(pod("injected")), "the quota is of another class of Pods")
    demo.kubectl("delete", "resourcequota", "no-best-effort", namespace=FURNISHED)


@promise
def what_a_limit_range_refuses_an_annotation_mends(demo):
    def create(**annotations):
        document = asking("limited", "endpoint", BURSTABLE)
        document["metadata"]["annotations"] |= {f"{PREFIX}{name}": value for name, value in annotations.items()}
        return demo.dry_run(document, FURNISHED)

    for limit, sentence, annotations in LIMIT_RANGES:
        demo.create({"apiVersion": "v1", "kind": "LimitRange", "metadata": {"name": "limits"}, "spec": {"limits": [limit]}}, FURNISHED)
        wait_for(f"it is enforced: {sentence}", lambda: sentence in create().stderr, seen=lambda: create().stderr)
        mended = create(**annotations)
        check(mended.returncode == 0, f"{annotations} mend {sentence}: {mended.stderr}")
        demo.kubectl("delete", "limitrange", "limits", namespace=FURNISHED)
    wait_for("no limit is left", lambda: create().returncode == 0, seen=lambda: create().stderr)


@promise
def pods_whose_own_fields_reach_our_containers_have_credentials(demo):
    """A shared process namespace; the emulator's own user, and groups; name servers that answer nobody, and links to Services whose
    variables begin as those that the emulator reads.
    """
    for name in ("aws", "imds", "https-proxy"):
        demo.create({"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": {"ports": [{"port": 80}]}}, FURNISHED)
    user = {"runAsUser": EMULATORS_USER, "runAsGroup": EMULATORS_USER}
    fields = {
        "processes": ({}, {"shareProcessNamespace": True}),
        "user": ({"securityContext": CONFINED | user}, {"securityContext": {**user, "fsGroup": 2000, "supplementalGroups": [3000]}}),
        "names": ({}, {"enableServiceLinks": True, "dnsPolicy": "None", "dnsConfig": {"nameservers": ["192.0.2.1"]}}),
    }
    names = {f"{name}-{interception}": (interception, *both) for name, both in fields.items() for interception in INTERCEPTIONS}
    for name, (interception, app, spec) in names.items():
        demo.create(asking(name, interception, app, **spec), FURNISHED)
    for name, (interception, _, _) in names.items():
        demo.check_has_credentials(name, FURNISHED, by=INTERCEPTIONS[interception])
    demo.kubectl("delete", "pods", *names, "--wait=false", namespace=FURNISHED)
    demo.kubectl("delete", "services", "aws", "imds", "https-proxy", namespace=FURNISHED)


@promise
def volumes_over_the_folder_of_ours_keep_no_container_from_its_start(demo):
    """With `endpoint` a file of ours is in the users' containers. In a Secret kubelet makes the folder for it, in one of the node nobody can."""
    volumes = {"secret": {"secretName": "registry"}, "hostPath": {"path": "/usr/share"}}
    mount = {"volumeMounts": [{"name": "own", "mountPath": "/var/run/secrets", "readOnly": True}]}
    for kind, volume in volumes.items():
        demo.create(asking(kind.lower(), "endpoint", mount, volumes=[{"name": "own", kind: volume}]), FURNISHED)
    for kind in volumes:
        demo.check_has_credentials(kind.lower(), FURNISHED, by={"v1"})
    demo.kubectl("delete", "pods", *map(str.lower, volumes), "--wait=false", namespace=FURNISHED)
