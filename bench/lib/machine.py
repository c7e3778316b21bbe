"""Where and of what it is measured."""
import os
import pathlib
import platform
import re
import subprocess

import ours


def commit():
    return subprocess.run(["git", "describe", "--always", "--abbrev=40", "--match=", "--dirty"], cwd=ours.ROOT, capture_output=True, text=True).stdout.strip() or "unknown"


def about(*tools):
    """These tools are named too, each with what it says of its version."""
    cpu = re.search(r"^model name\s*: (.*)$", pathlib.Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    memory = int(re.search(r"^MemTotal: +(\d+)", pathlib.Path("/proc/meminfo").read_text(), re.MULTILINE)[1])
    rust = first_line("rustc", "--version").removeprefix("rustc ").split(" ")[0]
    return {
        "cpu": cpu[1] if cpu else platform.machine(), "cores": os.cpu_count(), "memory": f"{memory / 2**20:.0f} GiB",
        # A distributor's or a host's own suffix says nothing here.
        "system": f"Linux {re.match(r'[0-9.]+', platform.release())[0]}",
        "tools": ", ".join([f"Rust {rust}", f"Python {platform.python_version()}", *map(version, tools)]),
    }


def version(tool):
    """Its name and its version: of "wrk debian/4.1.0-3+b2 [epoll] …" and of "valgrind-3.19.0"."""
    return re.sub(r"(?<= )\w+/", "", " ".join(first_line(tool, "--version").split()[:2]))


def first_line(*command):
    # wrk tells its version with the exit code of a wrong call.
    return (subprocess.run(command, capture_output=True, text=True, cwd=ours.ROOT).stdout.splitlines() or ["?"])[0]
