"""The manifests of deploy/, in the eyes of others: Helm, the API server's schemas, checkov, and our own programs.

    manifests.py HELM KUBECTL CHECKOV

The chart is rendered for a matrix of values (values/*.yaml) and Kubernetes versions, 1.24 to the newest whose schemas are known.
"""
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile

import kubernetes_validate
import yaml

ROOT = pathlib.Path(__file__).parent.parent.parent
CHART = ROOT / "deploy/chart"
CASES = sorted((ROOT / "tests/manifests/values").glob("*.yaml"))
OLDEST = 24
NEWEST = int(kubernetes_validate.latest_version().split(".")[1])
VERSIONS = [f"1.{minor}" for minor in range(OLDEST, NEWEST + 1)]
# Of these groups Kubernetes itself has no schemas.
FOREIGN_GROUPS = {"cert-manager.io", "monitoring.coreos.com"}
# From here on there are policies.
FIRST_WITH_POLICIES = 30
POLICY_API = "admissionregistration.k8s.io/v1/ValidatingAdmissionPolicy"
LABEL = "gkemulticloud.googleapis.com/aws-imds-emulator-enabled"

failures = []


def check(what, *faults):
    """The faults are what is wrong with it: none is well."""
    faults = [fault for fault in faults if fault]
    print(f"  {'✘' if faults else '✔'} {what}" + "".join(f"\n      {fault}" for fault in faults))
    failures.extend(faults)


def run(*command, stdin=None):
    done = subprocess.run(list(map(str, command)), input=stdin, capture_output=True, text=True, cwd=ROOT)
    return done.stdout, "" if done.returncode == 0 else (done.stderr.strip() or done.stdout.strip() or f"exit {done.returncode}")


def main():
    helm, kubectl, checkov = sys.argv[1:]
    check("deploy/render --check", run("deploy/render", "--check")[1])
    for case in CASES:
        check(f"helm lint --strict, {case.stem}", run(helm, "lint", "--strict", CHART, "--values", case)[1])
    check_refusals(helm)
    check_capabilities(helm)
    with tempfile.TemporaryDirectory() as folder:
        rendered = render_all(helm, pathlib.Path(folder))
        check_schemas(pathlib.Path(folder), rendered, kubectl)
        check_chart(rendered)
        check_monitoring(rendered["everything", VERSIONS[-1]])
        check_programs(pathlib.Path(folder), rendered)
        check_policies(pathlib.Path(folder), checkov)
    check_settings()
    check_pages()
    print(f"manifests: {len(failures)} faults")
    sys.exit(bool(failures))


def check_refusals(helm):
    """Misspelt or impossible values have to fail, with a word that says which."""
    for setting, word in {
        "replica=3": "replica",
        "replicas=0": "replicas",
        "settings.regoin=eu-central-1": "regoin",
        "settings.interception=magic": "interception",
        "settings.sessionDuration=60": "sessionDuration",
        "certificates.mode=secret": "certificates.secretName",
        "webhook.failurePolicy=Never": "failurePolicy",
        "image.digest=abc": "digest",
    }.items():
        _, error = run(helm, "template", CHART, "--set", "image.onNodes=true", "--set", setting)
        check(f"refused: {setting}", "" if word in error else f"{word} is not in: {error or 'no error'}")
    # An image that no node can pull, unless told that nodes have it: both images that are named.
    digest = "image.digest=sha256:" + 64 * "0"
    for settings, refused in {
        (): "image.repository is localhost/imds-emulator:dev",
        ("image.tag=v1",): "image.repository is localhost/imds-emulator:v1",
        ("image.repository=localhost/other",): "image.repository is localhost/other:dev",
        ("settings.image=registry.example/imds:1",): "image.repository is localhost/imds-emulator:dev",
        ("image.repository=registry.example/imds", "settings.image=localhost/imds:1"): "settings.image is localhost/imds:1",
        ("image.onNodes=true", "image.pullPolicy=Always"): "the pull policy is Always",
        ("image.onNodes=true",): "",
        ("image.onNodes=true", "settings.image=localhost/imds:1"): "",
        ("image.repository=registry.example/imds",): "",
        ("image.repository=localhost:5000/imds",): "",
        (digest,): "",
    }.items():
        _, error = run(helm, "template", CHART, *(part for setting in settings for part in ("--set", setting)))
        well = refused in error and ("image.onNodes=true" in error or "pull policy" in error) if refused else not error
        check(f"an image of {', '.join(settings) or 'the defaults'} is {'refused' if refused else 'taken'}", "" if well else error or "no error")


