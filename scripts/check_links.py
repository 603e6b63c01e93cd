"""Says which links of a built site lead nowhere: ``python scripts/check_links.py outputs/docs``.

Every page, picture, file and anchor of the site that a page names must be there. Nothing is asked
of another host: links there must only be written well, and no page may load anything from one.
"""

import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit


@dataclass
class Page:
    """What a page has and names.

    Attributes:
        anchors: What a link may name behind ``#``.
        links: Addresses that a reader may follow.
        loaded: Addresses that the page itself loads.
    """

    anchors: set[str] = field(default_factory=set)
    links: list[str] = field(default_factory=list)
    loaded: list[str] = field(default_factory=list)


class Reader(HTMLParser):
    """Reads a page."""

    def __init__(self) -> None:
        super().__init__()
        self.page = Page()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Takes what a tag says of the page."""
        given = {name: value or "" for name, value in attrs}
        self.page.anchors |= {given[name] for name in ("id", "name") if name in given}
        if "src" in given:
            self.page.loaded.append(given["src"])
        if "href" in given:
            (self.page.links if tag == "a" else self.page.loaded).append(given["href"])


def read(path: Path) -> Page:
    """Returns what an HTML file has and names."""
    reader = Reader()
    reader.feed(path.read_text(encoding="utf-8"))
    return reader.page


def faults(site: Path) -> Iterator[str]:
    """Yields a line for each address that is wrong.

    Args:
        site: Folder of the built site.
    """
    root = site.resolve()
    pages = {path: read(path) for path in sorted(root.rglob("*.html"))}
    for path, page in pages.items():
        here = path.relative_to(root)
        for address in page.loaded:
            if urlsplit(address).netloc:
                yield f"{here}: loads {address} from another host"
        for address in [*page.links, *page.loaded]:
            wrong = fault(root, pages, path, address)
            if wrong:
                yield f"{here}: {address} {wrong}"


def fault(root: Path, pages: dict[Path, Page], path: Path, address: str) -> str:
    """Returns what is wrong with an address, or "".

    Args:
        root: Folder of the site.
        pages: All its pages.
        path: The page that names the address.
        address: As it stands there.
    """
    parts = urlsplit(address)
    if parts.scheme in ("data", "mailto"):
        return ""
    if parts.scheme or parts.netloc:
        return "" if parts.scheme in ("http", "https") and parts.netloc else "is no address"
    target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
    if not target.is_relative_to(root):
        return "leaves the site"
    if not target.is_file():
        return "does not exist"
    anchor = unquote(parts.fragment)
    if anchor and target in pages and anchor not in pages[target].anchors:
        return "has no such anchor"
    return ""


def main() -> None:
    """Prints the faults of the site; the exit code is 1 if there is one."""
    found = list(faults(Path(sys.argv[1])))
    print("\n".join(found) or "all links lead somewhere")
    sys.exit(bool(found))


if __name__ == "__main__":
    main()
