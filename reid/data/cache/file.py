"""The file of a disk cache: all rows, then a JSON footer that says what they are.

The rows come first, so that they are aligned and mapped as they are; the footer's length and a mark
end the file, so that one that was cut off is known by its end.
"""

import contextlib
import json
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import PIL

from reid.data.images import UInt8Image
from reid.utils.errors import InputError
from reid.utils.logs import write_whole

try:
    import fcntl
except ImportError:  # not a Unix: two processes may both write, the later file stands
    fcntl = None  # type: ignore[assignment]


class CacheError(InputError):
    """Decoded images cannot be kept as asked.

    Args:
        message: Why.
        instead: The ways that are left: ``disk``, ``none``.
    """

    def __init__(self, message: str, instead: str) -> None:
        super().__init__(f"{message}; keep them otherwise: {instead}")
        self.message, self.instead = message, instead


Key = tuple[str, int, int]  # absolute path, bytes, time of change in ns
MARK = b"reid-rows-1\n"  # another layout gets another number
TAIL = 8 + len(MARK)


def _maker(size: tuple[int, int]) -> dict[str, object]:
    """Returns what all rows depend on, besides their own image."""
    return {"size": list(size), "pillow": PIL.__version__}


@contextlib.contextmanager
def locked(file: Path) -> Iterator[None]:
    """Lets one process at a time into the block, for a file of that name."""
    with file.with_name(f".{file.name}.lock").open("w") as lock:
        if fcntl is not None:
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def write_rows(
    file: Path, size: tuple[int, int], keys: Sequence[Key], rows: Iterable[UInt8Image]
) -> None:
    """Writes the file whole.

    Args:
        file: It may be open under the same name; who reads the old one goes on to read it.
        size: (height, width) of each row.
        keys: What each row was decoded from.
        rows: (height, width, 3) uint8, one for each key.

    Raises:
        CacheError: If the disk is full or not writable.
    """
    footer = json.dumps({**_maker(size), "images": keys}).encode()

    def write(out: BinaryIO) -> None:
        for row in rows:
            out.write(np.ascontiguousarray(row).data)
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
        facts, rows = _read_footer(file)
        keys = [(str(name), int(count), int(time)) for name, count, time in facts.pop("images")]
    except (OSError, ValueError, KeyError, TypeError):
        return {}
    if facts != _maker(size) or rows != len(keys) * size[0] * size[1] * 3:
        return {}
    return {key: row for row, key in enumerate(keys)}


def open_rows(file: Path, size: tuple[int, int], count: int) -> np.ndarray:
    """Maps (count, height, width, 3) uint8, copy on write, so that nobody can change the file.

    Args:
        file: The cache file.
        size: (height, width) of each row.
        count: Number of rows.
    """
    if not count:
        return np.empty((0, *size, 3), np.uint8)
    return np.memmap(file, np.uint8, mode="c", shape=(count, *size, 3))


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
