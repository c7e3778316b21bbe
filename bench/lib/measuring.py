"""How a process is measured: memory, CPU time, instructions. Each returns numbers; none judges.

Memory is read from /proc/PID/smaps_rollup, which needs root (of a user namespace will do): the emulator hides it from its own user.
Instructions are counted by callgrind, in user space. CPU time is that of the scheduler, user and kernel, in nanoseconds.
"""
import contextlib
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import time

# Past this nothing is slow, but stuck.
STUCK = 300


class Failed(Exception):
    """A server does not come up, or gives other answers than it should."""


def end(process):
    process.terminate()
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def wait_until(holds, what, pause=0.01):
    limit = time.monotonic() + STUCK
    while not holds():
        if time.monotonic() > limit:
            sys.exit(f"bench: waited {STUCK} s in vain for {what}")
        time.sleep(pause)


def smaps(pids):
    """KiB of these processes together: what is theirs alone, and their share of all."""
    sizes = {"Private_Clean": 0, "Private_Dirty": 0, "Pss": 0}
    for pid in pids:
        text = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text()
        for name, size in re.findall(r"^(\w+): +(\d+) kB$", text, re.MULTILINE):
            if name in sizes:
                sizes[name] += int(size)
    return {"private": sizes["Private_Clean"] + sizes["Private_Dirty"], "pss": sizes["Pss"]}


def cpu_seconds(pids):
    """CPU time of processes, of threads that have ended too."""
    # The clock of a process has this number (CPUCLOCK_SCHED, clock_getcpuclockid(3)).
    return sum(time.clock_gettime((~pid << 3) | 2) for pid in pids)


def busy_seconds():
    """CPU time that all of the machine has used, and that was taken from it by others on the same host."""
    user, nice, system, _, _, irq, softirq, steal = map(int, pathlib.Path("/proc/stat").read_text().split()[1:9])
    return (user + nice + system + irq + softirq + steal) / os.sysconf("SC_CLK_TCK")


def copies(start, count):
    """Memory of each of so many copies beside each other, once each has answered."""
    with contextlib.ExitStack() as stack:
        running = [start(stack) for _ in range(count)]
        for copy in running:
            copy.ask_once()
        time.sleep(0.5)
        sizes = [smaps(copy.pids()) for copy in running]
        return {name: sum(size[name] for size in sizes) / count for name in ("private", "pss")}


def callgrind(start, ask, requests):
    """callgrind's report of a whole life of a program in which it answers so many requests on one connection."""
    with tempfile.TemporaryDirectory() as folder:
        out = pathlib.Path(folder) / "callgrind.out"
        before = ["valgrind", "--quiet", "--tool=callgrind", f"--callgrind-out-file={out}"]
        with contextlib.ExitStack() as stack:
            connection = start(stack, before).connection()
            for _ in range(requests):
                ask(connection)
        return out.read_text()


def instructions(start, ask, requests):
    """User instructions of that whole life."""
    return int(re.search(r"^(?:summary|totals): (\d+)", callgrind(start, ask, requests), re.MULTILINE)[1])


def instructions_each(start, ask, few, many):
    """User instructions of a request, by the difference of two lives."""
    return (instructions(start, ask, many) - instructions(start, ask, few)) / (many - few)
