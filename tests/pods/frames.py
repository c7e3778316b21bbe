"""frames.py MAC SOURCE ADDRESS PORT : sends a TCP SYN for ADDRESS to a network card, as an Ethernet frame of its own making, and prints
what comes back: the flags of the first TCP segment from there (18: the connection is accepted; 20: refused), or `nothing`.

Needs CAP_NET_RAW and no route. Run in the network namespace of whoever sends.
"""
import ipaddress
import random
import socket
import struct
import sys
import time

CARD = "eth0"
PATIENCE = 1.5  # seconds for an answer: what is asked is on this machine
SYN = 2
IPV4, IPV6 = 0x0800, 0x86DD
TCP = 6


def checksum(data):
    words = struct.unpack(f"!{len(data) // 2}H", data)
    total = sum(words)
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def segment(source, target, source_port, port):
    sequence = random.getrandbits(32)
    head = lambda check: struct.pack("!HHIIBBHHH", source_port, port, sequence, 0, 5 << 4, SYN, 64000, check, 0)
    if target.version == 4:
        pseudo = source.packed + target.packed + struct.pack("!BBH", 0, TCP, 20)
    else:
        pseudo = source.packed + target.packed + struct.pack("!II", 20, TCP)
    return head(checksum(pseudo + head(0)))


def packet(source, target, content):
    if target.version == 6:
        return struct.pack("!IHBB", 6 << 28, len(content), TCP, 64) + source.packed + target.packed + content
    head = lambda check: struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(content), 1, 0, 64, TCP, check, source.packed, target.packed)
    return head(checksum(head(0))) + content


def answer(frame, target, source_port):
    """The flags of a TCP segment from that address to that port; None of anything else."""
    kind, content = int.from_bytes(frame[12:14], "big"), frame[14:]
    if kind == IPV4 and target.version == 4:
        sender, protocol, content = content[12:16], content[9], content[(content[0] & 15) * 4:]
    elif kind == IPV6 and target.version == 6:
        sender, protocol, content = content[8:24], content[6], content[40:]
    else:
        return None
    if sender != target.packed or protocol != TCP or int.from_bytes(content[2:4], "big") != source_port:
        return None
    return content[13]


def main():
    mac, source, target, port = sys.argv[1], *map(ipaddress.ip_address, sys.argv[2:4]), int(sys.argv[4])
    card = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
    card.bind((CARD, 0))
    card.settimeout(0.1)
    source_port = random.randint(20000, 60000)
    kind = IPV4 if target.version == 4 else IPV6
    own = card.getsockname()[4]
    card.send(bytes.fromhex(mac.replace(":", "")) + own + kind.to_bytes(2, "big") + packet(source, target, segment(source, target, source_port, port)))
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        try:
            frame, sender = card.recvfrom(2048)
        except TimeoutError:
            continue
        if sender[2] != socket.PACKET_OUTGOING and (flags := answer(frame, target, source_port)) is not None:
            print(flags)
            return
    print("nothing")


main()
