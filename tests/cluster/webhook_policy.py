"""Promises of deploy/install-policy.yaml: the webhook's own account changes caBundle in its configuration and data in its Secret, and
nothing else.

Everything is tried as that account, with a token of its own and as a dry run. Each change is tried as the administrator too: what is
denied has to be a change that the API server would make.
"""
import json

import yaml

from control_plane import repository
from installed import NAME, NAMESPACE, SECRET
from kubernetes import Kubernetes
from promises import check, wait_for

MANIFEST = repository() / "deploy/install-policy.yaml"
CONFIGURATION = "mutatingwebhookconfiguration"
DENIED = f"ValidatingAdmissionPolicy '{NAME}' with binding '{NAME}' denied request: the webhook's account may change caBundle and its Secret's data alone"

FIRST = "/webhooks/0"
RULE = f"{FIRST}/rules/0"
CLIENT = f"{FIRST}/clientConfig"
CONDITION = {"name": "all", "expression": "true"}
OWNER = {"apiVersion": "v1", "kind": "Namespace", "name": "absent", "uid": "6e70fa7a-79df-4654-abc9-53df62dafe4a"}


def put(path, value):
    """A JSON patch. `add` replaces where there is a value."""
    return [{"op": "add", "path": path, "value": value}]


def remove(path):
    return [{"op": "remove", "path": path}]


# What is changed, in the words of the API's schema, and how.
CHANGES = [
    ("ObjectMeta.labels", put("/metadata/labels/added", "x")),
    ("ObjectMeta.labels", remove("/metadata/labels/app.kubernetes.io~1name")),
    ("ObjectMeta.labels", remove("/metadata/labels")),
    ("ObjectMeta.annotations", put("/metadata/annotations", {"cert-manager.io/inject-ca-from": "other/secret"})),
    ("ObjectMeta.finalizers", put("/metadata/finalizers", ["example.com/stays"])),
    ("ObjectMeta.ownerReferences", put("/metadata/ownerReferences", [OWNER])),
    ("ObjectMeta.generateName", put("/metadata/generateName", "x-")),
    ("MutatingWebhookConfiguration.webhooks", remove(FIRST)),
    ("MutatingWebhookConfiguration.webhooks", remove("/webhooks/1")),
    ("MutatingWebhookConfiguration.webhooks", [{"op": "move", "from": FIRST, "path": "/webhooks/1"}]),
    ("MutatingWebhookConfiguration.webhooks",
     [{"op": "copy", "from": FIRST, "path": "/webhooks/-"}, *put("/webhooks/2/name", "another.imds-emulator.internal")]),
    ("MutatingWebhook.name", put(f"{FIRST}/name", "another.imds-emulator.internal")),
    ("MutatingWebhook.admissionReviewVersions", put(f"{FIRST}/admissionReviewVersions", ["v1", "v1beta1"])),
    ("MutatingWebhook.clientConfig", put(CLIENT, {"url": "https://attacker.example/"})),
    ("MutatingWebhook.failurePolicy", put(f"{FIRST}/failurePolicy", "Ignore")),
    ("MutatingWebhook.matchConditions", put(f"{FIRST}/matchConditions", [CONDITION])),
    ("MutatingWebhook.matchPolicy", put(f"{FIRST}/matchPolicy", "Exact")),
    ("MutatingWebhook.namespaceSelector", put(f"{FIRST}/namespaceSelector", {})),
    ("MutatingWebhook.objectSelector", put(f"{FIRST}/objectSelector", {})),
    ("MutatingWebhook.reinvocationPolicy", put(f"{FIRST}/reinvocationPolicy", "Never")),
    ("MutatingWebhook.rules", put(f"{FIRST}/rules/-", {"apiGroups": ["*"], "apiVersions": ["*"], "operations": ["*"], "resources": ["*/*"]})),
    ("MutatingWebhook.rules", remove(RULE)),
    ("MutatingWebhook.sideEffects", put(f"{FIRST}/sideEffects", "NoneOnDryRun")),
    ("MutatingWebhook.timeoutSeconds", put(f"{FIRST}/timeoutSeconds", 30)),
    # Not of the first webhook alone.
    ("MutatingWebhook.failurePolicy", put("/webhooks/1/failurePolicy", "Fail")),
    ("WebhookClientConfig.url", [*remove(f"{CLIENT}/service"), *put(f"{CLIENT}/url", "https://attacker.example/")]),
    ("WebhookClientConfig.service", [*remove(f"{CLIENT}/service"), *put(f"{CLIENT}/url", "https://attacker.example/")]),
    ("ServiceReference.name", put(f"{CLIENT}/service/name", "another")),
    ("ServiceReference.namespace", put(f"{CLIENT}/service/namespace", "default")),
    ("ServiceReference.path", put(f"{CLIENT}/service/path", "/another")),
    ("ServiceReference.port", put(f"{CLIENT}/service/port", 8443)),
    ("RuleWithOperations.apiGroups", put(f"{RULE}/apiGroups", ["*"])),
    ("RuleWithOperations.apiVersions", put(f"{RULE}/apiVersions", ["*"])),
    ("RuleWithOperations.operations", put(f"{RULE}/operations", ["*"])),
    ("RuleWithOperations.resources", put(f"{RULE}/resources", ["*/*"])),
    ("RuleWithOperations.scope", put(f"{RULE}/scope", "*")),
    # Beside a change that is allowed.
    ("WebhookClientConfig.caBundle and MutatingWebhook.failurePolicy",
     [*put(f"{CLIENT}/caBundle", "Cg=="), *put(f"{FIRST}/failurePolicy", "Ignore")]),
]
# What no client can change, and the two that are the API server's own.
LEFT_OUT = {
    "MutatingWebhookConfiguration.apiVersion", "MutatingWebhookConfiguration.kind", "MutatingWebhookConfiguration.metadata",
    "ObjectMeta.name", "ObjectMeta.namespace", "ObjectMeta.uid", "ObjectMeta.selfLink", "ObjectMeta.creationTimestamp",
    "ObjectMeta.deletionTimestamp", "ObjectMeta.deletionGracePeriodSeconds", "ObjectMeta.resourceVersion", "ObjectMeta.generation",
    "ObjectMeta.managedFields", "WebhookClientConfig.caBundle",
}
ALLOWED = {
    "caBundle of one webhook": put(f"{CLIENT}/caBundle", "Cg=="),
    "caBundle of both": [*put(f"{CLIENT}/caBundle", "Cg=="), *put("/webhooks/1/clientConfig/caBundle", "Cg==")],
    "no caBundle": remove(f"{CLIENT}/caBundle"),
}
# The same of the Secret: values that are merged into it.
SECRET_CHANGES = {
    "labels": {"metadata": {"labels": {"added": "x"}}},
    "annotations": {"metadata": {"annotations": {"example.com/copy-to": "default"}}},
    "finalizers": {"metadata": {"finalizers": ["example.com/stays"]}},
    "ownerReferences": {"metadata": {"ownerReferences": [OWNER]}},
    # The webhook could never renew its certificates again.
    "immutable": {"immutable": True},
}


