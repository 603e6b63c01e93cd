"""What a run left on the disk, read for a report."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from reid.evaluation.lists import Lists, prefix_of, read_lists
from reid.evaluation.places import METRICS_FILE, RANKING_FILE
from reid.evaluation.protocol import CROSS_CAMERA
from reid.evaluation.verification.files import FILE as VERIFICATION
from reid.evaluation.verification.files import read_verification
from reid.utils.errors import InputError
from reid.utils.jsonfile import fields, read_json

METRICS = ("mAP", "mINP", "rank1", "rank5", "rank10")
CONFIG = "config.yml"
EPOCHS = "metrics.jsonl"
LOGS = ("train.log", "test.log", "attack/attack.log", "check_data.log")
STAMP = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d ")
MOST_WARNINGS = 40


@dataclass(frozen=True)
class Result:
    """One test of a run.

    Attributes:
        run: Name of the run, with that of the test where it is not the run's own.
        folder: Folder of its files.
        metrics: Entries of metrics.json.
        lists: Ranked lists; None where the test kept none.
        why: Why it kept none; else "".
        verification: What it measured of pairs; None where it did not.
    """

    run: str
    folder: Path
    metrics: Mapping[str, Any]
    lists: Lists | None
    why: str
    verification: Mapping[str, Any] | None = None

    @property
    def rankings(self) -> dict[str, Mapping[str, float]]:
        """Metrics as fractions, by the name of the ranking."""
        names = ("re-ranked", "AQE", "AQE, re-ranked")
        others = {name: self.metrics.get(prefix_of(name).rstrip("_")) for name in names}
        return {"plain": self.metrics, **{name: m for name, m in others.items() if m}}

    @property
    def subject(self) -> tuple[object, ...]:
        """What has to be the same for numbers to be comparable."""
        keys = ("dataset", "ids", "protocol", "num_queries", "num_skipped", "num_gallery")
        known = {"protocol": CROSS_CAMERA, **self.metrics}
        return tuple(known.get(key) for key in keys)

    @property
    def title(self) -> str:
        """The same in words."""
        dataset, _, protocol, queries, skipped, gallery = self.subject
        left_out = f" ({skipped} without a match, left out)" if skipped else ""
        data = dataset or "saved features"
        return f"{data}, {protocol}: {queries} queries{left_out}, {gallery} gallery images"

    @property
    def recipe(self) -> str:
        """What results share that differ in the seed only; "" where it is not known."""
        recipe = self.metrics.get("recipe_hash")
        weight = Path(str(self.metrics.get("weight", ""))).name
        return f"{self.metrics.get('reference') or weight} {recipe}" if recipe else ""


@dataclass(frozen=True)
class Run:
    """A run.

    Attributes:
        name: What the report calls it.
        folder: Its OUTPUT_DIR.
        config: Settings by dotted key; empty where a folder holds only tests.
        epochs: Rows of metrics.jsonl.
        results: Its tests, its own first.
        attack: Content of attack/robustness.json, or None.
        check: Content of check_data.json, or None.
        warnings: What its logs and tests warned of.
        environment: First lines of its logs: versions, device, threads.
        commands: The commands that made it.
    """

    name: str
    folder: Path
    config: Mapping[str, Any]
    epochs: Sequence[Mapping[str, float]]
    results: Sequence[Result]
    attack: Mapping[str, Any] | None
    check: Mapping[str, Any] | None
    warnings: Sequence[str]
    environment: Sequence[str]
    commands: Sequence[str]


def read_run(folder: Path, name: str, config: Mapping[str, Any], root: Path | None = None) -> Run:
    """Reads a run.

    Args:
        folder: Its OUTPUT_DIR.
        name: What the report calls it.
        config: Settings by dotted key.
        root: Where the data sets lie now; None takes the folders that the tests read.

    Raises:
        InputError: A file of it is damaged.
    """
    results = _results(folder, name, root)
    lines = [line for log in LOGS for line in _log(folder / log)]
    made = [str(r.metrics["command"]) for r in results if r.metrics.get("command")]
    said = [line.removeprefix("warning: ") for line in lines if line.startswith("warning: ")]
    said += [str(r.metrics["warning"]) for r in results if r.metrics.get("warning")]
    ran = [line.removeprefix("command: ") for line in lines if line.startswith("command: ")]
    return Run(
        name=name,
        folder=folder,
        config=config,
        epochs=_epochs(folder / EPOCHS),
        results=results,
        attack=_attack(folder / "attack" / "robustness.json"),
        check=_optional(folder / "check_data.json", "the report of a data check"),
        warnings=list(dict.fromkeys(said))[:MOST_WARNINGS],
        environment=list(dict.fromkeys(line for line in lines if line.startswith("reid "))),
        commands=list(dict.fromkeys([*ran, *made])),
    )


def _results(folder: Path, name: str, root: Path | None) -> list[Result]:
    files = [folder / METRICS_FILE, *sorted(folder.glob(f"test/*/{METRICS_FILE}"))]
    found = []
    for file in files:
        if file.is_file():
            label = name if file.parent == folder else f"{name}, {file.parent.name}"
            content = read_json(file, "the result of a test")
            fields(content, str(file), {"num_queries": int, "num_gallery": int})
            lists, why = _lists(file.with_name(RANKING_FILE), root)
            pairs = file.with_name(VERIFICATION)
            verified = read_verification(pairs) if pairs.is_file() else None
            result = Result(label, file.parent, content, lists, why, verified)
            for ranking, metrics in result.rankings.items():
                fields(metrics, f"{file}: {ranking}", dict.fromkeys(METRICS, float))
            found.append(result)
    return found


def _lists(path: Path, root: Path | None) -> tuple[Lists | None, str]:
    try:
        return read_lists(path, root), ""
    except InputError as error:  # the numbers can be shown without it
        return None, str(error)


def _epochs(path: Path) -> list[dict[str, float]]:
    """Returns the rows of metrics.jsonl; the last one may be cut off."""
    if not path.is_file():
        return []
    rows = []
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            row = json.loads(line)
        except ValueError:
            continue
        if isinstance(row, dict) and "epoch" in row:
            rows.append({k: float(v) for k, v in row.items() if isinstance(v, int | float)})
    return rows


def _log(path: Path) -> list[str]:
    """Returns the lines of a log that have a time, without it."""
    if not path.is_file():
        return []
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    return [STAMP.sub("", line, count=1) for line in lines if STAMP.match(line)]


def _attack(path: Path) -> Mapping[str, Any] | None:
    """Returns the report of an attack, whose rows are checked entry by entry."""
    content = _optional(path, "the report of an attack")
    if content is None:
        return None
    rows = fields(content, str(path), {"rows": list})["rows"]
    needed = {**dict.fromkeys(("kind", "name", "ranking"), str),
              **dict.fromkeys(("level", "mAP", "mINP", "rank1"), float)}  # fmt: skip
    ends = dict.fromkeys(("mAP_low", "mAP_high"), float)  # none where there is one identity
    where = [f"{path}: row {number}" for number in range(1, len(rows) + 1)]
    checked = [
        fields(row, at, {**needed, **_pairs(row)}, ends)
        for row, at in zip(rows, where, strict=True)
    ]
    return {**content, "rows": checked}


def _pairs(row: Any) -> dict[str, type]:
    """Returns what a row must hold of pairs of images: all numbers of each threshold it names."""
    names = [key for key in row if "_at_" in key] if isinstance(row, dict) else []
    rates = {name.partition("_at_")[2] for name in names}
    keys = ("threshold", "false", "found", "passed", "lost")
    return {f"{key}_at_{rate}": float for rate in sorted(rates) for key in keys}


def _optional(path: Path, what: str) -> Mapping[str, Any] | None:
    if not path.is_file():
        return None
    content = read_json(path, what)
    if not isinstance(content, dict):
        raise InputError(f"{path} is not {what}")
    return content
