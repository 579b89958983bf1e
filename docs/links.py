"""Finds links inside the built manual that lead nowhere: ``python links.py FOLDER``."""

from __future__ import annotations

import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit


class Page(HTMLParser):
    """What a page of the manual links to, and what in it can be linked to."""

    def __init__(self, path: Path) -> None:
        """Read the page."""
        super().__init__()
        self.links: list[str] = []
        self.anchors = {""}
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Take up the names of an element, and its links."""
        for name, value in attrs:
            if name == "id" and value:
                self.anchors.add(value)
            elif name in ("href", "src") and value:
                self.links.append(value)


def broken(folder: Path) -> list[str]:
    """Return a line for each link between files of `folder` that leads nowhere.

    Links to other sites are left alone.
    """
    pages = {path: Page(path) for path in folder.rglob("*.html")}
    lines = []
    for path, page in pages.items():
        for link in page.links:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            target = (path.parent / unquote(parts.path)).resolve()
            target = target if parts.path else path
            anchor = unquote(parts.fragment)
            where = f"{path.relative_to(folder)}: {link}"
            if not target.is_file():
                lines.append(f"{where} leads to no file")
            elif target in pages and anchor not in pages[target].anchors:
                lines.append(f"{where} leads to nothing on that page")
    return sorted(set(lines))


def main() -> int:
    """Look through the folder that is named; return the exit status."""
    folder = Path(sys.argv[1]).resolve()
    found = broken(folder)
    for line in found:
        print(line, file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
