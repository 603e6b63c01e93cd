"""What an attack run has finished: a small file for each piece, so that a stopped run goes on."""

import hashlib
import json
import re
import shutil
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from reid.robustness.result import Result
from reid.robustness.sanity import Check
from reid.utils.arrays import read_arrays
from reid.utils.errors import InputError
from reid.utils.logs import make_dir, write_text, write_whole

RUN = "run.json"  # whose results are in the folder
PARTIAL = "partial"
OLDER = "older"
# What a report consists of. The JSON is first: moved away, what is left looks like no report.
REPORT = ("robustness.json", "robustness.csv", "per_query.npz", "curves.png", "images", RUN)
FIELDS = ("query_index", "pids", "ap", "inp", "first_hit")
_INDICES = ("query_index", "pids", "first_hit")
_LISTED = 8
_TEMPORARY = re.compile(r"^\..+\.\d+\.tmp$")  # of reid.utils.logs.write_whole

Arrays: TypeAlias = dict[str, np.ndarray]  # values of any shape, (...)
Say: TypeAlias = Callable[[str], object]


def run_hash(facts: Mapping[str, Any]) -> str:
    """Returns 16 digits that two runs share if, and only if, their facts are equal."""
    return hashlib.sha256(_json(facts).encode()).hexdigest()[:16]


def begin(folder: Path, facts: Mapping[str, Any], restart: bool, say: Say) -> "Pieces":
    """Begins a run, or goes on with it if the folder holds pieces of a run with the same facts.

    Results of another run are moved to ``folder/older/<number>``, so that they do not look like
    those of this run. Its pieces stay, and it can be gone on with.

    Args:
        folder: Folder of the results.
        facts: Whatever changes the results, as values that JSON has.
        restart: Do not go on: the pieces of the same run are moved as well.
        say: Is told what was moved.
    """
    pieces = Pieces(folder / PARTIAL / run_hash(facts), say)
    whose = _other_run(folder / RUN, facts)
    old = [folder / name for name in REPORT] if whose or restart else []
    place = _set_aside(folder, [*old, *([pieces.folder] if restart else [])])
    if place is not None:
        say(f"results of {whose or 'the same run'} in {folder} were moved to {place}")
    for path in folder.rglob(".*.tmp"):  # of a process that was killed while it wrote
        if _TEMPORARY.match(path.name) and OLDER not in path.relative_to(folder).parts:
            path.unlink()
    write_text(folder / RUN, json.dumps({"run": run_hash(facts), "facts": facts}, indent=2) + "\n")
    return pieces


class Pieces:
    """The finished pieces of one run.

    Args:
        folder: Folder of this run's pieces; it need not exist.
        say: Is told of files that are damaged.
    """

    def __init__(self, folder: Path, say: Say) -> None:
        self.folder, self.say = folder, say

    def start(self, clean: list[Result]) -> list[Result]:
        """Keeps the clean results, or compares them with those kept; returns them.

        If they differ, the facts of the run are the same and the images or the machine are not: all
        results are moved to the older ones.

        Args:
            clean: Results on clean images, which each start computes.
        """
        kept = self.find("clean", _results)
        if kept and not _same_numbers(kept, clean):
            folder = self.folder.parent.parent
            old = [folder / name for name in REPORT if name != RUN]
            place = _set_aside(folder, [*old, self.folder])
            self.say(
                "the clean results are not those of the start before, so the images or the machine"
                f" changed; what was finished was moved to {place}"
            )
        return self.keep("clean", clean)

    def count(self, names: Iterable[str]) -> int:
        """Returns how many pieces of these names are there."""
        return sum(self._path(name).is_file() for name in names)

    def results(self, name: str, make: Callable[[], list[Result]]) -> list[Result]:
        """Returns the results kept under a name; where there are none, makes and keeps them.

        Args:
            name: Name of the piece.
            make: Makes the results.
        """
        return self.find(name, _results) or self.keep(name, make())

    def check(self, name: str, make: Callable[[], Check]) -> Check:
        """Returns the outcome of a sanity check, as :meth:`results` does.

        Args:
            name: Name of the check.
            make: Runs the check.
        """
        found = self.find(name, _check)
        if found is None:
            found = make()
            self._write(name, {"check": vars(found)}, {})
        return found

    def keep(self, name: str, results: list[Result]) -> list[Result]:
        """Writes results to the disk, and returns them.

        Args:
            name: Name of the piece.
            results: One for each ranking.
        """
        keys = ("kind", "name", "level", "ranking", "facts")
        rows = [{key: getattr(o, key) for key in keys} for o in results]
        arrays = {f"{i}/{key}": getattr(o, key) for i, o in enumerate(results) for key in FIELDS}
        self._write(name, {"results": rows}, arrays)
        return results

    def find(self, name: str, read: "Callable[[dict[str, Any], Arrays], Any]") -> Any:
        """Returns what is kept under a name, or None if there is no whole file.

        Args:
            name: Name of the piece.
            read: Makes objects of the JSON part and of the arrays.
        """
        path = self._path(name)
        if not path.exists():
            return None
        try:
            arrays = read_arrays(path)
            about = json.loads(arrays.pop("about").tobytes())
            if (about["run"], about["piece"]) != (self.folder.name, name):
                raise InputError(f"{path} is a piece of another run")
            return read(about, arrays)
        except InputError as error:
            self.say(f"made anew: {error}")
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            self.say(f"made anew: {path} is no piece of an attack run ({error})")
        return None

    def drop(self, name: str) -> None:
        """Deletes a piece, which is then made again."""
        self._path(name).unlink(missing_ok=True)

    def remove(self) -> None:
        """Deletes the pieces, after the report that holds them all is written."""
        shutil.rmtree(self.folder, ignore_errors=True)
        if self.folder.parent.is_dir() and not any(self.folder.parent.iterdir()):
            self.folder.parent.rmdir()

    def _write(self, name: str, about: Mapping[str, Any], arrays: Arrays) -> None:
        make_dir(self.folder)
        text = json.dumps({"run": self.folder.name, "piece": name, **about})
        whole = {"about": np.frombuffer(text.encode(), np.uint8), **arrays}
        write_whole(self._path(name), lambda file: np.savez_compressed(file, **whole))  # type: ignore[arg-type]

    def _path(self, name: str) -> Path:
        return self.folder / f"{re.sub(r'[^A-Za-z0-9.-]', '_', name)}.npz"


