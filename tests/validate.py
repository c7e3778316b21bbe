"""What is injected is valid Kubernetes by schemas that others wrote (PyPI kubernetes-validate, which ships the API server's own).

    validate.py                    the golden cases of crates/inject, for the oldest supported Kubernetes and the newest known
    validate.py FILE… [--version]  every document of these YAML files (`-` is stdin), strictly, for one version

Of a golden case, what was valid before the injection has to be valid after it, unknown fields being errors. Native sidecars are
not for the oldest version: there they have to fail, which shows that the schemas do look.
"""
import argparse
import os
import pathlib
import subprocess
import sys

import kubernetes_validate
import yaml

ROOT = pathlib.Path(__file__).parent.parent
GOLDEN = ROOT / "crates/inject/tests/golden"

OLDEST = "1.24"
# From 1.34.0 on, the package has no schema older than 1.25 and ends in an IndexError when asked for one. This is the last
# release with 1.24: installed beside the newest and used for that version alone.
PACKAGE_WITH_OLDEST = "kubernetes-validate==1.33.1"


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("files", nargs="*", help="YAML files instead of the golden cases; - is stdin")
    arguments.add_argument("--version", help="validate for this version alone")
    arguments = arguments.parse_args()
    newest = ".".join(kubernetes_validate.latest_version().split(".")[:2])
    check = (lambda version: check_files(arguments.files, version)) if arguments.files else check_golden_cases
    if arguments.version == OLDEST and not has_schemas(OLDEST):
        sys.exit(run_with_old_schemas(sys.argv[1:]))
    if arguments.version or arguments.files:
        sys.exit(check(arguments.version or newest))
    failed = check(newest)
    sys.stdout.flush()
    sys.exit(run_with_old_schemas(["--version", OLDEST]) or failed)


def has_schemas(version):
    return any(known.startswith(version + ".") for known in kubernetes_validate.utils.all_versions())


def run_with_old_schemas(arguments):
    folder = pathlib.Path(sys.prefix) / "kubernetes-schemas"
    stamp = folder / "requirement.txt"
    if not stamp.exists() or stamp.read_text() != PACKAGE_WITH_OLDEST:
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps", "--upgrade"]
        subprocess.run([*pip, "--target", folder, PACKAGE_WITH_OLDEST], check=True)
        stamp.write_text(PACKAGE_WITH_OLDEST)
    environment = {**os.environ, "PYTHONPATH": str(folder)}
    return subprocess.run([sys.executable, __file__, *arguments], env=environment).returncode


def check_files(files, version):
    failed = count = 0
    for file in files:
        text = sys.stdin.read() if file == "-" else pathlib.Path(file).read_text()
        for document in objects(yaml.safe_load_all(text)):
            count += 1
            if error := fault(document, version):
                failed += 1
                print(f"  ✘ {file}: {name_of(document)}: {error}")
    print(f"Kubernetes {version}: {count} documents, {failed} invalid")
    return failed > 0


def check_golden_cases(version):
    strictly = leniently = failed = refused = 0
    for expected in sorted(GOLDEN.glob("*/expected.yaml")):
        before = list(objects(yaml.safe_load_all(expected.with_name("input.yaml").read_text())))
        after = list(objects(yaml.safe_load_all(expected.read_text())))
        native = "native sidecar" in expected.with_name("report.txt").read_text()
        for was, now in zip(before, after, strict=True):
            strict = fault(was, version) is None
            strictly, leniently = strictly + strict, leniently + (not strict)
            if not strict and fault(was, version, strict=False):
                continue
            error = fault(now, version, strict)
            if native and version == OLDEST:
                if strict and was != now:
                    refused += 1
                    error = None if error and "restartPolicy" in error else f"a native sidecar is valid: {error}"
                else:
                    error = None
            if error:
                failed += 1
                print(f"  ✘ {expected.parent.name}: {name_of(now)}: {error}")
    # Where this fails, the cases have become such that little is checked.
    vacuous = strictly < 50 or leniently > strictly / 4 or (version == OLDEST and refused < 10)
    print(f"Kubernetes {version}: {strictly} documents checked strictly, {leniently} leniently, {failed} invalid"
          + (f"; {refused} native sidecars refused, as they should be" if refused else "")
          + ("; too little was checked" if vacuous else ""))
    return failed > 0 or vacuous


def objects(documents):
    """The objects of the documents, those of Lists on their own."""
    for document in documents:
        if isinstance(document, dict) and document.get("kind") == "List":
            yield from objects(document["items"])
        elif document is not None:
            yield document


def fault(document, version, strict=True):
    try:
        kubernetes_validate.validate(document, version, strict=strict)
    except kubernetes_validate.ValidationError as error:
        return f"{'.'.join(map(str, error.path))}: {error.message[:200]}"
    return None


def name_of(document):
    return f"{document.get('kind')} {document.get('metadata', {}).get('name', '')}".strip()


main()
