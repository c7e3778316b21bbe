"""An image of one layer, as bytes: a docker-archive (manifest.json, a config, a layer), which docker, podman and containerd load.

Nothing of the machine gets in: no clock, no owner, no order of a folder. Formats: the Docker Image Specification v1.2 and the OCI
image configuration; extended attributes in PAX headers as GNU tar writes them.
"""
import collections
import datetime
import hashlib
import io
import json
import os
import platform
import struct
import tarfile

# linux/capability.h
CAP_NET_ADMIN = 12
VFS_CAP_REVISION_2 = 0x02000000

# "nobody", where a Pod does not say: the injected containers do.
USER = "65534:65534"
ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}

# A file of the image: its path without the leading slash, and the bytes of its security.capability attribute.
File = collections.namedtuple("File", "name content mode capability", defaults=(0o644, None))


def permitted(capability):
    """security.capability (struct vfs_cap_data) of `setcap CAPABILITY+p`."""
    return struct.pack("<5I", VFS_CAP_REVISION_2, 1 << capability, 0, 0, 0)


def digest(content):
    return "sha256:" + hashlib.sha256(content).hexdigest()


def layer(files, time):
    """The tar of the files and of their folders, with this time."""
    folders = sorted({file.name.rpartition("/")[0] for file in files} - {""})
    entries = [(entry(folder, time, 0o755, tarfile.DIRTYPE), b"") for folder in folders]
    for file in files:
        info = entry(file.name, time, file.mode, tarfile.REGTYPE)
        info.size = len(file.content)
        if file.capability:
            # tarfile encodes in UTF-8: right for the bytes below 0x80 that these are, and an error for others.
            info.pax_headers = {"SCHILY.xattr.security.capability": file.capability.decode("ascii")}
        entries.append((info, file.content))
    return tar(entries)


def write_image(path, layer, tag, labels, time):
    created = datetime.datetime.fromtimestamp(time, datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
    config = to_json({
        "architecture": ARCHITECTURES[platform.machine()],
        "os": "linux",
        "created": created,
        # A Pod that names another program says so in `command`.
        "config": {"User": USER, "Entrypoint": ["/imds-webhook"], "WorkingDir": "/", "Labels": {**labels, "org.opencontainers.image.created": created}},
        "rootfs": {"type": "layers", "diff_ids": [digest(layer)]},
        "history": [{"created": created, "created_by": "deploy/image/build"}],
    })
    config_name, layer_name = f"{hex_digest(config)}.json", f"{hex_digest(layer)}.tar"
    manifest = to_json([{"Config": config_name, "RepoTags": [tag], "Layers": [layer_name]}])
    members = [("manifest.json", manifest), (config_name, config), (layer_name, layer)]
    entries = []
    for name, content in members:
        info = entry(name, time, 0o644, tarfile.REGTYPE)
        info.size = len(content)
        entries.append((info, content))
    path.write_bytes(tar(entries))


def write_tree(folder, files, time):
    """The same files on disk. Setting the capability needs CAP_SETFCAP."""
    for file in files:
        path = folder / file.name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(file.content)
        path.chmod(file.mode)
        if file.capability:
            os.setxattr(path, "security.capability", file.capability)
        os.utime(path, (time, time))
    for path in (*(path for path in folder.rglob("*") if path.is_dir()), folder):
        path.chmod(0o755)
        os.utime(path, (time, time))


def entry(name, time, mode, kind):
    info = tarfile.TarInfo(name)
    info.mtime, info.mode, info.type = time, mode, kind
    return info


def tar(entries):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for info, content in entries:
            archive.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def hex_digest(content):
    return hashlib.sha256(content).hexdigest()


def to_json(value):
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()
