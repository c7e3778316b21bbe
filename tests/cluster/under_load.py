"""What is promised of the webhook while Pods are created without a pause: its replicas are stopped, replaced and killed, and its
certificates are lost.

Most of these Pods are never scheduled: what is tried is admission, by the API server, the ReplicaSets' controller and the replicas.
"""
import contextlib
import json
import threading
import time
import urllib.error
import urllib.request

from clients import pod, template, workload
from demo import NAMESPACE
from injection import check_injected
from installed import NAMESPACE as WEBHOOKS, SECRET
from promises import Promises, check, wait_for

# A label that no node has.
NOWHERE = {"imds-test.internal/nobody": "has-this"}
DEPLOYMENTS = 4
# How many Pods Deployments create meanwhile, at least; seconds from one step to the next.
PODS, STEP_SECONDS = 200, 0.4
CREATORS, CREATOR_PAUSE = 4, 0.1
# In seconds. The API server does not repeat a review whose connection broke, and calls a killed replica until its Service has dropped
# it (docs/reliability.md).
LONGEST_OUTAGE = 10

promise = Promises()


class Load:
    """While this lasts, Deployments called NAME-… grow by so many Pods at each step, and other Pods are created by dry runs: those tell
    when a create fails, and why.
    """

    def __init__(self, demo, name, step):
        self.demo, self.name, self.step = demo, name, step
        self.replicas, self.failures, self.created = {f"{name}-{number}": 0 for number in range(DEPLOYMENTS)}, [], 0
        self.running = f"{name}-running"
        self._stop = threading.Event()
        self._errors = []

    def __enter__(self):
        self._stack = contextlib.ExitStack()
        self.api = self._stack.enter_context(self.demo.cluster.proxy())
        for name in self.replicas:
            self.demo.create(deployment(name, 0, nodeSelector=NOWHERE))
        self.demo.create(deployment(self.running, 2))
        self._threads = [threading.Thread(target=self._until_stopped, args=work, daemon=True) for work in
                         [(self._grow, STEP_SECONDS), *[(self._create, CREATOR_PAUSE)] * CREATORS]]
        for thread in self._threads:
            thread.start()
        wait_for("Pods are created", lambda: self.created > CREATORS)
        return self

    def __exit__(self, *_):
        self._stop.set()
        for thread in self._threads:
            thread.join()
        self._stack.close()

    def _until_stopped(self, work, pause):
        try:
            while not self._stop.wait(pause):
                work()
        except Exception as error:
            self._errors.append(error)

    def _grow(self):
        name = min(self.replicas, key=self.replicas.get)
        self._send("PATCH", f"/apis/apps/v1/namespaces/{NAMESPACE}/deployments/{name}/scale",
                   {"spec": {"replicas": self.replicas[name] + self.step}}, "application/merge-patch+json")
        self.replicas[name] += self.step

    def _create(self):
        try:
            document = self._send("POST", f"/api/v1/namespaces/{NAMESPACE}/pods?dryRun=All", pod("dry-run"), "application/json")
        except urllib.error.HTTPError as error:
            self.failures.append((time.monotonic(), error.code, error.read().decode()))
        else:
            check_injected(document, self.demo.is_native)
            self.created += 1

    def _send(self, method, path, body, content_type):
        request = urllib.request.Request(f"{self.api}{path}", json.dumps(body).encode(), {"Content-Type": content_type}, method=method)
        with urllib.request.urlopen(request, timeout=30) as response:
            return json.load(response)

    def check_all_are_injected(self):
        """Every Pod that the Deployments want has been created, and is injected; two of them have credentials."""
        check(not self._errors, f"the load itself: {self._errors}")
        check(sum(self.replicas.values()) >= PODS, f"{PODS} Pods are created by Deployments meanwhile: {self.replicas}")
        for name, replicas in self.replicas.items():
            wait_for(f"{name} has its Pods", lambda: len(self._pods(name)) == replicas, 120, seen=lambda: self._describe(name))
            for document in self._pods(name):
                check_injected(document, self.demo.is_native)
        for document in self._pods(self.running):
            self.demo.check_has_credentials(document["metadata"]["name"])
        self.demo.kubectl("delete", "deployment", *self.replicas, self.running, "--wait=false")
        return f"{sum(self.replicas.values())} Pods of Deployments, {self.created} by dry runs"

    def check_none_was_refused(self):
        check(not self.failures, f"{len(self.failures)} creates failed: {self.failures[:3]}")
        events = json.loads(self.demo.kubectl("get", "events", "--field-selector=reason=FailedCreate", "--output=json").stdout)["items"]
        failed = [event["message"] for event in events if event["involvedObject"]["name"].startswith(f"{self.name}-")]
        check(not failed, f"creates of a ReplicaSet failed: {failed}")

    def outage(self):
        """For how many seconds creates failed, and how many did."""
        times = [when for when, *_ in self.failures]
        return (max(times) - min(times) if times else 0), len(times)

    def _pods(self, name):
        return json.loads(self.demo.kubectl("get", "pods", f"--selector=app={name}", "--output=json").stdout)["items"]

    def _describe(self, name):
        return self.demo.kubectl("describe", "deployment,replicaset", f"--selector=app={name}").stdout


