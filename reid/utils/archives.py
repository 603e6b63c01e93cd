"""torch's archives with a checksum, and what is wrong with those that a user hands in.

The file is a zip archive, and its comment holds a CRC-32 over everything before it. In files that
lack it, each record has one; torch writes those, and does not look at them.
"""

import io
import os
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any, cast

import torch

_MARK = b"reid-crc32 "
_COMMENT = len(_MARK) + 8  # bytes: the mark, and eight hexadecimal digits
_LENGTH_FIELD = 2  # bytes in front of the comment that hold its length
_CHUNK = 1 << 20
_FOLDER = 0x10  # in the attributes of a record


class _Patient(io.RawIOBase):
    """A file for torch.save, which answers an error while writing with pages of text.

    It notes the first error and takes the rest without writing it; :meth:`finish` raises it.

    Args:
        path: The file, which is made.
    """

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._file = path.open("wb")
        self._error: OSError | None = None
        self._crc = 0

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        if self._error is None:
            try:
                self._file.write(data)
            except OSError as error:
                self._error = error
        self._crc = zlib.crc32(data, self._crc)
        return memoryview(data).nbytes

    def finish(self) -> None:
        """Adds the checksum, and puts everything on the disk.

        Raises:
            OSError: The first error that writing met.
        """
        if self._error is not None:
            raise self._error
        self._file.seek(-_LENGTH_FIELD, os.SEEK_END)
        self._file.write(_COMMENT.to_bytes(_LENGTH_FIELD, "little"))
        self._file.write(_MARK + b"%08x" % self._crc)
        self._file.flush()
        os.fsync(self._file.fileno())

    def close(self) -> None:
        try:
            self._file.close()
        except OSError as error:
            self._error = self._error or error
        super().close()


def write_archive(path: Path, content: Mapping[str, Any]) -> None:
    """Writes tensors and plain values with a checksum; they are on the disk when it returns.

    Args:
        path: The file.
        content: What :func:`torch.load` reads back with ``weights_only=True``.

    Raises:
        OSError: The file could not be written.
    """
    file = _Patient(path)
    try:
        torch.save(dict(content), cast(IO[bytes], file))
        file.finish()
    finally:
        file.close()


def is_archive(path: Path) -> bool:
    """Returns whether a file begins as a zip archive does."""
    with path.open("rb") as file:
        return file.read(4) == b"PK\3\4"


def _checksum_is_right(path: Path) -> bool | None:
    """Compares the checksum of the whole file; returns None if the file has none."""
    size = path.stat().st_size - _COMMENT
    with path.open("rb") as file:
        file.seek(max(size, 0))
        comment = file.read()
        if not comment.startswith(_MARK):
            return None
        file.seek(0)
        crc, left = 0, size - _LENGTH_FIELD
        while left > 0 and (part := file.read(min(_CHUNK, left))):
            crc = zlib.crc32(part, crc)
            left -= len(part)
    # The length of the comment was 0 when the checksum was taken.
    return comment == _MARK + b"%08x" % zlib.crc32(bytes(_LENGTH_FIELD), crc)


def damage_of(path: Path) -> str:
    """Says what is wrong with an archive as it lies on the disk; "" if nothing is.

    An archive that announces more than the file holds is refused before it is unpacked: torch
    writes records as they are, and a packed one may be a thousand times as long as the file. Nor
    does torch read a record that is marked as a folder, but gives what memory holds for it.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            records = archive.infolist()
            if any(record.compress_type != zipfile.ZIP_STORED for record in records):
                return "a record in it is compressed, which torch does not do"
            if sum(record.file_size for record in records) > path.stat().st_size:
                return "its records announce more bytes than it has"
            if any(record.external_attr & _FOLDER for record in records):
                return "a record in it is marked as a folder"
            right = _checksum_is_right(path)
            wrong = archive.testzip() if right is None else not right
            return "its checksum is wrong" if wrong else ""
    # A damaged archive fails in many ways: BadZipFile, struct.error, UnicodeDecodeError, ...
    except Exception as error:
        return f"{type(error).__name__}: {error}"
