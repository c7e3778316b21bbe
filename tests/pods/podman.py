"""podman with a storage, a network and a configuration of its own, all below one folder."""
import contextlib
import io
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tarfile
import time

HERE = pathlib.Path(__file__).parent
# The network of the Pods; its gateway is the host.
SUBNET, HOST = "10.213.77.0/24", "10.213.77.1"
IPV6_SUBNET = "fd00:213:77::/64"
# A bridge without an address of its own has the lowest of its ports'. It would change when a Pod goes, and no other Pod reach the
# host for half a minute.
BRIDGE, BRIDGE_ADDRESS = "podman1", "02:00:00:d5:4d:01"
CLIENT = "localhost/imds-client:test"


class Podman:
    def __init__(self, folder):
        self.folder = folder
        # A flag where there is one: the commands that podman's monitors run when a container ends know flags, and not this file.
        configuration = folder / "containers.conf"
        configuration.write_text(f'[engine]\ninfra_image = "{CLIENT}"\ninfra_command = "/pause"\n')
        # This interpreter itself, without a shim before it: the runtime is called for every question.
        runtime = folder / "oci-runtime"
        runtime.write_text(f"#!{sys.executable} -IS\n" + (HERE / "oci_runtime.py").read_text())
        runtime.chmod(0o755)
        (folder / "networks").mkdir()
        self.command = [
            "podman", "--root", folder / "storage", "--runroot", folder / "run", "--tmpdir", folder / "tmp", "--storage-driver", "vfs",
            "--network-config-dir", folder / "networks", "--runtime", runtime, "--cgroup-manager", "cgroupfs", "--events-backend", "file",
        ]
        self.environment = {**os.environ, "CONTAINERS_CONF": str(configuration)}

        self.run("network", "create", "--disable-dns", "--subnet", SUBNET, "--gateway", HOST, "--ipv6", "--subnet", IPV6_SUBNET, "pods")

    def run(self, *arguments, check=True, timeout=120, **more):
        """A finished podman command."""
        command = [*self.command, *arguments]
        done = subprocess.run(command, env=self.environment, capture_output=True, text=True, timeout=timeout, **more)
        if check and done.returncode != 0:
            raise RuntimeError(f"podman {' '.join(map(str, arguments))}: {done.returncode}\n{done.stdout}{done.stderr}")
        return done

    def import_client(self):
        """The client's image: busybox, our scripts and a small static program, FROM scratch."""
        ask = self.folder / "ask"
        subprocess.run(["cc", "-O1", "-static", "-o", ask, HERE / "client" / "ask.c"], check=True)
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w") as archive:
            archive.add(shutil.which("busybox"), "bin/busybox")
            archive.add(ask, "ask")
            for script in ("app", "imds", "pause"):
                archive.add(HERE / "client" / script, script)
        tar = self.folder / "client.tar"
        tar.write_bytes(buffer.getvalue())
        self.run("import", "--change", 'CMD ["/app"]', "--change", "ENV PATH=/bin", tar, CLIENT)

    @contextlib.contextmanager
    def pod(self, manifest):
        """A Pod whose network is there and whose containers are created, not started; removed in the end."""
        name = manifest.split("name: ")[1].split()[0]
        file = self.folder / f"{name}.yaml"
        file.write_text(manifest)
        try:
            self.run("kube", "play", "--network", "pods", "--start=false", file)
            yield Pod(self, name)
        finally:
            self.run("pod", "rm", "--force", "--time", "0", name, check=False)

    def inspect(self, container):
        return json.loads(self.run("container", "inspect", container).stdout)[0]


class Pod:
    def __init__(self, podman, name):
        self.podman, self.name = podman, name
        infra = json.loads(podman.run("pod", "inspect", name).stdout)["InfraContainerID"]
        podman.run("start", infra)
        subprocess.run(["ip", "link", "set", BRIDGE, "address", BRIDGE_ADDRESS], check=True)
        details = podman.inspect(infra)
        self.infra_pid = details["State"]["Pid"]
        [network] = details["NetworkSettings"]["Networks"].values()
        self.address, self.ipv6_address = network["IPAddress"], network["GlobalIPv6Address"]

    def container(self, name):
        return f"{self.name}-{name}"

    def start(self, name):
        self.podman.run("start", self.container(name))

    def wait(self, name):
        """The exit code of a container that ends."""
        return int(self.podman.run("wait", self.container(name)).stdout)

    def pid(self, name):
        return self.podman.inspect(self.container(name))["State"]["Pid"]

    def exec(self, name, *command):
        return self.podman.run("exec", self.container(name), *command, check=False)

    def log(self, name):
        done = self.podman.run("logs", self.container(name))
        return done.stdout + done.stderr

    def told(self, name):
        """The lines of its standard output."""
        return self.podman.run("logs", self.container(name)).stdout.splitlines()

    def bundle(self, name):
        """The OCI configuration that the runtime was given."""
        return json.loads(pathlib.Path(self.podman.inspect(self.container(name))["OCIConfigPath"]).read_text())

    def status(self, name):
        """/proc/PID/status of the container's first process: what the kernel says."""
        lines = pathlib.Path(f"/proc/{self.pid(name)}/status").read_text().splitlines()
        return dict(line.split(":\t", 1) for line in lines if ":\t" in line)

    def inside_network(self, *command):
        """A program of this machine in the Pod's network namespace."""
        return subprocess.run(["nsenter", f"--net=/proc/{self.infra_pid}/ns/net", *command], capture_output=True, text=True, timeout=120)


def wait_until(what, holds, seconds=30, seen=lambda: ""):
    limit = time.monotonic() + seconds
    while not (answer := holds()):
        if time.monotonic() > limit:
            raise RuntimeError(f"waited {seconds} s in vain: {what}\n{seen()}")
        time.sleep(0.3)
    return answer
