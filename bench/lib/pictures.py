"""Pictures of a run as SVG: points on a logarithmic scale, with the line from the least to the most.

Grey text on nothing: they are looked at on white and on black. The same results give the same bytes.
"""
import html
import math
import statistics

import load

GREY, BLUE, GREEN = "#7d8590", "#1f7af0", "#2da44e"
WIDTH, LEFT, RIGHT, ROW, TOP = 990, 320, 40, 26, 62


def draw(results):
    """name -> SVG."""
    rows = [(name, ask, modes) for name, server in results["servers"].items() if server["group"] == "imds" for ask, modes in server["asks"].items()]
    every = [*rows, *((name, ask, modes) for name, server in results["servers"].items() if server["group"] == "webhook" for ask, modes in server["asks"].items())]
    by_mode = lambda figure, rows: [(f"{name}, {ask}", [modes[mode][figure] if mode in modes else None for mode in ("keep", "close")]) for name, ask, modes in rows]
    kinds = [load.MODES[mode][2] for mode in ("keep", "close")]
    latencies = [(f"{name}, {ask}", [modes["alone"][figure] if "alone" in modes else None for figure in ("p50", "p99")]) for name, ask, modes in every]
    memory = [
        (name, [[sample["pss"] for sample in server["loaded"]], [server["copies"]["private"]] if server.get("copies") else None])
        for name, server in results["servers"].items()
    ]
    return {
        "requests": picture("requests a second, one core", kinds, by_mode("rate", rows)),
        "cpu": picture("CPU time a request, µs (user and kernel)", kinds, by_mode("cpu", every)),
        "latency": picture("one client: µs until the answer", ["p50", "p99"], latencies),
        "memory": picture("memory, KiB", ["alone and loaded, PSS", "private, each of several copies"], memory),
    }


def picture(title, kinds, rows):
    values = [value for _, series in rows for found in series if found for value in found]
    if not values:
        return svg(TOP, [])
    low, high = math.floor(math.log10(min(values))), math.ceil(math.log10(max(values)))
    place = lambda value: round(LEFT + (math.log10(max(value, 10**low)) - low) / max(high - low, 1) * (WIDTH - LEFT - RIGHT), 1)
    bottom = TOP + ROW * len(rows)
    parts = [text(8, 20, title, size=15)]
    for index, (kind, color) in enumerate(zip(kinds, (BLUE, GREEN))):
        x = LEFT + 280 * index
        parts += [dot(x, 40, color, index), text(x + 12, 44, kind)]
    for power in range(low, high + 1):
        x = place(10**power)
        parts.append(f'<path d="M{x} {TOP - 6}V{bottom}" stroke="{GREY}" stroke-opacity=".25"/>')
        parts.append(text(x, bottom + 18, short(power), anchor="middle"))
    for index, (name, series) in enumerate(rows):
        y = TOP + ROW * index + ROW // 2
        parts.append(text(LEFT - 14, y + 4, name, anchor="end", weight="bold" if name.startswith("imds-") else "normal"))
        for kind, (found, color) in enumerate(zip(series, (BLUE, GREEN))):
            if not found:
                continue
            middle, at = statistics.median(found), y - 4 + 8 * kind
            if min(found) < max(found):
                parts.append(f'<path d="M{place(min(found))} {at}H{place(max(found))}" stroke="{color}" stroke-width="2" stroke-opacity=".5"/>')
            parts.append(dot(place(middle), at, color, kind))
            parts.append(text(place(max(found)) + 8, at + 4, number(middle), size=10))
    return svg(bottom + 28, parts)


def svg(height, parts):
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" font-family="sans-serif" fill="{GREY}">'
    return "\n".join([head, *parts, "</svg>", ""])


def text(x, y, words, anchor="start", size=12, weight="normal"):
    return f'<text x="{x}" y="{y}" text-anchor="{anchor}" font-size="{size}" font-weight="{weight}">{html.escape(words)}</text>'


def dot(x, y, color, hollow):
    fill = "none" if hollow else color
    return f'<circle cx="{x}" cy="{y}" r="4" fill="{fill}" stroke="{color}" stroke-width="2"/>'


def short(power):
    return {0: "1", 1: "10", 2: "100"}.get(power) or (f"{10 ** (power % 3)} {' kMG'[power // 3]}" if power > 0 else f"{10**power:g}")


def number(value):
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}"
