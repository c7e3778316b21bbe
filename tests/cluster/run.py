"""End to end against a real API server: `run.py --webhook FILE --kubectl FILE`, with KUBEBUILDER_ASSETS pointing at etcd and
kube-apiserver (README.md). What the manifests of deploy/ install is what is tested.

It moves into a network and a mount namespace of its own: nothing of this machine is listened on or written to.
"""
import argparse
import contextlib
import copy
import functools
import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import tempfile

sys.dont_write_bytecode = True
import compatibility
import pod_security
import webhook_policy
from control_plane import Authority, Cluster, Programs, repository
from injection import EMULATOR, EXAMPLE_ROLE, LABEL, REDIRECT, ROLE, STATUS, VOLUME, check_injected
from installed import NAME, NAMESPACE, SECRET
from promises import Promises, check, wait_for
from webhooks import Webhook, adding_container

MANIFESTS = repository() / "deploy/install.yaml"
DEFAULT_CONTAINER = "kubectl.kubernetes.io/default-container"
# What the webhook injects: by digest, as a policy wants it.
IMAGE = "localhost/imds-emulator@sha256:" + 64 * "a"
promise = Promises()
promise_of_policy = promise.where(lambda tests: tests.cluster.has_policies)


def pod(name=None, label="True", role=EXAMPLE_ROLE, **spec):
    """A Pod as on the page of GKE on AWS, `examples/pod.yaml`."""
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            **({"name": name} if name else {"generateName": "web-7d4b9c-"}),
            "labels": {"app": "web", **({LABEL: label} if label is not None else {})},
            "annotations": {"note": "stays", **({ROLE: role} if role is not None else {})},
        },
        "spec": {"serviceAccountName": "my-sa", "containers": [{"name": "nginx", "image": "nginx"}], **spec},
    }


