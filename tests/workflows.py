"""The workflows under .github take no action by a name that can be moved, and no job has a right that it was not given.

    workflows.py [FILE…]
"""
import json
import pathlib
import re
import sys

import yaml

ROOT = pathlib.Path(__file__).parent.parent
USES = re.compile(r"^\s*(?:- )?uses: *(\S+)(.*)$", re.MULTILINE)
PINNED = re.compile(r"[\w.-]+/[\w./-]+@[0-9a-f]{40}")
TAG = re.compile(r" # v\d+\.\d+\.\d+")
# Renovate writes the digests that only a registry knows.
PRESETS = {"helpers:pinGitHubActionDigests", "docker:pinDigests"}


def faults_of(file):
    text = file.read_text()
    workflow = yaml.safe_load(text)
    if workflow.get("permissions") != {}:
        yield "permissions of the workflow have to be {}: each job names its own"
    for name, job in workflow["jobs"].items():
        if not isinstance(job.get("permissions"), dict):
            yield f"the job {name} has no permissions of its own"
        for step in job.get("steps", []):
            if step.get("uses", "").startswith("actions/checkout@") and step.get("with", {}).get("persist-credentials") is not False:
                yield f"the job {name} leaves its token in the checkout: persist-credentials has to be false"
    used = USES.findall(text)
    steps = [step for job in workflow["jobs"].values() for step in (job, *job.get("steps", [])) if "uses" in step]
    if len(used) != len(steps):
        yield f"{len(steps)} actions are used, and {len(used)} lines say so"
    for action, comment in used:
        if action.startswith("./"):
            continue
        if not PINNED.fullmatch(action):
            yield f"{action} is not pinned by a full commit hash"
        elif not TAG.fullmatch(comment):
            yield f"{action}: the comment after it has to be the tag, such as # v1.2.3"


def main():
    files = [pathlib.Path(name) for name in sys.argv[1:]] or sorted((ROOT / ".github/workflows").glob("*.y*ml"))
    faults = [f"{file.name}: {fault}" for file in files for fault in faults_of(file)]
    missing = PRESETS - set(json.loads((ROOT / ".github/renovate.json").read_text())["extends"])
    faults += [f"renovate.json does not extend {preset}" for preset in sorted(missing)]
    for fault in faults:
        print(f"  ✘ {fault}")
    print(f"workflows: {len(files)} read, {len(faults)} faults")
    sys.exit(bool(faults) or not files)


main()
