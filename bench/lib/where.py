"""Where user instructions go: by the crate that a source line belongs to, which inlining does not blur.

callgrind's format: https://valgrind.org/docs/manual/cl-format.html. Costs are those of the lines themselves, not of what they call.
"""
import collections
import contextlib
import re

import measuring
import ours

# Beside the release's own files: with line tables, and nothing stripped.
FOLDER = ours.programs.TARGET_FOLDER / "lines"
LINES = {"CARGO_PROFILE_RELEASE_DEBUG": "line-tables-only", "CARGO_PROFILE_RELEASE_STRIP": "none", "CARGO_TARGET_DIR": str(FOLDER)}
EMULATOR, WEBHOOK = (FOLDER / ours.programs.TARGET / "release" / name for name in ("imds-emulator", "imds-webhook"))
# Smaller than this part of the whole is told together.
LEAST = 0.01

# What a file's path tells; the first that matches.
GROUPS = (
    (r"/ring-\d[^/]*/.*(?:p256|nistz|suite_b|limbs)", "ring: signatures (P-256)"),
    (r"/ring-\d[^/]*/.*25519", "ring: key agreement (X25519)"),
    (r"/ring-\d[^/]*/.*(?:sha|digest|hmac|hkdf)", "ring: hashes"),
    (r"/ring-\d[^/]*/.*(?:aead|aes|gcm|ghash|chacha|poly1305)", "ring: encryption"),
    (r"/registry/src/[^/]+/([\w-]+?)-\d", r"\1"),
    (r"(?:^|/)crates/([\w-]+)/src/", r"\1 (ours)"),
    (r"/library/(\w+)/", r"Rust's \1"),
    (r"\?\?\?|\.(?:c|S|h)$", "C library"),
)


def build():
    ours.programs.build(environment=LINES)


def measure():
    """What is done -> group -> user instructions, the most first."""
    body = ours.review_body()
    with contextlib.ExitStack() as stack:
        sts = ours.Sts(stack)
        emulator = lambda stack, before: ours.Emulator(stack, sts, before, EMULATOR)
        webhook = lambda stack, before: ours.Webhook(stack, before, WEBHOOK)
        return {
            "a cached GET": told(each(emulator, ours.get, 100, 600)),
            "exec to first credential": told(by_group(measuring.callgrind(emulator, ours.get, 0))),
            "a review": told(each(webhook, lambda connection: ours.review(connection, body), 20, 120)),
        }


def each(start, ask, few, many):
    """Those of one request, by the difference of two lives."""
    of_few, of_many = (by_group(measuring.callgrind(start, ask, requests)) for requests in (few, many))
    return {group: (of_many[group] - of_few[group]) / (many - few) for group in of_many}


def told(groups):
    whole = sum(groups.values())
    large = {group: count for group, count in groups.items() if count >= LEAST * whole}
    large = dict(sorted(large.items(), key=lambda item: -item[1]))
    return large | {"others": whole - sum(large.values())}


def by_group(report):
    names, costs, file, is_call = {}, collections.Counter(), "", False
    for line in report.splitlines():
        if found := re.match(r"(?:fl|fi|fe)=\((\d+)\)(?: (.*))?", line):
            file = names[found[1]] = found[2] or names.get(found[1], "")
        elif found := re.match(r"(?:cfi|cfl)=\((\d+)\)(?: (.*))?", line):
            names.setdefault(found[1], found[2] or "")
        elif line.startswith("calls="):
            is_call = True
        elif found := re.match(r"[+\-*\d]\S* (\d+)$", line):
            # The line after `calls=` is the callee's.
            costs[group_of(file)] += 0 if is_call else int(found[1])
            is_call = False
    return costs


def group_of(file):
    matches = ((re.search(pattern, file), name) for pattern, name in GROUPS)
    return next((found.expand(name) for found, name in matches if found), "unknown")