class Tests:
    """What every test needs, and the tests."""

    def __init__(self, cluster, webhook, assets):
        self.cluster, self.webhook, self.assets, self.image = cluster, webhook, assets, IMAGE

    @functools.cached_property
    def pods_api(self):
        """The API server, once the policy for Pods is enforced."""
        return pod_security.prepare(self, IMAGE)

    def create(self, document, namespace="demo", *words, fails=False):
        """The API server's answer; where it fails, what it said."""
        ran = self.cluster.kubectl("create", f"--namespace={namespace}", "--filename=-", "--output=json", *words,
                                   document=document, fails=fails)
        return ran.stderr if fails else json.loads(ran.stdout)

    def check_injected(self, document):
        check_injected(document, self.cluster.is_native)

    @promise
    def certificates_come_from_nothing(self):
        check(self.webhook.authority() == "", "the manifests bring no certificate")
        check(self.webhook.bundles() == [set(), set()], "nor trust in one")
        self.webhook.start()
        authority = self.webhook.authority()
        check(authority.startswith("-----BEGIN CERTIFICATE-----"), "an authority is in the Secret")
        check(self.webhook.bundles() == [{authority}] * 2, "and in the bundle of each webhook, alone")

    @promise
    def the_role_reaches_exactly_two_objects(self):
        configurations = "mutatingwebhookconfigurations.admissionregistration.k8s.io"
        for verb in ("get", "update"):
            check(self.cluster.may(NAME, NAMESPACE, verb, "secrets", SECRET, NAMESPACE), f"may {verb} its Secret")
        for verb in ("get", "patch"):
            check(self.cluster.may(NAME, NAMESPACE, verb, configurations, NAME), f"may {verb} its configuration")
        for question in (
            ("get", "secrets", "another", NAMESPACE), ("list", "secrets", "", NAMESPACE), ("create", "secrets", "", NAMESPACE),
            ("delete", "secrets", SECRET, NAMESPACE), ("get", "secrets", SECRET, "default"),
            ("get", configurations, "another"), ("list", configurations), ("delete", configurations, NAME),
            ("get", "pods", "", "demo"),
        ):
            check(not self.cluster.may(NAME, NAMESPACE, *question), f"may not {' '.join(question)}")

    # In force from the beginning: the webhook's certificates come and are replaced under it.
    for test in (webhook_policy.its_account_changes_nothing_but_ca_bundle,
                 webhook_policy.its_account_changes_nothing_but_the_data_of_its_secret,
                 webhook_policy.every_field_that_the_server_knows_is_tried, webhook_policy.its_account_cannot_change_the_policy):
        promise_of_policy(test)

    @promise
    def a_pod_is_injected_however_it_is_created(self):
        self.check_injected(self.create(pod("by-create")))
        generated = self.create(pod())
        check(generated["metadata"]["name"].startswith("web-7d4b9c-"), "its name is generated")
        self.check_injected(generated)
        for name, *words in (("by-apply",), ("by-server-side-apply", "--server-side")):
            for time_ in ("first", "again"):
                self.cluster.kubectl("apply", "--namespace=demo", "--filename=-", *words, document=pod(name))
                self.check_injected(self.cluster.get("pod", name, "demo"))
        self.cluster.kubectl("run", "by-run", "--namespace=demo", "--image=nginx", f"--labels={LABEL}=True",
                             f"--annotations={ROLE}={pod()['metadata']['annotations'][ROLE]}")
        self.check_injected(self.cluster.get("pod", "by-run", "demo"))
        self.check_injected(self.create(pod("by-dry-run"), "demo", "--dry-run=server"))
        check(not self.cluster.exists("pod", "by-dry-run", "demo"), "a dry run leaves nothing")
        # What a Deployment's controller creates; there is none here.
        owner = {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "web-7d4b9c", "controller": True,
                 "blockOwnerDeletion": True, "uid": "6e70fa7a-79df-4654-abc9-53df62dafe4a"}
        owned = pod()
        owned["metadata"]["ownerReferences"] = [owner]
        self.check_injected(self.create(owned))

    @promise
    def nothing_else_of_a_pod_changes(self):
        richest = pod(
            "compared",
            initContainers=[{"name": "prepare", "image": "busybox"}],
            volumes=[{"name": "data", "emptyDir": {}}],
            securityContext={"runAsUser": 1000, "fsGroup": 2000, "seccompProfile": {"type": "RuntimeDefault"}},
        )
        # The manifests leave this namespace alone.
        before, after = self.create(richest, "kube-system"), self.create(richest)
        check(STATUS not in before["metadata"]["annotations"], "no injection into kube-system")
        self.check_injected(after)
        check(comparable(before) == comparable(after), f"as it was:\n{comparable(before)}\n{comparable(after)}")

    @promise
    def what_cannot_be_injected_is_refused_with_a_sentence(self):
        for document, said in (
            (pod("no-role", role=None), ROLE),
            (pod("bad-role", role="my-role"), "my-role"),
            (pod("host-network", hostNetwork=True), "hostNetwork"),
            (pod("name-taken", containers=[{"name": EMULATOR, "image": "nginx"}]), EMULATOR),
        ):
            name = document["metadata"]["name"]
            error = self.create(document, fails=True)
            check("aws-imds-emulator: " in error and said in error, f"{name}: {error}")
            check(not self.cluster.exists("pod", name, "demo"), f"{name} does not exist")

    @promise
    def a_near_miss_is_admitted_with_a_warning(self):
        ran = self.cluster.kubectl("create", "--namespace=demo", "--filename=-", "--output=json", document=pod("lower", "true"))
        check("Warning: aws-imds-emulator: " in ran.stderr, ran.stderr)
        check(STATUS not in json.loads(ran.stdout)["metadata"]["annotations"], "it is left as it is")

    @promise
    def a_pod_without_the_label_is_left_alone(self):
        asked = self.webhook.metric("imds_webhook_reviews_total")
        document = self.create(pod("unlabelled", label=None, role=None))
        check(comparable(document) == comparable(self.create(pod("unlabelled", label=None, role=None), "kube-system")), "as it was")
        check(self.webhook.metric("imds_webhook_reviews_total") == asked, "the webhook is not even asked")

    @promise
    def an_injected_pod_can_be_changed_and_deleted(self):
        self.cluster.kubectl("annotate", "pod", "by-create", "--namespace=demo", "later=yes")
        self.cluster.kubectl("label", "pod", "by-create", "--namespace=demo", f"{LABEL}-")
        self.cluster.kubectl("delete", "pod", "by-create", "--namespace=demo", "--force", "--grace-period=0", "--wait=false")

    @promise
    def a_second_admission_adds_nothing(self):
        authority = Authority(self.cluster.folder, "another-authority")

        def again():
            return self.webhook.metric('reason="already_injected"')

        with adding_container(self.cluster, authority, "added", "demo"):
            before = again()
            document = self.create(pod("admitted-twice"))
            self.check_injected(document)
            check(document["spec"]["containers"][-1]["name"] == "added", "what the other one added stays")
            check(again() == before + 1, "the webhook was asked again, and had nothing to add")

    @promise
    def without_the_webhook_labelled_pods_fail_and_others_do_not(self):
        self.webhook.stop()
        error = self.create(pod("while-down"), fails=True)
        check("failed calling webhook" in error, error)
        check(not self.cluster.exists("pod", "while-down", "demo"), "no Pod without its identity")
        self.create(pod("near-miss-while-down", "true"))
        self.create(pod("unlabelled-while-down", label=None))
        self.webhook.start()
        self.check_injected(self.create(pod("while-down")))

    @promise
    def installing_again_keeps_the_trust(self):
        bundles = self.webhook.bundles()
        self.cluster.kubectl("apply", f"--filename={MANIFESTS}")
        check(self.webhook.bundles() == bundles, "the bundles stay")
        self.check_injected(self.create(pod("installed-again")))

    @promise
    def a_lost_secret_is_replaced_while_pods_go_on(self):
        old = self.webhook.authority()
        self.cluster.kubectl("delete", "secret", SECRET, f"--namespace={NAMESPACE}")
        self.cluster.kubectl("apply", f"--filename={MANIFESTS}")

        def renewed():
            # Each a promise of its own: no admission fails on the way.
            self.check_injected(self.create(pod("meanwhile"), "demo", "--dry-run=server"))
            authority = self.webhook.authority()
            return authority if authority not in ("", old) and self.webhook.bundles() == [{old, authority}] * 2 else None

        # It looks every 45 s, give or take a fifth.
        new = wait_for("a new authority, beside the old one", renewed, 120)
        self.webhook.restart()
        self.check_injected(self.create(pod("with-the-new-authority")))
        check(new in self.webhook.bundles()[0], "the new authority is trusted")

    for test in (pod_security.policy_and_pod_security_admission_agree, pod_security.the_webhooks_own_pods_are_admitted,
                 pod_security.what_only_resembles_an_injected_pod_stays_out, pod_security.a_policy_that_names_no_digest_admits_no_redirect,
                 pod_security.a_pod_that_is_there_is_held_to_the_standard_too, pod_security.a_misspelt_standard_counts_as_restricted):
        promise_of_policy(test)
    promise.where(webhook_policy.can_check_types)(webhook_policy.expressions_fit_the_schemas)
    promise.where(pod_security.can_resize)(pod_security.an_injected_pod_can_be_resized)
    promise.where(pod_security.fixtures)(pod_security.policy_agrees_on_the_pods_that_pod_security_admission_is_tested_with)


