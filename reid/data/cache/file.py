"""The file of a disk cache: all rows, followed by a JSON footer that describes them.

The rows come first, so that they are aligned and can be mapped. The file ends with the length of
the footer and a mark, so that a file that was cut off is recognized.
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
MARK = b"reid-rows-1\n"  # raise the number when the layout changes
TAIL = 8 + len(MARK)


def _row_facts(size: tuple[int, int]) -> dict[str, object]:
    """Returns what the pixels of every row depend on, apart from the image file."""
    return {"size": list(size), "pillow": PIL.__version__}


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
        file: The cache file; a process that has mapped the old one still reads the old one.
        size: (height, width) of each row in pixels.
        keys: Image file from which each row was decoded.
        rows: (height, width, 3) uint8, one for each key.

    Raises:
        CacheError: The disk is full or not writable.
    """
    footer = json.dumps({**_row_facts(size), "images": keys}).encode()

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
    if facts != _row_facts(size) or rows != len(keys) * size[0] * size[1] * 3:
        return {}
    return {key: row for row, key in enumerate(keys)}


def open_rows(file: Path, size: tuple[int, int], count: int) -> np.ndarray:
    """Maps the rows, (count, height, width, 3) uint8; writing into them does not change the file.

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