def check_capabilities(helm):
    """What Helm knows of the server decides whether the policy is installed."""
    for kinds, wanted in (([], True), (["v1/Pod"], False), (["v1/Pod", POLICY_API], True)):
        words = [word for kind in kinds for word in ("--api-versions", kind)]
        text, error = run(helm, "template", CHART, "--values", CASES[0].with_name("default.yaml"), "--kube-version", "1.31", *words)
        has = "kind: ValidatingAdmissionPolicy\n" in text
        check(f"{'a policy' if wanted else 'no policy'} where the server's kinds are {kinds or 'not known'}", error, "" if has == wanted else "it is not so")


def render_all(helm, folder):
    """{(case, version): objects}, and a file of each in the folder."""
    rendered = {}
    for case in CASES:
        for version in VERSIONS:
            # A provider's version, as EKS and GKE have it: a pre-release by the rules of SemVer.
            server = f"v{version}.3-eks-abc123"
            text, error = run(helm, "template", "imds", CHART, "--namespace", "imds-system", "--values", case, "--kube-version", server)
            if error:
                check(f"helm template, {case.stem}, {version}", error)
            rendered[case.stem, version] = [document for document in yaml.safe_load_all(text) if document]
            ours = [document for document in rendered[case.stem, version] if group(document) not in FOREIGN_GROUPS]
            (folder / f"{case.stem}-{version}.yaml").write_text(yaml.safe_dump_all(ours))
    check(f"helm template, {len(CASES)} cases for {len(VERSIONS)} versions", "" if all(rendered.values()) else "one is empty")
    return rendered


def check_schemas(folder, rendered, kubectl):
    install = ROOT / "deploy/install.yaml"
    text, error = run(kubectl, "kustomize", "deploy/kustomize")
    kustomized = folder / "kustomized.yaml"
    kustomized.write_text(text)
    check("kubectl kustomize deploy/kustomize", error)
    check_policy_files(folder, kubectl)
    by_kind = lambda text: sorted(f"{d['kind']} {d['metadata']['name']}" for d in yaml.safe_load_all(text) if d["kind"] != "ConfigMap")
    same = by_kind(text) == by_kind(install.read_text())
    check("the kustomize base has the objects of install.yaml", "" if same else "they differ")
    check("applying a newer version keeps keys and caBundle", run(sys.executable, "tests/manifests/upgrade.py", kubectl)[1])
    for version in VERSIONS:
        files = [folder / f"{case.stem}-{version}.yaml" for case in CASES]
        said, error = run(sys.executable, "tests/validate.py", install, kustomized, *files, "--version", version)
        check(said.strip().splitlines()[-1] if said.strip() else f"Kubernetes {version}", error)
    # That the schemas do look: a field that the oldest does not know.
    newer = folder / "newer.yaml"
    newer.write_text(yaml.safe_dump_all(d for d in rendered["default", VERSIONS[-1]] if d["kind"] == "MutatingWebhookConfiguration"))
    _, error = run(sys.executable, "tests/validate.py", newer, "--version", VERSIONS[0])
    check("matchConditions are unknown to the oldest", "" if "matchConditions" in error else f"valid: {error}")
    foreign = {d["kind"] for documents in rendered.values() for d in documents if group(d) in FOREIGN_GROUPS}
    print(f"      not validated, for want of a schema: {', '.join(sorted(foreign))}")


