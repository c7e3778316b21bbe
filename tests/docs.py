"""Every relative link between the repository's pages leads to a file that is there, and to a heading of it; where it is a function's
name that leads to a Rust or Python file, to one that holds it, so that a page does not promise what no test proves."""
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).parent.parent
LINK = re.compile(r"\[([^\]]*)\]\(([^)\s]+)\)")
NAME = re.compile(r"`(\w+)`")
FENCED = re.compile(r"^```.*?^```", re.DOTALL | re.MULTILINE)


def anchors(page):
    """The names that GitHub gives to the headings of a page."""
    headings = re.findall(r"^#+ +(.*?) *$", FENCED.sub("", page.read_text()), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def holds(source, name):
    """Whether the file is the module of this name, or has the function."""
    return name in source.with_suffix("").parts or any(f"{word} {name}(" in source.read_text() for word in ("fn", "def"))


def main():
    left_out = {"target", ".venv", "node_modules"}
    pages = [page for page in ROOT.rglob("*.md") if not left_out & set(page.relative_to(ROOT).parts)]
    broken, links = [], 0
    for page in pages:
        for text, link in LINK.findall(FENCED.sub("", page.read_text())):
            if "://" in link:
                continue
            links += 1
            path, _, anchor = link.partition("#")
            target = page.parent / path if path else page
            if not target.exists() or anchor and anchor not in anchors(target):
                broken.append(f"{page.relative_to(ROOT)}: {link}")
            elif target.suffix in (".rs", ".py") and (name := NAME.fullmatch(text)) and not holds(target, name[1]):
                broken.append(f"{page.relative_to(ROOT)}: {link} holds no {name[1]}")
    for line in broken:
        print(f"  ✘ leads nowhere: {line}")
    print(f"docs: {len(pages)} pages read, {links} links, {len(broken)} broken")
    sys.exit(bool(broken))


main()
