"""End to end with Pods that run. On a node of the test's own, with KUBEBUILDER_ASSETS pointing at the programs of Kubernetes:

    run_on_nodes.py --kubectl FILE --helm FILE --containerd FOLDER --image ARCHIVE --client-image ARCHIVE

or on a cluster that is there, into whose nodes both images are loaded (README.md):

    run_on_nodes.py --kubeconfig FILE

A node of its own is root's, in network, mount and process namespaces of its own: nothing of this machine is listened on or written
to, and nothing outlives the test.
"""
import argparse
import contextlib
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import time

sys.dont_write_bytecode = True
import chart
import compatibility
import disturbed
import installed
import namespaces
import pod_sources
import previous_release
import running
import under_load
from control_plane import Programs
from demo import ACCOUNT, NAMESPACES, Demo
from kubernetes import Kubernetes
from node import WholeCluster, control_group_roots
from promises import Promises, check
from release import Release
from sts_pod import StsPod

STS_NAMESPACE = "imds-test-sts"
PROMISES = Promises(chart.at_first, running.at_first, chart.tested, running.promise, disturbed.promise, namespaces.promise, pod_sources.promise,
                    previous_release.promise, under_load.promise, chart.at_last)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kubectl", default="kubectl", help="the program kubectl")
    parser.add_argument("--helm", default="helm", help="the program helm")
    parser.add_argument("--kubeconfig", type=pathlib.Path, help="the cluster to use; without it, a node of the test's own")
    parser.add_argument("--containerd", type=pathlib.Path, help="the folder of containerd, its shim, ctr and runc")
    parser.add_argument("--image", type=pathlib.Path, help="what deploy/image/build made")
    parser.add_argument("--client-image", type=pathlib.Path, help="what tests/cluster/images.py made")
    compatibility.add_option(parser)
    parser.add_argument("--inside", type=pathlib.Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if not (arguments.kubeconfig or arguments.containerd and arguments.image and arguments.client_image):
        parser.error("say --kubeconfig, or --containerd, --image and --client-image")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    if arguments.inside:
        sys.exit(on_own_node(arguments, arguments.inside))
    with tempfile.TemporaryDirectory(prefix="imds-cluster-") as folder:
        if arguments.kubeconfig:
            sys.exit(on_cluster(arguments, pathlib.Path(folder)))
        sys.exit(run_inside(folder))


def run_inside(folder):
    """Runs this program again with `--inside`, in namespaces of its own; its exit code."""
    try:
        # The shell is there to reap orphans: containerd leaves some.
        enter = ["unshare", "--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "sh", "-c", '"$@"; exit $?', "sh"]
        return subprocess.run([*enter, sys.executable, *sys.argv, "--inside", folder]).returncode
    finally:
        remove_control_groups(pathlib.Path(folder).name)


def on_own_node(arguments, folder):
    programs = Programs(folder)
    versions = {name: compatibility.version_of(arguments.containerd / name) for name in ("containerd", "runc")}
    recorder = compatibility.recorder(arguments, "node", **versions)
    return PROMISES.keep(lambda: demo_of(arguments, own_cluster(arguments, folder, programs)), programs, *recorder)


def own_cluster(arguments, folder, programs, kubelet_flags=()):
    """A cluster of one node that has both images; inside the namespaces."""
    # Nothing here is reached by way of a proxy.
    for variable in [name for name in os.environ if name.lower().endswith("_proxy")]:
        del os.environ[variable]
    assets, images = pathlib.Path(os.environ["KUBEBUILDER_ASSETS"]).resolve(), (arguments.image, arguments.client_image)
    return WholeCluster(assets, arguments.containerd.resolve(), arguments.kubectl, folder, programs, images, folder.name, kubelet_flags)


def on_cluster(arguments, folder):
    cluster = Kubernetes(arguments.kubectl, arguments.kubeconfig, folder)
    namespaces = (*NAMESPACES, STS_NAMESPACE, installed.NAMESPACE)
    with contextlib.ExitStack() as stack:
        def make_demo():
            # What is there is somebody's, and would be deleted in the end.
            for kind, name in (*(("namespace", name) for name in namespaces), ("mutatingwebhookconfiguration", installed.NAME)):
                check(not cluster.exists(kind, name), f"in this cluster there is a {kind} {name}: it would be in the way")
            stack.callback(cluster.try_kubectl, "delete", "namespace", *namespaces, "--ignore-not-found", "--timeout=150s")
            demo = demo_of(arguments, cluster)
            stack.callback(demo.release.uninstall)
            return demo

        return PROMISES.keep(make_demo, Programs(folder))


def demo_of(arguments, cluster):
    print(f"  Kubernetes {'.'.join(map(str, cluster.version))}", flush=True)
    sts = StsPod(cluster, STS_NAMESPACE, [f"{namespace}:{ACCOUNT}" for namespace in NAMESPACES])
    # Loaded into the nodes (node.py, README.md).
    values = {"image": {"onNodes": True}, "settings": {"emulatorEnv": {"AWS_ENDPOINT_URL_STS": sts.url}}}
    return Demo(cluster, Release(cluster, arguments.helm, values), sts)


def remove_control_groups(name):
    """Those of the Pods, which have ended with the process namespace: it takes a moment until they count as empty."""
    for _ in range(50):
        for root in control_group_roots(name):
            for folder, _, _ in os.walk(root, topdown=False):
                with contextlib.suppress(OSError):
                    os.rmdir(folder)
        if not any(root.exists() for root in control_group_roots(name)):
            return
        time.sleep(0.1)
    print(f"  control groups are left: {name}", file=sys.stderr)


if __name__ == "__main__":
    main()