def deployment(name, replicas, **spec):
    return workload("Deployment", name, template(name, **spec), replicas=replicas)


def stop_replica(demo):
    """Deletes one of the replicas; another is there in the end, and the deleted one is gone."""
    stopped = demo.release.pods()[0]
    demo.cluster.kubectl("delete", stopped, f"--namespace={WEBHOOKS}", "--wait=false")
    wait_for("it is replaced and gone", lambda: demo.release.available() == 2 and stopped not in demo.release.pods(), 120,
             seen=demo.release.pods)


def upgrade(demo):
    """Replaces both replicas, by an upgrade of the chart."""
    old = set(demo.release.pods())
    running = demo.release.start_upgrade("logLevel=debug")
    wait_for("new replicas are there, and the old ones gone",
             lambda: running.poll() is not None and old.isdisjoint(demo.release.pods()), 240, seen=demo.release.pods)
    check(running.returncode == 0, f"helm upgrade: {running.communicate()[0]}")


@promise
def no_create_fails_while_a_replica_stops_certificates_are_lost_and_the_chart_is_upgraded(demo):
    with Load(demo, "calm", step=3) as load:
        old = demo.release.authority()
        demo.cluster.kubectl("patch", "secret", SECRET, f"--namespace={WEBHOOKS}", "--type=json",
                             '--patch=[{"op": "remove", "path": "/data"}]')
        stop_replica(demo)
        new = demo.release.authority()
        check(new not in ("", old), "another authority is in the Secret")
        bundles = demo.release.bundles()
        check(all(bundle == {old, new} for bundle in bundles), f"and in the bundle of each webhook, beside the old one: {bundles}")
        secret = demo.release.secret()
        upgrade(demo)
        check(demo.release.secret() == secret, "after the upgrade the Secret's data are as they were")
        check(demo.release.bundles() == bundles, "and so is caBundle")
    load.check_none_was_refused()
    return load.check_all_are_injected()


@promise.where(lambda demo: demo.cluster.has_own_node)
def where_a_replica_is_killed_creates_fail_for_seconds_and_every_pod_of_a_deployment_comes_up_injected(demo):
    with Load(demo, "storm", step=10) as load:
        def reviews(replica):
            return demo.release.metric(replica, "imds_webhook_reviews_total")

        # The API server keeps its connections: one of those that it has one to.
        before = {replica: reviews(replica) for replica in demo.release.pods()}
        busy = wait_for("a replica is asked", lambda: next(
            (replica for replica in before if reviews(replica) > before[replica] + CREATORS), None))
        demo.cluster.kill(busy.removeprefix("pod/"), WEBHOOKS, "webhook")
        wait_for("it is started anew", lambda: restarts(demo, busy) > 0 and demo.release.available() == 2, 120)
        # Creates that were begun before have ended, too.
        seen = load.created
        wait_for("Pods are created", lambda: load.created > seen + 10 * CREATORS and sum(load.replicas.values()) >= PODS)
    seconds, failed = load.outage()
    codes = {code for _, code, _ in load.failures}
    check(codes <= {500}, f"the API server's 500, and nothing else: {load.failures[:3]}")
    check(seconds <= LONGEST_OUTAGE, f"creates failed for {seconds:.1f} s: {load.failures[-1]}")
    return f"for {seconds:.1f} s, {failed} creates; {load.check_all_are_injected()}"


def restarts(demo, replica):
    return demo.cluster.container_statuses(replica.removeprefix("pod/"), WEBHOOKS)["webhook"]["restartCount"]