def check_policy_files(folder, kubectl):
    """What is for newer servers, in files of its own."""
    policy, kinds = ROOT / "deploy/install-policy.yaml", ["ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding"]
    said = [document["kind"] for document in yaml.safe_load_all(policy.read_text())]
    check("install-policy.yaml is the policy and its binding", "" if said == kinds else f"it is {said}")
    overlay = folder / "overlay"
    overlay.mkdir()
    # kustomize takes no absolute path.
    relative = pathlib.Path(os.path.relpath(ROOT.resolve() / "deploy/kustomize", overlay.resolve()))
    (overlay / "kustomization.yaml").write_text(yaml.safe_dump({
        "apiVersion": "kustomize.config.k8s.io/v1beta1", "kind": "Kustomization",
        "resources": [str(relative)], "components": [str(relative / "policy")]}))
    text, error = run(kubectl, "kustomize", overlay)
    check("an overlay with the component has the policy", error, "" if all(f"\nkind: {kind}\n" in text for kind in kinds) else "it has not")
    for version in (f"1.{minor}" for minor in range(FIRST_WITH_POLICIES, NEWEST + 1)):
        said, error = run(sys.executable, "tests/validate.py", policy, "deploy/policies/pod-security.yaml", "--version", version)
        check(f"policies: {said.strip().splitlines()[-1]}" if said.strip() else f"policies, Kubernetes {version}", error)
    _, error = run(sys.executable, "tests/validate.py", policy, "--version", f"1.{FIRST_WITH_POLICIES - 1}")
    unknown = "validatingadmissionpolicy-admissionregistration-v1.json" in error
    check("an older server has no such API", "" if unknown else f"1.{FIRST_WITH_POLICIES - 1}: {error or 'it is valid'}")


def check_chart(rendered):
    """What no schema knows: that the parts of the chart fit each other."""
    for (case, version), documents in rendered.items():
        objects = {(document["kind"], document["metadata"]["name"]): document for document in documents}
        one = lambda kind: next(document for (found, _), document in objects.items() if found == kind)
        pod = one("Deployment")["spec"]["template"]
        container = pod["spec"]["containers"][0]
        arguments = dict(argument.removeprefix("--").partition("=")[::2] for argument in container["args"])
        selector = one("Deployment")["spec"]["selector"]["matchLabels"].items()
        webhooks = {webhook["clientConfig"]["service"]["path"]: webhook for webhook in one("MutatingWebhookConfiguration")["webhooks"]}
        faults = [
            selector <= pod["metadata"]["labels"].items() or "the Deployment does not select its Pods",
            one("Service")["spec"]["selector"].items() <= pod["metadata"]["labels"].items() or "the Service does not select the Pods",
            pod["spec"]["terminationGracePeriodSeconds"] > int(arguments["grace-period"]) or "killed within its own grace period",
            LABEL not in pod["metadata"]["labels"] or "the webhook would inject itself",
            webhooks["/mutate"]["objectSelector"]["matchExpressions"] == [{"key": LABEL, "operator": "In", "values": ["True"]}]
            or "/mutate does not get exactly the Pods with the label",
            all("imds-system" in webhook["namespaceSelector"]["matchExpressions"][0]["values"] for webhook in webhooks.values())
            or "its own namespace is not left out",
        ]
        for webhook in webhooks.values():
            service = webhook["clientConfig"]["service"]
            faults.append(("Service", service["name"]) in objects or f"no Service {service['name']}")
            faults.append(("caBundle" in webhook["clientConfig"]) == (case == "secret") or "caBundle is the chart's in mode secret alone")
        mounts = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
        sources = {volume["name"]: volume for volume in pod["spec"]["volumes"]}
        reached = [d["spec"] for d in documents if d["kind"] == "NetworkPolicy"]
        open_to = lambda port: [rule.get("from") for rule in reached[0]["ingress"] if port in [p["port"] for p in rule["ports"]]]
        limited = case == "everything"
        faults += [
            ("client-ca" in arguments) == limited or "a client certificate is required where no CA is named, or not where one is",
            not limited
            or arguments["client-ca"] == mounts["client-ca"] + "/" + sources["client-ca"]["secret"]["items"][0]["path"]
            and sources["client-ca"]["secret"]["secretName"] == "api-server-client-ca"
            or "--client-ca names another file than the Secret's",
            not reached or open_to("admin") == [None] or "health and metrics are not open to all",
            not reached
            or open_to("reviews") == [[{"ipBlock": {"cidr": cidr}} for cidr in ("10.0.0.0/28", "fd00::/64")] if limited else None]
            or "reviews are accepted from elsewhere than networkPolicy.reviewCIDRs says",
        ]
        if "self-managed-certs" in arguments:
            secret = objects.get(("Secret", arguments["secret"]), {})
            rules = one("Role")["rules"] + one("ClusterRole")["rules"]
            faults += [
                secret.get("kind") == "Secret" or "the Secret is not there",
                not secret.keys() & {"data", "stringData"} or "an upgrade would overwrite the Secret",
                [rule["resourceNames"] for rule in rules] == [[arguments["secret"]], [arguments["webhook-configuration"]]]
                or "RBAC names other objects than the webhook uses",
                [rule["verbs"] for rule in rules] == [["get", "update"], ["get", "patch"]] or "RBAC allows something else",
                arguments["service"] == one("Service")["metadata"]["name"] or "--service names another Service",
            ]
        else:
            faults.append(not {"Role", "ClusterRole", "Secret"} & {kind for kind, _ in objects} or "needs no RBAC and no Secret of its own")
        policies = [d for d in documents if d["kind"].startswith("ValidatingAdmissionPolicy")]
        wanted = "self-managed-certs" in arguments and int(version.split(".")[1]) >= FIRST_WITH_POLICIES
        faults.append(bool(policies) == wanted or "the policy is there for the wrong servers or certificates")
        if policies:
            policy, binding = (next(d["spec"] for d in policies if has in d["spec"]) for has in ("validations", "policyName"))
            account = f"system:serviceaccount:imds-system:{pod['spec']['serviceAccountName']}"
            faults += [
                [condition["expression"] for condition in policy["matchConditions"]] == [f"request.userInfo.username == '{account}'"]
                or "the policy is about another account than the Deployment's",
                binding == {"policyName": policies[0]["metadata"]["name"], "validationActions": ["Deny"]} or "the policy is not in force",
                policy["failurePolicy"] == "Fail" or "an error in the policy lets everything through",
            ]
        if lint := webhooks.get("/lint"):
            faults.append(lint["failurePolicy"] == "Ignore" or "a warning stops Pods")
            faults.append(("matchConditions" in lint) == (int(version.split(".")[1]) >= 28) or "matchConditions for the wrong servers")
        faults = [fault for fault in faults if fault is not True]
        if faults:
            check(f"the parts fit, {case}, {version}", *faults)
    check("the parts of the chart fit each other")


