"""A report of some runs, from folders to one HTML file: what ``reid report`` runs."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from yacs.config import CfgNode

from reid.config import leaves, read_chain
from reid.jobs.compare import compare_runs
from reid.jobs.comparing.question import Question
from reid.jobs.comparing.selection import STUDY_FILE, select
from reid.jobs.exported import file_of
from reid.jobs.results.read import runs_below
from reid.report.page import Comparison, render
from reid.report.runs import CONFIG, Run, read_run
from reid.statistics.tables import HEADERS, cells, notes, values
from reid.utils.errors import InputError
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
    write_text(output, render(runs, title, counts, comparisons_of(folders)))
    return runs


def comparisons_of(folders: Sequence[Path]) -> list[Comparison]:
    """Returns the tables of ``reid compare`` if the one folder is that of a study.

    A study whose runs cannot be compared (yet) gets the reason in place of a table.

    Args:
        folders: What the report is about.
    """
    if len(folders) != 1 or not (folders[0] / STUDY_FILE).is_file():
        return []
    try:
        chosen = select([str(folders[0])])
        question = Question(interactions=chosen.interactions, primary=chosen.primary)
        answer = compare_runs(chosen, question)
    except InputError as error:
        return [Comparison("Compared with the baseline", (), (), [f"not computed: {error}"])]
    return [
        Comparison(
            f"{table.title}, {table.metric} %", HEADERS, cells(table), notes(table), values(table)
        )
        for table in answer.tables
    ]


def find_runs(folders: Sequence[Path]) -> list[Path]:
    """Returns the folders of runs: those given, or where one is none, those in it.

    Args:
        folders: Folders of runs, or of trees of runs.

    Raises:
        InputError: A folder is missing, or no run is in it.
    """
    runs: list[Path] = []
    for folder in folders:
        if file_of(folder) is not None:
            raise InputError(
                f"{folder} is a file, which holds no curves and pictures; name folders of runs"
                " (reid compare and reid results read exported studies)"
            )
        if not folder.is_dir():
            raise InputError(f"{folder} is not a folder; name the OUTPUT_DIR of a run")
        below = runs_below(folder)
        if not below:
            raise InputError(f"{folder} holds no run; name an OUTPUT_DIR, or a folder of such")
        runs += below
    return list(dict.fromkeys(runs))


def names_of(folders: Sequence[Path]) -> list[str]:
    """Returns as many last parts of each path as tell all of them apart: plain/seed0, lfm/seed0."""
    parts = [folder.resolve().parts for folder in folders]
    length = 1
    while len({path[-length:] for path in parts}) < len(set(parts)):
        length += 1
    return ["/".join(path[-length:]) for path in parts]


def _settings(path: Path) -> dict[str, Any]:
    """Returns the settings of a run by dotted key; none where a folder holds only tests."""
    if not path.is_file():
        return {}
    return dict(leaves(CfgNode(dict(read_chain(path)[-1][1]))))
