"""A study in one JSON file: what its finished cells found, small enough for a repository.

``reid ablate FILE --export NAME.json`` writes it. Where a command takes the folder of a study, it
takes the file, too; the path of a cell in it is ``NAME.json/lfm/seed0``, as if the file were the
folder. Nothing here needs torch.
"""

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from reid.utils.errors import ArgumentError, InputError
from reid.utils.jsonfile import fields, read_json
from reid.utils.packed import unpack

FORMAT = "reid study 1"
WHAT = "a study that reid ablate --export wrote"


@dataclass(frozen=True, eq=False)
class Part:
    """What an exported cell says of its test, or of its attacks.

    Attributes:
        where: The file and the place in it, for messages.
        content: What metrics.json or robustness.json says.
        packed: The numbers of each query, packed.
        digest: SHA-256 of both.
    """

    where: Path
    content: Any
    packed: Any
    digest: str

    def arrays(self) -> dict[str, np.ndarray]:
        """Returns the numbers of each query, (V,) each.

        Raises:
            InputError: The file is damaged.
        """
        try:
            return unpack(self.packed)
        except ArgumentError as error:
            raise InputError(f"{self.where}: {error.problem}; export the study again") from error


@dataclass(frozen=True, eq=False)
class Export:
    """An exported study.

    Attributes:
        file: The file.
        study: Its name, baseline, variants and questions, as in study.json.
        cells: What is known of each cell, by its name ``lfm/seed0``.
    """

    file: Path
    study: Mapping[str, Any]
    cells: Mapping[str, Mapping[str, Any]]


def file_of(path: Path) -> Path | None:
    """Returns the file that a path names or leads into; None if it is a path of the system.

    Args:
        path: ``NAME.json``, ``NAME.json/lfm/seed0``, or any other.
    """
    for one in (path, *path.parents):
        if one.suffix == ".json" and os.path.isfile(one):
            return one
    return None


def read_export(file: Path) -> Export:
    """Reads an exported study; a file that was read is kept until it changes.

    Args:
        file: The file.

    Raises:
        InputError: It is missing, or something else.
    """
    try:
        found = file.stat()
    except (OSError, ValueError):  # read_json says what is wrong
        return _read(file)
    return _read(file, found.st_mtime_ns, found.st_size)


@lru_cache(maxsize=8)
def _read(file: Path, *_: int) -> Export:
    content = read_json(file, WHAT)
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise InputError(f"{file} is not {WHAT}: it has no 'format' of '{FORMAT}'")
    entry = fields(content, str(file), {"study": dict, "cells": dict})
    kinds = {"variant": str, "seed": int, "recipe_hash": str, "steps": dict}
    for name, cell in entry["cells"].items():
        fields(cell, f"{file}: cell {name!r}", kinds, {"data": int})
    return Export(file, entry["study"], entry["cells"])


def part_of(folder: Path, name: str) -> Part | None:
    """Returns the test or the attacks of a cell; None if it has none, or is an ordinary folder.

    Args:
        folder: Path of the cell in its file.
        name: ``test`` or ``attack``.

    Raises:
        InputError: The file is no exported study, or is damaged.
    """
    file = file_of(folder)
    if file is None:
        return None
    cell = read_export(file).cells.get(folder.relative_to(file).as_posix(), {})
    if name not in cell:
        return None
    where = folder / name
    entry = fields(cell[name], str(where), {"content": dict, "queries": dict})
    text = json.dumps(entry, sort_keys=True)
    digest = hashlib.sha256(text.encode()).hexdigest()
    return Part(where, entry["content"], entry["queries"], digest)
