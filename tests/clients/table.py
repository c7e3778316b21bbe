"""The tables in docs/clients.md, made from a run. A client that did not run keeps its rows."""
import datetime
import difflib
import re
import textwrap

import judge
from clients import CLIENTS, ROOT

PAGE = ROOT / "docs" / "clients.md"
BEGIN, END = "<!-- Written by tests/clients/run.py --write: -->", "<!-- to here. -->"
INTERCEPTIONS = ("redirect", "address", "endpoint")
HEADS = (
    ("client", "version", "asks for", "`redirect`", "`address`", "`endpoint`", "and asks there for"),
    ("client", "there", "not ready yet", "STS down", "refreshed in between"),
)
# By what came of it with `http-tokens` optional and required.
REACHES = {
    (judge.WORKS, judge.WORKS): "yes",
    (judge.WORKS, judge.UNAUTHORIZED): "optional",
    (judge.WORKS, judge.NOT_FOUND): "optional",
    (judge.NOT_FOUND, judge.NOT_FOUND): "no",
}


def rows(client, version, seen):
    """A row of each table."""
    def came_of(interception, http_tokens, state="there"):
        return judge.outcome(seen[interception, http_tokens][state])

    reaches = [REACHES[came_of(mode, "optional"), came_of(mode, "required")] for mode in INTERCEPTIONS]
    in_endpoint = judge.asked(seen["endpoint", "optional"]["there"])
    there = "the same" if in_endpoint == judge.asked(seen["redirect", "optional"]["there"]) else ", ".join(what for what, _ in in_endpoint)
    reached = [key for key in seen if came_of(*key) == judge.WORKS]

    def always(state):
        """What came of it in this state in every Pod where the client works at all."""
        return " / ".join(sorted({came_of(*key, state) for key in reached}))

    refusals = {len([status for _, status in judge.asked(seen[key]["not ready"]) if status == 503]) for key in reached}
    times = "/".join(map(str, sorted(refusals)))
    process = "the same process" if client.kind == "program" else "the next run"
    return (
        [client.name, version, ", ".join(client.asks), *reaches, there or "nothing"],
        [client.name, always("there"), f"{always('not ready')} ({times}×), then {always('tried again')}", always("STS down"),
         f"{always('refreshed')}: {process}"],
    )


def written_rows(text):
    """The page's rows, by table and client."""
    cells = [line.strip("| ").split(" | ") for line in text.splitlines() if line.startswith("| ")]
    return {(len(row), row[0]): row for row in cells}


def render(ran, text, date):
    """The tables, and the notes of the clients."""
    before = written_rows(text)
    lines = [f"Run of {date}.", ""]
    for table, head in enumerate(HEADS):
        lines += [line(head), line(["---"] * len(head))]
        for client in CLIENTS:
            row = ran[client][table] if client in ran else before.get((len(head), client.name))
            lines += [line(row)] if row else []
        lines.append("")
    return "\n".join(lines + [note(client) for client in CLIENTS if client.note])


def note(client):
    text = f"* **{client.name}**: {client.note}"
    return textwrap.fill(text, 140, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False)


def line(cells):
    return f"| {' | '.join(cells)} |"


def compare(ran, write):
    """Whether the page says what has been seen; dates aside."""
    page = PAGE.read_text()
    before, rest = page.split(BEGIN)
    text, after = rest.split(END)
    date = datetime.date.today().isoformat() if write else re.search(r"Run of (.*)\.|$", text)[1]
    new = f"\n\n{render(ran, text, date)}\n\n"
    if write:
        PAGE.write_text(before + BEGIN + new + END + after)
    elif new != text:
        print("docs/clients.md says something else than this run; `tests/clients/run.py --write` writes it:")
        print("\n".join(difflib.unified_diff(text.splitlines(), new.splitlines(), "docs/clients.md", "this run", lineterm="")))
        return False
    return True
