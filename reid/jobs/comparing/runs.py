"""What a run folder says of each query: of its test, or of its attacks and corruptions."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from reid.evaluation.places import METRICS_FILE, RANKING_FILE
from reid.jobs.exported import Part, part_of
from reid.robustness.reading import checked_report, find_report, read_report
from reid.utils.arrays import read_arrays
from reid.utils.errors import InputError
from reid.utils.jsonfile import fields, read_json

PER_QUERY = ("ap", "inp", "first_hit")
PREFIXES = {
    "": "plain",
    "re_ranked_": "re-ranked",
    "aqe_": "AQE",
    "aqe_re_ranked_": "AQE, re-ranked",
}
TEXTS = (
    *("dataset", "protocol", "ids", "recipe_hash", "commit"),
    *("weight", "reference", "features", "environment"),
)
NAMES = {"dataset": "the data set", "protocol": "the protocol", "ids": "the people and cameras"}
NAMES |= {"num_gallery": "the number of gallery images", "surrogate": "the attacked model"}
NAMES |= {"query": "the query images", "gallery": "the gallery images"}
# These say on which images a run was tested; runs on several sets are compared set by set.
OF_A_SET = ("dataset", "ids", "num_gallery", "query", "gallery", "query_index")
_ROUNDING = 1e-5  # of a mean of values that an exported study rounds to 1 / 65535


class Condition(NamedTuple):
    """What was done to the images, and how they were ranked."""

    kind: str
    name: str
    level: float
    ranking: str


@dataclass(frozen=True, eq=False)
class Run:
    """The numbers of each query in one run.

    Attributes:
        folder: The folder, as it was typed.
        files: The files that were read, with their SHA-256.
        facts: "seed", "recipe_hash", "weight", "commit" and "environment", where they are
            recorded.
        about: What must be the same in runs that are compared; "" or None: not recorded.
        query_index: (V,) int64 places of the queries in the query set.
        pids: (V,) int64 identities of these queries.
        values: (V,) arrays ``ap``, ``inp`` and ``first_hit`` by condition.
        warning: Why the numbers are not to be trusted; "" if nothing says so.
        checked: Whether the checks of its attack were run, and passed or failed.
    """

    folder: Path
    files: Mapping[str, str]
    facts: Mapping[str, Any]
    about: Mapping[str, Any]
    query_index: np.ndarray
    pids: np.ndarray
    values: Mapping[Condition, Mapping[str, np.ndarray]]
    warning: str = field(default="")
    checked: bool = field(default=False)

    @property
    def seed(self) -> int | None:
        """The training seed; None where it is not recorded."""
        return self.facts.get("seed")

    @property
    def query_set(self) -> tuple[object, ...]:
        """The same for runs on the same images."""
        settings = tuple((k, str(v)) for k, v in self.about.items() if k.startswith("DATASETS."))
        index = hashlib.sha256(np.ascontiguousarray(self.query_index).tobytes()).hexdigest()
        return (*(self.about.get(key) for key in OF_A_SET), index, settings)


def read_test(folder: Path) -> Run:
    """Reads metrics.json and ranking.npz of a run.

    Args:
        folder: OUTPUT_DIR, or the folder in it that holds another test.

    Raises:
        InputError: A file is missing, wrong, or was written before queries were kept.
    """
    file, ranking_file = folder / METRICS_FILE, folder / RANKING_FILE
    part = part_of(folder, "test")
    content = part.content if part else read_json(file, "the result of a test")
    entry = _entries(content, file, {"mAP": float, "num_gallery": int})
    again = "test the run again (reid test)"
    optional = [f"{prefix}{key}" for prefix in PREFIXES for key in PER_QUERY]
    needed = ["pids", "query_index", *PER_QUERY]
    arrays = _arrays(ranking_file, part, needed, optional, again)
    if abs(float(arrays["ap"].mean()) - entry["mAP"]) > _ROUNDING:
        raise InputError(f"{file} and {RANKING_FILE} are of two tests; {again}")
    values = {
        Condition("test", "clean", 0.0, ranking): {key: arrays[prefix + key] for key in PER_QUERY}
        for prefix, ranking in PREFIXES.items()
        if prefix + "ap" in arrays
    }
    return _run(folder, _files(part, file, ranking_file), entry, arrays, values)


def read_attack(folder: Path) -> Run:
    """Reads robustness.json and per_query.npz of a run.

    Args:
        folder: OUTPUT_DIR, or the folder ``attack`` in it.

    Raises:
        InputError: As :func:`read_test`.
    """
    part = part_of(folder, "attack")
    file = part.where if part else find_report(folder)
    report = checked_report(part.content, file) if part else read_report(folder)
    queries_file = file.with_name("per_query.npz")
    again = "attack the run again (reid attack)"
    kept = [(n, row) for n, row in enumerate(report["rows"]) if row["kind"] != "steps"]
    per_row = [f"{n}/{key}" for n, _ in kept for key in PER_QUERY]
    arrays = _arrays(queries_file, part, ["pids", "query_index", *per_row], [], again)
    values: dict[Condition, dict[str, np.ndarray]] = {}
    for n, row in kept:
        key = Condition(row["kind"], row["name"], float(row["level"]), row["ranking"])
        if abs(float(arrays[f"{n}/ap"].mean()) - (row["mAP"] or 0.0)) > _ROUNDING:
            raise InputError(f"{file} and {queries_file.name} are of two runs, row {n}; {again}")
        values.setdefault(key, {name: arrays[f"{n}/{name}"] for name in PER_QUERY})
    entry = _entries(report, file, {})
    run = _run(folder, _files(part, file, queries_file), entry, arrays, values)
    seen = "a white box" if report["surrogate"] is None else "seen through a surrogate"
    checks = report["sanity"]["checks"]
    failed = any(check["passed"] is False for check in checks)
    return replace(
        run,
        about={**run.about, "surrogate": seen, **report["attack"]},
        warning=str(report["sanity"]["verdict"]) if failed else "",
        checked=bool(checks),
    )


def _entries(content: Any, file: Path, required: Mapping[str, type]) -> dict[str, Any]:
    """Returns the checked entries that the files of tests and of attacks share."""
    optional: dict[str, type] = {**dict.fromkeys(TEXTS, str), "seed": int, "num_gallery": int}
    kept = {key: kind for key, kind in optional.items() if key not in required}
    return fields(content, str(file), required, {**kept, "data": dict})


def _run(
    folder: Path,
    files: Mapping[str, str],
    entry: Mapping[str, Any],
    arrays: Mapping[str, np.ndarray],
    values: Mapping[Condition, Mapping[str, np.ndarray]],
) -> Run:
    sources = [entry[key] for key in ("weight", "reference", "features") if key in entry]
    kept = ("seed", "recipe_hash", "commit", "environment")
    facts = {key: entry[key] for key in kept if key in entry}
    about = {key: entry.get(key) for key in ("dataset", "protocol", "ids", "num_gallery")}
    return Run(
        folder=folder,
        files=files,
        facts={**facts, "weight": (sources or [""])[0]},
        about={**about, **_sides(entry, f"{folder}: {next(iter(files))}")},
        query_index=arrays["query_index"],
        pids=arrays["pids"],
        values=values,
    )


def _sides(entry: Mapping[str, Any], where: str) -> dict[str, Any]:
    """Returns the digests of the images; saved features have none."""
    sides = fields(entry.get("data", {}), f"{where}: data", {}, {"query": str, "gallery": str})
    return {side: sides.get(side) for side in ("query", "gallery")}


def _arrays(
    path: Path, part: Part | None, needed: list[str], optional: list[str], again: str
) -> dict[str, np.ndarray]:
    """Returns (V,) arrays, checked; a file of an older version has no identities."""
    try:
        arrays = read_arrays(path, needed, optional) if part is None else part.arrays()
        for key in needed:
            if key not in arrays:
                raise InputError(f"{path} has no array '{key}'")
    except InputError as error:
        raise InputError(f"{error}; {again}") from error
    for key, values in arrays.items():
        whole = key in ("pids", "query_index") or key.endswith("first_hit")
        right = values.dtype.kind == ("i" if whole else "f")
        if not right or values.ndim != 1 or len(values) != len(arrays["pids"]) or not len(values):
            kind = "integers" if whole else "fractions"
            raise InputError(
                f"{path}: array '{key}' must be ({len(arrays['pids'])},) {kind}, got"
                f" {values.shape} {values.dtype}; {again}"
            )
        if not whole and not bool(((values >= 0) & (values <= 1 + _ROUNDING)).all()):
            raise InputError(f"{path}: array '{key}' must hold fractions, in [0, 1]; {again}")
    return arrays


def _files(part: Part | None, *paths: Path) -> dict[str, str]:
    """Returns the digests of the files that were read, or of the part of an exported study."""
    if part is not None:
        return {part.where.name: part.digest}
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}
