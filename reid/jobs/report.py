"""A report of some runs, from folders to one HTML file: what ``reid report`` runs."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from yacs.config import CfgNode

from reid.config import leaves, read_chain
from reid.report.page import render
from reid.report.runs import CONFIG, Run, find_runs, names_of, read_run
from reid.utils.logs import write_text


def report(
    folders: Sequence[Path],
    output: Path,
    title: str,
    counts: dict[str, int],
    root: Path | None = None,
) -> list[Run]:
    """Writes a report of runs.

    Args:
        folders: OUTPUT_DIRs of runs, or folders of such.
        output: The HTML file.
        title: Its title.
        counts: How many queries of each test are shown, by "worst", "median" and "best".
        root: Where the data sets lie now; None takes the folders that the tests read.

    Raises:
        InputError: A folder holds no run, or a file of a run is damaged.
    """
    found = find_runs(folders)
    runs = [
        read_run(folder, name, _settings(folder / CONFIG), root)
        for folder, name in zip(found, names_of(found), strict=True)
    ]
    write_text(output, render(runs, title, counts))
    return runs


def _settings(path: Path) -> dict[str, Any]:
    """Returns the settings of a run by dotted key; none where a folder holds only tests."""
    if not path.is_file():
        return {}
    return dict(leaves(CfgNode(dict(read_chain(path)[-1][1]))))
