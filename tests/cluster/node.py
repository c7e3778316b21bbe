"""What makes a whole cluster of a control plane: the controllers, the scheduler, and a node with containerd and kubelet.

All of it runs in namespaces of its own (run_on_nodes.py makes them). There is no kube-proxy: the API server listens where Pods look
for it, on the cluster IP of its Service, and reaches a webhook's Pods by their own addresses.
"""
import json
import os
import pathlib
import subprocess

from control_plane import ADMIN_TOKEN, NODE, NODE_TOKEN, Cluster
from images import PAUSE
from promises import check, wait_for

PROGRAMS = ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubelet")
CNI_PLUGINS = ("bridge", "host-local", "loopback")
CNI_FOLDERS = ("/opt/cni/bin", "/usr/lib/cni")

# The first address of the Services' range is the API server's.
API_SERVER, API_SERVER_PORT = "10.0.0.1", 443
NODE_ADDRESS = "10.1.0.1"
PODS = "10.2.0.0/16"
SOCKET = "/run/containerd/containerd.sock"
# What kubelet wants of the kernel. It gets files of its own to write to: the machine's settings are left alone.
KERNEL_SETTINGS = {
    "vm/overcommit_memory": 1, "vm/panic_on_oom": 0, "kernel/panic": 10, "kernel/panic_on_oops": 1,
    "kernel/keys/root_maxkeys": 1000000, "kernel/keys/root_maxbytes": 25000000,
}


def cni_folder():
    """Where the CNI plugins are; None where they are not."""
    return next((folder for folder in CNI_FOLDERS if all(os.access(f"{folder}/{plugin}", os.X_OK) for plugin in CNI_PLUGINS)), None)


def control_group_roots(name):
    """The folders of a control group in every hierarchy that this machine has."""
    root = pathlib.Path("/sys/fs/cgroup")
    if (root / "cgroup.controllers").exists():
        return [root / name]
    hierarchies = [line.split()[1] for line in pathlib.Path("/proc/mounts").read_text().splitlines()
                   if line.split()[2] in ("cgroup", "cgroup2")]
    return [pathlib.Path(hierarchy) / name for hierarchy in hierarchies]


