"""The file of a disk cache: all rows, followed by a JSON footer that describes them.

The file ends with the length of the footer and a mark, so that a file that was cut off is
recognized when it is opened. The footer has a checksum of each row.

Rows are read, and not mapped into memory: if a mapped file becomes shorter while a run uses it,
the system kills the run without a word (SIGBUS).
"""

import contextlib
import json
import os
import threading
import weakref
import zlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO, Protocol

import numpy as np
import PIL
from numpy.typing import DTypeLike

from reid.data.images import RULES, UInt8Image
from reid.utils.errors import InputError
from reid.utils.logs import write_whole

try:
    import fcntl
except ImportError:  # no Unix: two processes may both write a file, and the later one stays
    fcntl = None  # type: ignore[assignment]


class CacheError(InputError):
    """The decoded images cannot be kept in the way that was asked for.

    Args:
        message: The reason.
        instead: Other ways that are possible, such as ``disk or none``.
    """

    def __init__(self, message: str, instead: str) -> None:
        super().__init__(f"{message}; keep them otherwise: {instead}")
        self.message = message
        self.instead = instead


Key = tuple[str, int, int]  # absolute path, bytes, time of change in ns
MARK = b"reid-rows-2\n"  # raise the number when the layout changes
TAIL = 8 + len(MARK)


def _row_facts(size: tuple[int, int]) -> dict[str, object]:
    """Returns what the pixels of every row depend on, apart from the image file."""
    return {"size": list(size), "pillow": PIL.__version__, "rules": RULES}


@contextlib.contextmanager
def locked(file: Path) -> Iterator[None]:
    """Lets only one process at a time run the block for this file."""
    with file.with_name(f".{file.name}.lock").open("w") as lock:
        if fcntl is not None:
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def write_rows(
    file: Path, size: tuple[int, int], keys: Sequence[Key], rows: Iterable[UInt8Image]
) -> None:
    """Writes the whole file in one step.

    Args:
        file: The cache file; a process that has opened the old one still reads the old one.
        size: (height, width) of each row in pixels.
        keys: Image file from which each row was decoded.
        rows: (height, width, 3) uint8, one for each key.

    Raises:
        CacheError: The disk is full or not writable.
    """

    def write(out: BinaryIO) -> None:
        sums = []
        for row in rows:
            data = np.ascontiguousarray(row).data
            out.write(data)
            sums.append(zlib.crc32(data))
        footer = json.dumps({**_row_facts(size), "images": keys, "crc32": sums}).encode()
        out.write(footer + len(footer).to_bytes(8, "little") + MARK)

    try:
        write_whole(file, write)
    except OSError as error:
        raise CacheError(f"{file} cannot be written ({error.strerror})", "ram or none") from error


def rows_of(file: Path, size: tuple[int, int]) -> dict[Key, int]:
    """Returns key -> row of a file; empty if it is missing, cut off, or made for another size.

    Args:
        file: The cache file.
        size: (height, width) of each row.
    """
    try:
        keys, _ = _contents(file, size)
    except (OSError, ValueError, KeyError, TypeError, OverflowError, RecursionError):
        return {}
    return {key: row for row, key in enumerate(keys)}


class PixelRows(Protocol):
    """Decoded images: an array (N, H, W, 3) uint8, or what is used like one."""

    @property
    def shape(self) -> tuple[int, ...]:
        """(N, H, W, 3)."""

    def __getitem__(self, index: int, /) -> UInt8Image: ...


class DiskRows:
    """The rows of a cache file, (N, H, W, 3) uint8; each is read when it is asked for.

    The checksum of a row is compared when the process reads the row for the first time. Doing so
    each time would cost a third of the loader's speed.

    Args:
        file: The cache file, of which :func:`rows_of` found the rows.
        size: (height, width) of each row.
    """

    def __init__(self, file: Path, size: tuple[int, int]) -> None:
        self.file = file
        with _told(file):
            keys, self._sums = _contents(file, size)
            descriptor = os.open(file, os.O_RDONLY | getattr(os, "O_BINARY", 0))
        weakref.finalize(self, os.close, descriptor).atexit = False
        self.shape = (len(keys), *size, 3)
        self._descriptor = descriptor
        self._checked = bytearray(len(keys))
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, index: int) -> UInt8Image:
        """Reads one row, (H, W, 3) uint8; writing into it does not change the file.

        Args:
            index: Of the row, 0..N-1.

        Raises:
            InputError: The file was cut off or damaged, or the disk fails.
        """
        if not 0 <= index < len(self):
            raise IndexError(f"row {index} of {len(self)}")
        row = self._read(index)
        if not self._checked[index]:
            if zlib.crc32(row.data) != self._sums[index]:
                raise _damaged(self.file, f"row {index} is not what was written")
            self._checked[index] = 1
        return row

    def __array__(self, dtype: DTypeLike | None = None, copy: bool | None = None) -> np.ndarray:
        """Reads all rows into memory, (N, H, W, 3) uint8."""
        rows = np.empty(self.shape, np.uint8)
        for index, row in enumerate(rows):
            row[...] = self[index]
        return rows if dtype is None else rows.astype(dtype)

    def intact(self, index: int) -> bool:
        """Returns whether a row is there and has its checksum."""
        try:
            return zlib.crc32(self._read(index).data) == self._sums[index]
        except InputError:
            return False

    def _read(self, index: int) -> UInt8Image:
        row = np.empty(self.shape[1:], np.uint8)
        with _told(self.file):
            count = self._read_into(row, index * row.size)
        if count != row.size:
            raise _damaged(self.file, "it was cut off while it was in use")
        return row

    def _read_into(self, row: UInt8Image, offset: int) -> int:
        """Fills a row, and returns the number of bytes that the file had."""
        if hasattr(os, "preadv"):
            return os.preadv(self._descriptor, [row.data], offset)
        with self._lock:  # Windows
            os.lseek(self._descriptor, offset, os.SEEK_SET)
            data = os.read(self._descriptor, row.size)
        row.reshape(-1)[: len(data)] = np.frombuffer(data, np.uint8)
        return len(data)


def _damaged(file: Path, problem: str) -> InputError:
    return InputError(f"{file}: {problem}; delete the file, the next start makes it anew")


@contextlib.contextmanager
def _told(file: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise _damaged(file, f"it cannot be read ({error.strerror})") from error


def _contents(file: Path, size: tuple[int, int]) -> tuple[list[Key], list[int]]:
    """Returns key and checksum of each row; raises ValueError if the file is not as it must be."""
    facts, length = _read_footer(file)
    keys = [(str(name), int(count), int(time)) for name, count, time in facts.pop("images")]
    sums = [int(number) for number in facts.pop("crc32")]
    if facts != _row_facts(size) or length != len(keys) * size[0] * size[1] * 3:
        raise ValueError(f"{file} has other rows")
    if len(sums) != len(keys):
        raise ValueError(f"{file} has no checksum of each row")
    return keys, sums


def _read_footer(file: Path) -> tuple[dict[str, Any], int]:
    """Returns the footer and the number of bytes before it; raises ValueError if it is broken."""
    length = os.stat(file).st_size
    with file.open("rb") as stream:
        stream.seek(max(0, length - TAIL))
        tail = stream.read()
        if len(tail) != TAIL or not tail.endswith(MARK):
            raise ValueError(f"{file} has no end")
        begin = length - TAIL - int.from_bytes(tail[:8], "little")
        stream.seek(max(0, begin))
        facts = json.loads(stream.read(length - TAIL - begin))
    if not isinstance(facts, dict):
        raise ValueError(f"{file} has no footer")
    return facts, begin
