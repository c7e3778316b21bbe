"""What is promised of injected Pods that run when something happens to them: who debugs, resizes, kills, evicts or restarts."""
import json
from datetime import datetime

from clients import ONCE_BY_ENDPOINT, asking, container, credentials, template, versions, workload
from demo import BOTH_VERSIONS, INTERCEPTIONS, NAMESPACE
from images import CLIENT
from injection import EMULATOR
from promises import Promises, check, wait_for

# From here on the server lets a Pod have users of its own, and changes the resources of one that runs.
FIRST_WITH_USERS = FIRST_RESIZED = (1, 33)
# Of a Deployment that is disturbed.
REPLICAS = 2

promise = Promises()
promise_of_own_node = promise.where(lambda demo: demo.cluster.has_own_node)


def name_of(interception):
    return f"disturbed-{interception}"


def restarts(demo, name):
    """How often each container of a Pod was started anew."""
    return {container: one["restartCount"] for container, one in demo.cluster.container_statuses(name, NAMESPACE).items()}


def told(demo, name):
    """When a client said what, by the node's clock."""
    lines = demo.kubectl("logs", name, "--timestamps").stdout.splitlines()
    return [(datetime.fromisoformat(when), what) for when, _, what in (line.partition(" ") for line in lines)]


def words(lines):
    return "\n".join(what for _, what in lines)


def outages(lines):
    """For how many seconds a client asked in vain, each time."""
    begun, found = None, []
    for when, what in lines:
        if what.endswith("failed"):
            begun = begun or when
        elif begun:
            found.append((when - begun).total_seconds())
            begun = None
    return found


@promise
def all_pods_that_will_be_disturbed_have_credentials(demo):
    for interception in INTERCEPTIONS:
        demo.create(asking(name_of(interception), interception))
    for interception, by in INTERCEPTIONS.items():
        demo.check_has_credentials(name_of(interception), by=by)


@promise.where(lambda demo: demo.cluster.version >= FIRST_WITH_USERS)
def a_pod_with_users_of_its_own_has_credentials(demo):
    for interception in INTERCEPTIONS:
        demo.create(asking(f"users-{interception}", interception, hostUsers=False))
    for interception, by in INTERCEPTIONS.items():
        name = f"users-{interception}"
        demo.check_has_credentials(name, by=by)
        mapped = demo.kubectl("exec", name, "--container=app", "--", "/bin/busybox", "cat", "/proc/self/uid_map").stdout.split()
        check(mapped[:1] == ["0"] and mapped[1] != "0", f"its users are not the node's: {mapped}")
        demo.kubectl("delete", "pod", name, "--wait=false")


@promise
def a_container_that_is_added_to_debug_has_credentials(demo):
    for interception in INTERCEPTIONS:
        name = name_of(interception)
        if interception == "endpoint":
            # Nobody gives the variable to a container that is added (docs/annotations.md).
            [app] = [one for one in demo.cluster.get("pod", name, NAMESPACE)["spec"]["containers"] if one["name"] == "app"]
            flags = [f"--env={one['name']}={one['value']}" for one in app["env"] if one["name"] == "AWS_EC2_METADATA_SERVICE_ENDPOINT"]
            ask = ONCE_BY_ENDPOINT
        else:
            flags, ask = [], "/imds v1 && /imds v2"
        demo.kubectl("debug", name, f"--image={CLIENT}", "--container=debugger", "--profile=general", *flags, "--",
                     "/bin/busybox", "sh", "-c", ask)

    for interception in INTERCEPTIONS:
        name = name_of(interception)

        def ended():
            states = demo.cluster.get("pod", name, NAMESPACE)["status"].get("ephemeralContainerStatuses", [])
            return next((one["state"]["terminated"] for one in states if "terminated" in one["state"]), None)

        how = wait_for(f"{name}: it ends", ended, seen=lambda: demo.cluster.story(name, NAMESPACE))
        log = demo.log(name, "debugger")
        well = '"Code" : "Success"' in log if interception == "endpoint" else versions(log) == BOTH_VERSIONS
        check(how["exitCode"] == 0 and well, f"{name}: {how} {log}")


