"""What is promised of Pods that run, on nodes, with the chart that Helm installed and an STS that checks the cluster's own tokens."""
import time

from clients import BY_ENDPOINT, container, credentials, pod, template
from control_plane import repository
from demo import BOTH_VERSIONS, ENFORCING, NAMESPACE, STRANGER
from images import CLIENT
from injection import EMULATOR, STATUS
from installed import NAME
from promises import Promises, check, wait_for

REFUSAL = "Not authorized to perform sts:AssumeRoleWithWebIdentity"
promise = Promises()
promise_of_native = promise.where(lambda demo: demo.is_native)
promise_of_classic = promise.where(lambda demo: not demo.is_native)


def dry_run(demo, name="dry-run"):
    return demo.cluster.try_kubectl("create", f"--namespace={NAMESPACE}", "--dry-run=server", "--output=json", "--filename=-",
                                    document=pod(name))


def is_limited(demo):
    return demo.cluster.has_policies and demo.cluster.exists("validatingadmissionpolicybinding", NAME)


@promise
def the_chart_comes_up_with_two_replicas_and_certificates_of_its_own(demo):
    demo.release.install()
    check(demo.release.available() == 2, f"two replicas are available: {demo.release.available()}")
    authority = demo.release.authority()
    check(authority.startswith("-----BEGIN CERTIFICATE-----"), f"an authority is in the Secret: {authority!r}")
    bundles = demo.release.bundles()
    check(bundles and all(bundle == {authority} for bundle in bundles), f"and in the bundle of each webhook, alone: {bundles}")
    check(is_limited(demo) == demo.cluster.has_policies, "the webhook's account is limited by a policy, where the server has policies")
    # The API server watches the configuration: it takes a moment until it trusts a new authority.
    wait_for("a Pod is injected", lambda: STATUS in dry_run(demo).stdout, 30, seen=lambda: dry_run(demo).stderr)


@promise_of_native
def helm_test_passes(demo):
    said = demo.release.test()
    check("Succeeded" in said, said)


@promise
def the_seeds_pod_has_credentials_for_its_projected_token(demo):
    text = (repository() / "examples" / "pod.yaml").read_text()
    check(text.count("image: nginx") == 1, f"there is one image to put the client in the place of: {text}")
    demo.kubectl("apply", "--filename=-", document=text.replace("image: nginx", f"image: {CLIENT}"))
    demo.check_has_credentials("nginx")


@promise
def an_account_that_the_role_does_not_trust_gets_nothing_and_its_pod_starts_all_the_same(demo):
    demo.create(pod("stranger", serviceAccountName=STRANGER))
    log = demo.wait_log("its app starts", "stranger", lambda log: "failed" in log, seconds=120)
    check(not credentials(log), f"without credentials: {log}")
    outcomes = {exchange["outcome"] for exchange in demo.sts.exchanges(f"{NAMESPACE}.stranger")}
    check(outcomes == {"AccessDenied"}, f"the STS has refused it: {outcomes}")
    said = demo.log("stranger", EMULATOR)
    check(REFUSAL in said, f"the emulator tells it in STS's words: {said}")
    if demo.is_native:
        wait_for("and kubelet in the Pod's events", lambda: REFUSAL in events(demo, "stranger"), seen=lambda: events(demo, "stranger"))
    demo.kubectl("delete", "pod", "stranger", "--wait=false")


def events(demo, name):
    return demo.kubectl("get", "events", f"--field-selector=involvedObject.name={name}", "--output=jsonpath={.items[*].message}").stdout