def check_monitoring(documents):
    """The alert rules and the dashboard come out of Helm as they are."""
    rules = next(document["spec"] for document in documents if document["kind"] == "PrometheusRule")
    dashboard = next(d["data"]["imds-emulator.json"] for d in documents if "imds-emulator.json" in d.get("data", {}))
    folder = CHART / "monitoring"
    check("the PrometheusRule has the rules of alerts.yaml", "" if rules == yaml.safe_load((folder / "alerts.yaml").read_text()) else "they differ")
    check("the ConfigMap has dashboard.json", "" if dashboard.strip() == (folder / "dashboard.json").read_text().strip() else "it differs")


def check_programs(folder, rendered):
    """The webhook's own programs take what the chart hands them."""
    flags, error = run("target/debug/imds-webhook", "--help")
    check("imds-webhook --help", error)
    for case in CASES:
        documents = rendered[case.stem, VERSIONS[-1]]
        settings = folder / "settings.yaml"
        settings.write_text(next(d["data"][settings.name] for d in documents if settings.name in d.get("data", {})))
        _, error = run("target/debug/kubectl-imds", "inject", "--settings", settings, "--filename", ROOT / "examples/pod.yaml")
        container = next(d for d in documents if d["kind"] == "Deployment")["spec"]["template"]["spec"]["containers"][0]
        unknown = [argument for argument in container["args"] if not re.search(rf"{re.escape(argument.split('=')[0])}\b", flags)]
        check(f"settings and flags are understood, {case.stem}", error, *(f"unknown: {argument}" for argument in unknown))
        test = next((d for d in documents if d["kind"] == "Pod"), None)
        if test:
            said, error = run("target/debug/kubectl-imds", "inject", "--settings", settings, "--filename", "-", stdin=yaml.safe_dump(test))
            injected = "aws-imds-emulator" in said
            check(f"the Pod of helm test is injected, {case.stem}", error, "" if injected else "it is not")


