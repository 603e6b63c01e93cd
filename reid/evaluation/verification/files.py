"""What a verification found, as a JSON file of plain numbers; nothing in it is code."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from reid.utils.errors import InputError
from reid.utils.jsonfile import fields, read_json
from reid.utils.logs import write_text

FILE = "verification.json"  # in the folder of a test
_RATES = {"rate": float, "threshold": float, "false": float, "found": float}
_ENDS = {
    f"{name}_{end}": float for name in ("threshold", "false", "found") for end in ("low", "high")
}
_NUMBERS = ("true_pairs", "impostor_pairs", "people", "queries")


def beside(weight: Path) -> Path:
    """Returns the file beside a checkpoint: of best.pth it is best.verification.json."""
    return weight.with_name(f"{weight.stem}.{FILE}")


def write_verification(path: Path, record: Mapping[str, Any]) -> None:
    """Writes a verification.

    Args:
        path: The file.
        record: From :func:`reid.evaluation.verification.verification`, with facts of the test.
    """
    write_text(path, json.dumps(record, indent=1) + "\n")


def read_verification(path: Path) -> dict[str, Any]:
    """Reads a verification, and checks each entry.

    Raises:
        InputError: The file is missing, damaged or something else.
    """
    content = read_json(path, "the verification of a test")
    where = str(path)
    texts = {"score": str, "protocol": str}
    numbers = dict.fromkeys(_NUMBERS, int)
    parts = {"thresholds": list, "roc": list, "calibration": dict, "open_set": dict, "notes": list}
    facts = dict.fromkeys(("dataset", "fingerprint", "weight"), str)
    more = {**facts, "queries_given": int, "cameras": dict}
    whole = {**texts, **numbers, **parts, "equal_error_rate": float}
    record = fields(content, where, whole, more)
    curve = {"false": float, "found": float}
    record["thresholds"] = _rows(record, "thresholds", where, _RATES)
    record["roc"] = _rows(record, "roc", where, {**curve, "threshold": float})
    record["notes"] = [str(note) for note in record["notes"]]
    record["calibration"] = fields(
        record["calibration"],
        f"{where}: calibration",
        {"slope": float, "intercept": float},
        {"error": float},
    )
    lists = {"rates": list, "curve": list, "strangers": int, "known": int}
    strangers = fields(record["open_set"], f"{where}: open_set", lists)
    strangers["rates"] = _rows(strangers, "rates", where, _RATES)
    strangers["curve"] = _rows(strangers, "curve", where, curve)
    record["open_set"] = strangers
    if "cameras" in record:
        record["cameras"] = _cameras(record["cameras"], f"{where}: cameras")
    return record


def _rows(
    record: Mapping[str, Any], name: str, where: str, kinds: Mapping[str, type]
) -> list[dict[str, Any]]:
    return [fields(row, f"{where}: {name}", kinds, _ENDS) for row in record[name]]


def _cameras(table: Mapping[str, Any], where: str) -> dict[str, Any]:
    """Returns a table of cameras whose rows and columns fit."""
    found = fields(table, where, dict.fromkeys(("query", "gallery", "ap", "queries"), list))
    shape = (len(found["query"]), len(found["gallery"]))
    number = (int, float)
    cams = [*found["query"], *found["gallery"]]
    fits = all(isinstance(cam, int) for cam in cams)
    for name, kinds in (("ap", (*number, type(None))), ("queries", (int,))):
        rows = found[name]
        fits = fits and len(rows) == shape[0]
        fits = fits and all(isinstance(row, list) and len(row) == shape[1] for row in rows)
        fits = fits and all(isinstance(value, kinds) for row in rows for value in row)
    if not fits:
        raise InputError(f"{where}: rows and columns do not fit; test the run again (reid test)")
    return found
