"""Which folders are meant: groups as they are typed, or the variants of a study."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from reid.evaluation.places import METRICS_FILE
from reid.jobs.comparing.contrast import contrast_of
from reid.jobs.comparing.measures import METRICS
from reid.jobs.comparing.question import Primary
from reid.jobs.comparing.runs import PREFIXES
from reid.jobs.exported import part_of, read_export
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
        interactions: Those that the study names, as
            :func:`reid.jobs.comparing.contrast.contrast_of` takes them.
        primary: The comparisons that the study names as those it was made for.
        cautions: What of these cannot be computed.
    """

    groups: Mapping[str, Sequence[Path]]
    baseline: str
    left_out: Sequence[Path] = ()
    interactions: Sequence[Sequence[str]] = ()
    primary: Sequence[Primary] = ()
    cautions: Sequence[str] = ()


def select(
    words: Sequence[str], baseline: str | None = None, variants: Sequence[str] = ()
) -> Selection:
    """Returns what was typed: ``NAME=DIR,DIR NAME=DIR``, or the folder or file of a study.

    Args:
        words: The words.
        baseline: Name of the baseline; None takes that of the study, or the last group.
        variants: Those of the study that are meant; none means all.

    Raises:
        InputError: A word is neither, a group is named twice or empty, or the baseline or a variant
            is unknown.
    """
    if len(words) == 1 and "=" not in words[0]:
        place = Path(os.path.expanduser(words[0]))
        is_file = place.suffix == ".json" and not os.path.isdir(place)
        return (_exported if is_file else _study)(place, baseline, variants)
    if variants:
        raise InputError("--variants goes with a study; of named groups, type those that are meant")
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


def _study(folder: Path, baseline: str | None, variants: Sequence[str]) -> Selection:
    """Reads the variants of a study off its folders: VARIANT/seed0, VARIANT/seed0/data1."""
    if not os.path.isdir(folder):
        raise InputError(
            f"{folder} is no folder of a study, and no exported one (.json); or name groups, as"
            " NAME=DIR,DIR"
        )
    groups: dict[str, list[Path]] = {}
    left_out: list[Path] = []
    for variant in _folders(folder):
        runs, empty = _runs(variant, _DEEPEST)
        if runs:
            groups[variant.name] = runs
        left_out += empty
    if not groups:
        raise InputError(f"{folder} holds no tested runs in folders VARIANT/RUN; test them first")
    file = folder / STUDY_FILE
    study = read_json(file, "the record of a study") if os.path.isfile(file) else {}
    return _of_study(study, str(file), groups, baseline, variants, left_out)


def _exported(file: Path, baseline: str | None, variants: Sequence[str]) -> Selection:
    """Takes the variants of an exported study, in the order of its file."""
    export = read_export(file)
    groups: dict[str, list[Path]] = {}
    for name, cell in export.cells.items():
        groups.setdefault(cell["variant"], []).append(file / name)
    if not groups:
        raise InputError(f"{file} holds no cell; export the study again")
    ordered = sorted(groups, key=lambda name: Path(name))  # as the folders of a study are
    runs = {name: groups[name] for name in ordered}
    return _of_study(export.study, str(file), runs, baseline, variants)


def _of_study(
    study: Any,
    where: str,
    groups: Mapping[str, Sequence[Path]],
    baseline: str | None,
    variants: Sequence[str],
    left_out: Sequence[Path] = (),
) -> Selection:
    """Returns the groups with what the record of a study says of them.

    Args:
        study: The record.
        where: Its name, for messages.
        groups: Folders of runs by variant.
        baseline: The baseline that was typed; None takes that of the record.
        variants: Those that are meant; none means all. Questions about others are not asked.
        left_out: Folders that hold no result yet.

    Raises:
        InputError: The record is wrong, there is no baseline, or a variant is unknown.
    """
    entries = {"baseline": str, "interactions": list, "primary": list}
    found = fields(study, where, {}, entries)
    baseline = baseline or found.get("baseline")
    if baseline is None:
        raise InputError(f"--baseline is missing: name one of {', '.join(groups)}")
    groups = _meant(groups, baseline, variants)
    chosen = _with_baseline(groups, baseline, left_out)
    interactions, cautions = [], []
    for words in found.get("interactions", []):
        _check_names(words, f"{where}: interactions")
        if not _about(words, variants):
            continue
        if problem := _not_there(words, groups, baseline):
            cautions.append(f"interaction {' '.join(words)} is left out: {problem}")
        else:
            interactions.append(words)
    primary = []
    for one in (_primary(entry, where) for entry in found.get("primary", [])):
        if not _about(one.compared, variants):
            continue
        if problem := _not_there(one.compared, groups, baseline):
            cautions.append(f"a primary comparison is not there: {problem}")
        else:
            primary.append(one)
    return replace(chosen, interactions=interactions, primary=primary, cautions=cautions)


def _meant(
    groups: Mapping[str, Sequence[Path]], baseline: str, variants: Sequence[str]
) -> Mapping[str, Sequence[Path]]:
    """Returns the groups of some variants; of all if none is named."""
    if not variants:
        return groups
    for name in variants:
        if name not in groups:
            raise unknown("variant", name, groups)
    if baseline in groups and baseline not in variants:
        raise InputError(
            f"--variants leaves out {baseline}, which the others are compared with; add it, or set"
            f" --baseline to one of {', '.join(variants)}"
        )
    return {name: runs for name, runs in groups.items() if name in variants}


def _about(words: Sequence[str], variants: Sequence[str]) -> bool:
    """Says whether a question is about nothing but these variants, and perhaps a ranking."""
    return not variants or all(word in (*variants, *PREFIXES.values()) for word in words)


def _primary(entry: Any, where: str) -> Primary:
    found = fields(entry, f"{where}: primary", {"compared": list, "test": str, "metric": str})
    _check_names(found["compared"], f"{where}: primary")
    if found["metric"] not in METRICS:
        raise InputError(f"{where}: primary: metric must be one of {', '.join(METRICS)}")
    return Primary(**found)


def _check_names(words: Any, where: str) -> None:
    if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
        raise InputError(f"{where} must be lists of names, got {words!r:.60}")


def _not_there(words: Sequence[str], groups: Mapping[str, Any], baseline: str) -> str:
    """Says why an interaction cannot be computed; "" if it can."""
    try:
        contrast_of(words, groups, baseline)
    except InputError as error:
        return str(error)
    return ""


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
    """Says whether a folder, or a cell of an exported study, holds the result of a test."""
    if part_of(folder, "test") is not None:
        return True
    return os.path.isfile(folder / METRICS_FILE)


def has_attack(folder: Path) -> bool:
    """Says whether a folder, or a cell of an exported study, holds the report of an attack."""
    if part_of(folder, "attack") is not None:
        return True
    return any(os.path.isfile(folder / name / REPORT_FILE) for name in ("", "attack"))


def _folders(folder: Path) -> list[Path]:
    return sorted(one for one in folder.iterdir() if one.is_dir() and not one.name.startswith("."))
