"""The words of the contract that the promises are about, and what an injected Pod looks like."""
from promises import check

LABEL = "gkemulticloud.googleapis.com/aws-imds-emulator-enabled"
PREFIX = LABEL.removesuffix("enabled")
ROLE = f"{PREFIX}role-arn"
STATUS = f"{PREFIX}status"
INTERCEPTION = f"{PREFIX}interception"
START = f"{PREFIX}start"
EXAMPLE_ROLE = "arn:aws:iam::123456789012:role/my-example-role"
REDIRECT, EMULATOR, VOLUME = "aws-imds-emulator-redirect", "aws-imds-emulator", "aws-imds-emulator-token"


def check_injected(document, native):
    """Ours are first, once, and in the form for this server."""
    spec = document["spec"]
    first = [container["name"] for container in spec.get("initContainers", [])][: 2 if native else 1]
    check(first == [REDIRECT, EMULATOR][: len(first)] and first, f"the redirect is first: {first}")
    if native:
        check(len(first) == 2 and spec["initContainers"][1].get("restartPolicy") == "Always", "a native sidecar")
    else:
        check(spec["containers"][0]["name"] == EMULATOR, "the emulator is the first container")
    names = [part["name"] for key in ("initContainers", "containers", "volumes") for part in spec.get(key, [])]
    for name in (REDIRECT, EMULATOR, VOLUME):
        check(names.count(name) == 1, f"{name} is there once: {names}")
    check(STATUS in document["metadata"]["annotations"], "the status annotation")
