"""The run's log, its metrics.jsonl, and files that are complete or absent."""

import contextlib
import json
import logging
import os
import shutil
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

from reid.utils import distributed
from reid.utils.console import ConsoleHandler, LogFileHandler
from reid.utils.errors import InputError


def make_dir(path: Path) -> Path:
    """Makes a folder that will be written to; raises InputError where that is impossible."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{path} cannot be made a folder: {error.strerror}") from error
    if not os.access(path, os.W_OK):
        raise InputError(f"{path} is not writable; choose another folder")
    return path


def get_logger(output_dir: Path, name: str) -> logging.Logger:
    """Returns a logger to stdout and, appending, to ``output_dir/<name>.log``.

    Of several processes only the first one writes.

    Args:
        output_dir: Folder that gets the log file.
        name: Name of the logger and of its file.
    """
    logger = logging.getLogger(f"reid.{name}")
    logger.setLevel(logging.INFO)
    logger.propagate = False
    for handler in list(logger.handlers):
        logger.removeHandler(handler)
        handler.close()
    if not distributed.is_main():
        logger.addHandler(logging.NullHandler())
        return logger
    file = output_dir / f"{name}.log"
    for handler in (ConsoleHandler(file), LogFileHandler(file)):
        handler.setFormatter(logging.Formatter("%(asctime)s %(message)s", "%Y-%m-%d %H:%M:%S"))
        logger.addHandler(handler)
    return logger


def write_whole(path: Path, write: Callable[[BinaryIO], object]) -> None:
    """Writes a file through a temporary one beside it, so that a reader never sees half of it.

    Content and name are on the disk when it returns, and survive a power cut.

    Args:
        path: The file; it is replaced in one step.
        write: Function that writes the content to an open binary file.
    """
    path.parent.mkdir(parents=True, exist_ok=True)  # it may have vanished during a long command
    with temporary_of(path) as temporary:
        with temporary.open("wb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    sync_folder(path.parent)


@contextlib.contextmanager
def temporary_of(path: Path) -> Iterator[Path]:
    """Yields a name beside ``path`` for a file that will take its place; removes it if it is left.

    The name is hidden, and tells the process: see :func:`remove_strays`.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        yield temporary
    finally:
        temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def whole_folder(path: Path) -> Iterator[Path]:
    """Yields a new folder beside ``path``, which takes its place when the block is done.

    Raises:
        FileExistsError: There is something else at ``path``.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    temporary.mkdir(parents=True)
    try:
        yield temporary
        sync_folder(temporary)
        os.rename(temporary, path)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Writes a folder's list of names to the disk, where the system can do that."""
    with contextlib.suppress(OSError):  # Windows opens no folders, some file systems sync none
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def remove_strays(folder: Path, names: Iterable[str]) -> list[Path]:
    """Removes the temporary files and folders that killed processes left; returns which.

    Only whoever alone writes these files may call it.

    Args:
        folder: Folder of the files.
        names: Names of the files whose temporary ones are meant.
    """
    strays = sorted(path for name in names for path in folder.glob(f".{name}.*.tmp"))
    for path in strays:
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)
    return strays


def write_text(path: Path, text: str) -> None:
    """Writes UTF-8 text through :func:`write_whole`.

    Args:
        path: The file.
        text: Content of the file.
    """
    write_whole(path, lambda file: file.write(text.encode()))


class Appended:
    """A file that grows by whole pieces: what cannot be written now is written with the next piece.

    The file is open only while a piece is written. A folder that has vanished is made anew.

    Args:
        path: The file; it need not exist.
        head: What stands before the first piece of a file that is new or empty.
    """

    def __init__(self, path: Path, head: bytes = b"") -> None:
        self.path = path
        self.head = head
        self._waiting = b""

    def append(self, piece: bytes) -> None:
        """Adds a piece at the end.

        Args:
            piece: The bytes.

        Raises:
            OSError: It could not be written; the file is as before, and the piece waits.
        """
        self._waiting += piece
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("ab", buffering=0) as file:
            end = file.tell()
            whole = self._waiting if end else self.head + self._waiting
            try:
                # A disk that is almost full takes a part, and says no only to the rest.
                rest = memoryview(whole)
                while rest:
                    rest = rest[file.write(rest) :]
            except OSError:
                with contextlib.suppress(OSError):
                    file.truncate(end)  # no half piece
                raise
        self._waiting = b""


class MetricsLog:
    """A file with one JSON object on each line; lines are appended and flushed at once.

    Args:
        path: The file.
        last_epoch: Rows of later epochs are dropped first: a resumed run writes them anew.
    """

    def __init__(self, path: Path, last_epoch: int = 0) -> None:
        old = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
        kept = [line for line in old if _epoch(line) <= last_epoch]
        write_text(path, "".join(f"{line}\n" for line in kept))
        self._file = Appended(path)

    def write(self, row: dict[str, Any]) -> None:
        """Appends a row; every row has the key ``epoch``.

        Raises:
            OSError: It could not be written; it is written with the next one.
        """
        self._file.append(f"{json.dumps(row)}\n".encode())


def _epoch(line: str) -> float:
    try:
        return float(json.loads(line)["epoch"])
    except (ValueError, KeyError, TypeError):  # half a line of a killed run
        return float("inf")
