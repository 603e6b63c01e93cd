"""The table of results: a row for each test and ranking, and the means of recipes."""

import statistics
from collections.abc import Callable, Sequence
from typing import NamedTuple, TypeAlias

from reid.report.runs import METRICS, Result

Interval: TypeAlias = tuple[float, float] | None
# Returns an interval of a metric, as fractions, over the results of one recipe; None knows none.
Intervals: TypeAlias = Callable[[Sequence[Result], str, str], Interval]


class Cell(NamedTuple):
    """A number of the table, as a fraction.

    Attributes:
        mean: The number, or the mean over seeds.
        sd: Standard deviation over seeds; None for a single result.
        interval: Ends of an interval; None where there is none.
    """

    mean: float
    sd: float | None = None
    interval: Interval = None


class Row(NamedTuple):
    """A row of the table.

    Attributes:
        label: The run, or the runs that a mean is over.
        ranking: Name of the ranking.
        seeds: Seeds in words; "" where they are not known.
        cells: By the name of the metric.
        mean_of: Number of runs that a mean is over; 0 for a single result.
    """

    label: str
    ranking: str
    seeds: str
    cells: dict[str, Cell]
    mean_of: int


def no_interval(results: Sequence[Result], ranking: str, metric: str) -> Interval:
    """Knows no interval.

    Args:
        results: Results of one recipe.
        ranking: Name of the ranking.
        metric: Name of the metric.
    """
    return None


def alike(results: Sequence[Result]) -> list[list[Result]]:
    """Returns groups of results that can be compared, in the order in which they come."""
    groups: dict[tuple[object, ...], list[Result]] = {}
    for result in results:
        groups.setdefault(result.subject, []).append(result)
    return list(groups.values())


def rows_of(results: Sequence[Result], intervals: Intervals = no_interval) -> list[Row]:
    """Returns the rows of comparable results.

    Args:
        results: One of the groups of :func:`alike`.
        intervals: Where intervals come from: whoever has a bootstrap hands it in here.
    """
    rows = []
    for result in results:
        seed = result.metrics.get("seed")
        for ranking, metrics in result.rankings.items():
            cells = {
                name: Cell(float(metrics[name]), None, intervals([result], ranking, name))
                for name in METRICS
            }
            rows.append(Row(result.run, ranking, "" if seed is None else str(seed), cells, 0))
    return rows + _means(results, intervals)


def _means(results: Sequence[Result], intervals: Intervals) -> list[Row]:
    recipes: dict[str, list[Result]] = {}
    for result in results:
        if result.recipe and result.metrics.get("seed") is not None:
            recipes.setdefault(result.recipe, []).append(result)
    rows = []
    for members in recipes.values():
        seeds = [str(member.metrics["seed"]) for member in members]
        if len(members) < 2 or len(set(seeds)) < len(seeds):
            continue  # of one seed twice there is no mean over seeds
        label = "mean of " + ", ".join(member.run for member in members)
        for ranking in members[0].rankings:
            if all(ranking in member.rankings for member in members):
                cells = {m: _mean(members, ranking, m, intervals) for m in METRICS}
                rows.append(Row(label, ranking, ", ".join(seeds), cells, len(members)))
    return rows


def _mean(members: Sequence[Result], ranking: str, metric: str, intervals: Intervals) -> Cell:
    values = [float(member.rankings[ranking][metric]) for member in members]
    interval = intervals(members, ranking, metric)
    return Cell(statistics.fmean(values), statistics.stdev(values), interval)


def differing_settings(configs: Sequence[dict[str, object]]) -> list[tuple[str, list[str]]]:
    """Returns (key, value of each run) where runs differ; a setting that is not there is "–".

    Args:
        configs: Settings by dotted key, of each run.
    """
    keys = sorted({key for config in configs for key in config} - {"OUTPUT_DIR"})
    rows = []
    for key in keys:
        values = [str(config.get(key, "–")) for config in configs]
        if len(set(values)) > 1:
            rows.append((key, values))
    return rows
