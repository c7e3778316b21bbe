"""Who is outside of an injected Pod, and sends packets for the addresses on which its emulator listens: another Pod by a route, or by frames
of its own making; and the node. A plain listener in the Pod on the same address shows which of these ways are open at all.
"""
import functools
import pathlib
import re
import subprocess
import sys
from contextlib import contextmanager

HERE = pathlib.Path(__file__).resolve().parent
LISTENERS = {
    "redirect": [("127.0.0.1", 1338), ("::1", 1338)],
    "endpoint": [("127.0.0.1", 1338), ("::1", 1338)],
    "address": [("169.254.169.254", 80), ("fd00:ec2::254", 80)],
}
# What clients ask in all modes, whoever answers.
ASKED = [("169.254.169.254", 80), ("fd00:ec2::254", 80)]
# Where a plain listener is reached from outside. Not ::1: the kernel drops such packets. With `endpoint` the Pod has no other.
OPEN = {
    "redirect": {"127.0.0.1", "169.254.169.254", "fd00:ec2::254"},
    "endpoint": {"127.0.0.1"},
    "address": {"169.254.169.254", "fd00:ec2::254"},
}
CONTROL_PORT = 4000
CONTROL = """
import socket, sys
listener = socket.socket(socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET)
listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
if ":" in sys.argv[1]:
    listener.setsockopt(socket.IPPROTO_IPV6, 78, 1)  # IPV6_FREEBIND: a local route is enough, as it is for IPv4
listener.bind((sys.argv[1], int(sys.argv[2])))
listener.listen()
print("listening", flush=True)
while True:
    listener.accept()[0].close()
"""
CONNECT = "import socket, sys; socket.create_connection((sys.argv[1], int(sys.argv[2])), 1.5); print('connected')"
ACCEPTED = "18"  # SYN and ACK
WAYS = ("another Pod, by a route", "another Pod, by frames of its own", "the node, by a route")


def targets(interception):
    """The addresses and ports to try: where the emulator listens, and where clients ask."""
    return list(dict.fromkeys(LISTENERS[interception] + ASKED))


@contextmanager
def control(pod, address):
    """A plain listener in the Pod's network on this address, which the Pod may not have."""
    command = ["nsenter", f"--net=/proc/{pod.infra_pid}/ns/net", sys.executable, "-c", CONTROL, address, str(CONTROL_PORT)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as listener:
        try:
            yield listener.stdout.readline() == "listening\n"
        finally:
            listener.kill()


def expose_loopback(pod):
    """As on a node where kube-proxy has set it, and new Pods inherit it."""
    write_setting(pod.inside_network)


def write_setting(inside):
    done = inside("sh", "-c", "echo 1 >/proc/sys/net/ipv4/conf/all/route_localnet")
    assert done.returncode == 0, done.stderr


class Outsiders:
    """The ways into `pod` from `neighbour`, a Pod that is not injected, and from the node."""

    def __init__(self, neighbour, pod):
        self.neighbour, self.pod = neighbour, pod
        self.mac = re.search(r"link/ether (\S+)", pod.inside_network("ip", "link", "show", "eth0").stdout)[1]
        self.gateways = {4: pod.address, 6: pod.ipv6_address}
        self.sources = {4: neighbour.address, 6: neighbour.ipv6_address}
        for inside in (neighbour.inside_network, on_the_node):
            write_setting(inside)
        # Frames between Pods pass no packet filter of the node's, which would give them another sender.
        for setting in pathlib.Path("/proc/sys/net/bridge").glob("bridge-nf-call-*"):
            setting.write_text("0\n")

    def ways(self):
        """Each tells whether a connection is made to an address and port, and what was seen."""
        from_pod, from_node = (functools.partial(self.by_route, inside) for inside in (self.neighbour.inside_network, on_the_node))
        return dict(zip(WAYS, (from_pod, self.by_frames, from_node)))

    def by_route(self, inside, address, port):
        version = 6 if ":" in address else 4
        # Looked at before the sender's own addresses, of which it may be one.
        done = inside("sh", "-c", f"""
            device=$(ip -oneline route get {self.gateways[4]} | grep -o 'dev [^ ]*')
            ip() {{ command ip -{version} "$@"; }}
            ip rule add pref 10 lookup local && ip rule del pref 0 && ip rule add pref 5 to {address} lookup 100 &&
            ip route replace {address} via {self.gateways[version]} $device table 100 && ip route get {address} &&
            {sys.executable} -c "{CONNECT}" {address} {port} 2>&1 | tail -1
            ip rule add pref 0 lookup local; ip rule del pref 5; ip rule del pref 10
        """)
        seen = done.stdout + done.stderr
        assert f"via {self.gateways[version]}" in seen, seen
        return "connected" in seen, seen

    def by_frames(self, address, port):
        source = self.sources[6 if ":" in address else 4]
        # With this capability only, and no route.
        limited = ["setpriv", "--bounding-set=-all,+net_raw", "--inh-caps=-all,+net_raw"]
        done = self.neighbour.inside_network(*limited, sys.executable, HERE / "frames.py", self.mac, source, address, str(port))
        assert done.returncode == 0, done.stderr
        return done.stdout.strip() == ACCEPTED, done.stdout


def on_the_node(*command):
    return subprocess.run(command, capture_output=True, text=True, timeout=60)