@promise
def with_credentials_a_rollout_whose_role_refuses_stops_until_it_does_not(demo):
    def deployment(account):
        return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "rollout"},
                "spec": {"selector": {"matchLabels": {"app": "rollout"}}, "progressDeadlineSeconds": 60,
                         "strategy": {"rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}},
                         "template": template("rollout", serviceAccountName=account, start="with-credentials")}}

    def new_pod():
        pods = demo.kubectl("get", "pods", "--selector=app=rollout", "--output=jsonpath={.items[*].metadata.name}").stdout.split()
        return next((name for name in pods if name not in old), None)

    old = []
    demo.create(deployment("my-sa"))
    demo.kubectl("rollout", "status", "deployment/rollout", "--timeout=120s")
    old.append(new_pod())
    demo.kubectl("apply", "--filename=-", document=deployment(STRANGER))
    stopped = demo.cluster.try_kubectl(f"--namespace={NAMESPACE}", "rollout", "status", "deployment/rollout", "--timeout=120s")
    check(stopped.returncode != 0 and "exceeded its progress deadline" in stopped.stderr, f"it stops: {stopped.stdout}{stopped.stderr}")
    state = demo.cluster.get("deployment", "rollout", NAMESPACE)["status"]
    check(state["availableReplicas"] == 1, f"the Pod that had credentials stays: {state}")
    waiting = new_pod()
    app = demo.cluster.get("pod", waiting, NAMESPACE)["status"]["containerStatuses"]
    check(not any(container.get("started") for container in app if container["name"] == "app"), f"the app has not started: {app}")
    if demo.is_native:
        check(REFUSAL in events(demo, waiting), f"the events say why: {events(demo, waiting)}")
    else:
        check(REFUSAL in demo.log(waiting, EMULATOR), "its log says why")
    demo.kubectl("apply", "--filename=-", document=deployment("my-sa"))
    demo.kubectl("rollout", "status", "deployment/rollout", "--timeout=120s")
    demo.kubectl("delete", "deployment/rollout", "--wait=false")


def run_job(demo):
    """A Job whose container ends well, with credentials; its Pod's name."""
    app = container("/imds v1 && /imds v2")
    demo.create({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "job"},
                 "spec": {"template": template("job", app, restartPolicy="Never")}})
    name = wait_for("the Job has a Pod", lambda: demo.kubectl("get", "pods", "--selector=app=job", "--output=name").stdout.strip(),
                    seen=lambda: demo.kubectl("describe", "job", "job").stdout).removeprefix("pod/")

    def ended():
        states = {status["name"]: status["state"] for status in demo.cluster.get("pod", name, NAMESPACE)["status"].get("containerStatuses", [])}
        return states.get("app", {}).get("terminated")

    how = wait_for("its container ends", ended, 120, seen=lambda: demo.cluster.story(name, NAMESPACE))
    log = demo.log(name)
    check(how["exitCode"] == 0 and {version for version, _ in credentials(log)} == BOTH_VERSIONS, f"{how} {log}")
    return name


@promise_of_native
def a_job_completes(demo):
    name = run_job(demo)
    demo.kubectl("wait", "--for=condition=complete", "job/job", "--timeout=60s")
    check(demo.cluster.get("pod", name, NAMESPACE)["status"]["phase"] == "Succeeded", "its Pod has succeeded")


@promise_of_classic
def a_job_does_not_complete_and_whoever_creates_such_a_pod_is_warned(demo):
    run_job(demo)
    status = demo.cluster.get("job", "job", NAMESPACE)["status"]
    check(status.get("active") == 1 and not status.get("succeeded"), f"it goes on: {status}")
    warned = demo.create(pod("never", restartPolicy="Never")).stderr
    check("Warning: aws-imds-emulator: " in warned and "will not complete" in warned, f"kubectl shows a warning: {warned}")
    demo.kubectl("delete", "job/job", "pod/never", "--wait=false")


def run_with_init_container(demo):
    """What the user's own init container says; it asks for credentials once by each version."""
    setup = container("for version in v1 v2; do /imds $version 2>/dev/null || echo none; done", name="setup")
    demo.create(pod("with-init", initContainers=[setup]))
    demo.check_has_credentials("with-init")
    return demo.log("with-init", "setup")


@promise_of_native
def a_users_init_container_has_credentials(demo):
    log = run_with_init_container(demo)
    check({version for version, _ in credentials(log)} == BOTH_VERSIONS, log)


@promise_of_classic
def a_users_init_container_finds_no_emulator_yet(demo):
    log = run_with_init_container(demo)
    check(log.split() == ["none", "none"], log)