def check_settings():
    """The schema's keys of `settings` are those of the webhook, and the comment in values.yaml names each."""
    source = (ROOT / "crates/inject/src/settings.rs").read_text()
    struct = source[source.index("pub struct Settings {") :]
    fields = re.findall(r"^    pub (\w+):", struct[: struct.index("\n}\n")], re.MULTILINE)
    keys = {re.sub(r"_(\w)", lambda match: match[1].upper(), field) for field in fields}
    schema = json.loads((CHART / "values.schema.json").read_text())["properties"]
    check("the schema's settings are the webhook's", ", ".join(keys ^ schema["settings"]["properties"].keys()))
    text = (CHART / "values.yaml").read_text()
    check("values.yaml names every setting", ", ".join(key for key in keys if f"`{key}`" not in text))
    values = yaml.safe_load(text)
    check("the schema's values are those of values.yaml", ", ".join(schema.keys() - {"global"} ^ values.keys()))


# What troubleshooting.md quotes of others: Kubernetes, AWS.
FOREIGN_WORDS = {
    "NET_ADMIN", "context deadline exceeded", "create", "failed calling webhook \"inject.imds-emulator.internal\"",
    "Startup probe failed", "kubectl-imds inject", "no endpoints available for service", "read", "update", "violates PodSecurity", "waiting to start: PodInitializing",
    "x509: certificate signed by unknown authority", "Unable to retrieve AWS region", "KeyError: 'instanceType'", "failed quota",
}


def check_pages():
    """Blocks in the pages are YAML, JSON or shell; what troubleshooting.md quotes of our programs is in their source."""
    faults = []
    for page in [*(ROOT / "docs").glob("*.md"), CHART / "README.md"]:
        for language, block in re.findall(r"^```(\w+)\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL):
            try:
                if language == "yaml":
                    list(yaml.safe_load_all(block))
                elif language == "json":
                    json.loads(block)
                elif language == "sh" and (error := run("bash", "-n", stdin=block)[1]):
                    raise ValueError(error)
            except (ValueError, yaml.YAMLError) as error:
                faults.append(f"{page.name}: {error}")
    sources = "".join(path.read_text() for path in (ROOT / "crates").glob("*/src/**/*.rs"))
    sources = re.sub(r"\\\n\s*", "", sources)
    quoted, header = set(), ""
    for line, following in zip(lines := (ROOT / "docs/troubleshooting.md").read_text().splitlines(), [*lines[1:], ""]):
        header = line if following.startswith("|---") else header
        first = line.split("|")[1] if line.startswith("| ") else ""
        if header.startswith(("| message", "| reason")) or first.startswith(" a warning"):
            quoted.update(re.findall(r"`([^`]+)`", first))
    wrong = [words for words in quoted - FOREIGN_WORDS if any(part.strip() not in sources for part in words.split("…"))]
    faults += [f"troubleshooting.md quotes what no program says: {words}" for words in wrong]
    check(f"the pages' blocks are well-formed, {len(quoted)} messages are the programs'", *faults, "" if len(quoted) > 25 else "few messages found")


def check_policies(folder, checkov):
    waivers = {}
    for line in (ROOT / "tests/manifests/waivers.txt").read_text().splitlines():
        if line and not line.startswith("#"):
            identity, target, reason = line.split(maxsplit=2)
            waivers[identity, target] = reason
    files = [folder / f"{case}-{VERSIONS[-1]}.yaml" for case in ("default", "everything", "secret")] + [ROOT / "deploy/install.yaml"]
    command = [checkov, "--framework", "kubernetes", "--skip-download", "--quiet", "--compact", "--soft-fail", "--output", "json"]
    said, error = run(*command, *(part for file in files for part in ("--file", file)))
    if error:
        return check("checkov", error)
    report = json.loads(said)
    used, faults = set(), []
    for failed in report["results"]["failed_checks"]:
        kind, _, name = failed["resource"].split(".", 2)
        key = failed["check_id"], f"{kind}/{name}"
        used.add(key)
        if key not in waivers:
            faults.append(f"{failed['check_id']} {kind}/{name}: {failed['check_name']} ({pathlib.Path(failed['file_path']).name})")
    faults += [f"{identity} {target}: waived, but does not fail" for identity, target in waivers.keys() - used]
    passed = report["summary"]["passed"]
    if passed < 100 or report["summary"]["parsing_errors"]:
        faults.append(f"only {passed} checks passed: too little was looked at")
    check(f"checkov: {passed} checks passed, {len(used)} waived", *sorted(set(faults)))


def group(document):
    return document["apiVersion"].rpartition("/")[0]


main()
