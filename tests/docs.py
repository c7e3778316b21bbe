"""Every relative link between the repository's pages leads to a file that is there, and to a heading of it."""
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).parent.parent
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
FENCED = re.compile(r"^```.*?^```", re.DOTALL | re.MULTILINE)


def anchors(page):
    """The names that GitHub gives to the headings of a page."""
    headings = re.findall(r"^#+ +(.*?) *$", FENCED.sub("", page.read_text()), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def main():
    left_out = {"target", ".venv", "node_modules"}
    pages = [page for page in ROOT.rglob("*.md") if not left_out & set(page.relative_to(ROOT).parts)]
    broken, links = [], 0
    for page in pages:
        for link in LINK.findall(FENCED.sub("", page.read_text())):
            if "://" in link:
                continue
            links += 1
            path, _, anchor = link.partition("#")
            target = page.parent / path if path else page
            if not target.exists() or anchor and anchor not in anchors(target):
                broken.append(f"{page.relative_to(ROOT)}: {link}")
    for line in broken:
        print(f"  ✘ leads nowhere: {line}")
    print(f"docs: {len(pages)} pages read, {links} links, {len(broken)} broken")
    sys.exit(bool(broken))


main()
