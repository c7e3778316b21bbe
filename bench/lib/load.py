"""Load by wrk, on a core of its own, and what it costs the server on the other."""
import contextlib
import functools
import json
import os
import pathlib
import resource
import statistics
import subprocess
import time

import measuring

SCRIPT = pathlib.Path(__file__).with_name("wrk.lua")
# A measurement in which other programs took more of the machine than this is made again, so often; the quietest counts.
QUIET, TRIES = 0.05, 3

# mode -> (connections, whether each request has a connection of its own, what the table calls it)
CONNECTIONS = 8
MODES = {
    "keep": (CONNECTIONS, False, f"{CONNECTIONS} kept connections"),
    "close": (CONNECTIONS, True, f"a connection a request, {CONNECTIONS} at once"),
    "alone": (1, False, "one client, one kept connection"),
}


@functools.cache
def cores():
    """The core of the servers and that of everybody else; the same where there is one only."""
    usable = sorted(os.sched_getaffinity(0))
    return usable[0], usable[-1]


def pinned(core):
    return ["taskset", "--cpu-list", str(core)]


@contextlib.contextmanager
def off_the_servers_core():
    """What looks at a server does so from the other core."""
    whole = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {cores()[1]})
    try:
        yield
    finally:
        os.sched_setaffinity(0, whole)


def measure(running, ask, mode, seconds, meanwhile=None):
    """One measurement, as quiet as a few tries make it. `meanwhile` is called in the middle of it."""
    tries = []
    while len(tries) < TRIES:
        tries.append(once(running, ask, mode, seconds, meanwhile))
        if tries[-1]["others"] <= QUIET:
            break
    return min(tries, key=lambda figures: figures["others"])


def once(running, ask, mode, seconds, meanwhile):
    connections, close, _ = MODES[mode]
    headers = ask.headers | ({"Connection": "close"} if close else {})
    command = [*pinned(cores()[1]), "wrk", "--threads", "1", "--connections", str(connections), "--duration", f"{seconds}s",
               "--script", SCRIPT, f"{running.scheme}://127.0.0.1:{running.port}{ask.path}",
               "--", ask.method, ask.body or "", *(f"{name}:{value}" for name, value in headers.items())]
    busy, server, client, begun = measuring.busy_seconds(), measuring.cpu_seconds(running.pids()), children(), time.monotonic()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if meanwhile:
        time.sleep(seconds / 2)
        meanwhile()
    output = process.communicate()[0]
    took = time.monotonic() - begun
    server, client = measuring.cpu_seconds(running.pids()) - server, children() - client
    others = measuring.busy_seconds() - busy - server - client
    if process.returncode != 0 or not output.rstrip().endswith("}"):
        raise measuring.Failed(f"wrk failed at {running.name}:\n{output}")
    seen = json.loads(output.rstrip().splitlines()[-1])
    if not seen["requests"] or seen["refused"]:
        raise measuring.Failed(f"{running.name}: {seen['refused']} of {seen['requests']} requests were refused: {ask}")
    return {
        "rate": seen["requests"] / seen["microseconds"] * 1e6,
        "p50": seen["p50"],
        "p99": seen["p99"],
        "cpu": 1e6 * server / seen["requests"],
        "client cpu": 1e6 * client / seen["requests"],
        "answer": seen["bytes"] / seen["requests"],
        "failed": seen["failed"],
        "others": max(0, others) / took / os.cpu_count(),
    }


def ratio(values, limit):
    """The median of the rounds' own ratios: what disturbs a round disturbs both."""
    return statistics.median(value / of for value, of in zip(values, limit))


def children():
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
