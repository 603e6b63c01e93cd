"""Compares defences: mean and standard deviation of the reports of several training seeds."""

import json
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from reid.utils.errors import InputError

METRICS = {"mAP": "mAP", "rank1": "Rank-1", "mINP": "mINP", "success": "success"}
Report = Mapping[str, Any]


def read_report(folder: Path) -> Report:
    """Reads robustness.json of a run folder, or of the ``attack`` folder in it.

    Raises:
        InputError: There is no such file, or it is no report.
    """
    for path in (folder / "robustness.json", folder / "attack" / "robustness.json"):
        if path.is_file():
            try:
                report: Report = json.loads(path.read_text(encoding="utf-8"))
                _keys(report), report["num_queries"], report["attack"], report["weight"]
                report["surrogate"], report["sanity"]["verdict"]
            except (ValueError, KeyError, TypeError) as error:
                raise InputError(f"{path} is no report of tools/attack.py: {error}") from error
            return report
    raise InputError(f"{folder} holds no robustness.json; attack the run first (reid attack)")


def comparison(
    groups: Mapping[str, Sequence[Report]], metric: str = "mAP", ranking: str = "plain"
) -> tuple[list[str], list[list[str]]]:
    """Returns headers and rows of a table with one row per perturbation and one column per defence.

    Cells are "mean ± standard deviation" in percent, over training seeds (divided by n - 1); a
    single run has no standard deviation.

    Args:
        groups: Name of a defence -> reports of its runs.
        metric: A key of ``METRICS``.
        ranking: Name of a ranking, as in the reports.

    Raises:
        InputError: The runs were attacked in different ways, or no report has the ranking.
    """
    reports = [report for runs in groups.values() for report in runs]
    _check_alike(reports)
    rows = []
    for kind, name, level, found in _keys(reports[0]):
        if found != ranking or (metric == "success" and kind == "clean"):
            continue
        title = name if kind == "clean" else f"{name} {level:g}"
        cells = [_cell([_value(r, kind, name, level, ranking, metric) for r in runs])
                 for runs in groups.values()]  # fmt: skip
        rows.append([title, *cells])
    if not rows:
        known = sorted({key[3] for key in _keys(reports[0])})
        raise InputError(f"no row of ranking '{ranking}'; the reports hold {', '.join(known)}")
    return ["perturbation", *groups], rows


def _keys(report: Report) -> list[tuple[str, str, float, str]]:
    rows = (row for row in report["rows"] if row["kind"] != "steps")
    return [(r["kind"], r["name"], float(r["level"]), r["ranking"]) for r in rows]


def distrusted(groups: Mapping[str, Sequence[Report]]) -> list[str]:
    """Returns a line for each report whose sanity checks failed."""
    return [
        f"{name}, {report['weight']}: {report['sanity']['verdict']}"
        for name, runs in groups.items()
        for report in runs
        if any(check["passed"] is False for check in report["sanity"]["checks"])
    ]


def _check_alike(reports: Sequence[Report]) -> None:
    first = reports[0]
    for other in reports[1:]:
        if (other["surrogate"] is None) != (first["surrogate"] is None):
            raise InputError(
                f"one of {first['weight']} and {other['weight']} was attacked through a surrogate,"
                " the other as a white box: no comparison"
            )
        if other["num_queries"] != first["num_queries"]:
            raise InputError(
                f"{first['weight']} was attacked on {first['num_queries']} queries,"
                f" {other['weight']} on {other['num_queries']}: no comparison"
            )
        if other["attack"] != first["attack"]:
            one = first["attack"]
            two = other["attack"]
            keys = sorted(k for k in {*one, *two} if one.get(k) != two.get(k))
            raise InputError(
                f"{first['weight']} and {other['weight']} were attacked in different ways: they"
                f" differ in {', '.join(keys)}"
            )


def _value(report: Report, kind: str, name: str, level: float, ranking: str, metric: str) -> float:
    for row in report["rows"]:
        if (row["kind"], row["name"], row["level"], row["ranking"]) == (kind, name, level, ranking):
            return float("nan") if row[metric] is None else 100 * row[metric]
    raise InputError(f"{report['weight']} has no row {name} {level:g}, {ranking}; others have")


def _cell(values: Sequence[float]) -> str:
    mean = f"{statistics.fmean(values):.1f}"
    return mean if len(values) < 2 else f"{mean} ± {statistics.stdev(values):.1f}"
