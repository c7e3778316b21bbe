"""Tables and pictures of a run, from its results alone."""
import json
import re
import statistics

import budgets
import load
import pictures


def tables(results):
    """name -> lines of Markdown, as docs/performance.md has them between its marks."""
    found = {
        "machine": machine(results),
        **{mode: rates(results, "imds", mode) for mode in load.MODES},
        "costs": costs(results),
        "instructions": instructions(results),
        "webhook": webhook(results),
    }
    if results["budgets"]:
        found["files"] = files(results)
        found["budgets"] = budgets.table(budgets.of_run(results))
        found |= {f"where, {what}": where(what, groups) for what, groups in results["where"].items()}
    return found


def write(results, page, folder):
    """The page and the pictures: name of the file -> text."""
    return {page: page_with(page.read_text(), tables(results))} | {folder / f"{name}.svg": text for name, text in pictures.draw(results).items()}


def rounded(results):
    """As the file of results has them: six digits are more than any of this is worth."""
    return json.loads(json.dumps(results), parse_float=lambda digits: float(f"{float(digits):.6g}"))


def raw(results):
    """As JSON, the figures of all rounds on one line."""
    return re.sub(r"\[[^][{}]*\]", lambda match: re.sub(r"\s+", " ", match[0]), json.dumps(results, indent=1)) + "\n"


def page_with(text, found):
    for name, lines in found.items():
        marked = re.compile(rf"(<!-- begin of {name} -->\n).*?(<!-- end of {name} -->)", re.DOTALL)
        if not marked.search(text):
            raise SystemExit(f"bench: the page has no place for the table {name!r}")
        text = marked.sub(lambda match: match[1] + "\n".join(lines) + "\n" + match[2], text)
    return text


def machine(results):
    about, settings = results["machine"], results["settings"]
    others = [value for server in results["servers"].values() for modes in server["asks"].values() for figures in modes.values() for value in figures["others"]]
    cores = f"servers on core {settings['cores'][0]}, wrk on core {settings['cores'][1]}"
    lines = [
        f"{results['date']}, commit {results['commit'][:12]}; {about['cpu']}, {about['cores']} cores, {about['memory']}, {about['system']}; {about['tools']}.",
        f"{settings['rounds']} rounds of {settings['seconds']} s for each figure, {cores}. Other programs took {percent(statistics.median(others))} "
        f"of the machine meanwhile (median; {percent(max(others))} at worst).",
    ]
    return lines + [f"Not measured: **{name}**: {why}" for name, why in results["missing"].items()]


def rates(results, group, mode):
    """Requests a second, latency and CPU time, beside the limit."""
    servers = {name: server for name, server in results["servers"].items() if server["group"] == group}
    first = next(iter(servers.values()), None)
    limit = next(iter(first["asks"].values())).get(mode) if first else None
    lines = ["| | requests a second | beside the first | p50 | p99 | CPU a request, µs | beside the first |", "|---|---:|---:|---:|---:|---:|---:|"]
    for name, server in servers.items():
        for ask, modes in server["asks"].items():
            if mode not in modes:
                continue
            figures = modes[mode]
            # Where wrk has used up its core, the server could do more.
            at_least = "≥ " if statistics.median(rate * cpu / 1e6 for rate, cpu in zip(figures["rate"], figures["client cpu"])) > 0.95 else ""
            cells = [
                at_least + spread(figures["rate"], "{:,.0f}"), ratio(figures["rate"], limit and limit["rate"]),
                microseconds(figures["p50"]), microseconds(figures["p99"]),
                spread(figures["cpu"], "{:,.1f}"), ratio(figures["cpu"], limit and limit["cpu"]),
            ]
            lines.append(f"| {label(name, ask)} | {' | '.join(cells)} |")
    return lines


def costs(results):
    """Memory, start, size."""
    lines = [
        "| | alone, idle | alone, loaded | each of so many, idle | exec to first answer, ms | on disk |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    for name, server in results["servers"].items():
        copies = server.get("copies")
        cells = [
            memory(server["idle"]), memory(server["loaded"]),
            f"{copies['count']}: {memory([copies])}" if copies else server.get("single") or "—",
            spread([1000 * first for first in server["first"]], "{:,.1f}"), size(server["size"]),
        ]
        lines.append(f"| {bold(name)} | {' | '.join(cells)} |")
    return lines


def instructions(results):
    lines = ["| | user instructions a request |", "|---|---:|"]
    for name, server in results["servers"].items():
        lines += [f"| {label(name, ask)} | {count:,.0f} |" for ask, count in server.get("instructions", {}).items()]
    return lines


def webhook(results):
    lines = rates(results, "webhook", "keep")
    alone = rates(results, "webhook", "alone")[2:]
    return lines + [row.replace(" |", ", one at a time |", 1) for row in alone]


def files(results):
    return ["| file | bytes |", "|---|---:|", *(f"| {name} | {count:,} |" for name, count in results["files"].items())]


def where(what, groups):
    whole = sum(groups.values())
    return [f"| {what} | {whole:,.0f} | |", "|---|---:|---:|", *(f"| {group} | {count:,.0f} | {percent(count / whole)} |" for group, count in groups.items())]


def label(name, ask):
    return f"{bold(name)}, {ask}"


def bold(name):
    return f"**{name}**" if name.startswith("imds-") else name


def spread(values, form):
    """The median, and from where to where."""
    low, middle, high = (form.format(value) for value in (min(values), statistics.median(values), max(values)))
    return middle if low == high else f"{middle} ({low}–{high})"


def ratio(values, limit):
    if not limit:
        return "—"
    middle = load.ratio(values, limit)
    return f"{middle:.2f}" if middle < 10 else f"{middle:,.0f}"


def microseconds(values):
    middle = statistics.median(values)
    return f"{middle:,.0f} µs" if middle < 10_000 else f"{middle / 1000:,.0f} ms"


def memory(samples):
    """Private and proportional, KiB."""
    private, pss = (statistics.median(sample[kind] for sample in samples) for kind in ("private", "pss"))
    return f"{private:,.0f} / {pss:,.0f}"


def size(count):
    return "—" if count is None else f"{count / 1e6:,.1f} MB"


def percent(part):
    return f"{100 * part:.0f} %"
