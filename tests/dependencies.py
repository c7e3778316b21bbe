"""deny.toml, kept: licences, bans and sources of every dependency. What `cargo deny check licenses bans sources` checks,
without the minutes that building it takes; run that too where you have it.
"""
import json
import pathlib
import re
import subprocess
import sys
import tomllib

ROOT = pathlib.Path(__file__).parent.parent
CRATES_IO = "registry+https://github.com/rust-lang/crates.io-index"


def allowed(expression, licences):
    """Evaluates an SPDX expression; exceptions (`WITH`) are taken as the licence without them, which is stricter."""
    words = re.findall(r"\(|\)|[^\s()]+", expression.replace("/", " OR "))
    python, skip = [], False
    for word in words:
        if skip:
            skip = False
        elif word == "WITH":
            skip = True
        elif word in ("(", ")"):
            python.append(word)
        elif word in ("AND", "OR"):
            python.append(word.lower())
        else:
            python.append(str(word in licences))
    return eval(" ".join(python), {"__builtins__": {}})


def main():
    deny = tomllib.loads((ROOT / "deny.toml").read_text())
    licences = set(deny["licenses"]["allow"])
    banned = {entry["name"] for entry in deny["bans"]["deny"]}
    metadata = subprocess.run(
        ["cargo", "metadata", "--format-version=1", "--locked", "--filter-platform=x86_64-unknown-linux-gnu"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    ).stdout
    metadata = json.loads(metadata)
    used = {node["id"] for node in metadata["resolve"]["nodes"]}
    packages = [package for package in metadata["packages"] if package["id"] in used]
    problems = []
    for package in packages:
        name = f"{package['name']} {package['version']}"
        if package["source"] not in (None, CRATES_IO):
            problems.append(f"{name}: comes from {package['source']}")
        if package["name"] in banned:
            problems.append(f"{name}: is banned in deny.toml")
        if not package["license"] or not allowed(package["license"], licences):
            problems.append(f"{name}: licence {package['license']} is not allowed in deny.toml")
    for problem in problems:
        print(f"  ✘ {problem}")
    print(f"dependencies: {len(packages)} packages checked, {len(problems)} problems")
    sys.exit(bool(problems))


main()
