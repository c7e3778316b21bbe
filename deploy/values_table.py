"""Prints the table of deploy/chart/README.md: every value of values.yaml with its default and the comment above it.

A comment belongs to the key under it. A key whose own keys have comments is a heading; any other is a row. A key without a comment,
and under no row, is an error: every value is documented.
"""
import json
import pathlib
import re
import sys

import yaml

VALUES = pathlib.Path(__file__).parent / "chart/values.yaml"
KEY = re.compile(r"^( *)([A-Za-z][\w]*):")


def main():
    text = VALUES.read_text()
    comments, bare = read(text)
    rows = {path: comment for path, comment in comments.items() if not any(is_under(other, path) for other in comments)}
    undocumented = [path for path in bare if not any(is_under(path, row) for row in rows) and not any(is_under(row, path) for row in rows)]
    if undocumented:
        sys.exit(f"values.yaml: no comment above {', '.join(map('.'.join, undocumented))}")
    print("| value | default | what |\n|---|---|---|")
    values = yaml.safe_load(text)
    for path, comment in rows.items():
        print(f"| `{'.'.join(path)}` | `{json.dumps(value_at(values, path))}` | {comment} |")


def read(text):
    """The comment of each commented key, by its path; and the keys without one."""
    comments, bare, path, comment = {}, [], [], []
    for line in text.splitlines():
        if line.lstrip().startswith("#"):
            comment.append(line.lstrip("# ").rstrip())
        elif found := KEY.match(line):
            path = [*path[: len(found[1]) // 2], found[2]]
            if comment:
                comments[tuple(path)] = " ".join(comment)
            else:
                bare.append(tuple(path))
            comment = []
        else:
            comment = []
    return comments, bare


def is_under(path, above):
    return len(path) > len(above) and path[: len(above)] == above


def value_at(values, path):
    for key in path:
        values = values[key]
    return values


main()
