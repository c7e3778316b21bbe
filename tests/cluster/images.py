#!/usr/bin/env python3
"""The images that the promises on nodes need beside the product's: a client, and the local STS in the same layer.

    tests/cluster/images.py --local-sts FILE --out FILE    a docker-archive, for `ctr images import`, `kind load image-archive` …

`--local-sts` is the program, linked statically. busybox and the C compiler are Debian's (busybox-static, gcc).
"""
import argparse
import json
import pathlib
import shutil
import subprocess
import sys
import tempfile

from control_plane import repository

sys.path.insert(0, str(repository() / "deploy" / "image"))
import archive

SOURCES = repository() / "tests" / "pods" / "client"
CLIENT = "localhost/imds-client:test"
PAUSE = "localhost/imds-pause:test"


def write(path, local_sts):
    """Both images are the same files: a client asks, the pause container holds a Pod's namespaces."""
    with tempfile.TemporaryDirectory() as folder:
        ask = pathlib.Path(folder) / "ask"
        subprocess.run(["cc", "-O1", "-static", "-o", ask, SOURCES / "ask.c"], check=True)
        programs = {"ask": ask, "bin/busybox": pathlib.Path(shutil.which("busybox")), "local-sts": local_sts}
        programs |= {name: SOURCES / name for name in ("app", "imds", "pause")}
        layer = archive.layer([archive.File(name, file.read_bytes(), 0o755) for name, file in sorted(programs.items())], 0)
    members = {"layer.tar": layer}
    manifest = []
    for tag, command in ((CLIENT, "/app"), (PAUSE, "/pause")):
        config = archive.to_json({
            "architecture": archive.ARCHITECTURES[archive.platform.machine()], "os": "linux",
            "config": {"Cmd": [command], "Env": ["PATH=/bin"]},
            "rootfs": {"type": "layers", "diff_ids": [archive.digest(layer)]},
        })
        members[f"{archive.hex_digest(config)}.json"] = config
        manifest.append({"Config": f"{archive.hex_digest(config)}.json", "RepoTags": [tag], "Layers": ["layer.tar"]})
    members["manifest.json"] = json.dumps(manifest).encode()
    entries = []
    for name, content in members.items():
        entry = archive.entry(name, 0, 0o644, archive.tarfile.REGTYPE)
        entry.size = len(content)
        entries.append((entry, content))
    path.write_bytes(archive.tar(entries))


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--local-sts", required=True, type=pathlib.Path)
    arguments.add_argument("--out", required=True, type=pathlib.Path)
    arguments = arguments.parse_args()
    write(arguments.out, arguments.local_sts)


if __name__ == "__main__":
    main()
