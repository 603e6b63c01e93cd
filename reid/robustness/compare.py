"""Compares defences: mean and standard deviation of the reports of several training seeds."""

import math
import statistics
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

from reid.utils.errors import InputError
from reid.utils.jsonfile import read_json

METRICS = {"mAP": "mAP", "rank1": "Rank-1", "mINP": "mINP", "success": "success"}
KINDS = ("clean", "attack", "worst", "steps", "corruption")
_TYPES: dict[type, str] = {
    **{dict: "an object", list: "a list", str: "text", bool: "true or false"},
    **{int: "a whole number", float: "a number", type(None): "null"},
}
_ROUNDING = 1e-9  # of a mean
Report = Mapping[str, Any]
Key: TypeAlias = tuple[str, str, float, str]  # kind, name, level, ranking

_MAX_BYTES = 2**26  # a report of a thousand rows has half a MiB


def read_report(folder: Path) -> Report:
    """Reads robustness.json of a run folder, or of the ``attack`` folder in it.

    Raises:
        InputError: There is no such file, or it is no report.
    """
    for path in (folder / "robustness.json", folder / "attack" / "robustness.json"):
        try:
            if not path.is_file():
                continue
            report = read_json(path, "a report of tools/attack.py", _MAX_BYTES)
            _check_report(report)
        except InputError as error:
            raise InputError(f"{error}; attack the run again (reid attack)") from error
        except (OSError, ValueError, RecursionError) as error:
            problem = error.strerror if isinstance(error, OSError) else error
            raise InputError(
                f"{path} is not a report of tools/attack.py: {_printable(str(problem))[:200]};"
                " attack the run again (reid attack)"
            ) from error
        checked: Report = report
        return checked
    raise InputError(f"{folder} holds no robustness.json; attack the run first (reid attack)")


def _check_report(report: Any) -> None:
    """Raises ValueError that says what of a report is missing or of the wrong kind."""
    _has(report, "the report", {"weight": str, "attack": dict, "rows": list, "sanity": dict})
    _has(report, "the report", {"num_queries": int, "surrogate": (str, type(None))})
    for key, value in report["attack"].items():
        if not _is_flat(value):
            raise ValueError(f"the setting {key} is nested too deep")
    _has(report["sanity"], "'sanity'", {"verdict": str, "checks": list})
    for check in report["sanity"]["checks"]:
        _has(check, "a check of 'sanity'", {"passed": (bool, type(None))})
    if not report["rows"]:
        raise ValueError("'rows' is empty")
    for number, row in enumerate(report["rows"]):
        _check_row(row, f"row {number}")


def _check_row(row: Any, where: str) -> None:
    _has(row, where, {"kind": str, "name": str, "ranking": str, "level": (int, float)})
    if row["kind"] not in KINDS:
        raise ValueError(f"{where} is of kind {row['kind']!r}; known: {', '.join(KINDS)}")
    for key in ("name", "ranking"):
        if not row[key].isprintable():
            raise ValueError(f"the {key} of {where} has letters that cannot be printed")
    if not 0 <= row["level"] <= sys.float_info.max:  # False for NaN, too
        raise ValueError(f"the level of {where} must be a number of at least 0")
    for metric in METRICS:
        _has(row, where, {metric: (int, float, type(None))})
        value = row[metric]
        if value is not None and not -_ROUNDING <= value <= 1 + _ROUNDING:
            raise ValueError(f"{metric} of {where} must be a fraction from 0 to 1, got {value}")


def _has(value: Any, where: str, fields: Mapping[str, type | tuple[type, ...]]) -> None:
    """Raises ValueError unless the value is an object with fields of these types."""
    if not isinstance(value, dict):
        raise ValueError(f"{where} is no JSON object")
    for name, types in fields.items():
        if name not in value:
            raise ValueError(f"{where} has no '{name}'")
        wanted = types if isinstance(types, tuple) else (types,)
        found = value[name]
        if not isinstance(found, wanted) or (isinstance(found, bool) and bool not in wanted):
            names = " or ".join(_TYPES[one] for one in wanted)
            raise ValueError(f"'{name}' of {where} must be {names}, got {_TYPES[type(found)]}")