@promise
def the_pods_of_a_deployment_and_of_a_daemon_set_have_credentials(demo):
    for kind, more in (("Deployment", {"replicas": 2}), ("DaemonSet", {})):
        name = kind.lower()
        demo.create({"apiVersion": "apps/v1", "kind": kind, "metadata": {"name": name},
                     "spec": {"selector": {"matchLabels": {"app": name}}, "template": template(name), **more}})
        demo.kubectl("rollout", "status", f"{name}/{name}", "--timeout=120s")
        pods = demo.kubectl("get", "pods", f"--selector=app={name}", "--output=name").stdout.split()
        check(len(pods) >= more.get("replicas", 1), f"Pods of the {kind}: {pods}")
        for one in pods:
            demo.check_has_credentials(one.removeprefix("pod/"))
        demo.kubectl("delete", f"{name}/{name}", "--wait=false")


def start_with(demo, interception, namespace, **more):
    """A Pod whose client asks as this interception makes it ask."""
    script = BY_ENDPOINT if interception == "endpoint" else None
    return demo.create(pod(interception, container(script), interception=interception), namespace, **more)


@promise
def where_nothing_is_enforced_every_interception_works(demo):
    for interception in ("redirect", "address", "endpoint"):
        start_with(demo, interception, NAMESPACE)
    for interception, by in (("redirect", BOTH_VERSIONS), ("address", BOTH_VERSIONS), ("endpoint", {"v1"})):
        demo.check_has_credentials(interception, by=by)


@promise
def baseline_and_restricted_refuse_redirect_and_address_and_admit_endpoint(demo):
    for standard, namespace in ENFORCING.items():
        for interception in ("redirect", "address"):
            error = start_with(demo, interception, namespace, fails=True).stderr
            check(f'violates PodSecurity "{standard}:' in error and "NET_ADMIN" in error, f"{standard}, {interception}: {error}")
        start_with(demo, "endpoint", namespace)
        demo.check_has_credentials("endpoint", namespace, by={"v1"})


@promise
def a_pod_that_is_deleted_serves_its_app_to_the_end_and_ends_in_time(demo):
    demo.create(pod("leaving", container(env=[{"name": "DRAIN", "value": "5"}])))
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


@promise
def an_upgrade_keeps_the_certificates_and_no_admission_fails_meanwhile(demo):
    secret, bundles = demo.release.secret(), demo.release.bundles()
    old = set(demo.release.pods())
    upgrade = demo.release.start_upgrade("logLevel=debug")

    def replaced():
        ran = dry_run(demo)
        check(STATUS in ran.stdout, f"a Pod is admitted and injected, at every moment: {ran.stderr}{ran.stdout}")
        return upgrade.poll() is not None and old.isdisjoint(demo.release.pods())

    wait_for("new replicas are there, and the old ones gone", replaced, 240, seen=lambda: demo.release.pods())
    check(upgrade.returncode == 0, f"helm upgrade: {upgrade.communicate()[0]}")
    check(demo.release.secret() == secret, "the Secret's data are as they were")
    check(demo.release.bundles() == bundles, "and so is caBundle")


@promise
def after_an_uninstall_pods_are_created_as_they_are_and_injected_ones_keep_their_credentials(demo):
    demo.release.uninstall()
    check(not demo.cluster.exists("mutatingwebhookconfiguration", NAME), "the webhook configuration is gone")
    check(not demo.cluster.exists("clusterrole", NAME), "and what it was allowed to do")
    check(not is_limited(demo), "and the policy that limits it")
    wait_for("a labelled Pod is left as it is", lambda: (ran := dry_run(demo)).returncode == 0 and STATUS not in ran.stdout, 30,
             seen=lambda: dry_run(demo).stderr)
    for version in ("v1", "v2"):
        said = demo.kubectl("exec", "nginx", "--container=nginx", "--", "/imds", version).stdout
        check(credentials(said), f"the seed's Pod still has credentials by {version}: {said}")
