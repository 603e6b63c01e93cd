"""What holds for all pages: README is short, pictures are small, no sentence stands twice."""

import re
from collections import defaultdict
from pathlib import Path

import pytest
from commands import ROOT

PAGES = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "datasets/README.md")),
    *sorted((ROOT / "docs").glob("*.md")),
    *sorted((ROOT / "configs").rglob("README.md")),
]


def test_the_readme_is_a_first_page() -> None:
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) <= 150


def test_pictures_are_small() -> None:
    sizes = {
        str(file.relative_to(ROOT)): file.stat().st_size
        for file in sorted((ROOT / "docs").rglob("*"))
        if file.suffix in {".png", ".jpg", ".svg", ".ipynb"}
    }
    assert sizes
    assert {name: size for name, size in sizes.items() if size >= 200_000} == {}


def sentences(page: Path) -> list[str]:
    """Sentences of running text with seven words or more; no tables, code and comments."""
    passed_over = r"```.*?```|<!-- table .*?<!-- end of table -->|<!--.*?-->"
    text = re.sub(passed_over, "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    prose = "\n".join(line for line in text.splitlines() if not line.startswith("|"))
    found = []
    for paragraph in re.split(r"\n\s*\n", prose):
        for sentence in re.split(r"(?<=[.!?:;])\s+", " ".join(paragraph.split())):
            words = re.findall(r"\w+", sentence.lower())
            if len(words) >= 7:
                found.append(" ".join(words))
    return found


def test_no_sentence_stands_twice() -> None:
    places = defaultdict(list)
    for page in PAGES:
        for sentence in sentences(page):
            places[sentence].append(str(page.relative_to(ROOT)))
    assert len(places) > 500
    assert {words: names for words, names in places.items() if len(names) > 1} == {}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_somewhere(page: Path) -> None:
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    targets = re.findall(r"\]\(([^)\s]+)\)", text)
    for target in targets:
        if re.match(r"[a-z]+:", target):
            continue
        file, _, anchor = target.partition("#")
        whole = (page.parent / file).resolve() if file else page
        assert whole.exists(), f"{page}: {target}"
        if anchor:
            assert anchor in anchors(whole), f"{page}: {target}"


def anchors(page: Path) -> set[str]:
    """The anchors that a git host makes of headings."""
    heads = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in heads}
