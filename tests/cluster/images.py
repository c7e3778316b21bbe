#!/usr/bin/env python3
"""The images that the promises of Pods that run need beside the product's: a client, and the local STS in the same layer.

    tests/cluster/images.py --out FILE    a docker-archive, for `ctr images import`, `kind load image-archive` and the like

Needs cargo, a C compiler and busybox, linked statically (Debian: gcc, busybox-static).
"""
import argparse
import pathlib
import shutil
import subprocess
import sys
import tempfile

sys.dont_write_bytecode = True
from control_plane import repository

sys.path.append(str(repository() / "deploy" / "image"))
import archive
import programs

SOURCES = repository() / "tests" / "pods" / "client"
CLIENT = "localhost/imds-client:test"
PAUSE = "localhost/imds-pause:test"


def local_sts():
    """The program, linked statically."""
    subprocess.run(["cargo", "build", "--quiet", "--locked", "--target", programs.TARGET, "--package", "imds-local-sts"],
                   cwd=repository(), env=programs.ENVIRONMENT, check=True)
    return programs.FOLDER.parent / "debug" / "local-sts"


def write(path):
    """Both images are the same files: a client asks, the pause container holds a Pod's namespaces."""
    with tempfile.TemporaryDirectory() as folder:
        ask = pathlib.Path(folder) / "ask"
        subprocess.run(["cc", "-O1", "-static", "-o", ask, SOURCES / "ask.c"], check=True)
        files = {"ask": ask, "bin/busybox": pathlib.Path(shutil.which("busybox")), "local-sts": local_sts()}
        files |= {name: SOURCES / name for name in ("app", "imds", "pause")}
        layer = archive.layer([archive.File(name, file.read_bytes(), 0o755) for name, file in sorted(files.items())], 0)
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
    members["manifest.json"] = archive.to_json(manifest)
    entries = []
    for name, content in members.items():
        entry = archive.entry(name, 0, 0o644, archive.tarfile.REGTYPE)
        entry.size = len(content)
        entries.append((entry, content))
    path.write_bytes(archive.tar(entries))


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--out", required=True, type=pathlib.Path, metavar="FILE")
    write(arguments.parse_args().out)


if __name__ == "__main__":
    main()
