"""What is linked into the programs: found by cargo, told as licence texts and as a bill of materials.

Build scripts, procedural macros and test helpers are in no program and so are not in here. What the toolchain links in by itself is:
the Rust standard library and, as the programs are static, the C library.
"""
import collections
import datetime
import json
import os
import pathlib
import re
import subprocess
import tomllib

from programs import PACKAGES, ROOT, TARGET

LICENCE_FILE = re.compile(r"(licen[cs]e|copying|copyright|notice|unlicense)", re.IGNORECASE)
TEXTS = pathlib.Path(__file__).parent / "licences"
LGPL = TEXTS / "LGPL-2.1.txt"
# Packages that name a licence and come without its text.
WITHOUT_TEXT = {"base64-simd": TEXTS / "MIT-Nugine-simd.txt", "vsimd": TEXTS / "MIT-Nugine-simd.txt"}

# `path` is the folder of its manifest, `checksum` the sha-256 of its archive in the registry (None for our own).
Package = collections.namedtuple("Package", "name version licence path checksum")


def find():
    """Every package that is linked into one of the programs, by Cargo.lock, in the order of names and versions."""
    # `cargo tree` resolves features for these programs alone; `cargo metadata` would for the whole workspace.
    tree = cargo("tree", "--locked", "--target", TARGET, "--edges", "normal,no-proc-macro", "--prefix", "none", *PACKAGES)
    linked = sorted({(name, version) for name, version in re.findall(r"^(\S+) v(\S+)", tree, re.MULTILINE)})
    metadata = json.loads(cargo("metadata", "--locked", "--format-version=1", "--filter-platform", TARGET))
    described = {(package["name"], package["version"]): package for package in metadata["packages"]}
    locked = tomllib.loads((ROOT / "Cargo.lock").read_text())["package"]
    checksums = {(package["name"], package["version"]): package.get("checksum") for package in locked}
    return [
        Package(name, version, described[name, version]["license"].replace("/", " OR "),
                pathlib.Path(described[name, version]["manifest_path"]).parent, checksums[name, version])
        for name, version in linked
    ]


def licences(found):
    """The texts that the dependencies' licences ask to be handed on; each text once, with those that it is from."""
    texts = collections.defaultdict(list)
    lines = ["What is linked into these programs, with its licence. The texts follow.", ""]
    for package in third_party(found):
        lines.append(f"{package.name} {package.version}: {package.licence}")
        files = sorted(path for path in package.path.iterdir() if path.is_file() and LICENCE_FILE.match(path.name))
        if not files and package.name in WITHOUT_TEXT:
            files = [WITHOUT_TEXT[package.name]]
        if not files:
            raise SystemExit(f"{package.name} {package.version} comes without the text of its licence: find it")
        for path in files:
            texts[path.read_text(errors="replace").strip()].append(f"{package.name} {package.version} ({path.name})")
    rust, c_library = toolchain()
    lines.append(f"Rust standard library {rust}: MIT OR Apache-2.0 (taken under Apache-2.0: licenses/LICENSE)")
    lines.append(f"GNU C Library {c_library}, linked statically: LGPL-2.1-or-later. Its source: https://www.gnu.org/software/libc/.")
    lines.append("  To link with another version: the source of these programs is free, and deploy/image/build builds them.")
    texts[LGPL.read_text().strip()].append(f"GNU C Library {c_library}")
    rule = "=" * 100
    blocks = [f"{rule}\n{', '.join(of)}\n{rule}\n{text}\n" for text, of in sorted(texts.items(), key=lambda item: item[1])]
    return "\n".join([*lines, "", *blocks])


def sbom(found, version, time):
    """A bill of materials of the image: CycloneDX 1.5, JSON."""
    components = [component(package.name, package.version, package.licence, package.checksum, "cargo") for package in found]
    rust, c_library = toolchain()
    components.append(component("rust-std", rust, "MIT OR Apache-2.0", None, "generic"))
    components.append(component("glibc", c_library, "LGPL-2.1-or-later", None, "generic"))
    created = datetime.datetime.fromtimestamp(time, datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
    image = {"type": "container", "bom-ref": "image", "name": "imds-emulator", "version": version, "licenses": [{"expression": "Apache-2.0"}]}
    bill = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": {"timestamp": created, "component": image},
        "components": components,
    }
    return json.dumps(bill, indent=2) + "\n"


def component(name, version, licence, checksum, kind):
    url = f"pkg:{kind}/{name}@{version}"
    of_registry = {"hashes": [{"alg": "SHA-256", "content": checksum}]} if checksum else {}
    return {"type": "library", "bom-ref": url, "name": name, "version": version, "purl": url, "licenses": [{"expression": licence}], **of_registry}


def third_party(found):
    """Those that come from a registry."""
    return [package for package in found if package.checksum]


def toolchain():
    """The versions of the standard library and of the C library that are linked in."""
    rust = re.search(r"rustc (\S+)", subprocess.run(["rustc", "--version"], capture_output=True, text=True, check=True).stdout)[1]
    return rust, os.confstr("CS_GNU_LIBC_VERSION").removeprefix("glibc ")


def cargo(*arguments):
    return subprocess.run(["cargo", *arguments], cwd=ROOT, capture_output=True, text=True, check=True).stdout
