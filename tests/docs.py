"""Every relative link between the repository's pages leads to a file that is there."""
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).parent.parent
LINK = re.compile(r"\[[^\]]*\]\(([^)#\s]+)(?:#[^)\s]*)?\)")


def main():
    left_out = {"target", ".venv", "node_modules"}
    pages = [page for page in ROOT.rglob("*.md") if not left_out & set(page.relative_to(ROOT).parts)]
    broken = []
    for page in pages:
        for target in LINK.findall(page.read_text()):
            if "://" not in target and not (page.parent / target).exists():
                broken.append(f"{page.relative_to(ROOT)}: {target}")
    for line in broken:
        print(f"  ✘ leads nowhere: {line}")
    print(f"docs: {len(pages)} pages read, {len(broken)} broken links")
    sys.exit(bool(broken))


main()
