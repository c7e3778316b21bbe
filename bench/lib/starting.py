"""Pods that start on a node of its own, timed from the request that creates them to the watch that tells that they are ready."""
import datetime
import json
import pathlib
import random
import time

import machine
import rounds
import timeline
from pods_api import Pods
from start_report import INIT, PLAIN

import compatibility
import run_on_nodes
from clients import container, pod
from control_plane import ADMIN_TOKEN, Programs
from demo import NAMESPACE
from injection import EMULATOR, STATUS
from measuring import Failed
from promises import wait_for

# As a program does whose first act is to ask for credentials.
ASKS = """
busybox wget -q -O - "${AWS_EC2_METADATA_SERVICE_ENDPOINT:-http://169.254.169.254/}latest/meta-data/iam/security-credentials/my-example-role" &&
    exec busybox sleep 3600
"""
SLEEPS = "exec busybox sleep 3600"
# Whose start is measured with many at once.
TOGETHER = (PLAIN, INIT, "endpoint", "redirect", "redirect, with-credentials")
WARM_UP = "warm-up"
# kubelet looks at its containers once so often, in seconds. A Pod is created at any moment of it.
RELIST = 1


def forms():
    """name -> a Pod of this form, without a name."""
    def not_injected(**more):
        document = pod("", container(SLEEPS), terminationGracePeriodSeconds=1, **more)
        return document | {"metadata": {"labels": {"app": PLAIN}}}

    found = {PLAIN: not_injected(), INIT: not_injected(initContainers=[container("exit 0", name="ends")])}
    for start in (None, "with-credentials"):
        for interception in ("endpoint", "redirect", "address"):
            name = ", ".join(filter(None, (interception, start)))
            found[name] = pod("", container(ASKS), interception=interception, start=start, terminationGracePeriodSeconds=1)
    return found


def run(wanted, folder):
    """Measures, and leaves the results in the folder; inside the namespaces."""
    programs = Programs(folder)
    try:
        # By default kubelet says nothing of what it notices.
        cluster = run_on_nodes.own_cluster(wanted, folder, programs, ["--v=2"])
        demo = run_on_nodes.demo_of(wanted, cluster)
        demo.release.install()
        with Pods(cluster.server, cluster.certificate_authority, ADMIN_TOKEN, NAMESPACE) as pods:
            bench = Bench(pods, demo, folder)
            bench.warm_up()
            results = {
                "date": datetime.date.today().isoformat(), "commit": machine.commit(), "machine": machine.about(),
                "kubernetes": ".".join(map(str, cluster.version)), "containerd": compatibility.version_of(wanted.containerd / "containerd"),
                "settings": {"rounds": wanted.rounds, "at once": wanted.at_once, "times": wanted.times},
                "alone": bench.alone(wanted.rounds), "at once": bench.at_once(wanted.at_once, wanted.times),
            }
    except BaseException:
        print("\n".join(programs.tails()))
        raise
    finally:
        programs.end_all()
    (folder / "results.json").write_text(json.dumps(results))


class Bench:
    def __init__(self, pods, demo, folder):
        self.pods, self.demo, self.folder = pods, demo, folder
        self.forms = forms()

    def warm_up(self):
        """The API server trusts the webhook, and the node has unpacked both images."""
        document = named(self.forms["redirect"], WARM_UP)
        wait_for("a Pod is injected", lambda: STATUS in self.pods.create(document, dryRun="All")["metadata"]["annotations"])
        self.pods.create(document)
        self.pods.wait_ready([WARM_UP], 120)
        self._end([WARM_UP])

    def alone(self, count):
        """form -> seconds until it is ready, of each round, and when what happened."""
        found = {form: {"ready": [], "timeline": {}} for form in self.forms}
        for index in range(count):
            rounds.say(f"round {index + 1} of {count}")
            for form, document in self.forms.items():
                name = f"alone-{index}-{slug(form)}"
                time.sleep(random.uniform(0, RELIST))
                begun = time.time()
                uid = self.pods.create(named(document, name))["metadata"]["uid"]
                ready = self.pods.wait_ready([name], 120)[name]
                if EMULATOR in json.dumps(self.pods.known[name]["spec"]):
                    self._check_first_request(name)
                self._end([name])
                found[form]["ready"].append(ready - begun)
                events = [*timeline.of_pod(self.folder, uid, f"{NAMESPACE}/{name}"), ("ready", ready)]
                for what, when in events:
                    if when <= ready:
                        found[form]["timeline"].setdefault(what, []).append(when - begun)
        return found

    def at_once(self, count, times):
        """form -> seconds until the last of so many is ready, and CPU time for each that everything in these namespaces took."""
        found = {form: {"all": [], "cpu": []} for form in TOGETHER}
        for index in range(times):
            for form in TOGETHER:
                rounds.say(f"{count} at once, {index + 1} of {times}: {form}")
                names = [f"many-{index}-{slug(form)}-{number}" for number in range(count)]
                begun, before = time.time(), cpu_time()
                for name in names:
                    self.pods.create(named(self.forms[form], name))
                ready = self.pods.wait_ready(names, 600)
                found[form]["cpu"].append((cpu_time() - before) / count)
                found[form]["all"].append(max(ready.values()) - begun)
                self._end(names)
        return found

    def _check_first_request(self, name):
        """It is the app's first act, and without an answer it ends with an error."""
        log = wait_for(f"{name} has an answer", lambda: self.demo.log(name), 30, seen=lambda: self.demo.cluster.story(name, NAMESPACE))
        if '"Code" : "Success"' not in log:
            raise Failed(f"the first request of {name} finds no credentials: {log}")

    def _end(self, names):
        for name in names:
            self.pods.delete(name)
        self.pods.wait_gone(names, 300)


def named(document, name):
    return document | {"metadata": document["metadata"] | {"name": name}}


def slug(form):
    return form.replace(",", "").replace(" ", "-")


def cpu_time():
    """In seconds, of all processes that are in this process namespace or were, and were waited for."""
    ticks = 0
    for file in pathlib.Path("/proc").glob("[0-9]*/stat"):
        try:
            # user, system, and both of children that have ended.
            ticks += sum(map(int, file.read_text().rpartition(")")[2].split()[11:15]))
        except (FileNotFoundError, ProcessLookupError):
            pass
    return ticks / 100
