"""The injected containers as real containers: the image that deploy/image/build makes, Pods that kubectl-imds injected, podman and runc.

    tests/pods/run.py IMAGE-ARCHIVE PROGRAMS

Runs in network, mount and process namespaces of its own (tests/pods.sh makes them), so "the host" here is such a namespace and nothing
outlives the run. The order in which containers start, and whatever else kubelet does and podman does not: kubelet.py.
"""
import contextlib
import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import time

sys.dont_write_bytecode = True
import kubelet
import outside
from node import IMDS, NODE_ROLE, Node
from podman import wait_until

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
CREDENTIALS = "/latest/meta-data/iam/security-credentials/my-example-role"
EMULATOR, REDIRECT = "aws-imds-emulator", "aws-imds-emulator-redirect"
ADMIN_PORT = 1339


passed, failed = 0, 0


def check(promise, holds, seen=""):
    global passed, failed
    if holds:
        passed += 1
        print(f"  ✔ {promise}", flush=True)
    else:
        failed += 1
        print(f"  ✘ {promise}\n{str(seen)[-1500:]}", flush=True)


def documents(log):
    """The credentials that a client has told of, as (version, uid, document)."""
    return [(version, int(uid), json.loads(text)) for version, uid, text in re.findall(r"^(v\d) uid=(\d+) (\{.*\})$", log, re.MULTILINE)]


def got_credentials(log, uid):
    return {version for version, of, document in documents(log) if of == uid and document["Code"] == "Success"} == {"v1", "v2"}


def gets_credentials(pod, name):
    """A client in the container by v1 and by v2, now."""
    done = [pod.exec(name, "/imds", version) for version in ("v1", "v2")]
    return all(documents(one.stdout) for one in done), "".join(one.stdout + one.stderr for one in done)


def the_seed(node):
    """The manifest of GKE on AWS's page, with our client in nginx's place."""
    manifest = (ROOT / "examples" / "pod.yaml").read_text()
    assert manifest.count("image: nginx") == 1
    with node.injected(manifest.replace("image: nginx", "image: localhost/imds-client:test"), "native") as (pod, injected):
        wait_until("the seed's credentials", lambda: got_credentials(pod.log("nginx"), 0), seen=lambda: pod.log("nginx")[-600:] + pod.log(EMULATOR))
        check("seed: the app, as uid 0, has credentials by IMDSv1 and IMDSv2", True)
        check("seed: from its first request on", "failed" not in pod.log("nginx"), pod.log("nginx")[:600])
        emulator = kubelet.container_of(injected, EMULATOR)
        check("seed: the hook succeeds", kubelet.is_well(pod, EMULATOR, emulator["lifecycle"]["postStart"]), pod.log(EMULATOR))
        check("seed: kubelet has no probe, least of all one that strangers could starve", not {"startupProbe", "livenessProbe", "readinessProbe"} & emulator.keys(), emulator)
        redirect_is_confined(pod)
        emulator_is_confined(pod)
        token_is_the_emulators_own(node, pod)
        nothing_leaves(node, pod)
        nobody_outside_gets_an_answer(node, pod, "redirect")
        recovers(pod, emulator)


def redirect_is_confined(pod):
    process = pod.bundle(REDIRECT)["process"]
    capabilities = {capability for names in process["capabilities"].values() for capability in names}
    check("redirect: has done its work", "put in place and verified" in pod.log(REDIRECT), pod.log(REDIRECT))
    check("redirect: not root", process["user"]["uid"] == 65534, process["user"])
    check("redirect: NET_ADMIN and nothing else", capabilities == {"CAP_NET_ADMIN"}, capabilities)
    check("redirect: no new privileges", process["noNewPrivileges"] is True)
    check("redirect: read-only root", pod.bundle(REDIRECT)["root"]["readonly"] is True)
    check("redirect: seccomp", "seccomp" in pod.bundle(REDIRECT)["linux"])
    check("redirect: has ended well", pod.podman.inspect(pod.container(REDIRECT))["State"]["ExitCode"] == 0)


