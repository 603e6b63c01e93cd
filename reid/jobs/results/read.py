"""Reads results of tests, and finds the runs in a tree of folders; needs no torch."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from reid.jobs.exported import part_of, read_export
from reid.jobs.results.states import state_of
from reid.utils.errors import InputError
from reid.utils.jsonfile import fields, read_json

METRICS = {"mAP": "mAP %", "mINP": "mINP %", "rank1": "Rank-1 %", "rank5": "Rank-5 %"}
OTHERS = {"re_ranked": "re-ranked", "aqe": "AQE", "aqe_re_ranked": "AQE, re-ranked"}
FILE = "metrics.json"
_OF_A_RUN = {FILE, "config.yml", "metrics.jsonl", "last.pth"}  # one of them makes a folder a run
_TESTS = "test"  # folder of a run for results that are not its own


@dataclass(frozen=True)
class Tested:
    """The result of one test.

    Attributes:
        run: Name of the folder.
        tables: Metrics in percent by ranking; "" is the plain one.
        dataset: The data set, by name; "" if saved features were tested.
        protocol: Which gallery images a query may find.
        counts: Numbers of queries, of queries without a match, and of gallery images.
        ids: Hash of the people and cameras; "" in results of an older version.
        seed: Seed of the training; None where it is not known.
        source: What was tested: "features", the name of a reference, or "" for a checkpoint.
        recipe: Recipe of the training and the test, with the name of the weight's file; "" where it
            is not known.
        state: What is wrong with the run, in words; "" if it is finished.
    """

    run: str
    tables: Mapping[str, list[float]]
    dataset: str
    protocol: str
    counts: tuple[int, int, int]
    ids: str
    seed: int | None
    source: str
    recipe: str
    state: str = ""

    @property
    def title(self) -> str:
        """What has to be the same for numbers to be comparable, in words."""
        queries, unmatched, gallery = self.counts
        left_out = f" ({unmatched} of them without a match, left out)" if unmatched else ""
        data = self.dataset or "saved features"
        return f"{data}, {self.protocol}: {queries} queries{left_out}, {gallery} gallery images"


def runs_below(folder: Path) -> list[Path]:
    """Returns the runs in a tree, sorted; a run is not searched for others.

    Args:
        folder: The tree. Hidden folders and links to folders are passed over.
    """
    found, waiting = [], [folder]
    while waiting:
        here = waiting.pop()
        try:
            entries = list(os.scandir(here))
        except OSError:  # a folder that may not be read
            continue
        if any(entry.name in _OF_A_RUN for entry in entries):
            found.append(here)
        else:
            waiting += [
                Path(entry.path)
                for entry in entries
                if not entry.name.startswith(".") and entry.is_dir(follow_symlinks=False)
            ]
    return sorted(found, key=lambda path: _natural(path.relative_to(folder)))


def _natural(path: Path) -> list[tuple[str, int]]:
    """Returns what sorts seed2 before seed10."""
    words: list[tuple[str, int]] = []
    for part in path.parts:
        stem = part.rstrip("0123456789")
        words.append((stem, int(part[len(stem) :] or -1)))
    return words


def run_names(folders: Sequence[Path]) -> list[str]:
    """Returns a name for each folder: its last part, or the whole path where two have that part."""
    names = [os.path.basename(os.path.abspath(folder)) for folder in folders]
    return [
        name if names.count(name) == 1 else str(folder)
        for name, folder in zip(names, folders, strict=True)
    ]


def read_all(folders: Sequence[Path]) -> tuple[list[Tested], dict[str, str], bool]:
    """Reads the results of runs and of trees of runs.

    Args:
        folders: Each is the OUTPUT_DIR of a run, holds runs, or is an exported study.

    Returns:
        The results; the state of each run that has none, by its name; and whether one of the
        folders was a tree.

    Raises:
        InputError: A folder holds no run, or a file is no result of a test.
    """
    tested: list[Tested] = []
    without: dict[str, str] = {}
    trees = False
    for folder, name in zip(folders, run_names(folders), strict=True):
        if folder.suffix == ".json" and not os.path.isdir(folder):
            tested += _exported(folder, "" if len(folders) == 1 else f"{name}/")
            trees = True
            continue
        if _result_files(folder):
            tested += read(folder, name)
            continue
        below = runs_below(folder) if os.path.isdir(folder) else []
        if not below:
            raise InputError(f"{folder / FILE} does not exist; test the run first (reid test)")
        trees = trees or below != [folder]
        for run in below:
            inside = run.relative_to(folder).as_posix()
            called = name if inside == "." else inside if len(folders) == 1 else f"{name}/{inside}"
            if _result_files(run):
                tested += read(run, called)
            else:
                without[called] = state_of(run) or "trained, not tested"
    return tested, without, trees


def _exported(file: Path, prefix: str) -> list[Tested]:
    """Returns the results in an exported study, sorted as those of its folder."""
    names = sorted(read_export(file).cells, key=lambda name: _natural(Path(name)))
    parts = {name: part_of(file / name, "test") for name in names}
    return [
        parsed(part.content, part.where, f"{prefix}{name}")
        for name, part in parts.items()
        if part is not None
    ]


def _result_files(folder: Path) -> list[Path]:
    # os.path says no to a path that is too long, where pathlib raises.
    tests = folder / _TESTS
    below = sorted(tests.glob(f"*/{FILE}")) if os.path.isdir(tests) else []
    return [file for file in (folder / FILE, *below) if os.path.exists(file)]


def read(folder: Path, name: str) -> list[Tested]:
    """Returns the results in a folder: its own, and those that lie in its folder ``test``.

    Args:
        folder: OUTPUT_DIR of a run, which has results.
        name: What the tables call it.

    Raises:
        InputError: A file is no result of a test.
    """
    state = state_of(folder)
    results = []
    for file in _result_files(folder):
        one = replace(parsed(read_json(file, "the result of a test"), file, name), state=state)
        if file.parent != folder and one.source:
            one = replace(one, run=f"{name} ({one.source})")
        results.append(one)
    return results


def parsed(content: Any, file: Path, name: str) -> Tested:
    """Returns a result, checked entry by entry.

    Args:
        content: What the file holds.
        file: The file, for messages.
        name: What the tables call the run.

    Raises:
        InputError: An entry is missing, or is not what it should be.
    """
    counts = ("num_queries", "num_skipped", "num_gallery")
    texts = ("dataset", "protocol", "ids", "recipe_hash", "weight", "reference", "features")
    kinds: dict[str, type] = {
        **dict.fromkeys(texts, str),
        "seed": int,
        **dict.fromkeys(OTHERS, dict),
    }
    entry = fields(content, str(file), {**dict.fromkeys(counts, int), **NUMBERS}, kinds)
    tables = {"": percent(entry, str(file))}
    for key, title in OTHERS.items():
        if key in entry:
            where = f"{file}: {key}"
            tables[title] = percent(fields(entry[key], where, NUMBERS), where)
    recipe = ""
    if "recipe_hash" in entry:
        source = entry.get("reference") or Path(entry.get("weight", "")).name
        recipe = f"{source} {entry['recipe_hash']}"
    return Tested(
        run=name,
        tables=tables,
        dataset=entry.get("dataset", ""),
        protocol=entry.get("protocol", "cross_camera"),  # older versions had no other one
        counts=(entry["num_queries"], entry["num_skipped"], entry["num_gallery"]),
        ids=entry.get("ids", ""),
        seed=entry.get("seed"),
        source="features" if "features" in entry else entry.get("reference", ""),
        recipe=recipe,
    )


NUMBERS: dict[str, type] = dict.fromkeys(METRICS, float)


def percent(entry: Mapping[str, float], where: str) -> list[float]:
    """Returns the metrics of a ranking in percent.

    Args:
        entry: Fractions by name.
        where: Where they stand, for the message.

    Raises:
        InputError: One is no fraction.
    """
    for name in METRICS:
        if not 0 <= entry[name] <= 1:
            raise InputError(f"{where}: '{name}' must be a fraction, in [0, 1], got {entry[name]}")
    return [100 * entry[name] for name in METRICS]
