"""The programs of the image: static, with optimisation, the same bytes whoever builds them."""
import os
import pathlib
import platform
import subprocess

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
TARGET = f"{platform.machine()}-unknown-linux-gnu"
NAMES = ("imds-emulator", "imds-redirect", "imds-webhook")
PACKAGES = [argument for name in NAMES for argument in ("--package", name)]
TARGET_FOLDER = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")).resolve()
FOLDER = TARGET_FOLDER / TARGET / "release"

# Messages of panics name source files: those of dependencies without the builder's own folder.
CARGO_HOME = os.environ.get("CARGO_HOME") or pathlib.Path.home() / ".cargo"
ENVIRONMENT = {**os.environ, "RUSTFLAGS": f"-C target-feature=+crt-static --remap-path-prefix={CARGO_HOME}=/cargo"}


def build(*more, packages=PACKAGES, environment={}, **how):
    """Runs cargo. Whoever wants these programs calls this, so that what is built is shared."""
    command = ["cargo", "build", "--quiet", "--locked", "--release", "--target", TARGET, *packages, *more]
    return subprocess.run(command, cwd=ROOT, env=ENVIRONMENT | environment, check=True, **how)
