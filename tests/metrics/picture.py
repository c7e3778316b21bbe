"""Draws docs/metrics/dashboard.svg: the panels of the dashboard, with what a real Prometheus answers to their queries over a local run.

    picture.py PROMETHEUS     takes a quarter of an hour; `./test metrics` builds what it runs
"""
import contextlib
import html
import itertools
import math
import sys
import typing

from dashboard import Dashboard, queries
from local_run import ROOT, LocalRun

FILE = ROOT / "docs/metrics/dashboard.svg"
SECONDS, STEP, SCRAPE_INTERVAL = 15 * 60, 6, 5
# Of a 24th of the width, of a step of the height, and between panels.
COLUMN, ROW, GAP = 50, 30, 8
# Grey on nothing: it is looked at on white and on black.
GREY = "#7d8590"
PALETTE = ["#73bf69", "#f2cc0c", "#5794f2", "#ff780a", "#f2495c", "#b877d9", "#37872d", "#8ab8ff", "#ffa6b0", "#c4162a"]
DURATIONS = ((86400, "d"), (3600, "h"), (60, "min"), (1, "s"), (0.001, "ms"))
COLOURS = {"green": "#73bf69", "orange": "#ff9830", "red": "#f2495c"}


class Box(typing.NamedTuple):
    """A place on the picture."""
    left: float
    top: float
    right: float
    bottom: float

    def x(self, share):
        return self.left + share * (self.right - self.left)

    def y(self, share):
        return self.bottom - share * (self.bottom - self.top)


def main():
    dashboard = Dashboard()
    with contextlib.ExitStack() as stack:
        run = LocalRun(stack, sys.argv[1], SECONDS, SCRAPE_INTERVAL)
        run.play()
        drawn = [drawing(panel, run) for panel in dashboard.model["panels"]]
    width, height = 24 * COLUMN, max(place(panel).bottom for panel in dashboard.panels)
    FILE.parent.mkdir(exist_ok=True)
    FILE.write_text("\n".join([
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="sans-serif" font-size="12" fill="{GREY}">',
        *itertools.chain(*drawn), "</svg>\n"]))


def place(panel):
    spot = panel["gridPos"]
    left, top = spot["x"] * COLUMN, spot["y"] * ROW
    return Box(left, top, left + spot["w"] * COLUMN - GAP, top + spot["h"] * ROW - GAP)


def drawing(panel, run):
    box, title = place(panel), panel["title"]
    if panel["type"] == "row":
        return [text(box.left, box.top + 18, title, size=15, weight="bold")]
    answers = list(ask(panel, run))
    draw = {"stat": stat, "table": table, "timeseries": timeseries}[panel["type"]]
    frame = (f'<rect x="{box.left}" y="{box.top}" width="{box.right - box.left}" height="{box.bottom - box.top}" rx="3" fill="none" '
             f'stroke="{GREY}" stroke-opacity=".4"/>')
    return [frame, text(box.left + 8, box.top + 17, title, size=11), *draw(box, panel["fieldConfig"]["defaults"], answers)]


def ask(panel, run):
    """(target, series) of each of the panel's queries."""
    for target, query in queries(panel, run.variables()):
        if target["instant"]:
            yield target, run.prometheus.query(query, run.end)
        else:
            yield target, run.prometheus.query_range(query, run.start, run.end, STEP)


def stat(box, defaults, answers):
    value = float(answers[0][1][0]["value"][1])
    colour = [step["color"] for step in defaults["thresholds"]["steps"] if step["value"] is None or value >= step["value"]][-1]
    return [text(box.x(0.5), box.bottom - 28, shown(round(value, defaults.get("decimals", 6)), defaults["unit"]), size=26, anchor="middle", fill=COLOURS[colour])]


def table(box, _, answers):
    rows = [{**series["metric"], "value": shown(float(series["value"][1]), "none")} for _, found in answers for series in found]
    columns = [column for column in dict.fromkeys(key for row in rows for key in row) if column != "value"] + ["value"]
    heights = range(box.top + 40, box.bottom - 6, 18)
    # As wide as their words.
    widest = {column: max(map(len, [column, *(row.get(column, "") for row in rows)])) + 2 for column in columns}
    share, left, drawn = (box.right - box.left - 16) / sum(widest.values()), box.left + 8, []
    size = min(11, 1.65 * share)
    for column in columns:
        cells = [column, *(row.get(column, "") for row in rows)]
        drawn += [text(left, y, cell, size=size, opacity=1 if cell is not column else 0.7) for cell, y in zip(cells, heights)]
        left += widest[column] * share
    return drawn


