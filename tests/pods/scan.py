"""scan.py ADDRESS : the open TCP ports of an address, all 65535 tried, as JSON. Run in the network namespace to scan from."""
import errno
import json
import selectors
import socket
import sys
import time

AT_ONCE = 2000
PATIENCE = 1.0  # seconds for a connection to be answered: what is scanned is on this machine


def main():
    address = sys.argv[1]
    found, waiting, selector = [], {}, selectors.DefaultSelector()
    ports = iter(range(1, 65536))
    more = True
    while more or waiting:
        while more and len(waiting) < AT_ONCE:
            port = next(ports, None)
            if port is None:
                more = False
                break
            probe = socket.socket()
            probe.setblocking(False)
            if probe.connect_ex((address, port)) in (0, errno.EINPROGRESS):
                selector.register(probe, selectors.EVENT_WRITE)
                waiting[probe] = port, time.monotonic()
            else:
                probe.close()
        ready = {key.fileobj for key, _ in selector.select(timeout=0.05)}
        late = {probe for probe, (_, begun) in waiting.items() if time.monotonic() - begun > PATIENCE}
        for probe in ready | late:
            port, _ = waiting.pop(probe)
            if probe in ready and probe.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0:
                found.append(port)
            selector.unregister(probe)
            probe.close()
    print(json.dumps(sorted(found)))


main()
