"""Promises of deploy/policies/pod-security.yaml: what the Pod Security Standards forbid stays forbidden, but for the one init container
that the webhook injects.

Pod Security Admission itself is the oracle. Beside each namespace that the policy holds to a standard there is one that Pod Security
Admission holds to it, and a Pod without our container is admitted to both or to neither. Every Pod is created as a dry run.
"""
import json
import ssl
import urllib.error
import urllib.request

import yaml

from control_plane import ADMIN_TOKEN, repository
from injection import EXAMPLE_ROLE, INTERCEPTION, LABEL, REDIRECT, ROLE
from pod_security_cases import ADMITTED, BASELINE, FORGED, RESTRICTED, SINCE, STANDARDS, at, changed, container, in_redirect, in_spec, plain, together
from promises import check, wait_for

MANIFEST = repository() / "deploy/policies/pod-security.yaml"
PLACEHOLDER = "registry.example/imds-emulator@sha256:" + 64 * "0"
ENFORCE = "pod-security.imds-emulator.internal/enforce"
# From here on Pod Security Admission knows all that the policy does.
VERSION_OF_STANDARD = (1, 37)
TWO = ("redirect", "address")


def held_by_policy(standard):
    return f"policy-{standard}"


def held_by_admission(standard):
    return f"admission-{standard}"


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


def check_agreement(server, pod, what, expected, oracle):
    """`expected` are the standards that admit it. Pod Security Admission knows what it knows, so `oracle` may be false."""
    for standard in STANDARDS:
        admitted, why = server.create(pod, held_by_policy(standard))
        check((admitted is not None) == (standard in expected), f"{what}, {standard}: {'admitted' if admitted else why}: {json.dumps(pod['spec'])}")
        check(admitted or "imds-pod-security-" in why, f"{what}, {standard}: it is the policy that refuses it: {why}")
        if oracle:
            admitted, why = server.create(pod, held_by_admission(standard))
            check((admitted is not None) == (standard in expected), f"{what}, {standard}: Pod Security Admission says otherwise: {why}")


def known(table, version):
    """The cases that this server can tell apart."""
    return [(what, case) for what, case in table.items() if version >= SINCE.get(what, version)]


def policy_and_pod_security_admission_agree(suite):
    server, oracle = suite.pods_api, suite.cluster.version >= VERSION_OF_STANDARD
    for table, expected in ((BASELINE, ()), (RESTRICTED, ("baseline",)), (ADMITTED, STANDARDS)):
        for what, changes in known(table, suite.cluster.version):
            for number, change in enumerate(changes):
                check_agreement(server, changed(plain(), change), f"{what} {number}", expected, oracle)


def fixtures(suite):
    """The Pods that Pod Security Admission itself is tested with, by standard; none where this version's are not there, or are held to
    standards that the policy is not written from.
    """
    folder = suite.assets / "pod-security"
    there = suite.cluster.version >= VERSION_OF_STANDARD and folder.is_dir()
    return {standard: folder / standard for standard in STANDARDS} if there else {}


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
        for what, change in known(FORGED, suite.cluster.version):
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


def a_misspelt_standard_counts_as_restricted(suite):
    namespace = held_by_policy("misspelt")
    suite.cluster.kubectl("create", "--filename=-", document={"apiVersion": "v1", "kind": "Namespace",
                                                              "metadata": {"name": namespace, "labels": {ENFORCE: "Restricted"}}})
    suite.cluster.make_accounts(namespace, "default")
    for what, changes in known(RESTRICTED, suite.cluster.version):
        admitted, why = suite.pods_api.create(changed(plain(), changes[0]), namespace)
        check(admitted is None and "imds-pod-security-restricted" in why, f"{what}: {why or 'admitted'}")
    check(suite.pods_api.create(plain(), namespace)[0], "a plain Pod is admitted")


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