def timeseries(box, defaults, answers):
    """Lines over the whole run, with an axis for the time in minutes and one for the values."""
    named = [(name(target, series["metric"]), dict(finite(series["values"]))) for target, found in answers for series in found]
    times = sorted({time for _, values in named for time in values})
    if "stacking" in defaults["custom"]:
        named = stacked(named, times)
    highest, lowest = extent(values for _, values in named)
    begin, end = times[0], times[-1]
    plot = Box(box.left + 56, box.top + 28, box.right - 20, box.bottom - 52)
    x = lambda time: plot.x((time - begin) / (end - begin))
    y = lambda value: plot.y((value - lowest) / (highest - lowest))
    drawn = []
    for value in ticks(lowest, highest, defaults["unit"]):
        drawn += [line(plot.left, y(value), plot.right, y(value)), text(plot.left - 6, y(value) + 4, shown(value, defaults["unit"]), size=10, anchor="end")]
    for minute in range(0, round((end - begin) / 60) + 1, 3):
        drawn.append(text(x(begin + 60 * minute), plot.bottom + 14, f"{minute} min", size=10, anchor="middle"))
    if "thresholdsStyle" in defaults["custom"]:
        for step in defaults["thresholds"]["steps"][1:]:
            if lowest <= step["value"] <= highest:
                drawn.append(line(plot.left, y(step["value"]), plot.right, y(step["value"]), COLOURS[step["color"]]))
    left, bottom = box.left + 8, box.bottom - 20
    for (label, values), colour in zip(named, PALETTE):
        drawn += [polyline([(x(time), y(values[time])) for time in times if time in run], colour) for run in unbroken(values, times)]
        width = 24 + 5.2 * len(label)
        if left + width > box.right:
            left, bottom = box.left + 8, bottom + 13
        drawn += [line(left, bottom - 4, left + 10, bottom - 4, colour), text(left + 14, bottom, label, size=10)]
        left += width
    return drawn


def name(target, labels):
    """The legend, as Grafana fills it in."""
    legend = target["legendFormat"]
    for label, value in labels.items():
        legend = legend.replace(f"{{{{{label}}}}}", value)
    return legend


def finite(values):
    return [(time, float(value)) for time, value in values if math.isfinite(float(value))]


def stacked(named, times):
    """Each on the ones before it."""
    below, found = dict.fromkeys(times, 0), []
    for label, values in named:
        below = {time: below[time] + values.get(time, 0) for time in times}
        found.append((label, below))
    return found


def unbroken(values, times):
    """The times without a gap between them."""
    runs = [set()]
    for time in times:
        if time in values:
            runs[-1].add(time)
        elif runs[-1]:
            runs.append(set())
    return [run for run in runs if run]


def extent(series):
    values = [value for one in series for value in one.values()]
    lowest, highest = min(0, *values), max(values)
    return (highest if highest > lowest else lowest + 1), lowest


def ticks(lowest, highest, unit):
    """Round values of the unit in which the highest is shown, four or so."""
    size = next((size for size, _ in DURATIONS if highest >= size), 1) if unit == "s" else 1
    third = (highest - lowest) / size / 3
    step = 10 ** math.floor(math.log10(third))
    step *= size * max(factor for factor in (1, 2, 5) if factor * step <= third)
    return [step * index for index in range(math.ceil(lowest / step), math.floor(highest / step) + 1)]


def shown(value, unit):
    """With its unit, in words that are short."""
    if unit != "s":
        return f"{value:.3g}" + (" req/s" if unit == "reqps" else "")
    return next((f"{value / size:.3g} {word}" for size, word in DURATIONS if abs(value) >= size), "0")


def text(x, y, words, size=12, anchor="start", weight="normal", fill=GREY, opacity=1):
    return (f'<text x="{x:.0f}" y="{y:.0f}" font-size="{size}" text-anchor="{anchor}" font-weight="{weight}" fill="{fill}" '
            f'opacity="{opacity}">{html.escape(str(words))}</text>')


def line(x1, y1, x2, y2, colour=None):
    stroke = f'stroke="{colour}" stroke-width="1.5"' if colour else f'stroke="{GREY}" stroke-opacity=".25"'
    return f'<path d="M{x1:.1f} {y1:.1f}L{x2:.1f} {y2:.1f}" {stroke}/>'


def polyline(points, colour):
    return f'<polyline points="{" ".join(f"{x:.1f},{y:.1f}" for x, y in points)}" fill="none" stroke="{colour}" stroke-width="1.5"/>'


main()