class WholeCluster(Cluster):
    """A cluster of one node, ready for Pods. `containerd` is the folder of its programs, `images` are archives that the node has,
    `control_group` is where all its Pods are, `kubelet_flags` are further ones.
    """

    has_own_node = True

    def __init__(self, assets, containerd, kubectl, folder, programs, images, control_group, kubelet_flags=()):
        self.assets, self.containerd_programs, self.programs = assets, containerd, programs
        self.images, self.control_group, self.kubelet_flags = images, control_group, kubelet_flags
        # Overlays can't be stacked everywhere, but they can be put on memory.
        self.memory = folder / "memory"
        hide_machine(self.memory)
        for address in (API_SERVER, NODE_ADDRESS):
            run("ip", "address", "add", f"{address}/32", "dev", "lo")
        run("ip", "link", "set", "lo", "up")
        super().__init__(assets, kubectl, folder, programs, API_SERVER, API_SERVER_PORT, (
            "--bind-address=0.0.0.0", f"--advertise-address={NODE_ADDRESS}",
            # By the Pods' addresses, not by the Service's.
            "--enable-aggregator-routing=true",
            # There are no names in here.
            "--kubelet-preferred-address-types=InternalIP",
            # As NodeRestriction is on in every cluster: kubelet may do what its own Pods need, and no more.
            "--enable-admission-plugins=NodeRestriction"))
        self._start_controllers()
        self._start_containerd()
        self._prepare_kubelet()
        self._start_kubelet()

    def kill(self, pod, namespace, container):
        """SIGKILL for a container of a Pod."""
        identity = self.container_statuses(pod, namespace)[container]["containerID"]
        run(*self._ctr, "tasks", "kill", "--signal=SIGKILL", identity.removeprefix("containerd://"))

    def restart_kubelet(self):
        """Kills it, and starts it anew."""
        self.kubelet.kill()
        self.kubelet.wait()
        self._start_kubelet()

    def _start_controllers(self):
        more = {"kube-controller-manager": (
            f"--service-account-private-key-file={self.accounts_key}", f"--root-ca-file={self.certificate_authority}",
            # Each controller with the rights of its own, as in every cluster.
            "--use-service-account-credentials=true")}
        for name in ("kube-controller-manager", "kube-scheduler"):
            self.programs.start(
                name, self.assets / name, f"--kubeconfig={self.make_kubeconfig(name, ADMIN_TOKEN, self.folder)}",
                "--leader-elect=false", "--bind-address=127.0.0.1", *more.get(name, ()))

    def _start_containerd(self):
        network = self.folder / "cni"
        network.mkdir()
        (network / "pods.conflist").write_text(json.dumps({
            "cniVersion": "0.4.0", "name": "pods", "plugins": [{
                "type": "bridge", "bridge": "pods", "isGateway": True, "hairpinMode": True,
                "ipam": {"type": "host-local", "ranges": [[{"subnet": PODS}]], "routes": [{"dst": "0.0.0.0/0"}]}}]}))
        configuration = self.folder / "containerd.toml"
        configuration.write_text(f"""
version = 3
root = "{self.memory / 'containerd'}"
state = "/run/containerd"
[grpc]
address = "{SOCKET}"
[plugins.'io.containerd.internal.v1.opt']
path = "{self.folder / 'opt'}"
[plugins.'io.containerd.cri.v1.images'.pinned_images]
sandbox = "{PAUSE}"
[plugins.'io.containerd.cri.v1.runtime']
# Root may not lower it everywhere (in a container it may not).
restrict_oom_score_adj = true
[plugins.'io.containerd.cri.v1.runtime'.cni]
bin_dirs = ["{cni_folder()}"]
conf_dir = "{network}"
[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"
[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc.options]
BinaryName = "{self.containerd_programs / 'runc'}"
""")
        # It looks for its shim there.
        path = f"{self.containerd_programs}:{os.environ['PATH']}"
        containerd = self.programs.start("containerd", self.containerd_programs / "containerd", f"--config={configuration}", PATH=path)
        self._ctr = [self.containerd_programs / "ctr", f"--address={SOCKET}", "--namespace=k8s.io"]
        wait_for("containerd", lambda: subprocess.run([*self._ctr, "version"], capture_output=True).returncode == 0, 60, alive=containerd)
        for image in self.images:
            run(*self._ctr, "images", "import", "--local", image)

    def _prepare_kubelet(self):
        # The kernel makes a /proc for a Pod with users of its own only where one is seen that nothing is mounted on.
        whole = self.folder / "proc"
        whole.mkdir()
        run("mount", "-t", "proc", "proc", whole)
        settings = self.folder / "kernel"
        for name, value in KERNEL_SETTINGS.items():
            file = settings / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(f"{value}\n")
            run("mount", "--bind", file, f"/proc/sys/{name}")
        for group in control_group_roots(self.control_group):
            group.mkdir(exist_ok=True)
        no_names = self.folder / "resolv.conf"
        no_names.write_text("")
        (self.folder / "static-pods").mkdir()
        (self.folder / "kubelet.json").write_text(json.dumps({
            "apiVersion": "kubelet.config.k8s.io/v1beta1", "kind": "KubeletConfiguration",
            # Nobody else reaches it in here.
            "authentication": {"anonymous": {"enabled": True}, "webhook": {"enabled": False}},
            "authorization": {"mode": "AlwaysAllow"},
            "address": NODE_ADDRESS, "cgroupDriver": "cgroupfs", "cgroupRoot": f"/{self.control_group}",
            # As in every cluster; there is nobody who answers.
            "clusterDomain": "cluster.local", "clusterDNS": ["10.0.0.10"], "resolvConf": str(no_names),
            "volumePluginDir": str(self.folder / "volume-plugins"), "staticPodPath": str(self.folder / "static-pods"),
            "failSwapOn": False, "failCgroupV1": False, "makeIPTablesUtilChains": False, "oomScoreAdj": 0,
            # However full this machine's disk is.
            "imageGCHighThresholdPercent": 100, "evictionHard": {"nodefs.available": "0%", "imagefs.available": "0%"},
        }))
        self._kubelets_kubeconfig = self.make_kubeconfig("kubelet", NODE_TOKEN, self.folder)

    def _start_kubelet(self):
        self.kubelet = self.programs.start(
            "kubelet", self.assets / "kubelet", f"--config={self.folder / 'kubelet.json'}", f"--kubeconfig={self._kubelets_kubeconfig}",
            f"--container-runtime-endpoint=unix://{SOCKET}", f"--hostname-override={NODE}", f"--node-ip={NODE_ADDRESS}",
            *self.kubelet_flags)
        wait_for("the node is ready", self._is_ready, 120, alive=self.kubelet, seen=lambda: self.kubectl("describe", "nodes").stdout)

    def _is_ready(self):
        conditions = self.try_kubectl("get", "node", NODE, "--output=jsonpath={.status.conditions[?(@.type=='Ready')].status}")
        return conditions.stdout == "True"


def hide_machine(memory):
    """What the programs write where they can't be told to write elsewhere stays in memory, and in this mount namespace."""
    mount_memory(memory)
    for path in ("/var/lib", "/var/log"):
        upper, work = (memory / path.replace("/", "_") / part for part in ("upper", "work"))
        for part in (upper, work):
            part.mkdir(parents=True)
        # Not memory alone: what is there may be needed.
        run("mount", "-t", "overlay", "-o", f"lowerdir={path},upperdir={upper},workdir={work}", "overlay", path)
    for path in ("/run", "/var/lib/kubelet"):
        mount_memory(pathlib.Path(path))


def mount_memory(folder):
    folder.mkdir(exist_ok=True)
    run("mount", "-t", "tmpfs", "tmpfs", folder)


def run(*command):
    ran = subprocess.run([str(word) for word in command], capture_output=True, text=True)
    check(ran.returncode == 0, f"{' '.join(map(str, command))}: {ran.stdout}{ran.stderr}")
