"""The policies of deploy/policies/pod-security.yaml in the form of another policy engine, on stdout.

    engine_policies.py kyverno       ValidatingPolicy
    engine_policies.py gatekeeper    ConstraintTemplate and constraint

Both engines take the same CEL, so the expressions are taken over as they are.
"""
import pathlib
import sys

import yaml

SOURCE = pathlib.Path(__file__).parent / "policies/pod-security.yaml"
HEADERS = {
    "kyverno": "For Kyverno 1.17 and later.",
    "gatekeeper": "For Gatekeeper 3.18 and later. Its webhook has to be asked about pods/ephemeralcontainers, and to have failurePolicy Fail.",
}


def kyverno(policy, namespaces):
    spec = policy["spec"]
    return [{
        "apiVersion": "policies.kyverno.io/v1", "kind": "ValidatingPolicy", "metadata": policy["metadata"],
        "spec": {
            "validationActions": ["Deny"],
            "failurePolicy": spec["failurePolicy"],
            # The expressions are about Pods, not about what makes Pods.
            "autogen": {"podControllers": {"controllers": []}},
            "matchConstraints": {**spec["matchConstraints"], "namespaceSelector": namespaces},
            **{key: spec[key] for key in ("matchConditions", "variables", "validations")},
        },
    }]


def gatekeeper(policy, namespaces):
    spec, name = policy["spec"], policy["metadata"]["name"]
    kind = "".join(word.capitalize() for word in name.split("-"))
    return [
        {
            "apiVersion": "templates.gatekeeper.sh/v1", "kind": "ConstraintTemplate", "metadata": {"name": kind.lower()},
            "spec": {
                "crd": {"spec": {"names": {"kind": kind}}},
                "targets": [{"target": "admission.k8s.gatekeeper.sh", "code": [{
                    "engine": "K8sNativeValidation",
                    "source": {key: spec[key] for key in ("failurePolicy", "matchConditions", "variables", "validations")},
                }]}],
            },
        },
        {
            "apiVersion": "constraints.gatekeeper.sh/v1beta1", "kind": kind, "metadata": {"name": name},
            "spec": {"enforcementAction": "deny",
                     "match": {"kinds": [{"apiGroups": [""], "kinds": ["Pod"]}], "namespaceSelector": namespaces}},
        },
    ]


def main():
    engine = sys.argv[1]
    documents = list(yaml.safe_load_all(SOURCE.read_text()))
    bindings = {document["spec"]["policyName"]: document for document in documents if "policyName" in document["spec"]}
    made = []
    for policy in (document for document in documents if "validations" in document["spec"]):
        namespaces = bindings[policy["metadata"]["name"]]["spec"]["matchResources"]["namespaceSelector"]
        made += {"kyverno": kyverno, "gatekeeper": gatekeeper}[engine](policy, namespaces)
    print(f"# Made by deploy/render from deploy/policies/pod-security.yaml, which explains it. {HEADERS[engine]}")
    print("# It follows the documentation of that engine and was not run in it. Replace the image in the variable `images` with yours.")
    print(yaml.dump_all(made, Dumper=Plain, sort_keys=False, width=130), end="")


class Plain(yaml.SafeDumper):
    def ignore_aliases(self, data):
        return True


main()
