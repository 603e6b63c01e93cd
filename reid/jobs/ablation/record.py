"""What is known of each cell: cell.json in its folder, and study.json over all of them."""

import contextlib
import itertools
import json
import shutil
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from reid.jobs.ablation.plan import Cell, Step
from reid.jobs.ablation.study import Study
from reid.utils.errors import InputError
from reid.utils.jsonfile import read_json
from reid.utils.logs import write_text

CELL_FILE = "cell.json"
STUDY_FILE = "study.json"
REPLACED = ".replaced"  # folder of the study that takes the runs of older recipes
DONE, FAILED, PENDING, CHANGED, INTERRUPTED = "done", "failed", "pending", "changed", "interrupted"


class CellRecord:
    """What happened to a cell; on the disk after every change.

    Attributes:
        content: The entries of cell.json.

    Args:
        cell: The cell.
    """

    def __init__(self, cell: Cell) -> None:
        self.cell = cell
        self.content: dict[str, Any] = {}
        with contextlib.suppress(InputError):  # none is there, or it is no record of ours
            found = read_json(cell.folder / CELL_FILE, "the record of a cell")
            if isinstance(found, dict) and isinstance(found.get("steps"), dict):
                self.content = found

    @property
    def steps(self) -> dict[str, Any]:
        """What is known of each step, by its name."""
        found: dict[str, Any] = self.content.setdefault("steps", {})
        return found

    def missing(self) -> list[Step]:
        """Returns the steps that are to be done, in their order.

        A step is done if its record has the key that it would have today. What comes behind a step
        that is to be done is done again, and so is a training whose weights are needed and gone.
        """
        steps = list(self.cell.steps)
        undone = [n for n, step in enumerate(steps) if not self._is_done(step)]
        if not undone:
            return []
        first = undone[0]
        trained = steps[0].name == "train"
        if trained and first > 0 and not (self.cell.folder / self.cell.weight).is_file():
            first = 0
        whole = trained and first == 0  # else test and attack do not need each other
        return [step for n, step in enumerate(steps) if whole or n in undone]

    def state(self) -> str:
        """Returns the state in a word."""
        if self.changed():
            return CHANGED
        if not self.missing():
            return DONE
        failed = self.content.get("failed")
        if failed:
            return FAILED
        return INTERRUPTED if self.steps else PENDING

    def changed(self) -> bool:
        """Says whether the folder holds the run of another recipe, or on other images."""
        step = self.cell.steps[0]
        if step.name != "train":
            return False
        known = self.steps.get("train", {})
        if known.get("key") in (None, step.key):
            return False
        # Of a training that failed before its first checkpoint there is nothing to lose.
        return known.get("state") == DONE or any(self.cell.folder.glob("last*.pth"))

    def begin(self, step: Step, threads: int) -> None:
        """Notes that a step begins; what is known of the steps behind it is out of date.

        Args:
            step: The step.
            threads: Number of threads that it computes with.
        """
        old = self.steps.get(step.name, {})
        spent = old.get("spent", 0.0) if old.get("key") == step.key else 0.0
        if step.name == "train":
            self.content["steps"] = {}
        cell = self.cell
        self.content |= {
            "variant": cell.variant,
            "seed": cell.seed,
            "data": cell.data,
            "recipe_hash": cell.recipe,
            "data_fingerprint": cell.fingerprint,
        }
        self.content.pop("failed", None)
        command = ["reid", step.name, *step.arguments]
        self.steps[step.name] = {
            "key": step.key,
            "state": "begun",
            "threads": threads,
            "spent": spent,
            "command": command,
        }
        self.write()

    def end(self, step: Step, seconds: float) -> None:
        """Notes that a step is done.

        Args:
            step: The step.
            seconds: How long this start of it took.
        """
        entry = self.steps[step.name]
        entry |= {"state": DONE, "spent": entry["spent"] + seconds, "ended": _now()}
        self.write()

    def stop(self, step: Step, seconds: float, failed: dict[str, Any] | None = None) -> None:
        """Notes that a step ended before it was done.

        Args:
            step: The step.
            seconds: How long this start of it took.
            failed: Error, log and exit code, if it failed; None if it was stopped.
        """
        self.steps[step.name]["spent"] += seconds
        if failed is not None:
            self.content["failed"] = {"step": step.name, **failed}
        self.write()

    def write(self) -> None:
        """Writes cell.json."""
        text = json.dumps(self.content, indent=1)
        write_text(self.cell.folder / CELL_FILE, f"{text}\n")

    def _is_done(self, step: Step) -> bool:
        entry = self.steps.get(step.name)
        return (
            isinstance(entry, dict) and entry.get("state") == DONE and entry.get("key") == step.key
        )


def _now() -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S")


def drop_weights(cell: Cell) -> None:
    """Removes the weights and the cache of a finished cell; results stay."""
    for path in sorted(cell.folder.glob("*.pth")):
        path.unlink(missing_ok=True)
    shutil.rmtree(cell.folder / "cache", ignore_errors=True)


def move_aside(cell: Cell, output: Path) -> Path:
    """Moves the folder of a cell that holds another run; returns where it is now.

    Args:
        cell: The cell.
        output: Folder of the study.
    """
    places = (output / REPLACED / f"{cell.name.replace('/', '_')}_{n}" for n in itertools.count(1))
    target = next(place for place in places if not place.exists())
    target.parent.mkdir(parents=True, exist_ok=True)
    cell.folder.rename(target)
    return target


def write_study(study: Study, cells: Sequence[Cell], threads: int) -> Counter[str]:
    """Writes study.json: variants, cells, their states and recipe hashes; returns the states.

    It is made of the records of all cells, so that processes that share a study write the same.

    Args:
        study: The study.
        cells: All of its cells.
        threads: Number of threads of a cell.
    """
    records = [CellRecord(cell) for cell in cells]
    states = [record.state() for record in records]
    counts = Counter(states)
    recipes: dict[str, set[str]] = {}
    for cell in cells:
        recipes.setdefault(cell.variant, set()).add(cell.recipe)
    content = {
        "file": study.file.name,
        "baseline": study.baseline,
        "interactions": study.interactions,
        "primary": [asdict(one) for one in study.primary],
        "threads": threads,
        "states": dict(sorted(counts.items())),
        "variants": {
            variant.name: {
                "config": variant.base.name,
                "overrides": dict(variant.overrides),
                "recipe_hashes": sorted(recipes[variant.name]),
            }
            for variant in study.variants
        },
        "cells": [
            _row(cell, record, state)
            for cell, record, state in zip(cells, records, states, strict=True)
        ],
    }
    write_text(study.output / STUDY_FILE, f"{json.dumps(content, indent=1)}\n")
    return counts


def _row(cell: Cell, record: CellRecord, state: str) -> dict[str, Any]:
    row: dict[str, Any] = {
        "folder": cell.name,
        "variant": cell.variant,
        "seed": cell.seed,
        "data": cell.data,
        "recipe_hash": cell.recipe,
        "data_fingerprint": cell.fingerprint,
        "state": state,
        "seconds": {
            name: round(entry["spent"], 1)
            for name, entry in record.steps.items()
            if entry.get("state") == DONE
        },
    }
    if state == FAILED:
        row["failed"] = record.content["failed"]
    return row


def study_threads(output: Path) -> int:
    """Returns the number of threads that a study began with; 0 if it has not begun."""
    with contextlib.suppress(InputError):
        found = read_json(output / STUDY_FILE, "the record of a study")
        if isinstance(found, dict) and type(found.get("threads")) is int:
            return max(0, found["threads"])
    return 0
