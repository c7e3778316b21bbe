"""What the programs may cost, and the figures that are held against it: those that come out the same on any machine.

A budget is a few per cent above what is reached. Why the figures are what they are: docs/adr/0001, 0003 and 0008, docs/performance.md.
"""
import contextlib
import statistics
import time

import load

import measuring
import ours
import rsa_sts

# name -> (unit, the most that is allowed)
BUDGETS = {
    "imds-redirect, file": ("bytes", 1_250_000),
    "imds-emulator, file": ("bytes", 3_980_000),
    # As the release pushes it (deploy/image/pulled.py).
    "image, as it is pulled": ("bytes", 3_500_000),
    "emulator, private memory of each of 20 copies": ("KiB", 340),
    "emulator, PSS of each of 20 copies": ("KiB", 515),
    "emulator, an idle kept connection": ("KiB", 15),
    "emulator, a cached GET": ("instructions", 12_000),
    "emulator, exec to first credential": ("instructions", 3_300_000),
    "emulator, exec to first credential, RSA chain": ("instructions", 3_100_000),
    "webhook, a review over TLS": ("instructions", 330_000),
    "webhook, private memory of each of 5 copies": ("KiB", 350),
}
# What is aimed at beyond them, where anything is.
AIMS = {
    "emulator, private memory of each of 20 copies": 350,
    "emulator, a cached GET": 12_000,
    "emulator, exec to first credential, RSA chain": 3_000_000,
    "webhook, a review over TLS": 250_000,
}
# Time is noise on a shared machine: aimed at and told, never a failure.
CPU_OF_GET, CPU_OF_REVIEW = "emulator, CPU time of a GET (IMDSv2): ", "webhook, CPU time of a review: "
TIMES = {
    "emulator, exec to first credential, STS included": ("ms", 6),
    **{CPU_OF_GET + words: ("of bare-epoll's", 1.15) for _, _, words in load.MODES.values()},
    **{CPU_OF_REVIEW + load.MODES[mode][2]: ("µs", 40) for mode in ("keep", "alone")},
}


def time_to_first(sts):
    """Milliseconds from exec to the first credential, by the program's own log."""
    begun = time.time()
    with contextlib.ExitStack() as stack:
        return 1000 * (ours.Emulator(stack, sts).got_credentials - begun)


def idle_connection(sts):
    """KiB of private memory for each kept connection that idles."""
    with contextlib.ExitStack() as stack:
        emulator = ours.Emulator(stack, sts)
        ours.get(emulator.connection())
        before = measuring.smaps(emulator.pids())["private"]
        # All but a few of the connections that it keeps at once.
        connections = [emulator.connection() for _ in range(120)]
        for connection in connections:
            ours.get(connection)
        return (measuring.smaps(emulator.pids())["private"] - before) / len(connections)


def measure():
    """Every figure of the table but the image's, by name."""
    with contextlib.ExitStack() as stack:
        sts = ours.Sts(stack)
        emulator = lambda stack, before=(): ours.Emulator(stack, sts, before)
        first = min(time_to_first(sts) for _ in range(5))
        # Private memory beside other copies: what one more Pod costs. Alone, pages of the file would count as private.
        emulators = measuring.copies(emulator, 20)
        connection = idle_connection(sts)
        start = measuring.instructions(emulator, ours.get, 0)
        like_aws = rsa_sts.Sts(stack, sts)
        start_rsa = measuring.instructions(lambda stack, before: ours.Emulator(stack, like_aws, before), ours.get, 0)
        each = measuring.instructions_each(emulator, ours.get, 100, 600)
    body = ours.review_body()
    return {
        "imds-redirect, file": ours.REDIRECT.stat().st_size,
        "imds-emulator, file": ours.EMULATOR.stat().st_size,
        "emulator, private memory of each of 20 copies": emulators["private"],
        "emulator, PSS of each of 20 copies": emulators["pss"],
        "emulator, an idle kept connection": connection,
        "emulator, a cached GET": each,
        "emulator, exec to first credential": start,
        "emulator, exec to first credential, RSA chain": start_rsa,
        "webhook, a review over TLS": measuring.instructions_each(ours.Webhook, lambda c: ours.review(c, body), 20, 120),
        "webhook, private memory of each of 5 copies": measuring.copies(ours.Webhook, 5)["private"],
        "emulator, exec to first credential, STS included": first,
    }


def of_run(results):
    """What bench/run has measured of them: with the times that its rounds give."""
    found = dict(results["budgets"])
    for mode, (_, _, words) in load.MODES.items():
        cpu = {(name, ask): modes[mode]["cpu"] for name, server in results["servers"].items() for ask, modes in server["asks"].items() if mode in modes}
        emulator, limit, webhook = (cpu.get(key) for key in (("imds-emulator", "document, IMDSv2"), ("bare-epoll", "fixed answer"), ("imds-webhook", "review")))
        if emulator and limit:
            found[CPU_OF_GET + words] = load.ratio(emulator, limit)
        if webhook:
            found[CPU_OF_REVIEW + words] = statistics.median(webhook)
    return found


def check(measured):
    """Prints the figures that there are beside their budgets; returns how many are over."""
    broken = passed = 0
    for name, (unit, most) in BUDGETS.items():
        if name in measured:
            over = measured[name] > most
            broken, passed = broken + over, passed + (not over)
            print(f"  {'✘' if over else '✔'} {name}: {number(measured[name])} {unit} (budget {number(most)})")
    for name, (unit, aim) in TIMES.items():
        if name in measured:
            print(f"  · {name}: {number(measured[name])} {unit} (aim {number(aim)}; time fails nothing)")
    print(f"budgets: {passed} passed, {broken} failed")
    return broken


def table(measured):
    """The same as lines of Markdown, with the aims."""
    lines = ["| | now | budget | aim | reached |", "|---|---:|---:|---:|---|"]
    for name, (unit, most) in (BUDGETS | TIMES).items():
        if name not in measured:
            continue
        value = measured[name]
        aim = most if name in TIMES else AIMS.get(name)
        budget = "" if name in TIMES else number(most)
        reached = "" if aim is None else "yes" if value <= aim else "**no**"
        lines.append(f"| {name} | {number(value)} {unit} | {budget} | {number(aim) if aim else ''} | {reached} |")
    return lines


def number(value):
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
