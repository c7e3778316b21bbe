"""What went over the wire: the requests to IMDS in this network namespace and their statuses, read off `lo`."""
import re
import socket
import struct

PORTS = {80, 1338}
REQUEST = re.compile(rb"([A-Z]+) (/\S*) HTTP/1\.[01]\r\n(.*?\r\n)\r\n", re.DOTALL)
# No body holds this. 100, which s3fs asks for, is not the answer yet.
STATUS = re.compile(rb"HTTP/1\.[01] ([2-5]\d\d) ")
PATHS = (
    ("container", re.compile(r"/v1/credentials")),
    ("token", re.compile(r"/+latest/api/token")),
    ("role", re.compile(r"/+[\w-]+/meta-data/iam/security-credentials/?")),
    ("document", re.compile(r"/+[\w-]+/meta-data/iam/security-credentials/+[\w-]+")),
)
# Source: linux/if_packet.h, linux/if_ether.h.
SOL_PACKET, PACKET_STATISTICS, PACKET_IGNORE_OUTGOING = 263, 6, 23
ETH_P_IP = 0x0800


class Wire:
    def __init__(self):
        self.socket = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(ETH_P_IP))
        self.socket.bind(("lo", ETH_P_IP))
        # On `lo` each packet goes out and comes in: once is enough.
        self.socket.setsockopt(SOL_PACKET, PACKET_IGNORE_OUTGOING, 1)
        self.socket.setblocking(False)
        self.connections = {}

    def drain(self):
        """Takes what has come. To be called often: the kernel keeps a few hundred packets and drops the rest."""
        while True:
            try:
                self.take(self.socket.recv(65536))
            except BlockingIOError:
                break
        _, dropped = struct.unpack("II", self.socket.getsockopt(SOL_PACKET, PACKET_STATISTICS, 8))
        assert not dropped, f"{dropped} packets were not seen: what follows would be wrong"

    def take(self, packet):
        if packet[9] != socket.IPPROTO_TCP:
            return
        segment = packet[(packet[0] & 15) * 4 : int.from_bytes(packet[2:4], "big")]
        source, destination, number = struct.unpack_from("!HHI", segment)
        payload = segment[(segment[12] >> 4) * 4 :]
        if payload and {source, destination} & PORTS:
            asks = destination in PORTS
            asked, answered = self.connections.setdefault(source if asks else destination, ({}, {}))
            # By its number, so that a segment that is sent again counts once.
            (asked if asks else answered)[number] = payload

    def requests(self):
        """The requests since the last time, with their statuses: `("role v2", 200)`."""
        self.drain()
        found = []
        for asked, answered in self.connections.values():
            statuses = [int(status) for status in STATUS.findall(b"".join(answered.values()))]
            for index, request in enumerate(REQUEST.finditer(b"".join(asked.values()))):
                found.append((name(request), statuses[index] if index < len(statuses) else None))
        self.connections.clear()
        return found


def name(request):
    method, path, headers = (part.decode() for part in request.groups())
    what = next((what for what, pattern in PATHS if pattern.fullmatch(path)), path)
    if what == "container":
        return what if "authorization:" in headers.lower() else "container without its file"
    if what == "token":
        return what if method == "PUT" else f"{method} {what}"
    version = "v2" if "x-aws-ec2-metadata-token:" in headers.lower() else "v1"
    return f"{what} {version}"