@promise.where(lambda demo: demo.cluster.version >= FIRST_RESIZED)
def an_injected_pod_is_resized_as_it_runs(demo):
    name = "resized"
    sized = {"requests": {"cpu": "20m", "memory": "32Mi"}, "limits": {"cpu": "100m", "memory": "64Mi"}}
    demo.create(asking(name, "redirect", app={"resources": sized}))
    demo.check_has_credentials(name)
    change = {"spec": {"containers": [{"name": "app", "resources": {"limits": {"cpu": "200m"}}}]}}
    demo.kubectl("patch", "pod", name, "--subresource=resize", f"--patch={json.dumps(change)}")

    def resized():
        app = demo.cluster.container_statuses(name, NAMESPACE)["app"]
        return app.get("resources", {}).get("limits", {}).get("cpu") == "200m"

    wait_for("it has what it was given", resized, seen=lambda: demo.cluster.story(name, NAMESPACE))
    check(not any(restarts(demo, name).values()), f"nothing was started anew: {restarts(demo, name)}")
    demo.kubectl("delete", "pod", name, "--wait=false")


@promise_of_own_node
def an_emulator_that_is_killed_is_back_at_once(demo):
    before = {name: len(told(demo, name)) for name in map(name_of, INTERCEPTIONS)}
    for name in before:
        demo.cluster.kill(name, NAMESPACE, EMULATOR)
    lasted = [0]
    for name in before:
        anew = lambda: (counts := restarts(demo, name))[EMULATOR] and counts
        counts = wait_for(f"{name}: the emulator is started anew", anew, seen=lambda: demo.cluster.story(name, NAMESPACE))
        check(sum(counts.values()) == counts[EMULATOR] == 1, f"{name}: it alone, and once: {counts}")
        known = len(told(demo, name))
        wait_for(f"{name} has credentials again", lambda: versions(words(told(demo, name)[known:])), seen=lambda: demo.cluster.story(name, NAMESPACE))
        lasted += outages(told(demo, name)[before[name]:])
    # kubelet looks every second (docs/reliability.md).
    check(max(lasted) < 5, f"within seconds: {lasted}")
    return f"{max(lasted):.1f} s without credentials at most"


@promise_of_own_node
def a_kubelet_that_is_killed_and_started_disturbs_nobody(demo):
    names = [name_of(interception) for interception in INTERCEPTIONS]
    before = {name: (restarts(demo, name), len(told(demo, name))) for name in names}
    demo.cluster.restart_kubelet()
    demo.create(asking("after-kubelet", "redirect"))
    demo.check_has_credentials("after-kubelet")
    for name in names:
        count, lines = before[name]
        check(restarts(demo, name) == count, f"{name}: nothing was started anew: {restarts(demo, name)}")
        since = words(told(demo, name)[lines:])
        check(credentials(since) and "failed" not in since, f"{name} had credentials all the while: {since}")
    demo.kubectl("delete", "pod", "after-kubelet", *names, "--wait=false")


@promise
def a_rollout_and_an_eviction_take_credentials_from_nobody(demo):
    app = container(env=[{"name": "DRAIN", "value": "3"}])
    demo.create(workload("Deployment", "moving", template("moving", app), replicas=REPLICAS,
                         strategy={"rollingUpdate": {"maxUnavailable": 0}}))
    first = pods_of(demo, "moving")
    logs = {name: demo.cluster.follow_log(name, NAMESPACE, "app") for name in first}
    demo.kubectl("rollout", "restart", "deployment/moving")
    second = pods_of(demo, "moving")
    check(not set(first) & set(second), f"all are new: {first} {second}")
    evicted = second[0]
    logs[evicted] = demo.cluster.follow_log(evicted, NAMESPACE, "app")
    demo.kubectl("create", "--raw", f"/api/v1/namespaces/{NAMESPACE}/pods/{evicted}/eviction", "--filename=-",
                 document={"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": evicted, "namespace": NAMESPACE}})
    for name, log in logs.items():
        said = log.communicate(timeout=120)[0]
        last = said.partition("asked to stop")[2]
        check(credentials(last) and "ended" in last and "failed" not in said, f"{name}, from its first request to the end of its drain: {said[-2000:]}")
    for name in pods_of(demo, "moving"):
        demo.check_has_credentials(name)
    demo.kubectl("delete", "deployment/moving", "--wait=false")


def pods_of(demo, app):
    """The Pods of a Deployment once all of them are up to date and ready, without those that are going."""
    demo.kubectl("rollout", "status", f"deployment/{app}", "--timeout=120s")
    pods = json.loads(demo.kubectl("get", "pods", f"--selector=app={app}", "--output=json").stdout)["items"]
    return [one["metadata"]["name"] for one in pods if "deletionTimestamp" not in one["metadata"]]