def apply(cluster):
    """Where the server has the API."""
    if cluster.has_policies:
        cluster.kubectl("apply", f"--filename={MANIFEST}")


def account(cluster):
    """The cluster as the webhook's account sees it."""
    token = cluster.kubectl("create", "token", NAME, f"--namespace={NAMESPACE}").stdout.strip()
    return Kubernetes(cluster.kubectl_program, cluster.make_kubeconfig(NAME, token, cluster.folder), cluster.folder)


def patch(cluster, change, how="json"):
    return cluster.try_kubectl("patch", CONFIGURATION, NAME, f"--type={how}", f"--patch={json.dumps(change)}", "--dry-run=server",
                               "--output=json")


def wait_until_enforced(cluster, webhook):
    wait_for("the policy is enforced", lambda: DENIED in patch(webhook, put(f"{FIRST}/timeoutSeconds", 30)).stderr, 30,
             seen=lambda: patch(webhook, put(f"{FIRST}/timeoutSeconds", 30)).stderr)


def its_account_changes_nothing_but_ca_bundle(suite):
    cluster, webhook = suite.cluster, account(suite.cluster)
    wait_until_enforced(cluster, webhook)
    before = comparable(cluster.get(CONFIGURATION, NAME))
    for what, change in CHANGES:
        by_administrator = patch(cluster, change)
        check(by_administrator.returncode == 0, f"{what}: the administrator may change it: {by_administrator.stderr}")
        after = json.loads(by_administrator.stdout)
        check(comparable(after) != before, f"{what}: this changes something: {change}")
        tried = patch(webhook, change)
        check(tried.returncode != 0 and DENIED in tried.stderr, f"{what}: {change} is denied to the webhook: {tried.stdout}{tried.stderr}")
    # The two other forms of a patch come to the same.
    for how in ("merge", "strategic"):
        tried = patch(webhook, {"metadata": {"finalizers": ["example.com/stays"]}}, how)
        check(DENIED in tried.stderr, f"a {how} patch: {tried.stdout}{tried.stderr}")
    for what, change in ALLOWED.items():
        tried = patch(webhook, change)
        check(tried.returncode == 0, f"{what}: {tried.stderr}")
        check(comparable(json.loads(tried.stdout)) != before, f"{what}: this changes something")


