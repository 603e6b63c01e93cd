"""Prints the results of tested runs: a table for each data set, protocol and gallery.

reid results outputs/a outputs/b --markdown

Each folder is the OUTPUT_DIR of a run; all results in it are shown. What was tested on other images
or under another protocol stands in another table, because such numbers cannot be compared. Runs of
one recipe with several seeds get a row of means besides. If a run was tested on several data sets,
a matrix of runs and data sets comes last.
"""

import argparse
import os
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from reid.cli._arguments import path
from reid.utils.errors import InputError
from reid.utils.jsonfile import fields, read_json

HELP = "set the results of several tested runs side by side"
METRICS = {"mAP": "mAP %", "mINP": "mINP %", "rank1": "Rank-1 %", "rank5": "Rank-5 %"}
OTHERS = {"re_ranked": "re-ranked", "aqe": "AQE", "aqe_re_ranked": "AQE, re-ranked"}
FILE = "metrics.json"


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

    @property
    def title(self) -> str:
        """What has to be the same for numbers to be comparable, in words."""
        queries, unmatched, gallery = self.counts
        left_out = f" ({unmatched} of them without a match, left out)" if unmatched else ""
        data = self.dataset or "saved features"
        return f"{data}, {self.protocol}: {queries} queries{left_out}, {gallery} gallery images"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's arguments."""
    parser.add_argument("folders", nargs="+", type=path, help="OUTPUT_DIR of tested runs")
    parser.add_argument("--markdown", action="store_true", help="as Markdown")


def run(args: argparse.Namespace) -> None:
    """Prints the tables."""
    from tabulate import tabulate

    names = run_names(args.folders)
    tested = [
        t for folder, name in zip(args.folders, names, strict=True) for t in read(folder, name)
    ]
    groups = alike(tested)
    if len(groups) > 1:
        print(f"{len(groups)} tables: numbers of different tables cannot be compared\n")
    style = "github" if args.markdown else "simple"
    headers = ("run", "seed", *METRICS.values())
    for group in groups:
        rows, notes = table(group)
        # Numbers are texts here, so that a mean can carry its standard deviation.
        aligned = ("left", *["right"] * (len(headers) - 1))
        body = tabulate(rows, headers, style, disable_numparse=True, colalign=aligned)
        print("\n".join([group[0].title, "", body, *notes, ""]))
    if cells := matrix(groups):
        heads, *body_rows = cells
        aligned = ("left", *["right"] * (len(heads) - 1))
        body = tabulate(body_rows, heads, style, disable_numparse=True, colalign=aligned)
        print(f"mAP % by run and data set\n\n{body}\n")


def matrix(groups: Sequence[Sequence[Tested]]) -> list[list[str]]:
    """Returns a table of mAP with a row for each run and a column for each group, with its heads.

    It is empty unless a run was tested on two data sets.

    Args:
        groups: From :func:`alike`.
    """
    found: dict[str, dict[int, str]] = {}
    for column, group in enumerate(groups):
        for one in group:
            value = one.tables[""][list(METRICS).index("mAP")]
            found.setdefault(one.run, {})[column] = f"{value:.1f}"
    of_run = [{groups[column][0].dataset for column in cells} for cells in found.values()]
    if all(len(datasets) < 2 for datasets in of_run):
        return []
    heads = [f"{group[0].dataset or 'features'}, {group[0].protocol}" for group in groups]
    rows = [[run, *(cells.get(n, "") for n in range(len(groups)))] for run, cells in found.items()]
    return [["run", *heads], *rows]


def run_names(folders: Sequence[Path]) -> list[str]:
    """Returns a name for each folder: its last part, or the whole path where two have that part."""
    names = [os.path.basename(os.path.abspath(folder)) for folder in folders]
    return [
        name if names.count(name) == 1 else str(folder)
        for name, folder in zip(names, folders, strict=True)
    ]


def read(folder: Path, name: str) -> list[Tested]:
    """Returns the results in a folder: its own, and those that lie in its folder ``test``.

    Args:
        folder: OUTPUT_DIR of a run.
        name: What the tables call it.

    Raises:
        InputError: The folder has no result, or a file is no result of a test.
    """
    # os.path says no to a path that is too long, where pathlib raises.
    below = sorted(folder.glob(f"test/*/{FILE}")) if os.path.isdir(folder) else []
    found = [file for file in (folder / FILE, *below) if os.path.exists(file)]
    if not found:
        raise InputError(f"{folder / FILE} does not exist; test the run first (reid test)")
    results = [parsed(read_json(file, "the result of a test"), file, name) for file in found]
    return [
        one
        if file.parent == folder or not one.source
        else replace(one, run=f"{name} ({one.source})")
        for file, one in zip(found, results, strict=True)
    ]


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


def alike(tested: Sequence[Tested]) -> list[list[Tested]]:
    """Returns groups of results that can be compared, in the order in which they come.

    Saved features do not name their data set; they are compared with what shows the same people.
    """
    known = {one.ids: one.dataset for one in tested if one.dataset}
    groups: dict[tuple[object, ...], list[Tested]] = {}
    for one in tested:
        dataset = one.dataset or known.get(one.ids, "")
        groups.setdefault((dataset, one.ids, one.protocol, one.counts), []).append(one)
    # A group is named by its first result: put one in front that knows its data set.
    return [sorted(group, key=lambda one: not one.dataset) for group in groups.values()]


def table(group: Sequence[Tested]) -> tuple[list[list[str]], list[str]]:
    """Returns rows (run, seed, metrics) of comparable results, and notes to print below them.

    Args:
        group: From :func:`alike`.
    """
    rows = []
    for one in group:
        seed = "" if one.seed is None else str(one.seed)
        for title, values in one.tables.items():
            run_name = ", ".join(filter(None, (one.run, title)))
            rows.append([run_name, seed, *(f"{value:.1f}" for value in values)])
    notes = []
    recipes: dict[str, list[Tested]] = {}
    for one in group:
        if one.recipe and one.seed is not None:
            recipes.setdefault(one.recipe, []).append(one)
    for recipe, runs in recipes.items():
        seeds = [str(one.seed) for one in runs]
        if len(set(seeds)) == len(seeds) > 1:
            rows += means(runs, seeds)
        elif len(seeds) > 1:
            names = ", ".join(one.run for one in runs)
            notes.append(
                f"no mean of {names}: recipe {recipe} has a seed twice ({', '.join(seeds)})"
            )
    return rows, notes


def means(runs: Sequence[Tested], seeds: Sequence[str]) -> list[list[str]]:
    """Returns a row for each ranking that all runs have: the mean, and the standard deviation.

    Args:
        runs: Results of one recipe.
        seeds: Their seeds, no two alike.
    """
    rows = []
    for title in runs[0].tables:
        columns = [one.tables[title] for one in runs if title in one.tables]
        if len(columns) == len(runs):
            cells = [
                f"{statistics.fmean(values):.1f} (sd {statistics.stdev(values):.1f})"
                for values in zip(*columns, strict=True)
            ]
            name = f"mean of {len(runs)} seeds: {', '.join(one.run for one in runs)}"
            rows.append([", ".join(filter(None, (name, title))), ", ".join(seeds), *cells])
    return rows