def _same_numbers(one: list[Result], other: list[Result]) -> bool:
    return [o.ranking for o in one] == [o.ranking for o in other] and all(
        np.array_equal(getattr(a, key), getattr(b, key))
        for a, b in zip(one, other, strict=True)
        for key in FIELDS
    )


def _results(about: dict[str, Any], arrays: Arrays) -> list[Result]:
    return [_result(i, row, arrays) for i, row in enumerate(about["results"])]


def _result(number: int, row: dict[str, Any], arrays: Arrays) -> Result:
    columns = {key: arrays[f"{number}/{key}"] for key in FIELDS}
    for key, values in columns.items():
        dtype = np.int64 if key in _INDICES else np.float64
        if values.dtype != dtype or values.shape != columns["ap"].shape or values.ndim != 1:
            raise ValueError(f"array {key} is {values.shape} {values.dtype}")
    kind, name, ranking = (str(row[key]) for key in ("kind", "name", "ranking"))
    facts = {str(key): value + 0 for key, value in row["facts"].items()}  # a number, or TypeError
    return Result(kind, name, float(row["level"]), ranking, **columns, facts=facts)


def _check(about: dict[str, Any], _: Arrays) -> Check:
    name, passed, detail = (about["check"][key] for key in ("name", "passed", "detail"))
    if not (passed is None or isinstance(passed, bool)):
        raise ValueError("a check passed, failed, or was not run")
    return Check(str(name), passed, str(detail))


def _json(facts: Mapping[str, Any]) -> str:
    return json.dumps(facts, sort_keys=True)


def _other_run(path: Path, facts: Mapping[str, Any]) -> str:
    """Returns words for the run that the file is of, and "" if it has the same facts."""
    try:
        then = dict(json.loads(path.read_text(encoding="utf-8"))["facts"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return "an unknown run"
    now = json.loads(_json(facts))
    differs = sorted(key for key in {*now, *then} if now.get(key) != then.get(key))
    more = f" and {len(differs) - _LISTED} more" if len(differs) > _LISTED else ""
    return f"another run (other {', '.join(differs[:_LISTED])}{more})" if differs else ""


def _set_aside(folder: Path, paths: Iterable[Path]) -> Path | None:
    """Moves what is there of some paths to a new folder, and returns that."""
    there = [path for path in paths if path.exists()]
    if not there:
        return None
    numbers = [int(p.name) for p in (folder / OLDER).glob("*") if p.name.isdecimal()]
    place = make_dir(folder / OLDER / str(max(numbers, default=0) + 1))
    for path in there:
        path.replace(place / path.name)
    return place
