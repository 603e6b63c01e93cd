"""What a check of a data set finds, as rows of a table and as JSON."""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from reid.data.checking.reading import Picture
from reid.data.records import SPLITS

HEADERS = ("finding", "what", "found", "spoils results")
PICTURE_HEADERS = ("split", "images", "modes", "smallest", "largest")


@dataclass(frozen=True)
class Example:
    """One case of a finding.

    Attributes:
        text: What is wrong, without the names of the files.
        pictures: The images that it is about; empty if it is about none in particular.
    """

    text: str
    pictures: tuple[Picture, ...] = ()


@dataclass(frozen=True)
class Finding:
    """What one rule found.

    Attributes:
        kind: Name of the rule.
        spoils: Whether it would spoil a result.
        title: What the rule looks for, in a few words.
        examples: All cases, at least one.
    """

    kind: str
    spoils: bool
    title: str
    examples: tuple[Example, ...]


@dataclass(frozen=True)
class Findings:
    """What a check found.

    Attributes:
        pictures: Every image, sorted by split and path.
        findings: What was found; those that would spoil a result come first.
    """

    pictures: tuple[Picture, ...]
    findings: tuple[Finding, ...]

    @property
    def spoiled(self) -> bool:
        """Says whether something would spoil a result."""
        return any(finding.spoils for finding in self.findings)

    def rows(self) -> list[list[object]]:
        """Returns a row for each finding, under HEADERS."""
        return [
            [f.kind, f.title, len(f.examples), "YES" if f.spoils else "no"] for f in self.findings
        ]

    def example_lines(self, root: Path, most: int) -> list[str]:
        """Returns the name of each finding, and below it a line for each case.

        Args:
            root: Paths below this folder are shown relative to it.
            most: How many cases of a finding are shown.
        """
        lines = []
        for finding in self.findings:
            lines.append(f"{finding.kind}:")
            lines += [f"  {_line(example, root)}" for example in finding.examples[:most]]
            if len(finding.examples) > most:
                lines.append(f"  and {len(finding.examples) - most} more")
        return lines

    def picture_rows(self) -> list[list[object]]:
        """Returns a row for each split, under PICTURE_HEADERS: pixel formats and sizes."""
        rows: list[list[object]] = []
        for split in SPLITS:
            readable = [p for p in self.pictures if p.split == split and not p.problem]
            if readable:
                modes = ", ".join(f"{mode} {n}" for mode, n in _modes(readable).items())
                sizes = [f"{h}x{w}" for h, w in _extremes(readable)]
                rows.append([split, len(readable), modes, *sizes])
        return rows

    def as_json(self, root: Path, facts: dict[str, Any]) -> str:
        """Writes everything that was found, in an order that does not change.

        Args:
            root: Paths below this folder are written relative to it.
            facts: Further entries at the top level.
        """
        splits = {}
        for split in SPLITS:
            readable = [p for p in self.pictures if p.split == split and not p.problem]
            smallest, largest = _extremes(readable) if readable else (None, None)
            splits[split] = {
                "images": sum(p.split == split for p in self.pictures),
                "readable": len(readable),
                "modes": _modes(readable),
                "smallest": smallest,
                "largest": largest,
            }
        found = [
            {
                "kind": finding.kind,
                "spoils": finding.spoils,
                "what": finding.title,
                "found": len(finding.examples),
                "examples": [
                    {"text": e.text, "files": [shown(p.record.path, root) for p in e.pictures]}
                    for e in finding.examples
                ],
            }
            for finding in self.findings
        ]
        whole = facts | {"spoiled": self.spoiled, "splits": splits, "findings": found}
        return json.dumps(whole, indent=2) + "\n"


def shown(path: Path, root: Path) -> str:
    """Writes a path relative to ``root`` if it is below it.

    Args:
        path: The path.
        root: The folder.
    """
    return (path.relative_to(root) if path.is_relative_to(root) else path).as_posix()


def _line(example: Example, root: Path, most: int = 3) -> str:
    """Writes an example on one line, with the names of at most ``most`` files."""
    names = [shown(picture.record.path, root) for picture in example.pictures]
    more = [f"{len(names) - most} more"] if len(names) > most else []
    files = ", ".join(names[:most] + more)
    line = " ".join(f"{files}: {example.text}".lstrip(": ").split())
    # A file name may hold bytes that are no UTF-8, which a log file does not take.
    return line.encode("utf-8", "backslashreplace").decode("utf-8")


def _modes(pictures: Sequence[Picture]) -> dict[str, int]:
    return dict(sorted(Counter(picture.mode for picture in pictures).items()))


def _extremes(pictures: Sequence[Picture]) -> tuple[tuple[int, int], tuple[int, int]]:
    """Returns the sizes (height, width) with the fewest and with the most pixels."""
    sizes = sorted((p.size for p in pictures), key=lambda size: (size[0] * size[1], size))
    return sizes[0], sizes[-1]
