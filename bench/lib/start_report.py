"""Tables of bench/start, from its results alone."""
import statistics

from report import spread

PLAIN, INIT = "plain", "plain, with an init container that ends at once"
# What the gate was of every native sidecar, and is of these.
BY_PROBE = ", with-credentials"
# Seconds more than plain, and how often plain's time many at once may take.
ALONE = {"endpoint": 0.4, "redirect": 0.9, "address": 0.9}
AT_ONCE = 1.5


def tables(results):
    parts = {"machine": machine, "aims": aims, "alone": alone, "timeline": timeline, "at once": at_once}
    return {f"start, {name}": make(results) for name, make in parts.items()}


def machine(results):
    about, settings = results["machine"], results["settings"]
    return [
        f"{results['date']}, commit {results['commit'][:12]}; {about['cpu']}, {about['cores']} cores, {about['memory']}, {about['system']}; "
        f"Kubernetes {results['kubernetes']}, containerd {results['containerd']}.",
        f"{settings['rounds']} Pods of each form, and {settings['times']} times {settings['at once']} at once.",
    ]


def aims(results):
    lines = ["| | now | aim | reached |", "|---|---:|---:|---|"]
    for form, aim in ALONE.items():
        now = difference(results, form, PLAIN)
        lines.append(f"| {form}, more than plain | {now:.2f} s | {aim} | {reached(now, aim)} |")
    for form in results["at once"]:
        if form in ALONE:
            now = ratio(results, form, "all")
            lines.append(f"| {form}, {results['settings']['at once']} at once | {now:.2f} of plain's | {AT_ONCE} | {reached(now, AT_ONCE)} |")
    return lines


def reached(now, aim):
    return "yes" if now <= aim else "**no**"


def alone(results):
    lines = ["| | s until it is ready | more than plain, s | more than an init container, s | sooner than by a probe, s |", "|---|---:|---:|---:|---:|"]
    for form, figures in results["alone"].items():
        cells = [spread(figures["ready"], "{:.2f}")]
        cells += ["—" if form in without else f"{difference(results, form, base):+.2f}" for base, without in ((PLAIN, (PLAIN,)), (INIT, (PLAIN, INIT)))]
        cells.append(f"{difference(results, form + BY_PROBE, form):.2f}" if form + BY_PROBE in results["alone"] else "—")
        lines.append(f"| {form} | {' | '.join(cells)} |")
    return lines


def difference(results, form, base):
    """The median of those within a round."""
    values, least = (results["alone"][name]["ready"] for name in (form, base))
    return statistics.median(value - other for value, other in zip(values, least))


def timeline(results):
    """A line for each thing that happens, in the order of the form in which most does."""
    forms = [form for form in results["alone"] if form != INIT]
    found = {form: {what: statistics.median(offsets) for what, offsets in results["alone"][form]["timeline"].items()} for form in forms}
    fullest = max(found.values(), key=len)
    lines = [f"| s after the request | {' | '.join(forms)} |", "|---|" + "---:|" * len(forms)]
    for what in sorted(fullest, key=fullest.get):
        lines.append(f"| {what} | {' | '.join(f'{found[form][what]:.2f}' if what in found[form] else '' for form in forms)} |")
    return lines


def at_once(results):
    lines = ["| | s until all are ready | of plain's | CPU time for each, s | of plain's |", "|---|---:|---:|---:|---:|"]
    for form, figures in results["at once"].items():
        cells = [cell for figure, form_of in (("all", "{:.1f}"), ("cpu", "{:.2f}")) for cell in (spread(figures[figure], form_of), f"{ratio(results, form, figure):.2f}")]
        lines.append(f"| {form} | {' | '.join(cells)} |")
    return lines


def ratio(results, form, figure):
    """The median of those of one time that many were started."""
    values, base = (results["at once"][name][figure] for name in (form, PLAIN))
    return statistics.median(value / other for value, other in zip(values, base))
