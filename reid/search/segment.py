"""A part of an index on the disk: written once, whole, and never changed."""

import hashlib
import os
import zlib
from collections.abc import Callable, Sequence
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from reid.search.exact import squared_lengths
from reid.search.filters import Columns
from reid.search.rows import Rows
from reid.utils.arrays import read_arrays
from reid.utils.errors import InputError
from reid.utils.logs import whole_folder

FEATS = "feats.npy"
PATHS = "paths.bin"
COLUMNS = "columns.npz"
# The arrays of COLUMNS: squared lengths, keys of paths, where paths begin, codes of names, times.
ARRAYS = {
    "norms": np.float32,
    "keys": np.int64,
    "starts": np.int64,
    "identity": np.int32,
    "camera": np.int32,
    "times": np.float64,
}
NAMES = ("identity_names", "camera_names")
_CHUNK = 1 << 22  # bytes


def key_of(path: str) -> int:
    """Returns 64 bits that stand for a path."""
    digest = hashlib.blake2b(path.encode(errors="surrogateescape"), digest_size=8).digest()
    return int.from_bytes(digest, "little", signed=True)


def write_segment(folder: Path, rows: Rows) -> dict[str, Any]:
    """Writes rows as a new segment, whole or not at all; they are on the disk when it returns.

    Args:
        folder: The segment; it must not exist.
        rows: What it holds.

    Returns:
        Its entry in the manifest: the name, the number of rows, and of each file size and CRC-32.
    """
    texts = [path.encode(errors="surrogateescape") for path in rows.paths]
    identity_names, identity = _coded(rows.identities)
    camera_names, camera = _coded(rows.cameras)
    columns = {
        "norms": squared_lengths(rows.feats),
        "keys": np.array([key_of(path) for path in rows.paths], np.int64),
        "starts": np.cumsum([0, *map(len, texts)], dtype=np.int64),
        "identity": identity,
        "camera": camera,
        "times": rows.times.astype(np.float64),
        "identity_names": identity_names,
        "camera_names": camera_names,
    }
    feats = np.ascontiguousarray(rows.feats, np.float32)
    with whole_folder(folder) as new:
        _write(new / FEATS, lambda file: np.save(file, feats))
        _write(new / COLUMNS, lambda file: np.savez(file, **columns))  # type: ignore[arg-type]
        _write(new / PATHS, lambda file: file.write(b"".join(texts)))
        files = {name: facts_of(new / name) for name in (FEATS, COLUMNS, PATHS)}
    return {"name": folder.name, "rows": len(rows), "files": files}


def _write(path: Path, write: Callable[[BinaryIO], object]) -> None:
    with path.open("wb") as file:
        write(file)
        file.flush()
        os.fsync(file.fileno())


def _coded(values: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """Returns the names that occur, sorted, and the number of each row's name."""
    names = sorted(set(values))
    number = {name: code for code, name in enumerate(names)}
    return np.array(names, np.str_), np.array([number[value] for value in values], np.int32)


def facts_of(file: Path) -> list[int]:
    """Returns the size of a file and the CRC-32 of its content."""
    crc, size = 0, 0
    with file.open("rb") as opened:
        while part := opened.read(_CHUNK):
            crc = zlib.crc32(part, crc)
            size += len(part)
    return [size, crc]


class Segment:
    """A segment that is open for reading; its features are mapped, and its paths are not read.

    Args:
        folder: The segment.
        entry: Its entry in the manifest.
        dim: Length D of the features.

    Raises:
        InputError: A file is missing, or is not what was written.
    """

    def __init__(self, folder: Path, entry: dict[str, Any], dim: int) -> None:
        self.folder = folder
        self.entry = entry
        self.count = int(entry["rows"])
        for name, (size, _) in entry["files"].items():
            found = _size(folder / name)
            if found != size:
                raise damaged(folder / name, f"it has {found} bytes, {size} were written")
        self.feats = self._feats((self.count, dim))
        # Mapped as well: a writer may remove the file while this process reads.
        self._texts = np.memmap(folder / PATHS, np.uint8, "r")
        arrays = self._columns()
        self.norms = arrays["norms"]
        self.keys = arrays["keys"]
        self.starts = arrays["starts"]
        self.columns = Columns(
            {name: arrays[f"{name}_names"].tolist() for name in ("identity", "camera")},
            {name: arrays[name] for name in ("identity", "camera")},
            arrays["times"],
        )

    def _feats(self, shape: tuple[int, int]) -> np.ndarray:
        # Private and writable pages: torch warns of what it may not write to. Nobody writes.
        file = self.folder / FEATS
        try:
            found: np.ndarray = np.load(file, mmap_mode="c", allow_pickle=False)
        except (OSError, ValueError, EOFError) as error:
            raise damaged(file, str(error)) from error
        if found.shape != shape or found.dtype != np.float32:
            raise damaged(file, f"{found.dtype} of {found.shape}")
        return found

    def _columns(self) -> dict[str, np.ndarray]:
        file = self.folder / COLUMNS
        try:
            arrays = read_arrays(file, [*ARRAYS, *NAMES])
        except InputError as error:
            raise damaged(file, str(error)) from error
        for name, kind in ARRAYS.items():
            found = arrays[name]
            if found.shape != (self.count + (name == "starts"),) or found.dtype != kind:
                raise damaged(file, f"{name} is {found.dtype} of {found.shape}")
        return arrays

    def path(self, row: int) -> str:
        """Returns the path of a row."""
        start, stop = int(self.starts[row]), int(self.starts[row + 1])
        return self._texts[start:stop].tobytes().decode(errors="surrogateescape")

    def paths(self) -> list[str]:
        """Returns all paths."""
        whole = self._texts.tobytes()
        bounds = pairwise(self.starts.tolist())
        return [whole[a:b].decode(errors="surrogateescape") for a, b in bounds]

    @cached_property
    def by_key(self) -> np.ndarray:
        """The rows in the order of their keys, (N,) int64."""
        return np.argsort(self.keys, kind="stable")

    def rows(self, places: np.ndarray) -> Rows:
        """Returns rows as they were added.

        Args:
            places: (n,) numbers of the rows.
        """
        paths = self.paths()
        chosen = places.tolist()
        identities, cameras = (
            [self.columns.name(column, row) for row in chosen] for column in ("identity", "camera")
        )
        feats = np.array(self.feats[places])
        times = np.array(self.columns.times[places])
        return Rows(feats, [paths[row] for row in chosen], identities, cameras, times)

    def check(self) -> None:
        """Raises InputError if the content of a file is not what was written; reads all."""
        for name, (size, crc) in self.entry["files"].items():
            if facts_of(self.folder / name) != [size, crc]:
                raise damaged(self.folder / name, "its checksum is wrong")


def _size(file: Path) -> int:
    try:
        return file.stat().st_size
    except OSError as error:
        raise damaged(file, error.strerror or str(error)) from error


def damaged(file: Path, why: str) -> InputError:
    """Returns the error for a file of an index that is not what was written.

    Args:
        file: The file.
        why: What is wrong.
    """
    return InputError(
        f"the index is damaged: {file}: {why}; restore it from a copy, or build the index anew"
    )
