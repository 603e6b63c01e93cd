"""Writes a synthetic set once, completely or not at all, and finds it again."""

import functools
import hashlib
import json
import multiprocessing
import os
import signal
import tempfile
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import PIL
from tqdm import tqdm

from reid.synthetic.plan import FOLDERS, Shot, plan_shots
from reid.synthetic.presets import PRESETS
from reid.synthetic.render import render
from reid.utils.checks import check_choice, check_count
from reid.utils.errors import InputError

VERSION = 1  # version of the pictures: raise it when the same seed gives other bytes
CHUNK = 32
MANIFEST = "manifest.json"


def ensure_synthetic(root: Path, preset: str, seed: int, workers: int = 0) -> Path:
    """Makes the set ``root/synthetic-<preset>-seed<seed>`` if it is not there; returns its path.

    The bytes of every image are a function of (preset, seed) alone, not of ``workers`` (another
    numpy or Pillow may round otherwise; the manifest names both). The folder appears under its name
    only when it is complete, so a killed run leaves none, and of two runs at the same time one wins
    and the other takes over its folder.

    Args:
        root: Folder of the data sets; it is made if it is missing.
        preset: Key of PRESETS.
        seed: Seed of the people, cameras and images, at least 0.
        workers: Number of processes that draw; 0 takes one for each core, and only this process if
            the set is small.

    Raises:
        ArgumentError: The preset is unknown, or the seed or ``workers`` is negative.
        InputError: ``root`` cannot be made, or a folder of that name is there and is not what this
            version makes.
    """
    check_choice("preset", preset, sorted(PRESETS))
    check_count("seed", seed, least=0)
    check_count("workers", workers, least=0)
    final = Path(root) / f"synthetic-{preset}-seed{seed}"
    shots = plan_shots(PRESETS[preset], seed)
    if not final.exists():
        _make(final, shots, {"preset": preset, "seed": seed}, workers)
    _check(final, shots)
    return final


def _make(final: Path, shots: list[Shot], facts: dict[str, Any], workers: int) -> None:
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
        digests = _write_all(draft, facts["seed"], shots, workers)
        progress = tqdm(digests, f"drawing {final.name}", len(shots), unit="image", disable=None)
        for digest in progress:
            checksum.update(digest)
        manifest = facts | {
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


def _write_all(draft: Path, seed: int, shots: list[Shot], workers: int) -> Iterator[bytes]:
    """Yields the digest of each written file, in the order of the plan."""
    write = functools.partial(_write, draft, seed)
    if workers == 0:
        workers = min(os.cpu_count() or 1, 1 + len(shots) // 400)
    if workers == 1:
        yield from map(write, shots)
        return
    # Spawned, since a forked child of a process that has used torch's threads may hang.
    context = multiprocessing.get_context("spawn")
    # Ctrl-C reaches the children too; they finish their chunk and leave the message to the parent.
    ignore = (signal.SIGINT, signal.SIG_IGN)
    with ProcessPoolExecutor(workers, context, signal.signal, ignore) as pool:
        yield from pool.map(write, shots, chunksize=CHUNK)


def _write(draft: Path, seed: int, shot: Shot) -> bytes:
    """Writes one image; returns the digest of its name and bytes."""
    data = render(seed, shot)
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
