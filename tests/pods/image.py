"""The image that deploy/image/build makes, seen by others: tar, getcap, cargo.

    tests/pods/image.py FILE      builds it there and checks it
"""
import hashlib
import json
import pathlib
import subprocess
import sys
import tarfile
import tempfile
import tomllib

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
BUILD = ROOT / "deploy" / "image" / "build"
sys.path += [str(BUILD.parent), str(ROOT / "bench" / "lib")]
sys.dont_write_bytecode = True
import budgets
import programs
import pulled

BUDGET = budgets.BUDGETS["image, as it is pulled"][1]
NOT_CARGOS = {"rust-std", "glibc"}

failed = 0


def check(promise, holds, seen=""):
    global failed
    failed += not holds
    print(f"  {'✔' if holds else '✘'} {promise}" + ("" if holds else f"\n{seen}"), flush=True)


def contents(image):
    """Config and layer (bytes) of a docker-archive."""
    with tarfile.open(image) as archive:
        manifest = json.load(archive.extractfile("manifest.json"))[0]
        return manifest, json.load(archive.extractfile(manifest["Config"])), archive.extractfile(manifest["Layers"][0]).read()


def linked():
    """(name, version) of what cargo compiled for the target, by its own report of the build: not what the SBOM is made from."""
    lines = programs.build("--message-format=json", capture_output=True, text=True).stdout.splitlines()
    artefacts = [message for message in map(json.loads, lines) if message["reason"] == "compiler-artifact"]
    of_target = [artefact for artefact in artefacts if any(f"/{programs.TARGET}/" in name for name in artefact["filenames"])]
    # An id ends in #NAME@VERSION.
    return {tuple(artefact["package_id"].rpartition("#")[2].split("@")) for artefact in of_target}


def main():
    image = pathlib.Path(sys.argv[1]).resolve()
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        sbom, again = folder / "sbom.json", folder / "again.tar"
        done = subprocess.run([BUILD, "--out", image, "--sbom", sbom], capture_output=True, text=True)
        print("  " + done.stdout.splitlines()[0] if done.stdout else "")
        check("it builds", done.returncode == 0, done.stderr)
        size = pulled.size(image, folder)
        check(f"within its budget: {size:,} bytes are pulled ({BUDGET:,})", size <= BUDGET)
        # Another folder, another umask, another moment.
        subprocess.run([BUILD, "--out", again], check=True, capture_output=True, cwd="/", umask=0o077)
        check("a second build is the same, byte for byte", image.read_bytes() == again.read_bytes())

        manifest, config, layer = contents(image)
        check("its name", manifest["RepoTags"] == ["localhost/imds-emulator:dev"], manifest)
        check("the config's digest is the layer's", config["rootfs"]["diff_ids"] == ["sha256:" + hashlib.sha256(layer).hexdigest()])
        check("not root by default, by number", config["config"]["User"] == "65534:65534", config)
        check("OCI labels", all(config["config"]["Labels"].get(f"org.opencontainers.image.{name}") for name in
                                ("title", "description", "licenses", "version", "revision", "created")), config)
        unpacked = folder / "unpacked"
        unpacked.mkdir()
        (folder / "layer.tar").write_bytes(layer)
        subprocess.run(["tar", "--extract", "--xattrs", "--xattrs-include=security.*", "--file", folder / "layer.tar"], cwd=unpacked, check=True)
        files = sorted(str(path.relative_to(unpacked)) for path in unpacked.rglob("*") if path.is_file())
        check("three programs, licences, nothing else", files == [*programs.NAMES, "licenses/LICENSE", "licenses/THIRD-PARTY"], files)
        capabilities = subprocess.run(["getcap", "-r", unpacked], capture_output=True, text=True).stdout.strip()
        check("unpacked by tar, imds-redirect alone has its capability, permitted only", capabilities == f"{unpacked}/imds-redirect cap_net_admin=p", capabilities)
        for program in programs.NAMES:
            loader = subprocess.run(["ldd", unpacked / program], capture_output=True, text=True)
            check(f"{program} is static", "statically linked" in loader.stdout or "not a dynamic" in loader.stderr, loader)

        bill = json.loads(sbom.read_text())
        listed = {(entry["name"], entry["version"]) for entry in bill["components"] if entry["name"] not in NOT_CARGOS}
        used = linked()
        check(f"the SBOM lists exactly the {len(used)} packages that cargo compiles into the programs", listed == used, (listed - used, used - listed))
        locked = {(package["name"], package["version"]): package.get("checksum") for package in tomllib.loads((ROOT / "Cargo.lock").read_text())["package"]}
        hashes = {(entry["name"], entry["version"]): entry["hashes"][0]["content"] for entry in bill["components"] if "hashes" in entry}
        check("and each with the checksum of Cargo.lock", hashes == {key: locked[key] for key in listed if locked[key]})
        check("and the C library and the standard library, which are linked in too", NOT_CARGOS <= {entry["name"] for entry in bill["components"]})
        third_party = (unpacked / "licenses" / "THIRD-PARTY").read_text()
        untold = [f"{name} {version}" for name, version in hashes if f"{name} {version}: " not in third_party]
        check("the licence of every dependency is in the image", not untold, untold)
    print(f"image: {failed} failed")
    sys.exit(bool(failed))


main()
