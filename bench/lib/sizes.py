"""Bytes of the programs, and of the image that a node pulls."""
import pathlib
import subprocess
import tempfile

import ours
import pulled

IMAGE = "image, as it is pulled"


def measure():
    found = {name: (ours.programs.FOLDER / name).stat().st_size for name in ours.programs.NAMES}
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        image = folder / "image.tar"
        subprocess.run([ours.ROOT / "deploy" / "image" / "build", "--no-build", "--out", image], check=True, capture_output=True)
        return found | {"image, unpacked": image.stat().st_size, IMAGE: pulled.size(image, folder)}
