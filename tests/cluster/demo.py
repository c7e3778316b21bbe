"""What every promise about running Pods needs: the cluster, the release, the STS, and namespaces to try things in."""
from clients import versions
from injection import EMULATOR, EXAMPLE_ROLE, INTERCEPTION, check_injected
from promises import check, wait_for

NAMESPACE = "imds-test"
# Namespaces that enforce a Pod Security Standard, by its name.
ENFORCING = {"baseline": "imds-test-baseline", "restricted": "imds-test-restricted"}
# One with quotas, limits and an account as companies have them.
FURNISHED = "imds-test-furnished"
NAMESPACES = (NAMESPACE, *ENFORCING.values(), FURNISHED)
# The role trusts the one and not the other.
ACCOUNT, STRANGER = "my-sa", "stranger"
BOTH_VERSIONS = frozenset(("v1", "v2"))
# By which versions of IMDS a client asks (clients.asking), by its interception.
INTERCEPTIONS = {"redirect": BOTH_VERSIONS, "address": BOTH_VERSIONS, "endpoint": {"v1"}}


class Demo:
    def __init__(self, cluster, release, sts):
        self.cluster, self.release, self.sts = cluster, release, sts
        self.is_native = cluster.is_native
        for name in NAMESPACES:
            self._make_namespace(name)

    def _make_namespace(self, name):
        standard = next((standard for standard, enforcing in ENFORCING.items() if enforcing == name), "privileged")
        labels = {"pod-security.kubernetes.io/enforce": standard, "pod-security.kubernetes.io/warn": "privileged"}
        accounts = [{"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": account, "namespace": name}}
                    for account in (ACCOUNT, STRANGER)]
        for document in ({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}}, *accounts):
            self.cluster.kubectl("create", "--filename=-", document=document)

    def kubectl(self, *words, namespace=NAMESPACE, **more):
        return self.cluster.kubectl(f"--namespace={namespace}", *words, **more)

    def create(self, document, namespace=NAMESPACE, **more):
        return self.kubectl("create", "--filename=-", namespace=namespace, document=document, **more)

    def dry_run(self, document, namespace=NAMESPACE):
        """What the API server makes of a document, which it does not keep: kubectl, whatever became of it."""
        return self.cluster.try_kubectl(f"--namespace={namespace}", "create", "--dry-run=server", "--output=json", "--filename=-", document=document)

    def log(self, pod, container=None, namespace=NAMESPACE):
        return self.cluster.log(pod, namespace, container)

    def wait_log(self, what, pod, holds, namespace=NAMESPACE, seconds=60):
        """Waits until this holds of what a Pod's own container has said; that log."""
        return wait_for(what, lambda: (log := self.log(pod, namespace=namespace)) and holds(log) and log, seconds,
                        seen=lambda: self.cluster.story(pod, namespace))

    def check_has_credentials(self, pod, namespace=NAMESPACE, by=BOTH_VERSIONS, native=None):
        """An injected Pod runs, and its client has had credentials for the Pod's own session, by these versions of IMDS.

        `native` is the form of a Pod that this webhook did not inject.
        """
        document = self.cluster.wait_ready(pod, namespace)
        if document["metadata"]["annotations"].get(INTERCEPTION) != "endpoint":
            check_injected(document, self.is_native if native is None else native)
        log = self.wait_log(f"{pod} has credentials", pod, lambda log: by <= versions(log), namespace)
        session = f"{namespace}.{pod}"
        exchanges = self.sts.exchanges(session)
        check(exchanges and all(one["outcome"] == "issued" and one["role"] == EXAMPLE_ROLE for one in exchanges),
              f"the STS has given the role to {session}: {exchanges}")
        check("failed" not in log, f"whoever starts after the emulator has credentials at once: {log}")
        token = [line for line in self.log(pod, EMULATOR, namespace).splitlines() if "eyJ" in line]
        check(not token, f"no token is in the emulator's log: {token}")
