"""Reads a report of an attack that somebody hands in, and says what is wrong with it."""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from reid.utils.errors import InputError
from reid.utils.jsonfile import read_json

METRICS = ("mAP", "rank1", "mINP", "success")
KINDS = ("clean", "attack", "worst", "steps", "corruption")
_TYPES: dict[type, str] = {
    **{dict: "an object", list: "a list", str: "text", bool: "true or false"},
    **{int: "a whole number", float: "a number", type(None): "null"},
}
_ROUNDING = 1e-9  # of a mean
Report = Mapping[str, Any]

FILE = "robustness.json"
_MAX_BYTES = 2**26  # a report of a thousand rows has half a MiB


def find_report(folder: Path) -> Path:
    """Returns the robustness.json of a run folder, or of the ``attack`` folder in it.

    Raises:
        InputError: There is no such file, or its name is none.
    """
    for path in (folder / FILE, folder / "attack" / FILE):
        try:
            if path.is_file():
                return path
        except (OSError, ValueError) as error:
            raise _wrong(path, error) from error
    raise InputError(f"{folder} holds no {FILE}; attack the run first (reid attack)")


def read_report(folder: Path) -> Report:
    """Reads the report of a run; see :func:`find_report`.

    Raises:
        InputError: There is no such file, or it is no report.
    """
    path = find_report(folder)
    try:
        report = read_json(path, "a report of tools/attack.py", _MAX_BYTES)
    except InputError as error:
        raise InputError(f"{error}; attack the run again (reid attack)") from error
    except (OSError, ValueError, RecursionError) as error:
        raise _wrong(path, error) from error
    return checked_report(report, path)


def checked_report(report: Any, path: Path) -> Report:
    """Returns a report if it is one.

    Args:
        report: What was read.
        path: Where it was read, for the message.

    Raises:
        InputError: Something is missing, or of the wrong kind.
    """
    try:
        _check_report(report)
    except (ValueError, RecursionError) as error:
        raise _wrong(path, error) from error
    found: Report = report
    return found


def _wrong(path: Path, error: Exception) -> InputError:
    problem = error.strerror if isinstance(error, OSError) else error
    return InputError(
        f"{path} is not a report of tools/attack.py: {_printable(str(problem))[:200]};"
        " attack the run again (reid attack)"
    )


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