def _is_flat(value: Any, depth: int = 3) -> bool:
    """Tells whether a setting is a value, a list of values, or a list of such lists."""
    if isinstance(value, dict):
        return False
    return not isinstance(value, list) or (depth > 0 and all(_is_flat(v, depth - 1) for v in value))


def _printable(text: str) -> str:
    return "".join(letter if letter.isprintable() else "?" for letter in text)


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
    tables = {name: [_table(report) for report in runs] for name, runs in groups.items()}
    rows = []
    for key in _table(reports[0]):
        kind, name, level, found = key
        if found != ranking or (metric == "success" and kind == "clean"):
            continue
        title = name if kind == "clean" else f"{name} {level:g}"
        cells = [
            _cell([_value(table, key, metric, report) for table, report in pairs])
            for pairs in (zip(tables[one], runs, strict=True) for one, runs in groups.items())
        ]
        rows.append([title, *cells])
    if not rows:
        known = sorted({key[3] for key in _table(reports[0])})
        raise InputError(f"no row of ranking '{ranking}'; the reports hold {', '.join(known)}")
    return ["perturbation", *groups], rows


def _table(report: Report) -> dict[Key, Mapping[str, Any]]:
    """Returns the rows by their keys; of equal ones the first."""
    table: dict[Key, Mapping[str, Any]] = {}
    for row in report["rows"]:
        if row["kind"] != "steps":
            key = (row["kind"], row["name"], float(row["level"]), row["ranking"])
            table.setdefault(key, row)
    return table


def distrusted(groups: Mapping[str, Sequence[Report]]) -> list[str]:
    """Returns a line for each report whose sanity checks failed."""
    return [
        f"{name}, {_weight(report)}: {_printable(report['sanity']['verdict'])}"
        for name, runs in groups.items()
        for report in runs
        if any(check["passed"] is False for check in report["sanity"]["checks"])
    ]


def _check_alike(reports: Sequence[Report]) -> None:
    first = reports[0]
    for other in reports[1:]:
        pair = f"{_weight(first)} and {_weight(other)}"
        if (other["surrogate"] is None) != (first["surrogate"] is None):
            raise InputError(
                f"one of {pair} was attacked through a surrogate, the other as a white box: no"
                " comparison; attack both in the same way"
            )
        if other["num_queries"] != first["num_queries"]:
            raise InputError(
                f"{pair} were attacked on {first['num_queries']} and {other['num_queries']}"
                " queries: no comparison; attack both with one ATTACK.NUM_QUERIES"
            )
        if other["attack"] != first["attack"]:
            one = first["attack"]
            two = other["attack"]
            keys = sorted(k for k in {*one, *two} if one.get(k) != two.get(k))
            raise InputError(
                f"{pair} were attacked in different ways: they differ in"
                f" {_printable(', '.join(keys))}; attack both with the same settings"
            )


def _value(table: Mapping[Key, Mapping[str, Any]], key: Key, metric: str, report: Report) -> float:
    """Returns a metric in percent; NaN where the report has null."""
    if key not in table:
        _, name, level, ranking = key
        raise InputError(
            f"{_weight(report)} has no row {name} {level:g}, {ranking}; others have: attack it"
            " again with what they were attacked with"
        )
    value = table[key][metric]
    return float("nan") if value is None else 100 * value


def _weight(report: Report) -> str:
    return _printable(report["weight"])


def _cell(values: Sequence[float]) -> str:
    if any(map(math.isnan, values)):
        return "nan"
    mean = f"{statistics.fmean(values):.1f}"
    return mean if len(values) < 2 else f"{mean} ± {statistics.stdev(values):.1f}"
