"""A study's finished cells as one small file, and such cells as folders again."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from reid.evaluation.places import METRICS_FILE, RANKING_FILE
from reid.jobs.ablation.forecast import METRICS
from reid.jobs.ablation.plan import Cell
from reid.jobs.ablation.processes import CellLock
from reid.jobs.ablation.record import DONE, PENDING, CellRecord
from reid.jobs.ablation.study import Study
from reid.jobs.comparing.runs import PER_QUERY, PREFIXES
from reid.jobs.exported import FORMAT, Export, read_export
from reid.utils.arrays import read_arrays
from reid.utils.errors import InputError
from reid.utils.jsonfile import last_json_line, read_json
from reid.utils.logs import make_dir, write_text, write_whole
from reid.utils.packed import pack, unpack

_ATTACK = ("attack/robustness.json", "attack/per_query.npz")
_FILES = {"test": (METRICS_FILE, RANKING_FILE), "attack": _ATTACK}
# What is typed and where things lie is of one machine; the rest of the results goes with the file.
_LEFT_OUT = ("command", "config", "config_hash", "run")
_PATHS = ("weight", "surrogate", "features")
_DIGITS = 6


def write_export(file: Path, study: Study, cells: Sequence[Cell]) -> int:
    """Writes the finished cells of a study; cells that only the file knows stay in it.

    Args:
        file: The file, which is replaced.
        study: The study.
        cells: All of its cells.

    Returns:
        The number of cells that it holds now.

    Raises:
        InputError: No cell is done, a result is damaged, or the file is something else, or holds
            results that would be lost.
    """
    before = read_export(file).cells if file.exists() else {}
    lost = _reasons(before, cells)
    if lost:
        raise InputError(
            f"{file} holds {_counted(lost)}, which would be lost; it was left as it is: move it"
            " away, or export to another file"
        )
    found: dict[str, Any] = {}
    for cell in cells:
        if CellRecord(cell).state() == DONE:
            found[cell.name] = _entry(cell)
        elif cell.name in before:
            found[cell.name] = before[cell.name]
    if not found:
        raise InputError(f"no cell of {study.file} is done: there is nothing to export yet")
    about = {  # without paths
        "file": study.file.name,
        "baseline": study.baseline,
        "interactions": study.interactions,
        "primary": [asdict(one) for one in study.primary],
        "variants": {
            v.name: {
                "config": v.base.name,
                "overrides": {key: text for key, text in v.overrides if "/" not in text},
            }
            for v in study.variants
        },
    }
    # A line for each cell: so a repository shows which cells came.
    lines = [f"{_text(name)}: {_text(entry)}" for name, entry in found.items()]
    body = ",\n".join(lines)
    make_dir(file.parent)
    write_text(
        file,
        f'{{"format": {_text(FORMAT)},\n"study": {_text(about)},\n"cells": {{\n{body}\n}}}}\n',
    )
    return len(found)


def misfit(entry: Mapping[str, Any], cell: Cell) -> str:
    """Says why an exported cell is not what a cell would find; "" where each step has its key.

    Args:
        entry: The exported cell.
        cell: The cell.
    """
    steps = entry.get("steps", {})
    if all(
        isinstance(steps.get(step.name), dict) and steps[step.name].get("key") == step.key
        for step in cell.steps
    ):
        return ""
    if entry.get("recipe_hash") != cell.recipe:
        return "of another recipe"
    if entry.get("data_fingerprint") != cell.fingerprint:
        return "of images that are not there" if not cell.fingerprint else "of other images"
    return "asked for something else"


def told(export: Export, cells: Sequence[Cell]) -> str:
    """Says in a line how many of the cells an exported study has, and why not the others.

    Args:
        export: The exported study.
        cells: Cells of the study as it is now.
    """
    known = [cell for cell in cells if cell.name in export.cells]
    others = _reasons({cell.name: export.cells[cell.name] for cell in known}, cells)
    taken = f"{len(known) - sum(others.values())} cells are taken from {export.file}, and not run"
    return f"{taken}; it has {_counted(others)}" if others else taken


def _reasons(entries: Mapping[str, Mapping[str, Any]], cells: Sequence[Cell]) -> Counter[str]:
    by_name = {cell.name: cell for cell in cells}
    reasons = [
        misfit(entry, by_name[name]) if name in by_name else "not of this study"
        for name, entry in entries.items()
    ]
    return Counter(reason for reason in reasons if reason)


def _counted(reasons: Counter[str]) -> str:
    return "cells " + ", ".join(f"{reason} ({n})" for reason, n in sorted(reasons.items()))


def restore(export: Export, cells: Sequence[Cell]) -> list[Cell]:
    """Writes the folders of cells that an exported study has and that have not begun here.

    They hold results, and no weights, curves or ranked lists.

    Args:
        export: The exported study.
        cells: Cells of the study as it is now.

    Returns:
        The cells that were written.

    Raises:
        InputError: The file is damaged.
    """
    known = []
    for cell in cells:
        entry = export.cells.get(cell.name)
        if entry is None or misfit(entry, cell) or CellRecord(cell).state() != PENDING:
            continue
        lock = CellLock(cell)
        if lock.acquire():  # else another process has begun it
            try:
                _write_cell(cell, entry, export.file)
            finally:
                lock.release()
            known.append(cell)
    return known


def _entry(cell: Cell) -> dict[str, Any]:
    record = CellRecord(cell)
    kept = ("key", "threads", "spent", "ended")
    entry: dict[str, Any] = {
        "variant": cell.variant,
        "seed": cell.seed,
        "data": cell.data,
        "recipe_hash": cell.recipe,
        "data_fingerprint": cell.fingerprint,
        "steps": {
            step.name: {k: v for k, v in record.steps[step.name].items() if k in kept}
            for step in cell.steps
        },
    }
    trained = record.content.get("trained") or last_json_line(cell.folder / METRICS)
    if trained:
        entry["trained"] = trained
    for step in cell.steps:
        if step.name in _FILES:
            entry[step.name] = _results(cell.folder, step.name)
    return _short(entry)


def _results(folder: Path, step: str) -> dict[str, Any]:
    report, arrays = (folder / name for name in _FILES[step])
    content = dict(read_json(report, f"the result of a {step}"))
    for key in _LEFT_OUT:
        content.pop(key, None)
    for key in _PATHS:
        if isinstance(content.get(key), str):
            content[key] = Path(content[key]).name
    if isinstance(content.get("code"), dict):
        content["code"] = {k: v for k, v in content["code"].items() if k != "imports"}
    if step == "test":
        names = [f"{prefix}{key}" for prefix in PREFIXES for key in PER_QUERY]
        queries = read_arrays(arrays, ["pids", "query_index", *PER_QUERY], names)
    else:
        kept = [n for n, row in enumerate(content["rows"]) if row["kind"] != "steps"]
        names = [f"{n}/{key}" for n in kept for key in PER_QUERY]
        queries = read_arrays(arrays, ["pids", "query_index", *names])
    return {"content": content, "queries": pack(queries)}


def _write_cell(cell: Cell, entry: Mapping[str, Any], source: Path) -> None:
    for step in cell.steps:
        if step.name not in entry:
            continue
        report, arrays = (cell.folder / name for name in _FILES[step.name])
        _write_arrays(arrays, unpack(entry[step.name]["queries"]))
        write_text(report, json.dumps(entry[step.name]["content"], indent=1) + "\n")
    record = CellRecord(cell)
    names = ("variant", "seed", "data", "recipe_hash", "data_fingerprint", "trained")
    record.content = {name: entry[name] for name in names if name in entry}
    record.content["from"] = source.name
    # The record is last: where it is, the results are.
    record.content["steps"] = {
        step.name: {**entry["steps"][step.name], "state": DONE} for step in cell.steps
    }
    record.write()


def _write_arrays(path: Path, arrays: Mapping[str, Any]) -> None:
    write_whole(path, lambda file: np.savez_compressed(file, **arrays))


def _short(value: Any) -> Any:
    """Returns plain values with numbers of fewer digits."""
    if isinstance(value, float):
        return round(value, _DIGITS)
    if isinstance(value, dict):
        return {key: _short(one) for key, one in value.items()}
    return [_short(one) for one in value] if isinstance(value, list) else value


def _text(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"))
