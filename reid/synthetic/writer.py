"""Writes a synthetic set once, completely or not at all, and finds it again."""

import functools
import hashlib
import json
import multiprocessing
import os
import signal
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import PIL
from tqdm import tqdm

from reid.synthetic.plan import FOLDERS, Shot, plan_shots
from reid.synthetic.presets import PRESETS
from reid.synthetic.render import render
from reid.synthetic.style import DEFAULT, Style
from reid.utils.checks import check_choice, check_count
from reid.utils.errors import InputError

Result = TypeVar("Result")

VERSION = 1  # version of the pictures: raise it when the same settings give other bytes
CHUNK = 32
MANIFEST = "manifest.json"


def ensure_synthetic(
    root: Path, preset: str, seed: int, workers: int = 0, style: Style = DEFAULT
) -> Path:
    """Makes a set in the folder that :func:`folder_name` names, if it is not there; returns it.

    The bytes of every image are a function of (preset, seed, style) alone, not of ``workers`` or
    the processor (another numpy or Pillow may round otherwise; the manifest names both). The folder
    appears under its name only when it is complete, so a killed run leaves none, and of two runs at
    the same time one wins and the other takes over its folder.

    Args:
        root: Folder of the data sets; it is made if it is missing.
        preset: Key of PRESETS.
        seed: Seed of the people, cameras and images, at least 0.
        workers: Number of processes that draw; 0 takes one for each core, and only this process if
            the set is small.
        style: Range of the colours, and cameras of the test.

    Raises:
        ArgumentError: The preset or a word of the style is unknown, or the seed or ``workers`` is
            negative.
        InputError: ``root`` cannot be made, or a folder of that name is there and is not what this
            version makes.
    """
    check_choice("preset", preset, sorted(PRESETS))
    check_count("seed", seed, least=0)
    check_count("workers", workers, least=0)
    style.check()
    final = Path(root) / folder_name(preset, seed, style)
    shots = plan_shots(PRESETS[preset], seed)
    if not final.exists():
        _make(final, shots, {"preset": preset, "seed": seed}, style, workers)
    _check(final, shots)
    return final


def folder_name(preset: str, seed: int, style: Style) -> str:
    """Returns the name of a set's folder, such as ``synthetic-quick-seed0-wide``.

    Args:
        preset: Key of PRESETS.
        seed: Seed of the set.
        style: Range of the colours, and cameras of the test.
    """
    # Sets of narrow colours were there before there was a choice, and keep their name.
    wide = "" if style.colors == "narrow" else f"-{style.colors}"
    other = "" if style.test_cameras == "same" else f"-{style.test_cameras}"
    return f"synthetic-{preset}-seed{seed}{wide}{other}"


def _make(
    final: Path, shots: list[Shot], facts: dict[str, Any], style: Style, workers: int
) -> None:
    """Writes the set into a hidden sibling and renames it; the sibling goes away in any case."""
    try:
        final.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"cannot make the folder '{final.parent}': {error}") from None
    with tempfile.TemporaryDirectory(prefix=f".{final.name}-", dir=final.parent) as scratch:
        draft = Path(scratch) / final.name
        for folder in FOLDERS:
            (draft / folder).mkdir(parents=True)
        checksum = hashlib.sha256()
        write = functools.partial(_write, draft, facts["seed"], style)
        digests = in_processes(write, shots, workers)
        progress = tqdm(digests, f"drawing {final.name}", len(shots), unit="image", disable=None)
        for digest in progress:
            checksum.update(digest)
        manifest = facts | {
            **style._asdict(),
            "generator_version": VERSION,
            "made_with": {"numpy": np.__version__, "pillow": PIL.__version__},
            "counts": _counts(shots),
            "sha256": checksum.hexdigest(),
        }
        (draft / MANIFEST).write_text(json.dumps(manifest, indent=2, sort_keys=True) + "\n")
        try:
            draft.rename(final)
        except OSError:
            if not final.is_dir():  # else another run was first, and its folder is checked next
                raise


def in_processes(
    task: Callable[[Shot], Result], shots: Sequence[Shot], workers: int
) -> Iterator[Result]:
    """Yields what ``task`` returns for each shot, in their order.

    Args:
        task: A function that another process can be sent.
        shots: What it is called with.
        workers: Number of processes; 0 takes one for each core, and only this one for few shots.
    """
    if workers == 0:
        workers = min(os.cpu_count() or 1, 1 + len(shots) // 400)
    if workers == 1:
        yield from map(task, shots)
        return
    # Spawned, since a forked child of a process that has used torch's threads may hang.
    context = multiprocessing.get_context("spawn")
    # Ctrl-C reaches the children too; they finish their chunk and leave the message to the parent.
    ignore = (signal.SIGINT, signal.SIG_IGN)
    with ProcessPoolExecutor(workers, context, signal.signal, ignore) as pool:
        yield from pool.map(task, shots, chunksize=CHUNK)


def _write(draft: Path, seed: int, style: Style, shot: Shot) -> bytes:
    """Writes one image; returns the digest of its name and bytes."""
    data = render(seed, shot, style)
    (draft / shot.folder / shot.file_name).write_bytes(data)
    return hashlib.sha256(f"{shot.folder}/{shot.file_name}\n".encode() + data).digest()


def _check(final: Path, shots: list[Shot]) -> None:
    """Raises InputError unless the folder is a finished one of this version."""
    mend = f"delete the folder '{final}' to have it made anew"
    try:
        manifest = json.loads((final / MANIFEST).read_text())
        version = manifest["generator_version"]
    except (OSError, ValueError, KeyError, TypeError):
        raise InputError(f"'{final}' has no readable {MANIFEST}; {mend}") from None
    if version != VERSION:
        raise InputError(
            f"'{final}' is of generator version {version}, this is version {VERSION}; {mend}"
        )
    for folder, count in _counts(shots).items():
        found = sum(entry.suffix == ".jpg" for entry in (final / folder).glob("*"))
        if found != count:
            raise InputError(f"'{final / folder}' holds {found} images instead of {count}; {mend}")


def _counts(shots: list[Shot]) -> dict[str, int]:
    """Returns the number of images in each folder."""
    counts = Counter(shot.folder for shot in shots)
    return {folder: counts[folder] for folder in FOLDERS}
