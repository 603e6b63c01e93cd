"""Which folders are meant: groups as they are typed, or the variants of a study."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from reid.evaluation.places import METRICS_FILE
from reid.utils.errors import InputError, unknown
from reid.utils.jsonfile import fields, read_json

STUDY_FILE = "study.json"
REPORT_FILE = "robustness.json"
_DEEPEST = 2  # VARIANT/seed0/data1


@dataclass(frozen=True)
class Selection:
    """The groups, and which of them the others are compared with.

    Attributes:
        groups: Folders of runs by the name of the group, in the order of the table.
        baseline: Name of the group that all others are compared with.
        left_out: Folders that hold no result yet.
    """

    groups: Mapping[str, Sequence[Path]]
    baseline: str
    left_out: Sequence[Path] = ()


def select(words: Sequence[str], baseline: str | None = None) -> Selection:
    """Returns what was typed: ``NAME=DIR,DIR NAME=DIR``, or the folder of a study.

    Args:
        words: The words.
        baseline: Name of the baseline; None takes that of the study, or the last group.

    Raises:
        InputError: A word is neither, a group is named twice or empty, or the baseline is unknown.
    """
    if len(words) == 1 and "=" not in words[0]:
        return _study(Path(os.path.expanduser(words[0])), baseline)
    groups: dict[str, list[Path]] = {}
    for text in words:
        name, equals, folders = text.partition("=")
        if not equals or not name or name in groups:
            raise InputError(f"'{text}': name each group once, as NAME=DIR,DIR")
        if not name.isprintable():
            raise InputError(f"{name!r}: a name of a group consists of letters that can be printed")
        if not all(folders.split(",")):
            raise InputError(f"'{text}' names an empty folder; write NAME=DIR,DIR")
        groups[name] = [Path(os.path.expanduser(folder)) for folder in folders.split(",")]
    return _with_baseline(groups, baseline or list(groups)[-1])


def _study(folder: Path, baseline: str | None) -> Selection:
    """Reads the variants of a study off its folders: VARIANT/seed0, VARIANT/seed0/data1."""
    if not os.path.isdir(folder):
        raise InputError(f"{folder} is no folder of a study; or name groups, as NAME=DIR,DIR")
    groups: dict[str, list[Path]] = {}
    left_out: list[Path] = []
    for variant in _folders(folder):
        runs, empty = _runs(variant, _DEEPEST)
        if runs:
            groups[variant.name] = runs
        left_out += empty
    if not groups:
        raise InputError(f"{folder} holds no tested runs in folders VARIANT/RUN; test them first")
    if baseline is None and os.path.isfile(folder / STUDY_FILE):
        study = read_json(folder / STUDY_FILE, "the record of a study")
        found = fields(study, str(folder / STUDY_FILE), {}, {"baseline": str})
        baseline = found.get("baseline")
    if baseline is None:
        raise InputError(f"--baseline is missing: name one of {', '.join(groups)}")
    return _with_baseline(groups, baseline, left_out)


def _with_baseline(
    groups: Mapping[str, Sequence[Path]], baseline: str, left_out: Sequence[Path] = ()
) -> Selection:
    if baseline not in groups:
        raise unknown("baseline", baseline, groups)
    if len(groups) < 2:
        raise InputError(f"there is one group, {baseline}; name two or more to compare")
    return Selection(groups, baseline, left_out)


def _runs(folder: Path, deeper: int) -> tuple[list[Path], list[Path]]:
    """Returns the run folders at and below a folder, and those that hold no result."""
    if has_test(folder) or has_attack(folder):
        return [folder], []
    below = _folders(folder) if deeper else []
    if not below or any((folder / name).exists() for name in ("config.yml", "train.log")):
        return [], [folder]
    found = [_runs(one, deeper - 1) for one in below]
    return [run for runs, _ in found for run in runs], [one for _, empty in found for one in empty]


def has_test(folder: Path) -> bool:
    """Says whether a folder holds the result of a test."""
    return os.path.isfile(folder / METRICS_FILE)


def has_attack(folder: Path) -> bool:
    """Says whether a folder holds the report of an attack."""
    return any(os.path.isfile(folder / name / REPORT_FILE) for name in ("", "attack"))


def _folders(folder: Path) -> list[Path]:
    return sorted(one for one in folder.iterdir() if one.is_dir() and not one.name.startswith("."))