def emulator_is_confined(pod):
    status = pod.status(EMULATOR)
    capabilities = {name: int(status[name], 16) for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")}
    check("emulator: no capability, not even to gain", not any(capabilities.values()), capabilities)
    check("emulator: uid and gid 1338", {*status["Uid"].split(), *status["Gid"].split()} == {"1338"}, status)
    check("emulator: no new privileges", status["NoNewPrivs"] == "1")
    check("emulator: seccomp filter", status["Seccomp"] == "2", status["Seccomp"])
    mounts = [line.split() for line in pathlib.Path(f"/proc/{pod.pid(EMULATOR)}/mounts").read_text().splitlines()]
    options = [mount[3].split(",") for mount in mounts if mount[1] == "/"]
    check("emulator: read-only root", options and "ro" in options[-1], options)


def token_is_the_emulators_own(node, pod):
    mounting = [name for name in ("nginx", EMULATOR, REDIRECT) if any("secrets/aws-imds" in mount["destination"] for mount in pod.bundle(name)["mounts"])]
    check("token: mounted by the emulator alone", mounting == [EMULATOR], mounting)
    token = (node.token_folder / "token").read_text()
    look = "busybox cat /var/run/secrets/aws-imds-emulator/token /proc/*/root/var/run/secrets/aws-imds-emulator/token"
    seen = pod.exec("nginx", "/bin/busybox", "sh", "-c", look)
    check("token: root in another container of the Pod can't read it", token not in seen.stdout and "No such file" in seen.stderr, seen.stdout + seen.stderr)
    environments = "".join(pod.exec("nginx", "/bin/busybox", "sh", "-c", "busybox cat /proc/[0-9]*/environ").stdout)
    check("token: nor does it see the emulator's process", "AWS_WEB_IDENTITY_TOKEN_FILE" not in environments)
    check("token: in no log", token not in pod.log(EMULATOR))


def nothing_leaves(node, pod):
    """From the host and from another Pod: by address, by every port, and with a route for 169.254.169.254 that leads into the Pod."""
    secrets = {document[key] for _, _, document in documents(pod.log("nginx")) for key in ("AccessKeyId", "SecretAccessKey", "Token")}
    check("the secrets to look for are known", len(secrets) >= 3)
    check("log: no credential", not any(secret in pod.log(EMULATOR) for secret in secrets))
    with node.uninjected((HERE / "neighbour.yaml").read_text()) as neighbour:
        scan = [sys.executable, HERE / "scan.py", pod.address]
        from_host = subprocess.run(scan, capture_output=True, text=True, timeout=300)
        from_pod = neighbour.inside_network(*scan)
        for where, done in (("the host", from_host), ("another Pod", from_pod)):
            check(f"from {where}: of 65535 ports only {ADMIN_PORT} is open", done.stdout.strip() == f"[{ADMIN_PORT}]", done.stdout + done.stderr)
        itself = json.loads(pod.inside_network(sys.executable, HERE / "scan.py", "127.0.0.1").stdout)
        check("the scan sees what is open (on the Pod's own loopback)", {1338, 1339} <= set(itself), itself)
        paths = ("/livez", "/readyz", "/startupz", "/metrics", "/", CREDENTIALS, "/latest/api/token")
        bodies = {path: kubelet.get(f"http://{pod.address}:{ADMIN_PORT}{path}") for path in paths}
        told = [path for path, (_, body) in bodies.items() if any(secret in body for secret in secrets)]
        check("the open port tells no credential", not told and bodies[CREDENTIALS][0] == 404, bodies)
        outside = neighbour.exec("app", "/ask", "GET", CREDENTIALS)
        check("a Pod that is not injected reaches the node's IMDS (so the next ones can fail)", outside.stdout == NODE_ROLE, outside.stdout + outside.stderr)
    seen = pod.log("nginx") + pod.log(EMULATOR)
    check("the injected Pod has never seen the node's IMDS", NODE_ROLE not in seen)


def nobody_outside_gets_an_answer(node, pod, interception):
    """Tries every way into the Pod, for every address on which its emulator could be taken to be reachable."""
    outside.expose_loopback(pod)
    open_ways, controls = set(), []
    with node.uninjected((HERE / "neighbour.yaml").read_text()) as neighbour:
        for way, reaches in outside.Outsiders(neighbour, pod).ways().items():
            for address, port in outside.targets(interception):
                with outside.control(pod, address) as listens:
                    reached, seen = reaches(address, outside.CONTROL_PORT) if listens else (False, "not an address of the Pod")
                controls.append((way, address, seen))
                if reached:
                    open_ways.add((way, address))
                reached, seen = reaches(address, port)
                check(f"{interception}: {way}: no answer from [{address}]:{port}", not reached, seen)
    expected = {(way, address) for way in outside.WAYS for address in outside.OPEN[interception]}
    wrong = [control for control in controls if control[:2] in open_ways ^ expected]
    check(f"{interception}: by every way a plain listener is reached, so these tries can fail", open_ways == expected, wrong)
    check(f"{interception}: and the Pod itself is answered", *answers_inside(pod, interception))


def answers_inside(pod, interception):
    """Whether IMDS answers a client in the Pod, on every address that it has there."""
    addresses = outside.LISTENERS["endpoint"] if interception == "endpoint" else outside.ASKED
    urls = [f"http://{f'[{address}]' if ':' in address else address}:{port}{CREDENTIALS}" for address, port in addresses]
    unanswered = []
    for url in urls:
        done = pod.inside_network("curl", "--silent", "--show-error", "--globoff", "--max-time", "5", url)
        if '"Code" : "Success"' not in done.stdout:
            unanswered.append((url, done.stdout + done.stderr))
    return not unanswered, unanswered


def recovers(pod, emulator):
    before = pod.pid(EMULATOR)
    os.kill(before, signal.SIGKILL)
    wait_until("the emulator is started anew", lambda: pod.pid(EMULATOR) not in (0, before))
    check("killed: it is started anew", True)
    wait_until("it has started", lambda: kubelet.is_well(pod, EMULATOR, emulator["lifecycle"]["postStart"]), seen=lambda: pod.log(EMULATOR))
    ok, seen = gets_credentials(pod, "nginx")
    check("killed: the app gets credentials again", ok, seen + pod.log(EMULATOR))


def two_users(node, form):
    """An init container of the user's own, containers of different users, and the end of a Pod, in this form of the sidecar."""
    with node.injected((HERE / "two-users.yaml").read_text(), form) as (pod, injected):
        setup = pod.log("setup")
        if form == "native":
            check("native: a user's init container has credentials by IMDSv1 and IMDSv2", got_credentials(setup, 0), setup)
        else:
            # This form starts no sidecar before the user's init containers (docs/annotations.md): refused, not the node's.
            check("classic: a user's init container finds no emulator yet", pod.told("setup") == ["no credentials"] * 2 and "refused" in setup, setup)
            check("classic: and is cut off from the node's IMDS", NODE_ROLE not in setup, setup)
        for name, uid in (("root", 0), ("nobody", 65534)):
            wait_until(f"credentials for {name}", lambda: got_credentials(pod.log(name), uid), seen=lambda: pod.log(name))
            check(f"{form}: a container as uid {uid} has credentials by IMDSv1 and IMDSv2", "failed" not in pod.log(name), pod.log(name)[:600])
        keys = {document["AccessKeyId"] for name in ("root", "nobody") for _, _, document in documents(pod.log(name))}
        check(f"{form}: both have the same credentials: one exchange served all", len(keys) == 1, keys)
        stops_cleanly(pod, injected, form)


def with_interception(interception):
    manifest = (HERE / "two-users.yaml").read_text()
    role = "  annotations:\n"
    assert manifest.count(role) == 1
    return manifest.replace(role, role + f'    gkemulticloud.googleapis.com/aws-imds-emulator-interception: "{interception}"\n')


def without_netfilter(node):
    """The same with the address on the Pod's own `lo`, where the emulator listens on port 80 and has no capability for it."""
    with node.injected(with_interception("address"), "native") as (pod, _):
        for name, uid in (("root", 0), ("nobody", 65534)):
            wait_until(f"credentials for {name}", lambda: got_credentials(pod.log(name), uid), seen=lambda: pod.log(name) + pod.log(EMULATOR))
            check(f"interception address: a container as uid {uid} has credentials by IMDSv1 and IMDSv2", True)
        redirect_is_confined(pod)
        emulator_is_confined(pod)
        rules = pod.inside_network("nft", "list", "ruleset")
        check("interception address: no packet rule in the Pod", rules.returncode == 0 and not rules.stdout.strip(), rules.stdout + rules.stderr)
        nobody_outside_gets_an_answer(node, pod, "address")


def without_interception(node):
    """Nothing is intercepted: the emulator is on loopback, and the node's metadata server, such as GKE's and AKS's, stays where it is."""
    with node.injected(with_interception("endpoint"), "native") as (pod, _):
        emulator_is_confined(pod)
        own = pod.exec("root", "/ask", "GET", "/computeMetadata/v1/")
        check("interception endpoint: 169.254.169.254 is the node's own metadata server", own.stdout == NODE_ROLE, own.stdout + own.stderr)
        nobody_outside_gets_an_answer(node, pod, "endpoint")


def stops_cleanly(pod, injected, form):
    """kubelet tells all ordinary containers to stop at once, and native sidecars when those have ended. The app asks on for 4 seconds."""
    pids = {name: pod.pid(name) for name in (EMULATOR, "root", "nobody")}
    asked = {name: len(pod.told(name)) for name in ("root", "nobody")}
    period = int(re.search(r"terminationGracePeriodSeconds: (\d+)", injected)[1])
    begun = time.monotonic()
    for names in ([("root", "nobody"), (EMULATOR,)] if form == "native" else [tuple(pids)]):
        # One signal each: to the emulator, a second one means "at once". (`podman pod stop` tells one container after the other.)
        for name in names:
            os.kill(pids[name], signal.SIGTERM)
        gone = lambda: not any(pathlib.Path(f"/proc/{pids[name]}").exists() for name in names)
        wait_until(f"{names} have ended", gone, seconds=period)
    took = time.monotonic() - begun
    for name in ("root", "nobody"):
        after = pod.told(name)[asked[name]:]
        answers = [line for line in after if line.startswith("v")]
        whole = "ended" in after and "asked to stop" in after and len(answers) > 10
        check(f"{form}: told to stop, {name} asks on, {len(answers)} times, and each time gets credentials", whole and not any("failed" in line for line in answers), "\n".join(after[-12:]) + "\n" + pod.log(EMULATOR))
    codes = {name: pod.podman.inspect(pod.container(name))["State"]["ExitCode"] for name in pids}
    check(f"{form}: nobody had to be killed", set(codes.values()) == {0}, codes)
    check(f"{form}: all have ended within the grace period of {period} s ({took:.1f} s)", took < period, took)


def main():
    image, programs = (pathlib.Path(argument).resolve() for argument in sys.argv[1:])
    with contextlib.ExitStack() as stack:
        node = Node(stack, image, programs)
        the_seed(node)
        for form in ("native", "classic"):
            two_users(node, form)
        without_netfilter(node)
        without_interception(node)
    print(f"pods: {passed} passed, {failed} failed")
    sys.exit(bool(failed))


main()
