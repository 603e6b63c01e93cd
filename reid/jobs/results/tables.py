"""Tables of results: only like beside like, the seeds of a recipe together."""

import statistics
from collections.abc import Sequence
from fnmatch import fnmatchcase

from reid.jobs.results.read import METRICS, Tested

Row = list[str]
HEADERS = ("run", "seed", *METRICS.values())


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


def table(
    group: Sequence[Tested], together: bool = False, sort: str = ""
) -> tuple[list[Row], list[str]]:
    """Returns rows (run, seed, metrics) of comparable results, and notes to print below them.

    Runs of one recipe get a row of means. It has no run in it that is not finished.

    Args:
        group: From :func:`alike`.
        together: Show the runs of a recipe only by their mean.
        sort: A metric, greatest first, or ``run``; "" keeps the order.
    """
    recipes: dict[str, list[Tested]] = {}
    for one in group:
        if one.recipe and one.seed is not None and not one.state:
            recipes.setdefault(one.recipe, []).append(one)
    entries: list[tuple[list[float], Row]] = []
    notes: list[str] = []
    hidden: set[int] = set()
    for recipe, runs in recipes.items():
        seeds = [str(one.seed) for one in runs]
        if len(set(seeds)) == len(seeds) > 1:
            entries += _means(runs, seeds, together)
            hidden |= {id(one) for one in runs} if together else set()
        elif len(seeds) > 1:
            names = ", ".join(one.run for one in runs)
            notes.append(
                f"no mean of {names}: recipe {recipe} has a seed twice ({', '.join(seeds)})"
            )
    single = [entry for one in group if id(one) not in hidden for entry in _rows(one)]
    return [row for _, row in _sorted([*single, *entries], sort)], notes


def _rows(one: Tested) -> list[tuple[list[float], Row]]:
    """Returns a row for each ranking of a result, with its numbers."""
    seed = "" if one.seed is None else str(one.seed)
    state = f"[{one.state}]" if one.state else ""
    rows = []
    for title, values in one.tables.items():
        name = " ".join(filter(None, (", ".join(filter(None, (one.run, title))), state)))
        rows.append((values, [name, seed, *(f"{value:.1f}" for value in values)]))
    return rows


def _means(
    runs: Sequence[Tested], seeds: Sequence[str], short: bool
) -> list[tuple[list[float], Row]]:
    """Returns a row for each ranking that all runs have: the mean ± the standard deviation.

    Args:
        runs: Results of one recipe.
        seeds: Their seeds, no two alike.
        short: Call them by what their names begin with.
    """
    rows = []
    for title in runs[0].tables:
        columns = [one.tables[title] for one in runs if title in one.tables]
        if len(columns) < len(runs):
            continue
        values = list(zip(*columns, strict=True))
        cells = [f"{statistics.fmean(v):.1f} ± {statistics.stdev(v):.1f}" for v in values]
        names = [one.run for one in runs]
        name = _common(names) if short else f"mean of {len(runs)} seeds: {', '.join(names)}"
        row = [", ".join(filter(None, (name, title))), ", ".join(seeds), *cells]
        rows.append(([statistics.fmean(v) for v in values], row))
    return rows


def _common(names: Sequence[str]) -> str:
    """Returns the folders that the paths share; all of the paths where they share none."""
    shared = []
    for parts in zip(*(name.split("/") for name in names), strict=False):
        if len(set(parts)) > 1:
            break
        shared.append(parts[0])
    return "/".join(shared) or ", ".join(names)


def _sorted(entries: list[tuple[list[float], Row]], sort: str) -> list[tuple[list[float], Row]]:
    if sort == "run":
        return sorted(entries, key=lambda entry: entry[1][0])
    if sort:
        column = list(METRICS).index(sort)
        return sorted(entries, key=lambda entry: -entry[0][column])
    return entries


def matrix(groups: Sequence[Sequence[Tested]]) -> list[Row]:
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


def chosen(names: Sequence[str], patterns: Sequence[str]) -> set[str]:
    """Returns the names that one of the patterns means; all of them where there is no pattern.

    Args:
        names: Names of runs.
        patterns: In which ``*`` and ``?`` stand for other letters; the beginning of a path means
            all that is below it.
    """
    if not patterns:
        return set(names)
    return {
        name
        for name in names
        for pattern in patterns
        if fnmatchcase(name, pattern) or fnmatchcase(name, f"{pattern}/*")
    }
