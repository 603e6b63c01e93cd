"""Which pictures of query and gallery are the same: by their bytes, not by their names."""

import hashlib
import stat
from pathlib import Path

import numpy as np

from reid.data.records import Records
from reid.utils.errors import InputError


def picture_numbers(query: Records, gallery: Records) -> tuple[np.ndarray, np.ndarray]:
    """Numbers the pictures of both splits, (Q,) and (G,) int64: the same number, the same picture.

    Two files show the same picture if they are of one identity and hold the same bytes: so one path
    in both splits, a link and a copy are all recognised. Only files of one identity and one size
    that are in both splits are read, which are few.

    Args:
        query: Images that are searched for.
        gallery: Images that are searched.

    Raises:
        InputError: A file cannot be read.
    """
    records = [*query, *gallery]
    alike = [(record.pid, _size(record.path)) for record in records]
    in_both = set(alike[: len(query)]) & set(alike[len(query) :])
    digests: dict[Path, bytes] = {}
    numbers: dict[object, int] = {}
    found = []
    for place, (record, kind) in enumerate(zip(records, alike, strict=True)):
        picture: object = place
        if kind in in_both:
            if record.path not in digests:
                digests[record.path] = _digest(record.path)
            picture = (record.pid, digests[record.path])
        found.append(numbers.setdefault(picture, len(numbers)))
    return np.array(found[: len(query)], np.int64), np.array(found[len(query) :], np.int64)


def _size(path: Path) -> int:
    """Returns the size of a file in bytes."""
    try:
        found = path.stat()
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from error
    if not stat.S_ISREG(found.st_mode):  # opening a pipe would wait for ever
        raise InputError(f"{path} is no regular file")
    return found.st_size


def _digest(path: Path) -> bytes:
    try:
        return hashlib.sha256(path.read_bytes()).digest()
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from error
