"""What was kept on which Kubernetes: docs/compatibility holds a file of each version, written by the runs, and
docs/compatibility.md shows them.

    compatibility.py --render    writes the page's table
    compatibility.py --check     whether it is the files', and the newest version's file names just the promises that there are
"""
import datetime
import json
import pathlib
import platform
import subprocess
import sys

sys.dont_write_bytecode = True
from control_plane import repository

PAGE = repository() / "docs" / "compatibility.md"
FILES = PAGE.with_suffix("")
BEGIN, END = "<!-- begin of runs -->\n", "<!-- end of runs -->\n"
PARTS = {"server": "On an API server", "node": "On a node"}
KEPT, ABSENT = "✔", "–"


def add_option(parser):
    parser.add_argument("--record", action="store_true", help="write what was kept, and where, to docs/compatibility")


def recorder(arguments, part, **programs):
    """What a run does with the outcomes of its promises, where it was told to record them."""
    return [lambda suite, outcomes: record(part, suite.cluster, outcomes, programs)] if arguments.record else []


def record(part, cluster, outcomes, programs):
    """Writes what became of the promises of a part: by name, whether this version has what a promise is about."""
    FILES.mkdir(exist_ok=True)
    file = FILES / f"{cluster.git_version}.json"
    known = json.loads(file.read_text()) if file.exists() else {}
    known[part] = {
        "date": datetime.date.today().isoformat(), "linux": platform.release().partition("-")[0], "cgroup": control_group_version(), **programs,
        "promises": {name: KEPT if here else ABSENT for name, here in outcomes.items()},
    }
    file.write_text(json.dumps(known, indent=1, ensure_ascii=False) + "\n")


def control_group_version():
    return 2 if pathlib.Path("/sys/fs/cgroup/cgroup.controllers").exists() else 1


def version_of(program):
    """What a program says of its own version, the last word of its first line."""
    said = subprocess.run([program, "--version"], capture_output=True, text=True, check=True).stdout
    return said.splitlines()[0].split()[-1]


def order(version):
    return [int(number) for number in version.removeprefix("v").split(".")]


def recorded():
    """{version: what was written}, the newest version first."""
    files = {file.stem: json.loads(file.read_text()) for file in FILES.glob("v*.json")}
    return {version: files[version] for version in sorted(files, key=order, reverse=True)}


def table(runs):
    newest, *_ = runs
    lines = []
    for part, title in PARTS.items():
        names = list(runs[newest][part]["promises"])
        lines += [f"### {title}", "", f"| promise | {' | '.join(version.removeprefix('v') for version in runs)} |", f"|---|{':-:|' * len(runs)}"]
        lines += [f"| {name} | {' | '.join(run.get(part, {}).get('promises', {}).get(name, ' ') for run in runs.values())} |" for name in names]
        lines += [f"| *where* | {' | '.join(where(run.get(part)) for run in runs.values())} |", ""]
    return "\n".join(lines)


def where(run):
    if not run:
        return "not run"
    programs = [f"{name} {run[name]}" for name in ("containerd", "runc") if name in run]
    return "<br>".join([run["date"], f"Linux {run['linux']}", f"cgroup v{run['cgroup']}", *programs])


def promised():
    """The names of the promises, by part."""
    import run
    import run_on_nodes
    return {"server": run.promise.names(), "node": run_on_nodes.PROMISES.names()}


def main():
    action = sys.argv[1:]
    runs, page = recorded(), PAGE.read_text()
    before, rest = page.split(BEGIN)
    now = before + BEGIN + table(runs) + END + rest.split(END)[1]
    if action == ["--render"]:
        PAGE.write_text(now)
        return
    if action != ["--check"]:
        sys.exit(__doc__)
    newest, names = next(iter(runs)), promised()
    faults = [f"{part}: {name}" for part in PARTS for name in set(names[part]) ^ set(runs[newest][part]["promises"])]
    faults += [f"{PAGE.name} is not the files': render it"] if now != page else []
    for fault in faults:
        print(f"  ✘ {fault}")
    print(f"compatibility: {len(runs)} versions, {len(faults)} faults" + (", mended by RECORD=1 ./test cluster" if faults else ""))
    sys.exit(bool(faults))


if __name__ == "__main__":
    main()
