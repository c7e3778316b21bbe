"""What docs/metrics.md promises: metrics, questions, how to scrape, alerts."""
import pathlib
import re

import yaml

ROOT = pathlib.Path(__file__).parent.parent.parent
PAGE = (ROOT / "docs/metrics.md").read_text()


def section(heading):
    """The text under a heading, up to the next of its own rank or above."""
    rank = heading.index(" ")
    lines = iter(PAGE.splitlines())
    for line in lines:
        if line == heading:
            break
    else:
        raise ValueError(f"docs/metrics.md: no heading {heading!r}")
    found = []
    for line in lines:
        if re.match(rf"#{{1,{rank}}} ", line):
            break
        found.append(line)
    return "\n".join(found)


def rows(text, header):
    """The cells of the table whose header begins so."""
    lines = text.splitlines()
    first = next(index for index, line in enumerate(lines) if line.startswith(header)) + 2
    found = []
    for line in lines[first:]:
        if not line.startswith("|"):
            break
        found.append([cell.strip() for cell in line.strip("|").split(" | ")])
    return found


def quoted(cell):
    return re.findall(r"`([^`]*)`", cell)


def families(program):
    """{name: type} of a program. Labels and their values are held against the page by the programs' own tests."""
    return {quoted(name)[0]: kind for name, kind, *_ in rows(section(f"## {program}"), "| name | type | labels |")}


def questions():
    """The example queries."""
    return [quoted(query)[0] for _, query in rows(section("## Questions"), "| question | query |") if quoted(query)]


def alerts():
    """{alert: (severity, whether it has a heading)}, as the table of alerts has them."""
    text = section("## Alerts")
    found = rows(text, "| alert | severity | when |")
    return {quoted(name)[0]: (severity, f"\n### {quoted(name)[0]}\n" in text) for name, severity, *_ in found}


def scrape_configs():
    """What to write into prometheus.yml."""
    blocks = re.findall(r"^```yaml\n(.*?)^```", section("## Scraping"), re.MULTILINE | re.DOTALL)
    return next(block["scrape_configs"] for block in map(yaml.safe_load, blocks) if "scrape_configs" in block)
