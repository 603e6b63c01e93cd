"""The manifest of an index in a folder: what it names exists, and nothing else."""

import contextlib
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from reid.search.segment import damaged
from reid.utils.errors import InputError
from reid.utils.jsonfile import fields, read_json
from reid.utils.lock import FolderLock, TakenError
from reid.utils.logs import remove_strays, write_text

NAME = "manifest.json"
FORMAT = 1
LOCK = ".write.lock"
FIELDS = {
    "format": int,
    "dim": int,
    "metric": str,
    "fingerprint": str,
    "weight": str,
    "overrides": list,
    "next": int,
    "segments": list,
}


def read_manifest(folder: Path) -> dict[str, Any]:
    """Reads the manifest of an index.

    Raises:
        InputError: There is none, or it is no manifest.
    """
    file = folder / NAME
    if not file.is_file():
        raise InputError(f"{folder} holds no index; `reid index build` makes one")
    content = read_json(file, "the manifest of an index")
    manifest = fields(content, str(file), FIELDS, {"approximate": dict})
    if manifest["format"] != FORMAT:
        raise InputError(f"{folder} is an index of format {manifest['format']}: not known")
    settings = manifest["overrides"]
    if len(settings) % 2 or not all(isinstance(word, str) for word in settings):
        raise damaged(file, f"overrides are {settings}, no pairs of KEY and VALUE")
    for entry in manifest["segments"]:
        found = fields(entry, f"{file}: a segment", {"name": str, "rows": int, "files": dict})
        if not found["name"].isalnum():
            raise damaged(file, f"a segment is called {found['name']!r}")
    graph = str(manifest.get("approximate", {}).get("file", "a.faiss"))
    if not graph.removesuffix(".faiss").isalnum():
        raise damaged(file, f"a file is called {graph!r}")
    return manifest


def write_manifest(folder: Path, manifest: dict[str, Any]) -> None:
    """Replaces the manifest of an index in one step.

    Args:
        folder: The index.
        manifest: The new one.
    """
    write_text(folder / NAME, json.dumps(manifest, indent=1))


def clean(folder: Path, manifest: dict[str, Any]) -> None:
    """Removes what the manifest does not name: killed commands left it, or it was replaced.

    Args:
        folder: The index, which the caller alone writes to.
        manifest: Its manifest.
    """
    named = {entry["name"]: entry.get("removed") for entry in manifest["segments"]}
    for segment in sorted(folder.glob("s[0-9]*")):
        if segment.name not in named:
            shutil.rmtree(segment, ignore_errors=True)
            continue
        _remove_others(segment, "removed*.npy", named[segment.name])
    graph = manifest.get("approximate", {}).get("file")
    _remove_others(folder, "approximate*.faiss", graph)
    remove_strays(folder, [NAME, "s*", "approximate*"])


def _remove_others(folder: Path, pattern: str, kept: str | None) -> None:
    for file in sorted(folder.glob(pattern)):
        if file.name != kept:
            file.unlink(missing_ok=True)


@contextlib.contextmanager
def one_writer(folder: Path) -> Iterator[None]:
    """Holds an index for one writer while the block runs.

    Raises:
        InputError: Another process is writing to it.
    """
    lock = FolderLock(folder, LOCK)
    try:
        lock.acquire()
    except TakenError as error:
        raise InputError(
            f"{folder} is being written by another process; wait until it has ended"
        ) from error
    try:
        yield
    finally:
        lock.release()
