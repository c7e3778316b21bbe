"""What is promised of Pods that run, on nodes, with the chart that Helm installed and an STS that checks the cluster's own tokens."""
import time

from clients import asking, container, credentials, pod, template, versions, workload
from control_plane import repository
from demo import BOTH_VERSIONS, ENFORCING, INTERCEPTIONS, NAMESPACE, STRANGER
from images import CLIENT
from injection import EMULATOR
from promises import Promises, check, wait_for

# Kinds with a Pod template, and what more their Pods' number is told by.
CONTROLLERS = {"Deployment": {"replicas": 2}, "DaemonSet": {}}
REFUSAL = "Not authorized to perform sts:AssumeRoleWithWebIdentity"
at_first, promise = Promises(), Promises()
promise_of_native = promise.where(lambda demo: demo.is_native)
promise_of_classic = promise.where(lambda demo: not demo.is_native)


@at_first
def all_pods_are_admitted(demo):
    """Of all the promises in here, at once: they start while other promises are looked at."""
    text = (repository() / "examples" / "pod.yaml").read_text()
    check(text.count("image: nginx") == 1, f"there is one image to put the client in the place of: {text}")
    demo.kubectl("apply", "--filename=-", document=text.replace("image: nginx", f"image: {CLIENT}"))
    demo.create(pod("stranger", serviceAccountName=STRANGER))
    demo.create(rollout("my-sa"))
    demo.create(job())
    demo.create(pod("with-init", initContainers=[container("for version in v1 v2; do /imds $version 2>/dev/null || echo none; done", name="setup")]))
    demo.create(pod("leaving", container(env=[{"name": "DRAIN", "value": "5"}])))
    for kind, more in CONTROLLERS.items():
        name = kind.lower()
        demo.create(workload(kind, name, template(name), **more))
    for interception in INTERCEPTIONS:
        demo.create(asking(interception, interception))
    for namespace in ENFORCING.values():
        demo.create(asking("endpoint", "endpoint"), namespace)


@promise
def the_seeds_pod_has_credentials_for_its_projected_token(demo):
    demo.check_has_credentials("nginx")


@promise
def an_account_that_the_role_does_not_trust_gets_nothing_and_its_pod_starts_all_the_same(demo):
    log = demo.wait_log("its app starts", "stranger", lambda log: "failed" in log, seconds=120)
    check(not credentials(log), f"without credentials: {log}")
    outcomes = {exchange["outcome"] for exchange in demo.sts.exchanges(f"{NAMESPACE}.stranger")}
    check(outcomes == {"AccessDenied"}, f"the STS has refused it: {outcomes}")
    said = demo.log("stranger", EMULATOR)
    check(REFUSAL in said, f"the emulator tells it in STS's words: {said}")
    demo.kubectl("delete", "pod", "stranger", "--wait=false")
    check_deleted_while_waiting(demo)


def check_deleted_while_waiting(demo):
    """A Pod goes when its hook ends: after 30 seconds with `always`. A classic sidecar has no other gate, so with-credentials is not tried."""
    for start, seconds in {"always": 60, **({"with-credentials": 30} if demo.is_native else {})}.items():
        name = f"waiting-{start}"
        demo.create(pod(name, serviceAccountName=STRANGER, start=start))
        check_reason_while_waiting(demo, name)
        demo.kubectl("delete", "pod", name, f"--timeout={seconds}s")


def check_reason_while_waiting(demo, name):
    """kubelet may hold the log back as long as the hook runs, and events have nothing of it."""
    def reason():
        command = ("exec", name, f"--container={EMULATOR}", "--", "/imds-emulator", "--wait=1")
        return demo.cluster.try_kubectl(f"--namespace={NAMESPACE}", *command).stderr

    wait_for("the gate says why it waits", lambda: REFUSAL in reason(), seen=reason)


def events(demo, name):
    return demo.kubectl("get", "events", f"--field-selector=involvedObject.name={name}", "--output=jsonpath={.items[*].message}").stdout


def rollout(account):
    return workload("Deployment", "rollout", template("rollout", serviceAccountName=account, start="with-credentials"),
                    progressDeadlineSeconds=30, strategy={"rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}})


@promise
def with_credentials_a_rollout_whose_role_refuses_stops_until_it_does_not(demo):
    def new_pod():
        pods = demo.kubectl("get", "pods", "--selector=app=rollout", "--output=jsonpath={.items[*].metadata.name}").stdout.split()
        return next((name for name in pods if name not in old), None)

    old = []
    demo.kubectl("rollout", "status", "deployment/rollout", "--timeout=120s")
    old.append(new_pod())
    demo.kubectl("apply", "--filename=-", document=rollout(STRANGER))
    stopped = demo.cluster.try_kubectl(f"--namespace={NAMESPACE}", "rollout", "status", "deployment/rollout", "--timeout=120s")
    check(stopped.returncode != 0 and "exceeded its progress deadline" in stopped.stderr, f"it stops: {stopped.stdout}{stopped.stderr}")
    state = demo.cluster.get("deployment", "rollout", NAMESPACE)["status"]
    check(state["availableReplicas"] == 1, f"the Pod that had credentials stays: {state}")
    waiting = new_pod()
    app = demo.cluster.container_statuses(waiting, NAMESPACE)["app"]
    check(not app.get("started"), f"the app has not started: {app}")
    if demo.is_native:
        check(REFUSAL in events(demo, waiting), f"the events say why: {events(demo, waiting)}")
    check_reason_while_waiting(demo, waiting)
    demo.kubectl("apply", "--filename=-", document=rollout("my-sa"))

    def done():
        # Not `rollout status`: for a moment it still tells of the deadline of before.
        deployment = demo.cluster.get("deployment", "rollout", NAMESPACE)
        state = deployment["status"]
        return (state["observedGeneration"] == deployment["metadata"]["generation"]
                and state["replicas"] == state.get("updatedReplicas") == state.get("availableReplicas") == 1)

    wait_for("it goes on when the role is right", done, 120, seen=lambda: demo.cluster.story(new_pod(), NAMESPACE))
    demo.kubectl("delete", "deployment/rollout", "--wait=false")


def job():
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "job"},
            "spec": {"template": template("job", container("/imds v1 && /imds v2"), restartPolicy="Never")}}


