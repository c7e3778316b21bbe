"""Every relative link between the repository's pages leads somewhere, and every file that a page names is there."""
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).parent.parent
LINK = re.compile(r"\[[^\]]*\]\(([^)#\s]+)(?:#[^)\s]*)?\)")


def main():
    names = subprocess.run(["git", "ls-files", "*.md"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    pages = [ROOT / name for name in names.split()]
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