def comparable(document):
    """What is the user's of a Pod, as text: without what is ours, and what differs from one Pod to the next."""
    metadata, spec = document["metadata"], copy.deepcopy(document["spec"])
    # Until 1.25 the API server repeats a container's seccomp profile in an annotation that ends in the container's name.
    annotations = {key: value for key, value in metadata["annotations"].items()
                   if key not in (STATUS, DEFAULT_CONTAINER) and key.rpartition("/")[2] not in (REDIRECT, EMULATOR)}
    for key in ("initContainers", "containers", "volumes"):
        spec[key] = [part for part in spec.get(key, []) if part["name"] not in (REDIRECT, EMULATOR, VOLUME)]
    text = json.dumps({"labels": metadata["labels"], "annotations": annotations, "spec": spec}, sort_keys=True)
    return re.sub(r"kube-api-access-\w{5}", "kube-api-access", text)


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--webhook", required=True, type=pathlib.Path, help="the program imds-webhook")
    arguments.add_argument("--kubectl", default="kubectl", help="the program kubectl")
    compatibility.add_option(arguments)
    arguments.add_argument("--in-namespaces", action="store_true", help=argparse.SUPPRESS)
    arguments = arguments.parse_args()
    if not arguments.in_namespaces:
        as_root = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
        os.execvp("unshare", ["unshare", *as_root, "--net", "--mount", sys.executable, *sys.argv, "--in-namespaces"])
    # Nothing here is reached by way of a proxy.
    for variable in [name for name in os.environ if name.lower().endswith("_proxy")]:
        del os.environ[variable]
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    with contextlib.ExitStack() as stack:
        folder = pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="imds-cluster-")))
        programs = Programs(folder)
        stack.callback(programs.end_all)
        subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
        # In place of the machine's own, in this mount namespace: a Pod's service account is below it.
        subprocess.run(["mount", "-t", "tmpfs", "tmpfs", os.path.realpath("/var/run")], check=True)
        sys.exit(run(arguments, folder, programs))


def run(arguments, folder, programs):
    def make_suite():
        assets = pathlib.Path(os.environ["KUBEBUILDER_ASSETS"]).resolve()
        cluster = Cluster(assets, arguments.kubectl, folder, programs)
        print(f"  kube-apiserver {'.'.join(map(str, cluster.version))}", flush=True)
        cluster.kubectl("create", "--filename=-",
                        document={"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "demo"}})
        cluster.make_accounts("demo", "default", "my-sa")
        cluster.make_accounts("default", "default")
        cluster.make_accounts("kube-system", "my-sa")

        def apply():
            return cluster.try_kubectl("apply", f"--filename={MANIFESTS}")

        # Until it knows its own range of addresses, the API server makes no Service.
        wait_for(f"{MANIFESTS.name} is accepted", lambda: apply().returncode == 0, 30, seen=lambda: apply().stderr)
        webhook_policy.apply(cluster)
        return Tests(cluster, Webhook(cluster, programs, arguments.webhook.resolve(), IMAGE), assets)

    return promise.keep(make_suite, programs, *compatibility.recorder(arguments, "server"))


if __name__ == "__main__":
    main()