def check_job_has_credentials(demo):
    """Its container ends well, with credentials; its Pod's name."""
    name = wait_for("the Job has a Pod", lambda: demo.kubectl("get", "pods", "--selector=app=job", "--output=name").stdout.strip(),
                    seen=lambda: demo.kubectl("describe", "job", "job").stdout).removeprefix("pod/")

    def ended():
        return demo.cluster.container_statuses(name, NAMESPACE).get("app", {}).get("state", {}).get("terminated")

    how = wait_for("its container ends", ended, 120, seen=lambda: demo.cluster.story(name, NAMESPACE))
    log = demo.log(name)
    check(how["exitCode"] == 0 and versions(log) == BOTH_VERSIONS, f"{how} {log}")
    return name


@promise_of_native
def a_job_completes(demo):
    name = check_job_has_credentials(demo)
    demo.kubectl("wait", "--for=condition=complete", "job/job", "--timeout=60s")
    check(demo.cluster.get("pod", name, NAMESPACE)["status"]["phase"] == "Succeeded", "its Pod has succeeded")


@promise_of_classic
def a_job_does_not_complete_and_whoever_creates_such_a_pod_is_warned(demo):
    check_job_has_credentials(demo)
    status = demo.cluster.get("job", "job", NAMESPACE)["status"]
    check(status.get("active") == 1 and not status.get("succeeded"), f"it goes on: {status}")
    warned = demo.create(pod("never", restartPolicy="Never")).stderr
    check("Warning: aws-imds-emulator: " in warned and "will not complete" in warned, f"kubectl shows a warning: {warned}")
    demo.kubectl("delete", "job/job", "pod/never", "--wait=false")


def log_of_init_container(demo):
    """What the user's own init container says; it asks for credentials once by each version."""
    demo.check_has_credentials("with-init")
    return demo.log("with-init", "setup")


@promise_of_native
def a_users_init_container_has_credentials(demo):
    log = log_of_init_container(demo)
    check(versions(log) == BOTH_VERSIONS, log)


@promise_of_classic
def a_users_init_container_finds_no_emulator_yet(demo):
    log = log_of_init_container(demo)
    check(log.split() == ["none", "none"], log)


@promise
def the_pods_of_a_deployment_and_of_a_daemon_set_have_credentials(demo):
    for kind, more in CONTROLLERS.items():
        name = kind.lower()
        demo.kubectl("rollout", "status", f"{name}/{name}", "--timeout=120s")
        pods = demo.kubectl("get", "pods", f"--selector=app={name}", "--output=name").stdout.split()
        check(len(pods) >= more.get("replicas", 1), f"Pods of the {kind}: {pods}")
        for one in pods:
            demo.check_has_credentials(one.removeprefix("pod/"))
        demo.kubectl("delete", f"{name}/{name}", "--wait=false")


@promise
def where_nothing_is_enforced_every_interception_works(demo):
    for interception, by in INTERCEPTIONS.items():
        demo.check_has_credentials(interception, by=by)


@promise
def baseline_and_restricted_refuse_redirect_and_address_and_admit_endpoint(demo):
    for standard, namespace in ENFORCING.items():
        for interception in ("redirect", "address"):
            error = demo.create(asking(interception, interception), namespace, fails=True).stderr
            check(f'violates PodSecurity "{standard}:' in error and "NET_ADMIN" in error, f"{standard}, {interception}: {error}")
        demo.check_has_credentials("endpoint", namespace, by={"v1"})


@promise
def a_pod_that_is_deleted_serves_its_app_to_the_end_and_ends_in_time(demo):
    demo.check_has_credentials("leaving")
    period = demo.cluster.get("pod", "leaving", NAMESPACE)["spec"]["terminationGracePeriodSeconds"]
    app, emulator = (demo.cluster.follow_log("leaving", NAMESPACE, name) for name in ("app", EMULATOR))
    begun = time.monotonic()
    demo.kubectl("delete", "pod", "leaving", "--wait=false")
    log = app.communicate(timeout=period + 30)[0]
    emulators = emulator.communicate(timeout=period + 30)[0]
    took = time.monotonic() - begun
    last = log.partition("asked to stop")[2]
    check(credentials(last) and "ended" in last and "failed" not in last, f"what the app said from then on: {last or log}")
    check(took < period, f"nobody has to be killed: the emulator has ended after {took:.0f} s of {period} s\n{emulators}")