def its_account_changes_nothing_but_the_data_of_its_secret(suite):
    cluster, webhook = suite.cluster, account(suite.cluster)
    wait_until_enforced(cluster, webhook)
    for what, change in SECRET_CHANGES.items():
        check(replace_secret(cluster, change).returncode == 0, f"{what}: the administrator may change it")
        tried = replace_secret(webhook, change)
        check(tried.returncode != 0 and DENIED in tried.stderr, f"{what} is denied to the webhook: {tried.stdout}{tried.stderr}")
    for change in ({"data": {"another": "Cg=="}}, {"data": None}):
        tried = replace_secret(webhook, change)
        check(tried.returncode == 0, f"{change}: {tried.stderr}")


def replace_secret(cluster, change):
    secret = json.loads(cluster.kubectl("get", "secret", SECRET, f"--namespace={NAMESPACE}", "--output=json").stdout)
    for key, value in change.items():
        secret[key] = {**secret.get(key, {}), **value} if isinstance(value, dict) else value
    # Raw: kubectl itself would change an annotation.
    path = f"/api/v1/namespaces/{NAMESPACE}/secrets/{SECRET}?dryRun=All"
    return cluster.try_kubectl("replace", f"--raw={path}", "--filename=-", document=secret)


def every_field_that_the_server_knows_is_tried(suite):
    """A newer server with a further field fails this test: it has to be decided what becomes of it."""
    schemas = json.loads(suite.cluster.kubectl("get", "--raw", "/openapi/v3/apis/admissionregistration.k8s.io/v1").stdout)["components"]["schemas"]
    kinds = {name.rpartition(".")[2]: schema for name, schema in schemas.items()}
    tried = {what for what, _ in CHANGES}
    for kind in ("MutatingWebhookConfiguration", "ObjectMeta", "MutatingWebhook", "WebhookClientConfig", "ServiceReference", "RuleWithOperations"):
        missing = {f"{kind}.{field}" for field in kinds[kind]["properties"]} - tried - LEFT_OUT
        check(not missing, f"fields that no change here is about: {missing}")


def its_account_cannot_change_the_policy(suite):
    for resource in ("validatingadmissionpolicies", "validatingadmissionpolicybindings"):
        for verb in ("get", "create", "update", "patch", "delete"):
            may = suite.cluster.may(NAME, NAMESPACE, verb, f"{resource}.admissionregistration.k8s.io", NAME)
            check(not may, f"may not {verb} {resource}")
    for document in yaml.safe_load_all(MANIFEST.read_text()):
        check(document["metadata"]["name"] == NAME, f"the names that were tried are those of {MANIFEST.name}")


def can_check_types(suite):
    return suite.cluster.has_policies and (suite.assets / "kube-controller-manager").exists()


def expressions_fit_the_schemas(suite):
    """Of every policy: a controller checks the types of its expressions, and warns in the policy's status."""
    manager = suite.webhook.programs.start(
        "kube-controller-manager", suite.assets / "kube-controller-manager", f"--kubeconfig={suite.cluster.kubeconfig}",
        "--controllers=validatingadmissionpolicy-status-controller", "--leader-elect=false", "--bind-address=127.0.0.1")

    def checked():
        policies = json.loads(suite.cluster.kubectl("get", "validatingadmissionpolicies", "--output=json").stdout)["items"]
        known = all(policy.get("status", {}).get("observedGeneration") == policy["metadata"]["generation"] for policy in policies)
        return policies if known else None

    policies = wait_for("the policies' types are checked", checked, 60, alive=manager)
    check({policy["metadata"]["name"] for policy in policies} >= {NAME, "imds-pod-security-baseline", "imds-pod-security-restricted"}, "all are there")
    for policy in policies:
        warnings = policy["status"].get("typeChecking", {}).get("expressionWarnings", [])
        check(not warnings, f"{policy['metadata']['name']}: {json.dumps(warnings, indent=1)}")
    suite.webhook.programs.end(manager)


def comparable(configuration):
    """Without what changes with every write."""
    metadata = {key: value for key, value in configuration["metadata"].items() if key not in ("managedFields", "resourceVersion", "generation")}
    return {**configuration, "metadata": metadata}
